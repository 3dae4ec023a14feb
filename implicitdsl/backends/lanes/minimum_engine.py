"""`argmin` of linear and quadratic programs on the back end `lanes`.

A vector of samples runs through `block_program`, which settles what is clear. What it leaves, samples with a note or a
failure among them, goes to the solver of one sample, so that statuses, notes and certificates are the same on every
back end. The code of the programs knows no model: it is made once for each dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Deferred, RunOptions, Solution
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import split
from implicitdsl.backends.lanes.layout import fill_lanes, put_rows, take_lanes
from implicitdsl.backends.lanes.program_derivatives import ProgramEngine
from implicitdsl.backends.lanes.program_rest import are_convex
from implicitdsl.backends.lanes.program_tape import ProgramTape
from implicitdsl.solvers import status as codes

FEW_STEPS = 40
"""Iterations that the solver of one sample never needs where lanes settle: a smaller limit is for it to apply."""


_NONE = np.zeros(0, np.int64)


class MinimumEngine(ProgramEngine):
    """z in argmin of a linear or quadratic program."""

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        tape = None
        if self.spec.data["max_steps"] < FEW_STEPS:
            sizes = (self._whole, self._masks, self._out + self._kinks)
            w, masks, flat = (np.zeros((batch, size), self.dtype) for size in sizes)
            steps, rest = np.zeros(batch, np.int64), np.arange(batch)
        else:
            w, masks, flat, steps, clear, tape = self._solve_in_lanes_what_is_clear(args, batch, keep=run.keep)
            rest = _NONE if np.count_nonzero(clear) == batch else np.flatnonzero(~clear)
        status, notes = np.zeros(batch, np.int32), np.zeros(batch, np.int64)
        if len(rest):
            if tape is not None:
                tape.put_answers(w, masks)
                tape = None
            self._solve_rest(args, batch, rest, w, masks, flat, status, notes, steps)
        outputs = split(flat if self._kinks == 0 else np.ascontiguousarray(flat[:, : self._out]), self.outputs)
        # What is told and what is saved are two outputs of one operator of torch, which must not share memory.
        saved = [w, notes.copy(), masks] if tape is None else Deferred(tape.saved)
        return Solution(outputs, status, notes, steps, saved, tape=tape)

    def _solve_in_lanes_what_is_clear(
        self, args: list[Array], batch: int, *, keep: bool
    ) -> tuple[Array, Array, Array, NDArray[np.int64], NDArray[np.bool_], ProgramTape | None]:
        """Answers, active sets, outputs with distances to kinks, the passes made, which samples are settled; and a tape
        where one is to be kept, which has the answers and active sets instead."""
        plan = self.plans.of(self, args, batch)
        p, n, e, count, width, shared = plan.packed, self._n, self._e, self._count, self.width, plan.shared
        vectors, outputs = self.code.entry("vectors", shared), self.code.entry("outputs", shared)
        find = self.program_entry("solve")
        # Active sets are found below.
        values = [*self.values(args, batch), None]
        common = self._common(values, plan)
        convex = self.spec.more["conditions"]
        tape = ProgramTape(self, plan, values, common) if keep else None
        w, masks, flat, conditions = [
            np.empty((batch, size), self.dtype)
            for size in (self._whole, self._masks, self.size_of_outputs, self.spec.numbers["size_conditions"])
        ]
        keeping = int(keep and plan.keeps)
        clear, passes = np.empty(batch, np.bool_), np.empty(batch, np.int64)

        def work(first: int, last: int) -> None:
            blocks, rows = last - first, slice(first * width, min(last * width, batch))
            rooms = plan.rooms(self, blocks)
            if tape is None:
                room = lasting = Arena(rooms.both)
                start = len(rooms.passing.shapes)
            else:
                room, lasting, start = Arena(rooms.passing), tape.room(first, last), 0
            conditions_at, vectors_at, facts_at, out_at, room_at, *_ = room.addresses
            p_at, w_at, held_at, program_at, kept_at = lasting.addresses[start:]
            p_all, active = lasting.array(start), lasting.array(start + 2)[:, e:]
            p.pack(values, rows, p_all)
            vectors(blocks, p_at, vectors_at, conditions_at)
            step = self._program
            if common is None:
                self._prepare(blocks, shared, p_at, program_at, room_at)
            else:
                program_at, step = common.address, 0
            find(blocks, n, e, count, program_at, step, vectors_at, w_at, held_at, facts_at, room_at, kept_at, keeping)
            p_all[:, self._masks_at(p)] = active
            outputs(blocks, p_at, w_at, out_at)
            if tape is None:
                put_rows(w, rows, lasting.array(start + 1))
                put_rows(masks, rows, active)
            put_rows(flat, rows, room.array(3))
            facts, samples = room.array(2), rows.stop - rows.start
            clear[rows] = facts[:, 0].reshape(-1)[:samples] > 0
            passes[rows] = facts[:, 1].reshape(-1)[:samples]
            if convex:
                put_rows(conditions, rows, room.array(0))

        elements = p.size + 2 * self._whole + (self._program if common is None else 0)
        self.run_tasks("solve", batch, self._bytes(elements), work, whole=plan.chunk if keep else 1)
        self._spent += self._seconds.get("solve", 0.0) * self.blocks_of(batch)
        # A sum of squares is finite only where all numbers are.
        if not math.isfinite(np.vdot(flat, flat)):
            clear &= np.isfinite(flat[:, : self._out]).all(axis=1)
        if convex:
            clear &= are_convex(convex, conditions)
        if self._kinks:
            # Next to a kink the solver of one sample says on which side the answer lies.
            clear &= (np.abs(flat[:, self._out :]) > np.finfo(self.dtype).eps ** 0.5).all(axis=1)
        return w, masks, flat, passes, clear, tape

    def _solve_rest(
        self, args: Sequence[Array], batch: int, rest: NDArray[np.int64], w: Array, masks: Array, flat: Array,
        status: NDArray[np.int32], notes: NDArray[np.int64], steps: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Solves some samples one by one."""
        values, shared = [*self.values(args, batch), masks], self.layout(args, batch)
        p = self.packing("p", shared)
        matrices = self.code.entry("matrices", shared)
        vectors, begin, outputs = (self.code.entry(name, shared) for name in ("vectors", "begin", "outputs"))

        def work(first: int, last: int) -> None:
            blocks, rows = last - first, self.samples_of(rest, first, last, len(rest))
            room = self.arena(
                (blocks, p.size), (blocks, self._whole), (blocks, self.spec.numbers["size_conditions"]),
                (blocks, self._program), (blocks, self._whole), (blocks, flat.shape[1]),
            )  # fmt: skip
            p_at, w_at, conditions_at, program_at, vectors_at, out_at = room.addresses
            p.pack(values, rows, room.array(0))
            matrices(blocks, p_at, program_at)
            vectors(blocks, p_at, vectors_at, conditions_at)
            begin(blocks, p_at, w_at)
            programs, given, answers = (take_lanes(room.array(k), len(rows)) for k in (3, 4, 1))
            convex = are_convex(self.spec.more["conditions"], take_lanes(room.array(2), len(rows)))
            masks[rows] = 0.0
            for k, row in enumerate(rows):
                if convex[k]:
                    found = self._one_by_one.solve(programs[k], given[k])
                    answers[k], masks[row], status[row], notes[row], steps[row] = found
                else:
                    status[row], notes[row], steps[row] = codes.NONCONVEX, 0, 0
            w[rows] = answers
            fill_lanes(room.array(1), w, rows)
            fill_lanes(room.array(0)[:, self._masks_at(p)], masks, rows)
            outputs(blocks, p_at, w_at, out_at)
            put_rows(flat, rows, room.array(5))

        self.run_tasks("rest", len(rest), self._bytes(p.size + self._program + self._whole), work)
        on_kink = (flat[rest, self._out :] == 0).any(axis=1) & (status[rest] == codes.SUCCESS)
        notes[rest] |= np.where(on_kink, codes.KINK, 0)
