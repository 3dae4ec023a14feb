"""The arrays that compiled solvers of one sample make: room for a call, out of which functions take and give back.

A solver takes its arrays from the top of a chunk, and its room remembers how far that is filled; when a function
returns, the top falls to where it was. A chunk that is full is followed by a larger one, so that a call asks for memory
a few times. Where there is none, the room is marked, which ends the call.
"""

from __future__ import annotations

NO_MEMORY, MISFIT = 1, 2
"""Why: there was no memory, or a slice or an operation that its arrays do not fit."""
LINE = 64
"""Bytes of a line of the cache, which arrays begin at."""
FIRST = 1 << 14
"""Bytes of the first chunk."""

MEMORY = f"""
declare ptr @malloc(i64)
declare void @free(ptr)

define ptr @imp_take(ptr %room, i64 %size) {{
  %top.at = getelementptr i64, ptr %room, i64 1
  %end.at = getelementptr i64, ptr %room, i64 2
  %top = load i64, ptr %top.at
  %end = load i64, ptr %end.at
  %negative = icmp slt i64 %size, 0
  br i1 %negative, label %none, label %positive
positive:
  %past = add i64 %size, {LINE - 1}
  %lines = and i64 %past, -{LINE}
  %whole = call i64 @llvm.umax.i64(i64 %lines, i64 {LINE})
  %left = sub i64 %end, %top
  %fits = icmp ule i64 %whole, %left
  br i1 %fits, label %found, label %more
more:
  %before = load i64, ptr %room
  %last = sub i64 %end, %before
  %twice = shl i64 %last, 1
  %usual = call i64 @llvm.umax.i64(i64 %twice, i64 {FIRST})
  %wanted = call i64 @llvm.umax.i64(i64 %usual, i64 %whole)
  %all = add i64 %wanted, {2 * LINE}
  %chunk = call ptr @malloc(i64 %all)
  %failed = icmp eq ptr %chunk, null
  br i1 %failed, label %none, label %made
made:
  store i64 %before, ptr %chunk
  %address = ptrtoint ptr %chunk to i64
  %second = getelementptr i64, ptr %chunk, i64 1
  %high = add i64 %address, {2 * LINE - 1}
  %start = and i64 %high, -{LINE}
  %stop = add i64 %start, %wanted
  store i64 %stop, ptr %second
  store i64 %address, ptr %room
  store i64 %stop, ptr %end.at
  br label %found
found:
  %at = phi i64 [ %top, %positive ], [ %start, %made ]
  %next = add i64 %at, %whole
  store i64 %next, ptr %top.at
  %array = inttoptr i64 %at to ptr
  ret ptr %array
none:
  ret ptr null
}}

define void @imp_give_back(ptr %room, i64 %chunk, i64 %top) {{
entry:
  %top.at = getelementptr i64, ptr %room, i64 1
  store i64 %top, ptr %top.at
  %now = load i64, ptr %room
  %same = icmp eq i64 %now, %chunk
  br i1 %same, label %done, label %more
more:
  %last = phi i64 [ %now, %entry ], [ %before, %more ]
  %at = inttoptr i64 %last to ptr
  %before = load i64, ptr %at
  call void @free(ptr %at)
  %found = icmp eq i64 %before, %chunk
  br i1 %found, label %reached, label %more
reached:
  store i64 %chunk, ptr %room
  %end.at = getelementptr i64, ptr %room, i64 2
  %empty = icmp eq i64 %chunk, 0
  br i1 %empty, label %all, label %some
all:
  store i64 0, ptr %end.at
  br label %done
some:
  %kept = inttoptr i64 %chunk to ptr
  %second = getelementptr i64, ptr %kept, i64 1
  %end = load i64, ptr %second
  store i64 %end, ptr %end.at
  br label %done
done:
  ret void
}}

declare i64 @llvm.umax.i64(i64, i64)
"""
"""LLVM text of what `room.py` calls. A chunk begins with the address of the one before it and its own end. An
array of nothing takes a line too, because the address 0 says that there is no memory."""
