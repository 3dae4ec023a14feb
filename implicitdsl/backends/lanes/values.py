"""What a node of the IR is while a function is written: scalars in registers or in memory, under strides.

Transposing, broadcasting, picking a box and most reshapes only make another `Value` of the same `Store`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.backends.lanes.lane_code import Index, LaneCode

Shape = tuple[int, ...]


class OnEntry(Sequence[Any]):
    """Elements of an argument, in registers from the beginning of a function on: those that are asked for."""

    def __init__(self, code: LaneCode, pointer: Any, start: int, count: int) -> None:
        self._code, self._pointer, self._start, self._count = code, pointer, start, count
        self._found: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if index not in self._found:
            self._found[index] = self._code.load_on_entry(self._pointer, self._start + index)
        return self._found[index]


@dataclass(eq=False)
class Store:
    """Elements side by side: `items` in registers, `pointer` in memory, or both. `shared`: the memory holds single
    floats, the same for all lanes. `numbers`: they are constants."""

    items: Sequence[Any] | None = None
    pointer: Any = None
    shared: bool = False
    numbers: np.ndarray[Any, np.dtype[np.float64]] | None = None


@dataclass(frozen=True, eq=False)
class Value:
    """An array laid over a store: the element at `indices` lies at offset + sum of index times stride."""

    store: Store
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_uniform(self) -> bool:
        """Whether all its elements are one."""
        return all(s == 0 or n == 1 for s, n in zip(self.strides, self.shape, strict=True))

    @property
    def is_plain(self) -> bool:
        """Whether its elements lie side by side in row-major order."""
        plain = row_major(self.shape)
        return all(n == 1 or s == p for s, p, n in zip(self.strides, plain, self.shape, strict=True))

    def axes(self, order: Sequence[int | None], shape: Shape) -> Value:
        """The axes in another order; None is a new axis along which nothing changes."""
        strides = tuple(0 if k is None else self.strides[k] for k in order)
        return Value(self.store, shape, strides, self.offset)

    def box(self, ranges: Sequence[tuple[int, int]]) -> Value:
        """The box given by (start, stop) for every axis."""
        offset = self.offset + sum(p * s for (p, _), s in zip(ranges, self.strides, strict=True))
        return Value(self.store, tuple(q - p for p, q in ranges), self.strides, offset)

    def reshaped(self, shape: Shape) -> Value | None:
        """The same elements in row-major order under another shape; None where no strides give that."""
        if self.is_uniform:
            return Value(self.store, shape, (0,) * len(shape), self.offset)
        if self.is_plain:
            return Value(self.store, shape, row_major(shape), self.offset)
        kept = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        if [n for n, _ in kept] != [n for n in shape if n != 1]:
            return None
        left = iter(kept)
        return Value(self.store, shape, tuple(0 if n == 1 else next(left)[1] for n in shape), self.offset)


def row_major(shape: Shape) -> tuple[int, ...]:
    """Strides of an array whose elements lie side by side."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def plain(store: Store, shape: Shape, offset: int = 0) -> Value:
    """The elements of a store from a place on, in row-major order."""
    return Value(store, shape, row_major(shape), offset)


def read(code: LaneCode, value: Value, indices: Sequence[Index]) -> Any:
    """The element at a place. Places of the running code need a value in memory (see `in_memory`)."""
    terms = [(i, s) for i, s, n in zip(indices, value.strides, value.shape, strict=True) if n != 1]
    at = code.place(terms, value.offset)
    store = value.store
    if store.items is not None and isinstance(at, int):
        return store.items[at]
    if store.shared:
        return code.load_shared(store.pointer, at)
    return code.load(store.pointer, at)


def elements(code: LaneCode, value: Value) -> list[Any]:
    """All elements in row-major order, in registers."""
    return [read(code, value, at) for at in itertools.product(*map(range, value.shape))]


def in_memory(code: LaneCode, value: Value) -> Value:
    """The value, made readable at places of the running code. Call it outside loops."""
    store = value.store
    if store.pointer is None and not value.is_uniform:
        assert store.items is not None
        if store.numbers is not None:
            store.pointer, store.shared = code.table(store.numbers), True
        else:
            store.pointer = code.buffer(len(store.items))
            for k, item in enumerate(store.items):
                code.store(item, store.pointer, k)
    return value
