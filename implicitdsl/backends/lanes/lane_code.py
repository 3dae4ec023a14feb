"""Writing LLVM instructions over lanes: an element is a vector holding one float of each of `width` samples.

Nothing here carries a fast-math flag, so that an element's bits do not depend on the width; `fma` is the only fused
operation, and it is explicit. Loops are rotated (`do … while`) and carry values in registers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from llvmlite import ir

Dtype = Literal["float64", "float32"]
Index = Any
"""A place: an int known now, or an i64 of the running code."""

I64 = ir.IntType(64)
I32 = ir.IntType(32)
POINTER = ir.PointerType()

LARGEST_ON_STACK = 1 << 16
"""Bytes of a buffer beyond which it comes from the heap: the threads of a pool have small stacks."""
STACK_OF_FUNCTION = 1 << 18
"""Bytes of all buffers of a function beyond which the next ones come from the heap."""


@dataclass
class _Room:
    """The bytes of a function's buffers, and the piece of the heap that holds those which are not on the stack."""

    stack: int = 0
    heap: int = 0
    piece: Any = None


class LaneCode:
    """The instructions of one function; `element` is the type of a value, `scalar` that of one lane of it."""

    def __init__(self, function: ir.Function, dtype: Dtype, width: int) -> None:
        self.function = function
        self.module: ir.Module = function.module
        self.width = width
        self._set_dtype(dtype)
        self._entry = function.append_basic_block("entry")
        first = function.append_basic_block("code")
        self.builder = ir.IRBuilder(first)
        self._first = first
        self._room = _Room()

    def _set_dtype(self, dtype: Dtype) -> None:
        self.dtype: Dtype = dtype
        self.scalar: Any = ir.DoubleType() if dtype == "float64" else ir.FloatType()
        self.item_bytes = 8 if dtype == "float64" else 4
        self.element: Any = self.scalar if self.width == 1 else ir.VectorType(self.scalar, self.width)
        self.zero = self.number(0.0)
        self.one = self.number(1.0)

    def finish(self) -> None:
        """Ends the function."""
        room = self._room
        if room.piece is not None:
            room.piece.operands[1] = ir.Constant(I64, room.heap)
            self.builder.call(self._declared("free", ir.VoidType(), [POINTER]), [room.piece])
        self.builder.ret_void()
        ir.IRBuilder(self._entry).branch(self._first)

    def give(self, value: Any) -> None:
        """Ends a function that has a value and no buffers."""
        self.builder.ret(value)
        ir.IRBuilder(self._entry).branch(self._first)

    def of_dtype(self, dtype: Dtype) -> LaneCode:
        """The same code, writing elements of another dtype."""
        found = copy.copy(self)
        found._set_dtype(dtype)
        return found

    # ------------------------------------------------------------ numbers

    def number(self, value: float) -> Any:
        """A constant in every lane."""
        rounded = float(np.float32(value)) if self.dtype == "float32" else float(value)
        if self.width == 1:
            return ir.Constant(self.scalar, rounded)
        return ir.Constant(self.element, [rounded] * self.width)

    def splat(self, scalar: Any) -> Any:
        """One float in every lane."""
        return self._repeated(scalar, self.width)

    def _repeated(self, scalar: Any, count: int) -> Any:
        if count == 1:
            return scalar
        undefined = ir.Constant(self.floats(count), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def div(self, a: Any, b: Any) -> Any:
        return self.builder.fdiv(a, b)

    def neg(self, a: Any) -> Any:
        return self.builder.fneg(a)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a*b + c, rounded once."""
        return self.intrinsic("llvm.fma", a, b, c)

    def intrinsic(self, name: str, *args: Any) -> Any:
        """An LLVM intrinsic overloaded on the element type: llvm.sqrt, llvm.fabs, llvm.floor, llvm.trunc …"""
        return self._overloaded(name, self.element, args)

    def _overloaded(self, name: str, kind: Any, args: Sequence[Any]) -> Any:
        item = "f64" if self.dtype == "float64" else "f32"
        suffix = f"v{kind.count}{item}" if isinstance(kind, ir.VectorType) else item
        return self.builder.call(self._declared(f"{name}.{suffix}", kind, [kind] * len(args)), args)

    def call(self, name: str, result: Any, args: Sequence[Any]) -> Any:
        """A function from outside that depends on its arguments alone."""
        found = self._declared(name, result, [a.type for a in args])
        found.attributes.add("readnone")
        found.attributes.add("nounwind")
        return self.builder.call(found, args)

    def _declared(self, name: str, result: Any, args: Sequence[Any]) -> Any:
        found = self.module.globals.get(name)
        return found or ir.Function(self.module, ir.FunctionType(result, args), name)

    # ------------------------------------------------------------ conditions

    def compare(self, operator: str, a: Any, b: Any) -> Any:
        """A mask: `<` `<=` `>` `>=` `==` are false where one side is NaN, `!=` is true there."""
        if operator == "!=":
            return self.builder.fcmp_unordered("!=", a, b)
        return self.builder.fcmp_ordered(operator, a, b)

    def is_nan(self, a: Any) -> Any:
        return self.builder.fcmp_unordered("uno", a, a)

    def select(self, mask: Any, a: Any, b: Any) -> Any:
        return self.builder.select(mask, a, b)

    def truth(self, mask: Any) -> Any:
        """1 where the mask holds, else 0."""
        return self.select(mask, self.one, self.zero)

    def either(self, a: Any, b: Any) -> Any:
        return self.builder.or_(a, b)

    def both(self, a: Any, b: Any) -> Any:
        return self.builder.and_(a, b)

    # ------------------------------------------------------------ memory

    def place(self, terms: Sequence[tuple[Index, int]], start: int) -> Index:
        """start plus the sum of index times stride, folded as far as it is known."""
        known, moving = start, None
        for index, stride in terms:
            if isinstance(index, int):
                known += index * stride
            elif stride:
                step = index if stride == 1 else self.builder.mul(index, ir.Constant(I64, stride))
                moving = step if moving is None else self.builder.add(moving, step)
        if moving is None:
            return known
        return moving if known == 0 else self.builder.add(moving, ir.Constant(I64, known))

    def address(self, pointer: Any, index: Index, kind: Any = None) -> Any:
        if isinstance(index, int):
            if index == 0:
                return pointer
            index = ir.Constant(I64, index)
        return self.builder.gep(pointer, [index], source_etype=kind or self.element)

    def load(self, pointer: Any, index: Index) -> Any:
        """The element at a place. Only the alignment of one float is asked for."""
        found = self.builder.load(self.address(pointer, index), typ=self.element)
        found.align = self.item_bytes
        return found

    def load_on_entry(self, pointer: Any, index: int) -> Any:
        """The element at a place of an argument, as it is when the function is called."""
        entry = ir.IRBuilder(self._entry)
        place = entry.gep(pointer, [ir.Constant(I64, index)], source_etype=self.element) if index else pointer
        found = entry.load(place, typ=self.element)
        found.align = self.item_bytes
        return found

    def load_shared(self, pointer: Any, index: Index) -> Any:
        """The float at a place, in every lane."""
        found = self.builder.load(self.address(pointer, index, self.scalar), typ=self.scalar)
        found.align = self.item_bytes
        return self.splat(found)

    def store(self, value: Any, pointer: Any, index: Index) -> None:
        self.builder.store(value, self.address(pointer, index)).align = self.item_bytes

    # ------------------------------------------------------------ single floats, one for all lanes

    def floats(self, count: int) -> Any:
        """The type of floats side by side."""
        return self.scalar if count == 1 else ir.VectorType(self.scalar, count)

    def load_floats(self, pointer: Any, index: Index, count: int) -> Any:
        """`count` floats side by side from a place on, places counted in floats."""
        found = self.builder.load(self.address(pointer, index, self.scalar), typ=self.floats(count))
        found.align = self.item_bytes
        return found

    def store_floats(self, value: Any, pointer: Any, index: Index) -> None:
        self.builder.store(value, self.address(pointer, index, self.scalar)).align = self.item_bytes

    def load_repeated(self, pointer: Any, index: Index, count: int) -> Any:
        """The float at a place, `count` times."""
        return self._repeated(self.load_floats(pointer, index, 1), count)

    def fma_floats(self, a: Any, b: Any, c: Any) -> Any:
        """a*b + c of floats side by side, rounded once."""
        return self._overloaded("llvm.fma", a.type, (a, b, c))

    def shuffled(self, a: Any, b: Any, places: Sequence[int]) -> Any:
        """The lanes of two vectors, one after the other, at the places told."""
        if len(places) == 1:
            first, place = (a, places[0]) if places[0] < a.type.count else (b, places[0] - a.type.count)
            return self.builder.extract_element(first, ir.Constant(I32, place))
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(places)), list(places)))

    def transposed(self, rows: Sequence[Any]) -> list[Any]:
        """`width` vectors as a square matrix, transposed: blocks of 1, 2, 4 … change places."""
        found, span = list(rows), 1
        lanes = range(self.width)
        while span < self.width:
            above = [j if not j & span else self.width + j - span for j in lanes]
            below = [j + span if not j & span else self.width + j for j in lanes]
            for i in lanes:
                if not i & span:
                    a, b = found[i], found[i + span]
                    found[i], found[i + span] = self.shuffled(a, b, above), self.shuffled(a, b, below)
            span *= 2
        return found

    def pointer_at(self, pointer: Any, index: Index) -> Any:
        """The pointer that lies in the first bytes of an element."""
        found = self.builder.load(self.address(pointer, index), typ=POINTER)
        found.align = 1
        return found

    def buffer(self, size: int) -> Any:
        """Room for elements, made on entry."""
        entry, room = ir.IRBuilder(self._entry), self._room
        needed = max(size, 1) * self.width * self.item_bytes
        if needed <= min(LARGEST_ON_STACK, STACK_OF_FUNCTION - room.stack):
            room.stack += needed
            return entry.alloca(self.element, size=ir.Constant(I64, max(size, 1)))
        if room.piece is None:
            # How much it is shows at the end.
            room.piece = entry.call(self._declared("malloc", POINTER, [I64]), [ir.Constant(I64, 0)])
        place, room.heap = room.heap, room.heap + needed
        return entry.gep(room.piece, [ir.Constant(I64, place)], source_etype=ir.IntType(8))

    def table(self, numbers: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        """A constant array of single floats, one for all lanes."""
        kind = ir.ArrayType(self.scalar, numbers.size)
        name = self.module.get_unique_name("numbers")
        found = ir.GlobalVariable(self.module, kind, name)
        found.global_constant = True
        found.linkage = "internal"
        values = numbers.reshape(-1).astype(self.dtype)
        found.initializer = ir.Constant(kind, [ir.Constant(self.scalar, float(v)) for v in values])
        return found

    # ------------------------------------------------------------ loops

    def loop(
        self,
        start: Index,
        stop: Index,
        body: Callable[[Any, tuple[Any, ...]], Sequence[Any]],
        carried: Sequence[Any] = (),
        step: int = 1,
    ) -> tuple[Any, ...]:
        """`body(i, carried) -> carried` for i from start, below stop; the carried values at the end."""
        b = self.builder
        known = isinstance(start, int) and isinstance(stop, int)
        if known and stop <= start:
            return tuple(carried)
        first = ir.Constant(I64, start) if isinstance(start, int) else start
        last = ir.Constant(I64, stop) if isinstance(stop, int) else stop
        before = b.block
        inside, after = self.function.append_basic_block("loop"), self.function.append_basic_block("after")
        if known:
            b.branch(inside)
        else:
            b.cbranch(b.icmp_signed("<", first, last), inside, after)
        b.position_at_end(inside)
        i = b.phi(I64)
        i.add_incoming(first, before)
        state = [b.phi(v.type) for v in carried]
        for phi, value in zip(state, carried, strict=True):
            phi.add_incoming(value, before)
        new = tuple(body(i, tuple(state)))
        following = b.add(i, ir.Constant(I64, step))
        end = b.block
        i.add_incoming(following, end)
        for phi, value in zip(state, new, strict=True):
            phi.add_incoming(value, end)
        b.cbranch(b.icmp_signed("<", following, last), inside, after).set_metadata("llvm.loop", self._kept_loop())
        b.position_at_end(after)
        if known:
            return new
        found: list[Any] = []
        for value, value_before in zip(new, carried, strict=True):
            phi = b.phi(value.type)
            phi.add_incoming(value_before, before)
            phi.add_incoming(value, end)
            found.append(phi)
        return tuple(found)

    def _kept_loop(self) -> Any:
        """Metadata that keeps a loop one: what is to be written out is written out here."""
        disable = self.module.add_metadata(["llvm.loop.unroll.disable"])
        found: Any = ir.MDValue(self.module, [], str(len(self.module.metadata)))
        # A loop is named by a node that begins with itself.
        found.operands = (found, disable)
        return found

    def each(self, count: int, body: Callable[[Index], None], *, unrolled: bool = False, start: Index = 0) -> None:
        """`body(i)` for i from start, below count: written out for ints where `unrolled`."""
        if unrolled:
            for i in range(start, count):
                body(i)
            return

        def once(i: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
            body(i)
            return ()

        self.loop(start, count, once)

    def nest(self, shape: Sequence[int], body: Callable[[tuple[Index, ...]], None], *, unrolled: bool = False) -> None:
        """`body(indices)` for every place of an array, in row-major order."""
        if 0 in shape:
            return

        def level(axis: int, indices: tuple[Index, ...]) -> None:
            if axis == len(shape):
                body(indices)
            elif shape[axis] == 1:
                level(axis + 1, (*indices, 0))
            else:
                self.each(shape[axis], lambda i: level(axis + 1, (*indices, i)), unrolled=unrolled)

        level(0, ())
