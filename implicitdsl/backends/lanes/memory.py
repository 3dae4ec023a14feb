"""The arrays that compiled solvers of one sample allocate: Numba's run-time functions, over malloc and free.

Numba counts references to a block of memory itself and calls these to get and to free one, so that code made from
solvers needs no Numba when it runs. A block is { count, destructor, its argument, data, size, allocator }, then the
data. What solvers never need gives no memory, which ends the call.
"""

from __future__ import annotations

import re

MEMORY = """
declare ptr @malloc(i64)
declare void @free(ptr)

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %more = add i64 %size, 64
  %whole = add i64 %more, %wide
  %block = call ptr @malloc(i64 %whole)
  %none = icmp eq ptr %block, null
  br i1 %none, label %failed, label %made
made:
  %at = ptrtoint ptr %block to i64
  %past = add i64 %at, 63
  %high = add i64 %past, %wide
  %over = urem i64 %high, %wide
  %start = sub i64 %high, %over
  %data = inttoptr i64 %start to ptr
  store i64 1, ptr %block
  %p1 = getelementptr i64, ptr %block, i64 1
  store ptr null, ptr %p1
  %p2 = getelementptr i64, ptr %block, i64 2
  store ptr null, ptr %p2
  %p3 = getelementptr i64, ptr %block, i64 3
  store ptr %data, ptr %p3
  %p4 = getelementptr i64, ptr %block, i64 4
  store i64 %size, ptr %p4
  %p5 = getelementptr i64, ptr %block, i64 5
  store ptr null, ptr %p5
  ret ptr %block
failed:
  ret ptr null
}

define ptr @NRT_MemInfo_alloc(i64 %size) {
  %block = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 16)
  ret ptr %block
}

define void @NRT_MemInfo_call_dtor(ptr %block) {
  call void @free(ptr %block)
  ret void
}

define ptr @NRT_Allocate(i64 %size) {
  %found = call ptr @malloc(i64 %size)
  ret ptr %found
}

define void @NRT_Free(ptr %block) {
  call void @free(ptr %block)
  ret void
}

define ptr @NRT_MemInfo_new_varsize_dtor(i64 %size, ptr %destructor) {
  ret ptr null
}

define ptr @NRT_MemInfo_varsize_realloc(ptr %block, i64 %size) {
  ret ptr null
}

define void @PyErr_SetString(ptr %kind, ptr %text) {
  ret void
}

define i32 @numba_attempt_nocopy_reshape(
    i64 %nd, ptr %dims, ptr %strides, i64 %new_nd, ptr %new_dims, ptr %new_strides, i64 %itemsize, i32 %fortran
) {
entry:
  br label %test
test:
  %left = phi i64 [ %new_nd, %entry ], [ %i, %step ]
  %stride = phi i64 [ %itemsize, %entry ], [ %next, %step ]
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %step, label %done
step:
  %i = sub i64 %left, 1
  %place = getelementptr i64, ptr %new_strides, i64 %i
  store i64 %stride, ptr %place
  %where = getelementptr i64, ptr %new_dims, i64 %i
  %n = load i64, ptr %where
  %next = mul i64 %stride, %n
  br label %test
done:
  ret i32 1
}
"""
"""LLVM text. Solvers reshape contiguous arrays alone, so a reshape never copies."""
MEMORY_FUNCTIONS = tuple(re.findall(r"^define \S+ @(\w+)\(", MEMORY, re.MULTILINE))
"""What it defines; the code of a solver finds them by these names."""
