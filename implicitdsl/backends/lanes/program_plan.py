"""What all calls of one layout and batch of a quadratic program have in common, found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes.arena import Places
from implicitdsl.backends.lanes.gradients import Members, chunk_of, members_of
from implicitdsl.backends.lanes.layout import Packing
from implicitdsl.solvers.block_held import room_of_factors, room_of_solve
from implicitdsl.solvers.block_program import room_of_program

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.program_derivatives import ProgramEngine

MOST_KEPT = 1 << 26
"""Bytes of factors that a tape may hold; a pullback makes more of them again."""


class Rooms(NamedTuple):
    """Places of the arrays of one task."""

    lasting: Places
    """What a solve leaves to its pullback: flat arguments, answers, rows held, programs where each sample has its own,
    and factors where they are kept."""
    passing: Places
    """What a solve needs besides: conditions, vectors, facts, outputs, and room."""
    both: Places
    """Those of `passing`, then those of `lasting` without factors."""
    back: Places
    """What a pullback needs: factors, room, goodness, cotangents of outputs and of the answer, the adjoint, gradients,
    and room for what nobody wants."""


@dataclass(frozen=True, eq=False)
class ProgramPlan:
    """See the head of this file. It does not refer to its engine, which holds it. `shapes` has an array like each
    argument, the active set included, without memory."""

    shared: tuple[int, ...]
    """The arguments that the code reads as shared arrays."""
    packed: Packing
    batch: int
    is_common: bool
    """Whether all samples share their matrices."""
    shapes: list[Array]
    chunk: int
    """The blocks whose sums are made together: no task begins between them."""
    keeps: bool
    """Whether a solve leaves its factors to its pullback."""
    _members: dict[tuple[bool, ...], Members] = field(default_factory=dict[tuple[bool, ...], Members])
    _rooms: dict[int, Rooms] = field(default_factory=dict[int, "Rooms"])

    def members(self, e: ProgramEngine, wanted: tuple[bool, ...]) -> Members:
        """The members of gradients of the arguments that are wanted."""
        found = self._members.get(wanted)
        if found is None:
            blocks = e.blocks_of(self.batch)
            found = members_of(e.given, self.shapes, (self.packed,), blocks, (*wanted, False))
            self._members[wanted] = found
        return found

    def rooms(self, e: ProgramEngine, blocks: int) -> Rooms:
        """The rooms of a task of so many blocks."""
        found = self._rooms.get(blocks)
        if found is None:
            found = self._rooms[blocks] = self._made_rooms(e, blocks)
        return found

    def _made_rooms(self, e: ProgramEngine, blocks: int) -> Rooms:
        n, count, whole, own = e.unknowns, e.rows, e.size_of_answer, 0 if self.is_common else blocks
        factors = (blocks, room_of_factors(n, count))
        lasting = (
            (blocks, self.packed.size), (blocks, whole), (blocks, count), (own, e.size_of_program),
            factors if self.keeps else (0,),
        )  # fmt: skip
        passing = (
            (blocks, e.spec.numbers["size_conditions"]), (blocks, whole), (blocks, 2), (blocks, e.size_of_outputs),
            (room_of_program(n, count),),
        )  # fmt: skip
        waste = max((self.shapes[i].size for i in self.packed.shared), default=0)
        back = (
            (0,) if self.keeps else factors, (room_of_solve(n, count),), (blocks, 1),
            (blocks, e.spec.numbers["size_out"]), (blocks, whole), (blocks, whole), (blocks, self.packed.size),
            (-(-waste // e.width),),
        )  # fmt: skip
        return Rooms(e.places(*lasting), e.places(*passing), e.places(*passing, *lasting[:-1], (0,)), e.places(*back))


def make_plan(engine: ProgramEngine, args: Sequence[Array], batch: int) -> ProgramPlan:
    """The plan of calls like this one."""
    shared = engine.layout(args, batch)
    packed = engine.packing("p", shared)
    masks = (batch, engine.rows - engine.equations)
    shapes = [np.broadcast_to(np.zeros((), engine.dtype), shape) for shape in (*(a.shape for a in args), masks)]
    values = engine.values(args, batch)
    is_common = all(values[i].ndim == 1 for i in engine.spec.more["matrix_arguments"])
    blocks = engine.blocks_of(batch)
    factors = blocks * room_of_factors(engine.unknowns, engine.rows) * engine.width * engine.dtype.itemsize
    chunk = chunk_of(engine.given, shapes, (packed,), blocks)
    return ProgramPlan(shared, packed, batch, is_common, shapes, chunk, factors <= MOST_KEPT)
