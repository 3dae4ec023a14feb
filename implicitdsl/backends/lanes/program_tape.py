"""What a solve of a quadratic program keeps for its pullback: packed arguments, answers, active sets, programs and
factors, so that nothing is packed, prepared or factored twice.

A tape lasts as long as torch's graph refers to it. It serves where every sample was settled in lanes and every system
is regular; what it cannot do, a pullback without it does, in the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from implicitdsl.backends.engine import Array, Gradient
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import flat_rows
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import fill_lanes, put_rows
from implicitdsl.backends.lanes.program_plan import ProgramPlan

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.program_derivatives import ProgramEngine


class Program(NamedTuple):
    """A prepared program that all samples share, and where it lies."""

    numbers: Array
    address: int


@dataclass
class ProgramTape:
    """See `Tape`. `values` are the flat arguments, kept for their addresses; `common` is what all samples share, or
    None. A piece is what one task of blocks leaves: flat arguments, answers, rows held and, where each sample
    has its own, programs."""

    engine: ProgramEngine
    plan: ProgramPlan
    values: list[Array]
    common: Program | None
    pieces: dict[tuple[int, int], Arena] = field(default_factory=dict[tuple[int, int], Arena])

    def room(self, first: int, last: int) -> Arena:
        """Room for blocks first … last - 1, which lasts."""
        made = self.pieces[first, last] = Arena(self.plan.rooms(self.engine, last - first).lasting, lasting=True)
        return made

    def put_answers(self, w: Array, masks: Array) -> None:
        """Writes the answers and the active sets of all samples."""
        e = self.engine
        for (first, last), piece in self.pieces.items():
            rows = slice(first * e.width, min(last * e.width, self.plan.batch))
            put_rows(w, rows, piece.array(1))
            put_rows(masks, rows, piece.array(2)[:, e.equations :])

    def saved(self) -> list[Array]:
        """What a pullback without a tape needs, for samples that were all settled in lanes."""
        e, batch = self.engine, self.plan.batch
        w, masks = (np.empty((batch, size), e.dtype) for size in (e.size_of_answer, e.rows - e.equations))
        self.put_answers(w, masks)
        return [w, np.zeros(batch, np.int64), masks]

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """See `Tape`."""
        e, plan = self.engine, self.plan
        p, batch, shared = plan.packed, plan.batch, plan.shared
        n, count, width = e.unknowns, e.rows, e.width
        cot = flat_rows(cotangents, batch, e.dtype)
        grads = Gradients(e.given, plan.shapes, (p,), 0, width, members=plan.members(e, tuple(wanted)))
        factor, held = e.program_entry("factor"), e.program_entry("held")
        seed, finish = e.code.entry("seed", shared), e.code.entry("finish", shared)
        regular = [True]

        def work(first: int, last: int) -> None:
            blocks, piece = last - first, self.pieces[first, last]
            rows = slice(first * width, min(last * width, batch))
            left = last * width - rows.stop
            p_at, w_at, held_at, program_at, kept_at = piece.addresses
            step = e.size_of_program
            if self.common is not None:
                program_at, step = self.common.address, 0
            room = Arena(plan.rooms(e, blocks).back)
            factors_at, room_at, good_at, c_at, w_bar_at, lam_at, p_bar_at, waste_at = room.addresses
            good, p_bar = room.array(2), room.array(6)
            good.fill(1.0)
            fill_lanes(room.array(3), cot, rows, fill=0.0)
            grads.set_addresses(p, p_bar, first, waste_at)
            if not plan.keeps:
                kept_at = factors_at
                factor(blocks, n, count, program_at, step, held_at, kept_at, room_at)
            seed(blocks, p_at, w_at, c_at, w_bar_at)
            held(
                blocks, n, count, 1, program_at, step, held_at, kept_at, w_bar_at, lam_at, good_at, room_at
            )  # fmt: skip
            if np.count_nonzero(good) < good.size:
                regular[0] = False
                return
            if left:
                # Lanes beyond the last sample add nothing at all.
                good[-1, :, width - left :] = 0.0
            finish(blocks, p_at, w_at, c_at, lam_at, good_at, p_bar_at)
            grads.gather(p, p_bar, first, rows)

        e.run_these("pull", sorted(self.pieces), work)
        if not regular[0]:
            return None
        return Gradient(grads.result()[:-1], np.zeros(batch, np.int32))
