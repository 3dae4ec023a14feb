"""Sums over lanes into plain floats: the cotangents of what all samples share.

Each float is added to lane by lane, first to last. A lane that is not alive (all its cotangents are 0) adds exactly
nothing, whatever its other numbers are: what it multiplies is put to 0 before. A product of two operands is never held
one a lane: `width` places of one operand lie side by side, the other is repeated, and tiles of the result stay in
registers while the lanes are gone through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes import emit_layout
from implicitdsl.backends.lanes.lane_code import Index, LaneCode
from implicitdsl.backends.lanes.values import Store, Value, in_memory, plain, read
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.layout import is_sum
from implicitdsl.ir.node import Contract, Node, Place, Reshape

ROWS = 4
VECTORS = 2
FEW = 16
"""Numbers of a cotangent that are looked at one by one, without a loop."""


@dataclass(frozen=True, eq=False)
class Term:
    """A node whose sum over lanes is added to plain floats, under strides."""

    node: Node
    target: Value

    @property
    def is_product(self) -> bool:
        """Whether it is made in the target, from its arguments, by `add_product`."""
        return isinstance(self.node, Contract) and _vector_letter(self.node, self.target) is not None


def terms(node: Node, target: Value) -> Iterator[Term]:
    """What a node is the sum of, seen through boxes, reshapes and transposes."""
    pending = [(node, target)]
    while pending:
        node, target = pending.pop()
        if is_sum(node):
            pending += [(arg, target) for arg in reversed(node.args)]
        elif isinstance(node, Place):
            pending.append((node.args[0], target.box(node.ranges)))
        elif isinstance(node, Contract) and is_layout(node) and sorted(node.ins[0]) == sorted(node.out):
            order = [node.out.index(c) for c in node.ins[0]]
            pending.append((node.args[0], target.axes(order, node.args[0].shape)))
        elif isinstance(node, Reshape) and target.reshaped(node.args[0].shape) is not None:
            within = target.reshaped(node.args[0].shape)
            assert within is not None
            pending.append((node.args[0], within))
        else:
            yield Term(node, target)


def clear(code: LaneCode, target: Value) -> None:
    """Zeros in plain floats."""
    zero = ir.Constant(code.scalar, 0.0)
    code.nest(target.shape, lambda at: code.store_floats(zero, target.store.pointer, _place(code, target, at)))


def alive(code: LaneCode, cotangents: Sequence[Value]) -> Any:
    """The lanes in which some cotangent is not 0; None where there are no cotangents."""
    mask: Any = None

    def joined(mask: Any, item: Any) -> Any:
        found = code.compare("!=", item, code.zero)
        return found if mask is None else code.either(mask, found)

    for value in cotangents:
        if not value.size:
            continue
        flat = value.reshaped((value.size,))
        assert flat is not None
        mask = joined(mask, read(code, flat, (0,)))
        if flat.store.items is not None and (flat.store.pointer is None or value.size <= FEW):
            for k in range(1, value.size):
                mask = joined(mask, read(code, flat, (k,)))
        else:
            (mask,) = code.loop(
                1, value.size, lambda k, state, v=flat: (joined(state[0], read(code, v, (k,))),), [mask]
            )
    return mask


def _place(code: LaneCode, value: Value, at: Sequence[Index]) -> Index:
    steps = [(i, s) for i, s, n in zip(at, value.strides, value.shape, strict=True) if n != 1]
    return code.place(steps, value.offset)


def _pieces(count: int, width: int) -> list[tuple[int, int]]:
    """`count` floats as (start, length) of vectors that fit, halved at the end."""
    found: list[tuple[int, int]] = []
    start, length = 0, width
    while start < count:
        while length > count - start:
            length //= 2
        found.append((start, length))
        start += length
    return found


def _by_lane(code: LaneCode, value: Value, lead: Sequence[Index], start: Index, count: int, mask: Any) -> list[Any]:
    """By lane, the `count` places from `start` on of the last axis, side by side; 0 beyond them."""
    rows: list[Any] = []
    for k in range(code.width):
        item = read(code, value, (*lead, code.place([(start, 1)], k))) if k < count else code.zero
        rows.append(item if mask is None or k >= count else code.select(mask, item, code.zero))
    return code.transposed(rows)


def _chunks(code: LaneCode, n: int, body: Any) -> None:
    """`body(start, count)` for places of the last axis, `width` at a time."""
    whole = n - n % code.width
    if whole == code.width:
        body(0, code.width)
    else:
        code.loop(0, whole, lambda i, _: body(i, code.width) or (), step=code.width)
    if n > whole:
        body(whole, n - whole)


def add_lanes(code: LaneCode, value: Value, target: Value, mask: Any) -> None:
    """The sum over lanes of a value."""
    if not value.size:
        return
    if not value.shape:
        value, target = value.axes([None], (1,)), target.axes([None], (1,))
    source, pointer = in_memory(code, value), target.store.pointer
    n, step = target.shape[-1], target.strides[-1]

    def together(lead: Sequence[Index], start: Index, count: int) -> None:
        lanes = _by_lane(code, source, lead, start, count, mask)
        for first, length in _pieces(count, code.width):
            at = _place(code, target, (*lead, code.place([(start, 1)], first)))
            total = code.load_floats(pointer, at, length)
            for row in lanes:
                part = row if length == code.width else code.shuffled(row, row, range(first, first + length))
                total = code.add(total, part)
            code.store_floats(total, pointer, at)

    def one(at: Sequence[Index]) -> None:
        item, place = read(code, source, at), _place(code, target, at)
        if mask is not None:
            item = code.select(mask, item, code.zero)
        total = code.load_floats(pointer, place, 1)
        for lane in range(code.width):
            total = code.add(total, item if code.width == 1 else code.shuffled(item, item, [lane]))
        code.store_floats(total, pointer, place)

    if n < 3 or step != 1:
        code.nest(target.shape, one)
    else:
        lead = target.shape[:-1]
        code.nest(lead, lambda at: _chunks(code, n, lambda start, count: together(at, start, count)))


# ---------------------------------------------------------------- products


def _vector_letter(node: Contract, target: Value) -> str | None:
    """The letter along which floats of the target lie side by side, if one operand of two has it alone."""
    if len(node.ins) != 2 or not all(node.ins) or 0 in node.shape:
        return None
    for c, n, step in zip(node.out, target.shape, target.strides, strict=True):
        if n > 1 and step == 1 and (c in node.ins[0]) != (c in node.ins[1]):
            return c
    return None


@dataclass(frozen=True, eq=False)
class _Product:
    """One product being written: `across` holds the vector letter, `along` does not."""

    code: LaneCode
    sizes: dict[str, int]
    out: str
    target: Value
    vector: str
    across_letters: str
    across: Value
    along_letters: str
    along: Value
    summed: str

    def totals(
        self, at: dict[str, Index], rows: Sequence[dict[str, Index]], pieces: Sequence[tuple[Index, int]]
    ) -> None:
        """Adds to a tile of the target: the places `rows` by the pieces (start, length) of the vector letter."""
        code, pointer = self.code, self.target.store.pointer
        places = [
            _place(code, self.target, [(at | row | {self.vector: start})[c] for c in self.out])
            for row in rows
            for start, _ in pieces
        ]
        lengths = [length for _ in rows for _, length in pieces]
        state = [code.load_floats(pointer, p, n) for p, n in zip(places, lengths, strict=True)]

        def lane(number: Index, inner: dict[str, Index], state: Sequence[Any]) -> Sequence[Any]:
            row = code.place([(self._across(at | inner), 1), (number, self.across.shape[-1])], 0)
            side = [
                code.load_floats(self.across.store.pointer, code.place([(row, 1), (p, 1)], 0), n) for p, n in pieces
            ]
            found: list[Any] = []
            for k, place in enumerate(rows):
                first = self._along(at | inner | place)
                where = code.place([(first, code.width), (number, 1)], 0)
                for j, (_, length) in enumerate(pieces):
                    left = code.load_repeated(self.along.store.pointer, where, length)
                    found.append(code.fma_floats(left, side[j], state[k * len(pieces) + j]))
            return found

        def level(depth: int, number: Index, inner: dict[str, Index], state: Sequence[Any]) -> Sequence[Any]:
            if depth == len(self.summed):
                return lane(number, inner, state)
            letter = self.summed[depth]
            return code.loop(
                0, self.sizes[letter], lambda i, held: level(depth + 1, number, inner | {letter: i}, held), state
            )

        totals = code.loop(0, code.width, lambda number, held: level(0, number, {}, held), state)
        for value, place in zip(totals, places, strict=True):
            code.store_floats(value, pointer, place)

    def _across(self, at: dict[str, Index]) -> Index:
        lead = [at[c] for c in self.across_letters if c != self.vector]
        return self.code.place(list(zip(lead, self.across.strides, strict=False)), 0)

    def _along(self, at: dict[str, Index]) -> Index:
        return self.code.place([(at[c], s) for c, s in zip(self.along_letters, self.along.strides, strict=True)], 0)


def add_product(code: LaneCode, node: Contract, args: Sequence[Value], target: Value, mask: Any) -> None:
    """The sum over lanes of a Contract of two operands, for which `Term.is_product` holds."""
    vector = _vector_letter(node, target)
    assert vector is not None
    sizes = {c: n for text, arg in zip(node.ins, node.args, strict=True) for c, n in zip(text, arg.shape, strict=True)}
    sizes |= dict(zip(node.out, node.shape, strict=True))
    k = 0 if vector in node.ins[0] else 1
    across, along = _sides(code, node.ins[k], args[k], vector, mask), _masked(code, args[1 - k], mask)
    letters, other = node.ins[k], node.ins[1 - k]
    summed = "".join(dict.fromkeys(c for c in letters + other if c not in node.out))
    if any(sizes[c] == 0 for c in summed):
        return
    product = _Product(code, sizes, node.out, target, vector, letters, across, other, along, summed)
    tiled = next((c for c in reversed(node.out) if c in other and c not in letters and sizes[c] > 1), "")
    outer = [c for c in node.out if c not in (tiled, vector)]

    def vectors(at: dict[str, Index], rows: list[dict[str, Index]]) -> None:
        step = VECTORS * code.width
        n = sizes[vector]
        whole = n - n % step

        def once(i: Index, state: tuple[Any, ...]) -> tuple[Any, ...]:
            product.totals(at, rows, [(code.place([(i, 1)], v * code.width), code.width) for v in range(VECTORS)])
            return ()

        code.loop(0, whole, once, step=step)
        rest = [(whole + start, length) for start, length in _pieces(n - whole, code.width)]
        if rest:
            product.totals(at, rows, rest)

    def tiles(at: dict[str, Index]) -> None:
        n = sizes[tiled] if tiled else 1
        whole = n - n % ROWS

        def places(start: Index, count: int) -> list[dict[str, Index]]:
            return [{tiled: code.place([(start, 1)], r)} if tiled else {} for r in range(count)]

        code.loop(0, whole, lambda i, _: vectors(at, places(i, ROWS)) or (), step=ROWS)
        if n > whole:
            vectors(at, places(whole, n - whole))

    code.nest([sizes[c] for c in outer], lambda at: tiles(dict(zip(outer, at, strict=True))))


def _masked(code: LaneCode, value: Value, mask: Any) -> Value:
    """The value side by side in memory, 0 in the lanes that are not alive."""
    made = emit_layout.buffered(code, value.shape)
    emit_layout.elementwise(
        code, [value], made, lambda v: v[0] if mask is None else code.select(mask, v[0], code.zero), adds=False
    )
    return made


def _sides(code: LaneCode, letters: str, value: Value, vector: str, mask: Any) -> Value:
    """The value with the vector letter last and the lanes before it: plain floats under strides for the other letters
    in their order, the last axis as long as whole vectors."""
    order = [k for k, c in enumerate(letters) if c != vector] + [letters.index(vector)]
    turned = in_memory(code, value).axes(order, tuple(value.shape[k] for k in order))
    n = turned.shape[-1]
    length = -(-n // code.width) * code.width
    lead = turned.shape[:-1]
    block = length * code.width
    sizes = plain(Store(), (*lead, 1)).strides[:-1]
    strides = tuple(s * block for s in sizes)
    count = block
    for size in lead:
        count *= size
    pointer = code.buffer(-(-count // code.width))

    def chunk(at: Sequence[Index], start: Index, many: int) -> None:
        first = code.place(list(zip(at, strides, strict=True)), 0)
        for lane, row in enumerate(_by_lane(code, turned, at, start, many, mask)):
            code.store_floats(row, pointer, code.place([(first, 1), (start, 1)], lane * length))

    code.nest(lead, lambda at: _chunks(code, n, lambda start, many: chunk(at, start, many)))
    return Value(Store(pointer=pointer, shared=True), (*lead, length), (*strides, 1))
