"""What calls of one layout and batch of a `fixpoint` have in common, and what a solve leaves to its pullback where the
map contracts for every sample: that is known then, so that nothing is asked or sorted again.

A sum over samples has the order of the samples, while a solve may have them in another one, that of their cost: so
arguments are put into lanes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from implicitdsl.backends.engine import Array, Gradient
from implicitdsl.backends.lanes.arena import Arena, Places
from implicitdsl.backends.lanes.block_engine import flat_rows
from implicitdsl.backends.lanes.gradients import Gradients, Members, members_of
from implicitdsl.backends.lanes.layout import Packing, fill_lanes

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.root_engine import RootEngine


@dataclass(frozen=True, eq=False)
class RootPlan:
    """`shapes` has an array like each argument, without memory. It does not refer to its engine, which holds it."""

    shared: tuple[int, ...]
    """The arguments that the code reads as shared arrays."""
    packed: Packing
    batch: int
    shapes: list[Array]
    _members: dict[tuple[bool, ...], Members] = field(default_factory=dict[tuple[bool, ...], Members])
    _forth: dict[int, Places] = field(default_factory=dict[int, Places])
    _back: dict[int, Places] = field(default_factory=dict[int, Places])

    def members(self, e: RootEngine, wanted: tuple[bool, ...]) -> Members:
        """The members of gradients of the arguments that are wanted."""
        found = self._members.get(wanted)
        if found is None:
            found = members_of(e.arguments, self.shapes, (self.packed,), e.blocks_of(self.batch), wanted)
            self._members[wanted] = found
        return found

    def forth(self, e: RootEngine, blocks: int) -> Places:
        """What a solve of so many blocks needs: arguments, roots, outputs, facts, and room."""
        found = self._forth.get(blocks)
        if found is None:
            p, out = (blocks, self.packed.size), (blocks, e.spec.numbers["size_out"])
            found = e.places(p, (blocks, e.unknowns), out, (blocks, e.facts_size), (e.room_for(self.packed),))
            self._forth[blocks] = found
        return found

    def back(self, e: RootEngine, blocks: int) -> Places:
        """What a pullback of so many blocks needs: arguments, roots, cotangents, verdicts, gradients, room, and room
        for what nobody wants."""
        found = self._back.get(blocks)
        if found is None:
            p, out = (blocks, self.packed.size), (blocks, e.spec.numbers["size_out"])
            waste = max((self.shapes[i].size for i in self.packed.shared), default=0)
            found = self._back[blocks] = e.places(
                p, (blocks, e.unknowns), out, (blocks, 1), p, (e.room_for(self.packed),), (-(-waste // e.width),)
            )
        return found


def make_plan(engine: RootEngine, args: Sequence[Array], batch: int) -> RootPlan:
    """The plan of calls like this one."""
    shared = engine.layout(args, batch)
    shapes = [np.broadcast_to(np.zeros((), engine.dtype), value.shape) for value in args]
    return RootPlan(shared, engine.packing("p", shared), batch, shapes)


@dataclass(frozen=True, eq=False)
class RootTape:
    """See `Tape`. `values` are the flat arguments, kept for their addresses."""

    engine: RootEngine
    plan: RootPlan
    values: list[Array]
    roots: Array

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """See `Tape`: by the series, where that settles every sample."""
        e, plan, width = self.engine, self.plan, self.engine.width
        p, batch = plan.packed, plan.batch
        cot = flat_rows(cotangents, batch, e.dtype)
        grads = Gradients(e.arguments, plan.shapes, (p,), 0, width, members=plan.members(e, tuple(wanted)))
        entry = e.code.entry("series", plan.shared)
        settled = [True]

        def work(first: int, last: int) -> None:
            count, rows = last - first, slice(first * width, min(last * width, batch))
            room = Arena(plan.back(e, count))
            *given, waste_at = room.addresses
            p.pack(self.values, rows, room.array(0))
            fill_lanes(room.array(1), self.roots, rows)
            fill_lanes(room.array(2), cot, rows, fill=0.0)
            p_bar = room.array(4)
            grads.set_addresses(p, p_bar, first, waste_at)
            entry(0, count, *given)
            # Lanes beyond the last sample, which has no cotangent there, are settled at once.
            if np.count_nonzero(room.array(3)):
                settled[0] = False
                return
            grads.gather(p, p_bar, first, rows)

        elements = p.size + cot.shape[1] + 1
        e.run_tasks("series", batch, elements * width * e.dtype.itemsize, work, whole=grads.chunk)
        return Gradient(grads.result(), np.zeros(batch, np.int32)) if settled[0] else None
