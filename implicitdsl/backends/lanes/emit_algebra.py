"""LU with a pivot of its own in every lane, Cholesky, and what is computed from them.

Rows change places by select: going down a column, every larger entry swaps its row with the pivot's, lane by lane, and
the masks are kept as 1 and 0 for the right-hand sides. A singular matrix gives NaN everywhere, as does one without a
Cholesky factor. Matrices up to `UNROLLED` rows are written out, so that they stay in registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from implicitdsl.backends.lanes.lane_code import Index, LaneCode
from implicitdsl.backends.lanes.values import Value, in_memory, read

UNROLLED = 4


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors in memory, row-major; `swaps` holds a mask an (k, i), `spoilt` 1 where there is no answer."""

    n: int
    entries: Any
    swaps: Any
    spoilt: Any
    sign: Any

    @property
    def unrolled(self) -> bool:
        return self.n <= UNROLLED


def _at(code: LaneCode, i: Index, j: Index, n: int) -> Index:
    return code.place([(i, n), (j, 1)], 0)


def _copied(code: LaneCode, matrix: Value, pointer: Any, *, unrolled: bool) -> None:
    n = matrix.shape[0]
    source = matrix if unrolled else in_memory(code, matrix)
    code.nest(
        matrix.shape,
        lambda at: code.store(read(code, source, at), pointer, _at(code, at[0], at[1], n)),
        unrolled=unrolled,
    )


def _after(code: LaneCode, k: Index) -> Index:
    return code.place([(k, 1)], 1)


def _each(code: LaneCode, start: Index, n: Index, body: Callable[[Index], None], *, unrolled: bool) -> None:
    code.each(n, body, start=start, unrolled=unrolled)


def lu(code: LaneCode, matrix: Value) -> Factors:
    """P A = L U with partial pivoting."""
    n = matrix.shape[0]
    unrolled = n <= UNROLLED
    entries, swaps = code.buffer(n * n), code.buffer(n * n)
    flags = code.buffer(2)
    _copied(code, matrix, entries, unrolled=unrolled)
    code.store(code.zero, flags, 0)
    code.store(code.one, flags, 1)

    def column(k: Index) -> None:
        below = _after(code, k)

        def choose(i: Index) -> None:
            here, there = (code.load(entries, _at(code, r, k, n)) for r in (k, i))
            mask = code.compare(">", code.intrinsic("llvm.fabs", there), code.intrinsic("llvm.fabs", here))
            code.store(code.truth(mask), swaps, _at(code, k, i, n))
            sign = code.load(flags, 1)
            code.store(code.select(mask, code.neg(sign), sign), flags, 1)

            def swap(j: Index) -> None:
                _swap(code, mask, entries, _at(code, k, j, n), _at(code, i, j, n))

            _each(code, 0, n, swap, unrolled=unrolled)

        _each(code, below, n, choose, unrolled=unrolled)
        pivot = code.load(entries, _at(code, k, k, n))
        none = code.compare("==", pivot, code.zero)
        code.store(code.select(none, code.one, code.load(flags, 0)), flags, 0)
        divisor = code.select(none, code.one, pivot)

        def eliminate(i: Index) -> None:
            factor = code.div(code.load(entries, _at(code, i, k, n)), divisor)
            code.store(factor, entries, _at(code, i, k, n))
            minus = code.neg(factor)

            def one(j: Index) -> None:
                place = _at(code, i, j, n)
                upper = code.load(entries, _at(code, k, j, n))
                code.store(code.fma(minus, upper, code.load(entries, place)), entries, place)

            _each(code, below, n, one, unrolled=unrolled)

        _each(code, below, n, eliminate, unrolled=unrolled)

    _each(code, 0, n, column, unrolled=unrolled)
    return Factors(n, entries, swaps, code.load(flags, 0), code.load(flags, 1))


def _swap(code: LaneCode, mask: Any, pointer: Any, p: Index, q: Index) -> None:
    a, b = code.load(pointer, p), code.load(pointer, q)
    code.store(code.select(mask, b, a), pointer, p)
    code.store(code.select(mask, a, b), pointer, q)


def cholesky(code: LaneCode, matrix: Value) -> Factors:
    """A = L L^T from the lower triangle; zeros above the diagonal."""
    n = matrix.shape[0]
    unrolled = n <= UNROLLED
    entries, flag = code.buffer(n * n), code.buffer(1)
    _copied(code, matrix, entries, unrolled=unrolled)
    code.store(code.zero, flag, 0)

    def column(k: Index) -> None:
        pivot = code.load(entries, _at(code, k, k, n))
        good = code.compare(">", pivot, code.zero)
        code.store(code.select(good, code.load(flag, 0), code.one), flag, 0)
        root = code.intrinsic("llvm.sqrt", pivot)
        code.store(root, entries, _at(code, k, k, n))
        below = _after(code, k)

        def scale(i: Index) -> None:
            place = _at(code, i, k, n)
            code.store(code.div(code.load(entries, place), root), entries, place)
            code.store(code.zero, entries, _at(code, k, i, n))

        def update(j: Index) -> None:
            minus = code.neg(code.load(entries, _at(code, j, k, n)))

            def one(i: Index) -> None:
                place = _at(code, i, j, n)
                left = code.load(entries, _at(code, i, k, n))
                code.store(code.fma(left, minus, code.load(entries, place)), entries, place)

            _each(code, j, n, one, unrolled=unrolled)

        _each(code, below, n, scale, unrolled=unrolled)
        _each(code, below, n, update, unrolled=unrolled)

    _each(code, 0, n, column, unrolled=unrolled)
    return Factors(n, entries, None, code.load(flag, 0), None)


def spoil(code: LaneCode, factors: Factors, pointer: Any, count: int) -> None:
    """NaN in the lanes that have no answer."""
    bad = code.compare("!=", factors.spoilt, code.zero)
    nan = code.number(math.nan)
    code.each(
        count,
        lambda i: code.store(code.select(bad, nan, code.load(pointer, i)), pointer, i),
        unrolled=count <= UNROLLED * UNROLLED,
    )


def solve(code: LaneCode, factors: Factors, right: Value, kind: str, *, transposed: bool) -> Any:
    """A^-1 b or A^-T b for b of shape (n,) or (n, m), as a new buffer."""
    n, unrolled = factors.n, factors.unrolled
    columns = right.shape[1] if len(right.shape) == 2 else 1
    x = code.buffer(n * columns)
    written = unrolled and columns <= UNROLLED
    source = right if written else in_memory(code, right)
    code.nest(
        right.shape,
        lambda at: code.store(read(code, source, at), x, code.place(list(zip(at, (columns, 1), strict=False)), 0)),
        unrolled=written,
    )

    def column(c: Index) -> None:
        def place(i: Index) -> Index:
            return code.place([(i, columns), (c, 1)], 0)

        if kind == "cholesky":
            _forward(code, factors, x, place, transposed=False, unit=False)
            _backward(code, factors, x, place, transposed=True, unit=False)
        elif transposed:
            _forward(code, factors, x, place, transposed=True, unit=False)
            _backward(code, factors, x, place, transposed=True, unit=True)
            _permute(code, factors, x, place, backwards=True)
        else:
            _permute(code, factors, x, place, backwards=False)
            _forward(code, factors, x, place, transposed=False, unit=True)
            _backward(code, factors, x, place, transposed=False, unit=False)

    code.each(columns, column, unrolled=written)
    spoil(code, factors, x, n * columns)
    return x


Place = Callable[[Index], Index]


def _permute(code: LaneCode, f: Factors, x: Any, place: Place, *, backwards: bool) -> None:
    def turned(k: Index, low: Index) -> Index:
        """k as it is, or counted from the far end of [low, n)."""
        if not backwards:
            return k
        return code.place([(low, 1), (k, -1)], f.n - 1)

    def column(step: Index) -> None:
        k = turned(step, 0)
        low = _after(code, k)

        def one(inner: Index) -> None:
            i = turned(inner, low)
            mask = code.compare("!=", code.load(f.swaps, _at(code, k, i, f.n)), code.zero)
            _swap(code, mask, x, place(k), place(i))

        _each(code, low, f.n, one, unrolled=f.unrolled)

    _each(code, 0, f.n, column, unrolled=f.unrolled)


def _row(
    code: LaneCode, f: Factors, x: Any, place: Place, i: Index, span: Any, *, transposed: bool, unit: bool
) -> None:
    start, stop = span
    slot = code.load(x, place(i))

    def entry(j: Index) -> Any:
        return code.load(f.entries, _at(code, j, i, f.n) if transposed else _at(code, i, j, f.n))

    def term(j: Index, total: Any) -> Any:
        return code.fma(code.neg(entry(j)), code.load(x, place(j)), total)

    if f.unrolled:
        for j in range(start, stop):
            slot = term(j, slot)
    else:
        (slot,) = code.loop(start, stop, lambda j, state: (term(j, state[0]),), (slot,))
    if not unit:
        slot = code.div(slot, code.load(f.entries, _at(code, i, i, f.n)))
    code.store(slot, x, place(i))


def _forward(code: LaneCode, f: Factors, x: Any, place: Place, *, transposed: bool, unit: bool) -> None:
    _each(
        code, 0, f.n,
        lambda i: _row(code, f, x, place, i, (0, i), transposed=transposed, unit=unit), unrolled=f.unrolled,
    )  # fmt: skip


def _backward(code: LaneCode, f: Factors, x: Any, place: Place, *, transposed: bool, unit: bool) -> None:
    def row(step: Index) -> None:
        i = code.place([(step, -1)], f.n - 1)
        _row(code, f, x, place, i, (_after(code, i), f.n), transposed=transposed, unit=unit)

    _each(code, 0, f.n, row, unrolled=f.unrolled)


def determinant(code: LaneCode, f: Factors, what: str, log: Callable[[Any], Any]) -> Any:
    """det A, or log |det A|, from LU."""

    def term(k: Index, total: Any) -> Any:
        pivot = code.load(f.entries, _at(code, k, k, f.n))
        if what == "det":
            return code.mul(total, pivot)
        return code.add(total, log(code.intrinsic("llvm.fabs", pivot)))

    start = f.sign if what == "det" else code.zero
    if f.unrolled:
        for k in range(f.n):
            start = term(k, start)
        return start
    return code.loop(0, f.n, lambda k, state: (term(k, state[0]),), (start,))[0]
