"""What a solve of an `ode` keeps for its pullback: the tapes of all blocks, so that no step is made twice.

A tape lasts as long as torch's graph refers to it, and takes at most `BYTES`; a call that would need more keeps none,
and its pullback runs each block again, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Gradient
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import fill_lanes
from implicitdsl.backends.lanes.ode_plan import OdePlan

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.ode_engine import OdeEngine

BYTES = 1 << 26
"""Bytes of the rows of one call's tapes, at most."""


@dataclass
class Piece:
    """The tapes of a range of blocks that one task made: `room` holds p, q, the facts and what else each run leaves;
    `rows` the rows of some of the blocks: first and last of them, memory of grid and states, and its rows."""

    room: Arena
    rows: list[tuple[int, int, Arena, int]] = field(default_factory=list[tuple[int, int, Arena, int]])


@dataclass
class OdeTape:
    """See `Tape`. `order` is that of the samples in the lanes, None the given one."""

    engine: OdeEngine
    plan: OdePlan
    values: list[Array]
    order: NDArray[np.int64] | None
    pieces: dict[tuple[int, int], Piece] = field(default_factory=dict[tuple[int, int], Piece])
    full: bool = False
    steps: Array | None = None

    def record(self, first: int, last: int, out_at: int, entry: Any) -> Array | None:
        """Runs blocks first … last - 1 and keeps their tapes; returns their facts, or None where the tapes are too
        large."""
        e, plan, count = self.engine, self.plan, last - first
        p, q, size = plan.p, plan.q, e.kept_size
        room = Arena(plan.rooms(e, count).lasting, lasting=True)
        rows = e.samples_of(self.order, first, last, plan.batch)
        p.pack(self.values, rows, room.array(0))
        q.pack(self.values, rows, room.array(1))
        piece = Piece(room)
        p_at, q_at, facts_at, kept_at = room.addresses
        limit = (
            int(min(e.most_bytes, e.spec.more["tape_bytes"]))
            * count
            // (e.blocks_of(plan.batch) * sum(e.row_parts) * e.width * e.dtype.itemsize)
        )
        at, each, used = 0, e.rows_expected, 0
        while at < count:
            capacity = min(int((count - at) * each) + 16, limit - used)
            if capacity <= 0:
                self.full = True
                return None
            grid, states = (capacity * k for k in e.row_parts)
            memory = Arena(e.places((grid,), (states + (count - at) * e.end_size,)), lasting=True)
            stopped = entry(
                at, count, p_at, q_at, plan.q_step, out_at, facts_at, kept_at, size,
                *memory.addresses, capacity,
            )  # fmt: skip
            until = count if stopped == 0 else stopped - 1
            if until > at:
                piece.rows.append((at, until, memory, capacity))
                used += capacity
            elif capacity == limit - used:
                self.full = True
                return None
            at, each = until, 2 * each
        self.pieces[first, last] = piece
        return room.array(2)

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """See `Tape`. A sum over samples is made in the order that a pullback without a tape has, or not here."""
        e, plan = self.engine, self.plan
        p, q, batch = plan.p, plan.q, plan.batch
        members = plan.members(e, tuple(wanted))
        if members.sums and not self._is_in_order():
            return None
        timed = int(any(wanted[i] for i in e.spec.more["timed_by"]))
        cot = e.by_instant(cotangents, batch)
        grads = Gradients(e.arguments, plan.shapes, (p, q), 0, e.width, members=members)
        entry = e.code.entry("pull", plan.shared)
        found = np.zeros(batch, np.int32)

        def work(first: int, last: int) -> None:
            piece, count = self.pieces[first, last], last - first
            rows = e.samples_of(self.order, first, last, batch)
            room = Arena(plan.rooms(e, count).back)
            fill_lanes(room.array(0), cot, rows, fill=0.0)
            p_bar = room.array(1)
            c_at, p_bar_at, q_bar_at, trial_at, work_at, waste_at = room.addresses
            grads.set_addresses(p, p_bar, first, waste_at)
            p_at, q_at, facts_at, kept_at = piece.room.addresses
            for begin, end, memory, capacity in piece.rows:
                done = entry(
                    begin, end, p_at, q_at, plan.q_step, c_at, p_bar_at, q_bar_at, facts_at, kept_at,
                    e.kept_size, *memory.addresses, capacity, trial_at, work_at, timed,
                )  # fmt: skip
                assert done == 0, "a tape is shorter than it was"
            e.statuses(piece.room.array(2), rows, found)
            grads.gather(p, p_bar, first, rows)
            grads.gather(q, room.array(2), first, rows)

        e.run_these("pull", sorted(self.pieces), work)
        return Gradient(grads.result(), found)

    def _is_in_order(self) -> bool:
        assert self.steps is not None
        own = self.engine.in_order(self.steps)
        if own is self.order:
            return True
        given = np.arange(self.plan.batch)
        return bool(np.array_equal(given if own is None else own, given if self.order is None else self.order))
