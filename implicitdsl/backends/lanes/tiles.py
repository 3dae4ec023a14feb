"""Products of rows with rows on lanes: the words `add_products` and `subtract_products`, by tiles held in registers.

A tile of the result stays in registers while the rows run past it. Every element is the sum of its own terms in index
order, each added in one rounding, so its bits do not depend on the tile, nor on the width.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INDEX, INT, VOID, Kind, Lanes
from implicitdsl.backends.lanes.instructions import counting, place_of, up_to
from implicitdsl.backends.lanes.words import intrinsic, is_array, register
from implicitdsl.solvers import vocabulary

REGISTER_BYTES = 32
"""A vector register of AVX2; on wider ones the tiles are merely smaller than they could be."""


def tile_of(element_bytes: int) -> tuple[int, int, int]:
    """Rows and columns of a tile, and the rows of one that is a single column wide: what sixteen registers hold."""
    return (3, 4, 8) if element_bytes <= REGISTER_BYTES else (2, 2, 4)


def _typing(args: tuple[Kind, ...]) -> Any:
    if len(args) != 12 or not is_array(args[9]) or any(args[i] != args[9] for i in (3, 6)):
        return None
    return VOID, tuple(args[9] if i in (3, 6, 9) else INT for i in range(12))


class _Products:
    """The loops of one call."""

    def __init__(self, builder: Any, lanes: Lanes, args: Any, *, negative: bool) -> None:
        self.builder = builder
        self.m, self.n, self.k = args[:3]
        self.a, self.b, self.out = args[3:6], args[6:9], args[9:12]
        self.negative = negative
        self.tile = tile_of(lanes.width * lanes.dtype.bits // 8)

    def write(self) -> None:
        rows, columns, tall = self.tile
        done = self._ranges(self.n, columns, lambda j: self._down(j, rows, columns))
        with counting(self.builder, done, self.n) as j:
            self._down(j, tall, 1)

    def _ranges(self, end: Any, step: int, body: Any) -> Any:
        """`body(start)` for all whole steps below the end; gives where they end."""
        b = self.builder
        whole = b.mul(b.sdiv(end, ir.Constant(INDEX, step)), ir.Constant(INDEX, step))
        with counting(b, ir.Constant(INDEX, 0), whole, step) as start:
            body(start)
        return whole

    def _down(self, j: Any, rows: int, columns: int) -> None:
        done = self._ranges(self.m, rows, lambda i: self._one(i, j, rows, columns))
        with counting(self.builder, done, self.m) as i:
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
        sums = [[place_of(b, b.load(place)) for place in row] for row in places]
        with up_to(b, self.k) as t:
            xs = [b.load(b.gep(p, [t])) for p in left]
            if self.negative:
                xs = [b.fneg(x) for x in xs]
            for c in range(columns):
                y = b.load(b.gep(right[c], [t]))
                for r in range(rows):
                    b.store(intrinsic(b, "fma", xs[r], y, b.load(sums[r][c])), sums[r][c])
        for row, totals in zip(places, sums, strict=True):
            for place, total in zip(row, totals, strict=True):
                b.store(b.load(total), place)


def _lowering(*, negative: bool) -> Any:
    def emit(builder: Any, result: Kind, kinds: Any, args: Any) -> None:
        _Products(builder, kinds[9].dtype, args, negative=negative).write()

    return emit


register(vocabulary.add_products, _typing, _lowering(negative=False))
register(vocabulary.subtract_products, _typing, _lowering(negative=True))
