"""What all calls of one layout and batch of an `ode` have in common, found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes.arena import Places
from implicitdsl.backends.lanes.gradients import Members, members_of
from implicitdsl.backends.lanes.layout import Packing

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.ode_engine import OdeEngine


class Rooms(NamedTuple):
    """Places of the arrays of one task."""

    passing: Places
    """What a solve needs: arguments, outputs, facts, and what is kept of a block."""
    lasting: Places
    """What a solve leaves to its pullback: arguments, facts, and what is kept of each block."""
    back: Places
    """What a pullback needs: cotangents, gradients of both groups, room for a trial and for bars, and for what nobody
    wants."""


@dataclass(frozen=True, eq=False)
class OdePlan:
    """See the head of this file. It does not refer to its engine, which holds it. `shapes` has an array like each
    argument, without memory."""

    shared: tuple[int, ...]
    """The arguments that the code reads as shared arrays."""
    p: Packing
    q: Packing
    batch: int
    is_common: bool
    """Whether all samples have the same save times."""
    q_step: int
    """Elements from the save times of one block to those of the next."""
    shapes: list[Array]
    whole: Members
    """Those of gradients of all arguments."""
    _members: dict[tuple[bool, ...], Members] = field(default_factory=dict[tuple[bool, ...], Members])
    _rooms: dict[int, Rooms] = field(default_factory=dict[int, Rooms])

    def members(self, e: OdeEngine, wanted: tuple[bool, ...]) -> Members:
        """The members of gradients of the arguments that are wanted."""
        found = self._members.get(wanted)
        if found is None:
            found = members_of(e.arguments, self.shapes, (self.p, self.q), e.blocks_of(self.batch), wanted)
            self._members[wanted] = found
        return found

    def rooms(self, e: OdeEngine, blocks: int) -> Rooms:
        """The rooms of a task of so many blocks."""
        found = self._rooms.get(blocks)
        if found is None:
            p, q = (blocks, self.p.size), (1 if self.is_common else blocks, self.q.size)
            facts, waste = (blocks, e.facts_size), -(-self.whole.largest // e.width)
            found = self._rooms[blocks] = Rooms(
                passing=e.places(p, q, (blocks, e.read_size), facts, (e.kept_size,)),
                lasting=e.places(p, q, facts, (blocks, e.kept_size)),
                back=e.places(
                    (blocks, e.read_size), p, (blocks, self.q.size), (self.p.size,), (e.bars_size,), (waste,)
                ),
            )  # fmt: skip
        return found


def make_plan(engine: OdeEngine, args: Sequence[Array], batch: int) -> OdePlan:
    """The plan of calls like this one."""
    shared = engine.layout(args, batch)
    p, q = engine.packing("p", shared), engine.packing("q", shared)
    is_common = engine.is_common("q", engine.values(args, batch))
    shapes = [np.broadcast_to(np.zeros((), engine.dtype), value.shape) for value in args]
    whole = members_of(engine.arguments, shapes, (p, q), engine.blocks_of(batch))
    return OdePlan(shared, p, q, batch, is_common, 0 if is_common else q.size, shapes, whole)
