"""Rows that differ between the lanes: the words `gather` and `scatter_add`, lane by lane.

Element i of lane l lies at the float i*width + l of an array, so each lane reads and writes floats of its own alone.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INDEX, Lanes
from implicitdsl.backends.lanes.instructions import up_to
from implicitdsl.backends.lanes.words import array_word
from implicitdsl.solvers import vocabulary

LANE = ir.IntType(32)


class _Rows:
    """The floats of the rows `row` (an element of whole numbers) of an array, `step` elements each."""

    def __init__(self, builder: Any, lanes: Lanes, row: Any, step: Any, array: Any) -> None:
        self.builder, self.width = builder, lanes.llvm.count
        self.floats = builder.bitcast(array, lanes.llvm.element.as_pointer())
        self.firsts = [
            builder.mul(builder.fptosi(self.lane(row, k), INDEX), step) for k in range(self.width)
        ]  # fmt: skip

    def lane(self, vector: Any, k: int) -> Any:
        return self.builder.extract_element(vector, ir.Constant(LANE, k))

    def place(self, i: Any, k: int) -> Any:
        """Where element i of the row of lane k lies."""
        b = self.builder
        element = b.mul(b.add(self.firsts[k], i), ir.Constant(INDEX, self.width))
        return b.gep(self.floats, [b.add(element, ir.Constant(INDEX, k))])


def _gather(b: Any, lanes: Lanes, n: Any, row: Any, step: Any, x: Any, y: Any, y_at: Any) -> None:
    rows = _Rows(b, lanes, row, step, x)
    with up_to(b, n) as i:
        found = ir.Constant(lanes.llvm, ir.Undefined)
        for k in range(rows.width):
            found = b.insert_element(found, b.load(rows.place(i, k)), ir.Constant(LANE, k))
        b.store(found, b.gep(b.gep(y, [y_at]), [i]))


def _scatter_add(b: Any, lanes: Lanes, mask: Any, n: Any, x: Any, x_at: Any, row: Any, step: Any, y: Any) -> None:
    rows = _Rows(b, lanes, row, step, y)
    with up_to(b, n) as i:
        added = b.load(b.gep(b.gep(x, [x_at]), [i]))
        for k in range(rows.width):
            place = rows.place(i, k)
            before = b.load(place)
            b.store(b.select(rows.lane(mask, k), b.fadd(before, rows.lane(added, k)), before), place)


array_word(vocabulary.gather, "nenaan", "v", _gather)
array_word(vocabulary.scatter_add, "mnanena", "v", _scatter_add)
