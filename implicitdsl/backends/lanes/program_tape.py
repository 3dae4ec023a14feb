"""What a solve of a quadratic program keeps for its pullback: packed arguments, answers, active sets and programs, so
that nothing is packed or prepared twice.

A tape lasts as long as torch's graph refers to it. It serves where every sample was settled in lanes and every system
is regular; what it cannot do, a pullback without it does, in the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from implicitdsl.backends.engine import Array, Gradient
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import flat_rows
from implicitdsl.backends.lanes.gradients import Gradients, chunk_of
from implicitdsl.backends.lanes.layout import Packing, fill_lanes
from implicitdsl.solvers.block_held import room_of_factors, room_of_solve

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.program_derivatives import ProgramEngine


@dataclass
class ProgramTape:
    """See `Tape`. `values` are the flat arguments, kept for their addresses; `common` is the program that all samples
    share, or None. A piece is what one task of blocks leaves: flat arguments, answers, rows held and, where each sample
    has its own, programs."""

    engine: ProgramEngine
    args: list[Array]
    values: list[Array]
    shared: tuple[int, ...]
    packed: Packing
    common: Array | None
    batch: int
    pieces: dict[tuple[int, int], Arena] = field(default_factory=dict[tuple[int, int], Arena])

    def room(self, first: int, last: int) -> Arena:
        """Room for blocks first … last - 1, which lasts."""
        e, blocks = self.engine, last - first
        own = blocks if self.common is None else 0
        shapes = ((blocks, self.packed.size), (blocks, e.size_of_answer), (blocks, e.rows), (own, e.size_of_program))
        made = self.pieces[first, last] = Arena(e.dtype, *((*s, e.width) for s in shapes), lasting=True)
        return made

    def __post_init__(self) -> None:
        e = self.engine
        self.all = [*self.args, np.empty((self.batch, e.rows - e.equations), e.dtype)]
        """The arguments, and room for the active set, which the code takes as one."""
        self.chunk = chunk_of(e.given, self.all, (self.packed,), e.blocks_of(self.batch))
        """The blocks whose sums are made together: no piece begins between them."""

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """See `Tape`."""
        e, p = self.engine, self.packed
        n, count, whole = e.unknowns, e.rows, e.size_of_answer
        cot = flat_rows(cotangents, self.batch, e.dtype)
        every, blocks_of_all = (*wanted, False), e.blocks_of(self.batch)
        grads = Gradients(e.given, self.all, (p,), blocks_of_all, e.width, every, self.chunk)
        factor, held = e.program_entry("factor"), e.program_entry("held")
        seed, finish = e.code.entry("seed", self.shared), e.code.entry("finish", self.shared)
        room_size = room_of_solve(n, count)
        regular = [True]

        def work(first: int, last: int) -> None:
            blocks, piece = last - first, self.pieces[first, last]
            samples = min(last * e.width, self.batch) - first * e.width
            p_at, w_at, held_at, program_at = piece.addresses
            step = e.size_of_program
            if self.common is not None:
                program_at, step = self.common.__array_interface__["data"][0], 0
            room = e.arena(
                (blocks, room_of_factors(n, count)), (room_size,), (blocks, 1), (blocks, cot.shape[1]), (blocks, whole),
                (blocks, whole), (blocks, p.size),
            )  # fmt: skip
            kept_at, room_at, good_at, c_at, w_bar_at, lam_at, p_bar_at = room.addresses
            good, c, p_bar = room.array(2), room.array(3), room.array(6)
            good[...] = 1.0
            fill_lanes(c, cot, slice(first * e.width, first * e.width + samples), fill=0.0)
            grads.set_addresses(p, p_bar, first)
            factor(blocks, n, count, program_at, step, held_at, kept_at, room_at)
            seed(blocks, p_at, w_at, c_at, w_bar_at)
            held(
                blocks, n, count, 1, program_at, step, held_at, kept_at, w_bar_at, lam_at, good_at, room_at
            )  # fmt: skip
            if not good.all():
                regular[0] = False
                return
            if samples < blocks * e.width:
                # Lanes beyond the last sample add nothing at all.
                good[-1, :, samples - (blocks - 1) * e.width :] = 0.0
            finish(blocks, p_at, w_at, c_at, lam_at, good_at, p_bar_at)
            rows = slice(first * e.width, first * e.width + samples)
            grads.gather(p, p_bar, first, rows)

        e.run_these("pull", list(self.pieces), work)
        if not regular[0]:
            return None
        return Gradient(grads.result()[:-1], np.zeros(self.batch, np.int32))
