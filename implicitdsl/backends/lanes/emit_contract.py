"""Contracts on lanes: permutations and broadcasts as strides, products and sums as loops with accumulators.

A sum runs in index order through `fma`, one accumulator an element of the result. Where an operand lacks a letter of
the result, `ROWS` places of that letter are computed at once, so that what the operand holds is loaded once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from implicitdsl.backends.lanes.lane_code import Index, LaneCode
from implicitdsl.backends.lanes.values import Value, in_memory, read, row_major

ROWS = 4
"""Sums that run side by side: enough to hide the latency of a multiply–add; twice as many where an element is short."""
VECTOR_BYTES = 32
CHUNK = 8
"""Rows of a shared array that are gone through at once where they lie far apart."""
FAR_BYTES = 2048
Terms = list[tuple[str, Value]]
Put = Callable[[tuple[Index, ...], Any], None]


def as_strides(text: str, out: str, value: Value, shape: tuple[int, ...]) -> Value:
    """A Contract that only permutes and broadcasts."""
    return value.axes([text.index(c) if c in text else None for c in out], shape)


def steps(ins: Sequence[str], out: str, sizes: dict[str, int]) -> list[tuple[int, int, str]]:
    """The order in which more than two operands are multiplied: pairs (i, j) of the list of operands with the letters
    of their product, which is appended. Cheapest pair first; empty where one go is no dearer."""
    left = list(enumerate(ins))
    found: list[tuple[int, int, str]] = []
    total = 0
    following = len(ins)
    while len(left) > 2:
        best: tuple[int, int, int, str] | None = None
        for (i, a), (j, b) in itertools.combinations(left, 2):
            others = set(out).union(*(t for k, t in left if k not in (i, j)))
            kept = "".join(c for c in dict.fromkeys(a + b) if c in others)
            price = math.prod(sizes[c] for c in set(a + b))
            if best is None or price < best[0]:
                best = (price, i, j, kept)
        assert best is not None
        price, i, j, kept = best
        total += price
        left = [(k, t) for k, t in left if k not in (i, j)] + [(following, kept)]
        found.append((i, j, kept))
        following += 1
    total += math.prod(sizes[c] for c in set("".join(t for _, t in left)) | set(out))
    whole = math.prod(sizes[c] for c in set("".join(ins)) | set(out)) * max(1, len(ins) - 1)
    return found if total < whole else []


def contraction_cost(ins: Sequence[str], out: str, sizes: dict[str, int]) -> int:
    """Multiply–adds of one product written out."""
    return math.prod(sizes[c] for c in set("".join(ins)) | set(out)) * max(1, len(ins) - 1)


def emit_product(code: LaneCode, terms: Terms, out: str, sizes: dict[str, int], put: Put, *, unrolled: bool) -> None:
    """Writes every element of the einsum of the terms through `put(indices, value)`."""
    factors = [read(code, v, ()) for t, v in terms if not t]
    arrays = [(t, v) for t, v in terms if t]
    summed = "".join(dict.fromkeys(c for t, _ in arrays for c in t if c not in out))
    if any(sizes[c] == 0 for c in out):
        return

    def deliver(at: dict[str, Index], value: Any) -> None:
        for factor in factors:
            value = code.mul(value, factor)
        put(tuple(at[c] for c in out), value)

    if unrolled:
        for place in itertools.product(*(range(sizes[c]) for c in out)):
            at: dict[str, Index] = dict(zip(out, place, strict=True))
            value = None
            for inner in itertools.product(*(range(sizes[c]) for c in summed)):
                value = _gathered(code, arrays, at | dict(zip(summed, inner, strict=True)), value)
            deliver(at, code.zero if value is None else value)
        return
    arrays = [(t, in_memory(code, v)) for t, v in arrays]
    tiled = _tiled_letter(arrays, out, summed, sizes)
    rows = ROWS if code.width * code.item_bytes > VECTOR_BYTES else 2 * ROWS
    nest = _Nest(code, arrays, out, summed, sizes, tiled, rows)
    if summed and _is_far(code, arrays, tiled, summed[0], sizes):
        _in_chunks(nest, deliver)
    else:
        nest.write((0, sizes[summed[0]]) if summed else (0, 1), lambda at: code.zero, deliver)


def _is_far(code: LaneCode, arrays: Terms, tiled: str, letter: str, sizes: dict[str, int]) -> bool:
    """Whether summing the letter runs over many rows of a shared array, far apart, of which a tile takes little."""
    for text, value in arrays:
        if value.store.shared and tiled and tiled in text and letter in text:
            apart = value.strides[text.index(letter)] * code.item_bytes
            return sizes[letter] > 2 * CHUNK and value.strides[text.index(tiled)] == 1 and apart >= FAR_BYTES
    return False


def _in_chunks(nest: _Nest, deliver: Any) -> None:
    """The first summed letter a few places at a time, so that the rows read stay in the cache; partial sums in
    memory."""
    code, out, sizes = nest.code, nest.out, nest.sizes
    shape = tuple(sizes[c] for c in out)
    held, strides = code.buffer(math.prod(shape)), row_major(shape)

    def place(at: dict[str, Index]) -> Index:
        return code.place([(at[c], s) for c, s in zip(out, strides, strict=True)], 0)

    def chunk(start: Index, count: int) -> None:
        nest.write((start, count), lambda at: code.load(held, place(at)), lambda at, v: code.store(v, held, place(at)))

    code.each(math.prod(shape), lambda i: code.store(code.zero, held, i))
    n = sizes[nest.summed[0]]
    whole = n - n % CHUNK
    code.loop(0, whole, lambda i, _: chunk(i, CHUNK) or (), step=CHUNK)
    if n > whole:
        chunk(whole, n - whole)

    def last(at: tuple[Index, ...]) -> None:
        named = dict(zip(out, at, strict=True))
        deliver(named, code.load(held, place(named)))

    code.nest(shape, last)


def _gathered(code: LaneCode, arrays: Terms, at: dict[str, Index], total: Any) -> Any:
    """The running sum with the product at one place."""
    values = [read(code, v, [at[c] for c in t]) for t, v in arrays]
    if not values:
        return code.one if total is None else code.add(total, code.one)
    *first, last = values
    if not first:
        return last if total is None else code.add(total, last)
    product = first[0]
    for value in first[1:]:
        product = code.mul(product, value)
    return code.mul(product, last) if total is None else code.fma(product, last, total)


def _tiled_letter(arrays: Terms, out: str, summed: str, sizes: dict[str, int]) -> str:
    if not summed:
        return ""
    letters = [c for c in out if sizes[c] > 1 and (len(arrays) == 1 or any(c not in t for t, _ in arrays))]
    return max(letters, key=lambda c: min(sizes[c], ROWS), default="")


@dataclass(frozen=True, eq=False)
class _Nest:
    """Loops over a product, `rows` places of the letter `tiled` at once."""

    code: LaneCode
    arrays: Terms
    out: str
    summed: str
    sizes: dict[str, int]
    tiled: str
    rows: int

    def write(self, span: tuple[Index, int], begin: Callable[[dict[str, Index]], Any], deliver: Any) -> None:
        """Every sum over a span (start, count) of the first summed letter, on top of what it begins with."""
        code, tiled, most = self.code, self.tiled, self.rows
        outer = [c for c in self.out if c != tiled]

        def tile(at: dict[str, Index], start: Index, rows: int) -> None:
            places = [at | {tiled: code.place([(start, 1)], r)} if tiled else at for r in range(rows)]
            for place, total in zip(places, self._sums(places, span, begin), strict=True):
                deliver(place, total)

        def tiles(at: dict[str, Index]) -> None:
            if not tiled:
                tile(at, 0, 1)
                return
            n = self.sizes[tiled]
            whole = n - n % most
            code.loop(0, whole, lambda i, _: tile(at, i, most) or (), step=most)
            if n > whole:
                tile(at, whole, n - whole)

        code.nest([self.sizes[c] for c in outer], lambda place: tiles(dict(zip(outer, place, strict=True))))

    def _sums(
        self, places: list[dict[str, Index]], span: tuple[Index, int], begin: Callable[[dict[str, Index]], Any]
    ) -> Sequence[Any]:
        code, summed = self.code, self.summed
        if not summed:
            return [_gathered(code, self.arrays, at, None) for at in places]

        def level(depth: int, inner: dict[str, Index], totals: Sequence[Any]) -> Sequence[Any]:
            if depth == len(summed):
                return [_gathered(code, self.arrays, at | inner, t) for at, t in zip(places, totals, strict=True)]
            letter = summed[depth]
            start, count = (0, self.sizes[letter]) if depth else span

            def once(i: Any, state: tuple[Any, ...]) -> Sequence[Any]:
                return level(depth + 1, inner | {letter: code.place([(start, 1), (i, 1)], 0)}, state)

            return code.loop(0, count, once, totals)

        return level(0, {}, [begin(at) for at in places])
