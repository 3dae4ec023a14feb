"""Products of rows with rows on lanes: the words `add_products` and `subtract_products`, by tiles held in registers.

A tile of the result stays in registers while the rows run past it. Every element is the sum of its own terms in index
order, each added in one rounding, so its bits do not depend on the tile, nor on the width.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from implicitdsl.backends.lanes.element import INDEX, Lanes
from implicitdsl.backends.lanes.words import intrinsic, register
from implicitdsl.solvers import vocabulary

REGISTER_BYTES = 32
"""A vector register of AVX2; on wider ones the tiles are merely smaller than they could be."""


def tile_of(element_bytes: int) -> tuple[int, int, int]:
    """Rows and columns of a tile, and the rows of one that is a single column wide: what sixteen registers hold."""
    return (3, 4, 8) if element_bytes <= REGISTER_BYTES else (2, 2, 4)


def _lanes_of(args: tuple[types.Type, ...]) -> Lanes | None:
    if len(args) != 12:
        return None
    arrays = [args[i] for i in (3, 6, 9)]
    found = arrays[2]
    if not isinstance(found, types.CPointer) or any(a != found for a in arrays):
        return None
    return found.dtype if isinstance(found.dtype, Lanes) else None


def _typing(args: tuple[types.Type, ...]) -> Any:
    if _lanes_of(args) is None:
        return None
    array = args[9]
    return types.void, tuple(array if i in (3, 6, 9) else types.intp for i in range(12))


class _Products:
    """The loops of one call."""

    def __init__(self, builder: Any, lanes: Lanes, args: Any, *, negative: bool) -> None:
        self.builder = builder
        self.m, self.n, self.k = args[:3]
        self.a, self.b, self.out = args[3:6], args[6:9], args[9:12]
        self.negative = negative
        self.tile = tile_of(lanes.width * lanes.dtype.bitwidth // 8)

    def write(self) -> None:
        rows, columns, tall = self.tile
        done = self._ranges(self.n, columns, lambda j: self._down(j, rows, columns))
        with cgutils.for_range_slice(self.builder, done, self.n, ir.Constant(INDEX, 1)) as (j, _):
            self._down(j, tall, 1)

    def _ranges(self, end: Any, step: int, body: Any) -> Any:
        """`body(start)` for all whole steps below the end; gives where they end."""
        b = self.builder
        whole = b.mul(b.sdiv(end, ir.Constant(INDEX, step)), ir.Constant(INDEX, step))
        with cgutils.for_range_slice(b, ir.Constant(INDEX, 0), whole, ir.Constant(INDEX, step)) as (start, _):
            body(start)
        return whole

    def _down(self, j: Any, rows: int, columns: int) -> None:
        done = self._ranges(self.m, rows, lambda i: self._one(i, j, rows, columns))
        with cgutils.for_range_slice(self.builder, done, self.m, ir.Constant(INDEX, 1)) as (i, _):
            self._one(i, j, 1, columns)

    def _row(self, array: Any, number: Any, offset: int) -> Any:
        b = self.builder
        pointer, at, step = array
        place = b.add(at, b.mul(b.add(number, ir.Constant(INDEX, offset)), step))
        return b.gep(pointer, [place])

    def _one(self, i: Any, j: Any, rows: int, columns: int) -> None:
        b = self.builder
        left = [self._row(self.a, i, r) for r in range(rows)]
        right = [self._row(self.b, j, c) for c in range(columns)]
        starts = [self._row(self.out, i, r) for r in range(rows)]
        places = [[b.gep(s, [b.add(j, ir.Constant(INDEX, c))]) for c in range(columns)] for s in starts]
        sums = [[cgutils.alloca_once_value(b, b.load(place)) for place in row] for row in places]
        with cgutils.for_range(b, self.k) as loop:
            xs = [b.load(b.gep(p, [loop.index])) for p in left]
            if self.negative:
                xs = [b.fneg(x) for x in xs]
            for c in range(columns):
                y = b.load(b.gep(right[c], [loop.index]))
                for r in range(rows):
                    b.store(intrinsic(b, "fma", xs[r], y, b.load(sums[r][c])), sums[r][c])
        for row, totals in zip(places, sums, strict=True):
            for place, total in zip(row, totals, strict=True):
                b.store(b.load(total), place)


def _lowering(*, negative: bool) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _Products(builder, sig.args[9].dtype, args, negative=negative).write()
        return context.get_dummy_value()

    return lower


register(vocabulary.add_products, _typing, _lowering(negative=False))
register(vocabulary.subtract_products, _typing, _lowering(negative=True))
