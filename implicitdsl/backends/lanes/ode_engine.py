"""`ode` on the back end `lanes`: the solvers of `solvers/`, compiled for blocks of samples with the model linked in.

Each of solve, pullback and second order is machine code of its own, made at its first use. A solve that is told of its
pullback keeps the tape (`ode_tape.py`); else the pullback runs a block again, with the same bits, and records it.
Samples lie in the lanes in the order of their last cost, those of a pullback in the order of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, DeferredFacts, Gradient, RunOptions, Second, Solution, Tangents
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec, failed, lane_steps, of_batch, spread
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import Rows, fill_lanes, put_rows
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.ode_plan import OdePlan, make_plan
from implicitdsl.backends.lanes.ode_sweeps import spacing_of, swept
from implicitdsl.backends.lanes.ode_tape import BYTES, OdeTape
from implicitdsl.backends.lanes.plans import Plans
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.stepping import ACCEPTED, GRID, LAST_TIME, REJECTED, ROWS, STATISTICS


class OdeEngine(BlockEngine):
    """dx/dt = f(t, x, p), read at times or at the end."""

    dots = 0
    """Numbers that a row of the tape has beside states and tangents in second order."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        numbers = spec.numbers
        self._n, self._m, self._out = numbers["states"], numbers["save_times"], numbers["size_out"]
        self._instants = self._m if numbers["has_times"] else 1
        self.read_size = self._instants * self._out
        self._empty = bool(numbers["has_times"]) and self._m == 0
        self.facts_size = 1 + STATISTICS
        self.read_shapes = spec.outputs
        self.kept_size = self._m * (self._n + 1) + self._n
        self.bars_size = self._m * (self._n + 1)
        self.row_parts = (GRID, self._n)
        self.end_size = 0
        self.rows_expected = 64.0
        self.most_bytes = BYTES
        self.plans: Plans[OdePlan] = Plans(make_plan)
        self.cost: Array | None = None
        self.ran: tuple[Array, NDArray[np.int64] | None] | None = None

    def choose_layout(self, args: Sequence[Array], batch: int) -> tuple[int, ...]:
        """Save times lie in the lanes, wherever else the arguments are that they depend on."""
        return tuple(i for i in super().choose_layout(args, batch) if i not in self.spec.groups["q"])

    # ------------------------------------------------------------ solve

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        if self._empty:
            return self._nothing(batch)
        plan, values = self.plans.of(self, args, batch), self.values(args, batch)
        p, q = plan.p, plan.q
        cost = of_batch(self.cost, batch)
        order = self.in_order(cost)
        entry = self.code.entry("solve", plan.shared)
        # By instant, then by output.
        flat = np.empty((batch, self.read_size), self.dtype)
        facts = np.empty((batch, self.facts_size), self.dtype)
        tape = OdeTape(self, plan, values, order) if run.keep else None

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(order, first, last, batch)
            room = Arena(plan.rooms(self, count).passing)
            p_at, q_at, out_at, told_at, kept_at = room.addresses
            told = None if tape is None or tape.full else tape.record(first, last, out_at, entry)
            if told is None:
                p.pack(values, rows, room.array(0))
                q.pack(values, rows, room.array(1))
                told = room.array(3)
                self.run_blocks(entry, count, p_at, q_at, plan.q_step, out_at, told_at, kept_at)
            put_rows(flat, rows, room.array(2))
            put_rows(facts, rows, told)

        whole = 1 if tape is None else plan.whole.chunk
        elements = p.size + q.size + self.read_size
        bytes_each = elements * self.width * self.dtype.itemsize
        self.run_tasks("solve", batch, bytes_each, work, whole=whole, costs=cost, order=order)
        # Whole numbers in floats: their sum is exact.
        steps = (facts[:, 1 + ACCEPTED] + facts[:, 1 + REJECTED]).astype(np.int64)
        self.cost = steps if batch > self.width else None
        self.ran = steps, order
        status = facts[:, 0].astype(np.int32)
        saved = self.kept(steps, facts)
        if tape is not None:
            tape = self._close(tape, status, steps, facts)
        answers, extras = self._answers(flat, facts), DeferredFacts(lambda: self._extras(facts))
        return Solution(answers, status, np.zeros(batch, np.int64), steps, saved, extras, tape)

    def _extras(self, facts: Array) -> dict[str, Array]:
        """What `layer.last` says of a run beside its steps."""
        accepted = facts[:, 1 + ACCEPTED].astype(np.int64)
        return {"t_end": facts[:, 1 + LAST_TIME].copy(), "accepted": accepted, **self.told(facts)}

    def run_blocks(self, entry: Any, count: int, *given: int) -> None:
        """Runs `count` blocks of which nothing is kept; `given` are the arguments of the entry before its tape."""
        nowhere = given[-1]
        entry(0, count, *given, 0, nowhere, nowhere, 0)

    def _close(self, tape: OdeTape, status: NDArray[np.int32], steps: Array, facts: Array) -> OdeTape | None:
        """The tape of a whole solve, where it can serve."""
        if tape.full or np.count_nonzero(status):
            return None
        self.rows_expected = 1.1 * float(np.add.reduce(facts[:, 1 + ROWS])) / len(facts)
        tape.steps = steps
        return tape

    def waiting(self) -> tuple[int, int]:
        """Of the last solve: the steps that lanes took, waiting included, and those that samples needed."""
        if self.ran is None:
            return 0, 0
        steps, order = self.ran
        return lane_steps(steps, order, self.width), int(steps.sum())

    def _answers(self, flat: Array, facts: Array) -> list[Array]:
        """The outputs, or their tangents, from what a part gave."""
        return self._split(flat)

    def _nothing(self, batch: int) -> Solution:
        outputs = [np.zeros((batch, *shape), self.dtype) for shape in self.outputs]
        zeros = np.zeros(batch, np.int64)
        facts = np.zeros((batch, self.facts_size), self.dtype)
        extras = {"t_end": np.full(batch, np.nan, self.dtype), **self.told(facts)}
        return Solution(outputs, np.zeros(batch, np.int32), zeros, zeros.copy(), self.kept(zeros.copy(), facts), extras)

    # ------------------------------------------------------------ what a tape is

    def kept(self, steps: Array, facts: Array) -> list[Array]:
        """What of a solve is kept for its derivatives."""
        return [steps]

    def spacing(self, steps: Array) -> int:
        """Every how many steps the tape of a pullback keeps a state."""
        return spacing_of(self, steps)

    def tape_rows(self, saved: Sequence[Array], rows: Rows) -> int:
        """Rows enough for the tape of every block of these samples."""
        return int(saved[0][rows].max(initial=1))

    def told(self, facts: Array) -> dict[str, Array]:
        """What `layer.last` says of a run beside its steps and end."""
        return {}

    def statuses(self, facts: Array, rows: Rows, found: NDArray[np.int32]) -> None:
        """Note the statuses that the derivatives of these samples have, where they have any; `facts` lie in lanes."""

    def _split(self, flat: Array) -> list[Array]:
        """Outputs by instant as the arrays of the outputs."""
        batch = len(flat)
        if len(self.read_shapes) == 1:
            return [flat.reshape(batch, *self.read_shapes[0])]
        found = [np.empty((batch, *shape), self.dtype) for shape in self.read_shapes]
        by_instant = flat.reshape(batch * self._instants, self._out)
        spread([f.reshape(batch * self._instants, -1) for f in found], slice(None), by_instant)
        return found

    # ------------------------------------------------------------ derivatives

    def by_instant(self, cotangents: Sequence[Array], batch: int) -> Array:
        """The cotangents of each sample by instant, then by output."""
        if len(cotangents) == 1:
            return np.asarray(cotangents[0], self.dtype).reshape(batch, self.read_size)
        parts = [np.asarray(c, self.dtype).reshape(batch, self._instants, -1) for c in cotangents]
        return np.concatenate(parts, axis=2).reshape(batch, -1)

    def asked_cotangent(self, cotangents: Sequence[Array], batch: int) -> tuple[Array, NDArray[np.bool_]]:
        """The cotangents by instant, then of what else is an output, and which samples have any that is not 0."""
        flat = self.by_instant(cotangents, batch)
        return flat, flat.any(axis=1)

    def lanes_of(self, steps: Array, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The samples at work, in the order of their own cost: the same for the same batch, whatever ran before."""
        rows = np.flatnonzero(chosen)
        order = self.in_order(steps[rows])
        return rows if order is None else rows[order]

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            return Gradient([np.zeros(a.shape, self.dtype) for a in args], found)
        every = self.spacing(saved[0])
        return swept(self, "pull" if every == 1 else "thin", args, batch, saved, status, cotangents, every)

    def run_order(
        self, part: str, order: NDArray[np.int64], steps: Array, elements: int, work: Callable[[int, int], None],
        chunk: int,
    ) -> None:  # fmt: skip
        """`work` over the blocks of the samples in order; `steps` are those of all samples."""
        if len(order):
            bytes_each = elements * self.width * self.dtype.itemsize
            self.run_tasks(part, len(order), bytes_each, work, whole=chunk, costs=steps, order=order)

    # ------------------------------------------------------------ second order

    def _second(
        self, args: list[Array], batch: int, saved: list[Array], directions: list[Array], order: NDArray[np.int64],
        cot: Array | None, found: NDArray[np.int32],
    ) -> tuple[list[Array], Gradients]:  # fmt: skip
        """The tangents of the outputs of the samples in order, and the gradients of <cot, tangents>."""
        values, dots, shared = self.values(args, batch), self.values(directions, batch), self.layout(args, batch)
        p, q = self.packing("p", shared), self.packing("q", shared)
        asked = int(cot is not None)
        grads = Gradients(self.arguments, args, (p, q), self.blocks_of(len(order)), self.width)
        flat = np.zeros((batch, self.read_size), self.dtype)
        facts = np.zeros((batch, self.facts_size), self.dtype)
        entry = self.code.entry("second", shared)

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(order, first, last, len(order))
            tape, (wide, deep) = self.tape_rows(saved, rows), self.row_parts
            n, m = self._n, self._m
            kept = count if asked else 1
            room = self.arena(
                (count, 2 * p.size), (count, 2 * q.size), (kept, flat.shape[1]), (count, flat.shape[1]),
                (kept, 2 * p.size), (kept, q.size), (count, self.facts_size), (tape * wide,), (tape * deep,),
                (tape * (2 * n + self.dots),), (max(2 * p.size, q.size),), (4 * m * (n + 1),), (grads.waste,),
            )  # fmt: skip
            p2_at, q2_at, c_at, out_at, p2_bar_at, q_bar_at, *others = room.addresses
            facts_at, grid_at, states_at, states2_at, trial_at, work_at, waste_at = others
            p2_bar = room.array(4)
            for given, start in ((values, 0), (dots, 1)):
                p.pack(given, rows, room.array(0), start * p.size)
                q.pack(given, rows, room.array(1), start * q.size)
            if cot is not None:
                fill_lanes(room.array(2), cot[:, : self.read_size], rows, fill=0.0)
                self.tell(room.array(6), cot, rows)
                grads.set_addresses(p, p2_bar, first)
                grads.set_waste(p, p2_bar, p.size, waste_at)
            done = entry(
                0, count, p2_at, q2_at, 2 * q.size, c_at, out_at, p2_bar_at, q_bar_at, facts_at, grid_at, states_at,
                tape, states2_at, trial_at, work_at, asked,
            )  # fmt: skip
            assert done == 0, "a run repeated took more steps"
            self.statuses(room.array(6), rows, found)
            put_rows(flat, rows, room.array(3))
            put_rows(facts, rows, room.array(6))
            if asked:
                grads.gather(p, p2_bar, first, rows)
                grads.gather(q, room.array(5), first, rows)

        self.run_order("second", order, saved[0], 4 * p.size + 2 * q.size + 2 * flat.shape[1], work, grads.chunk)
        return self._answers(flat, facts), grads

    def tell(self, facts: Array, cot: Array, rows: Rows) -> None:
        """Writes what the blocks of a derivative are told in their facts."""

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            zeros = [np.zeros((batch, *shape), self.dtype) for shape in self.outputs]
            return Second(zeros, [np.zeros(a.shape, self.dtype) for a in args], found)
        cot, asked = self.asked_cotangent(cotangents, batch)
        good = status == codes.SUCCESS
        tangents, grads = self._second(
            args, batch, saved, directions, self.lanes_of(saved[0], asked & good), cot, found
        )
        # Gradients of a sample that no cotangent asks about are nothing at all, its tangent is wanted all the same.
        rest = ~asked & good
        if rest.any():
            others, _ = self._second(args, batch, saved, directions, self.lanes_of(saved[0], rest), None, found)
            for whole, part in zip(tangents, others, strict=True):
                whole[rest] = part[rest]
        return Second(_spoil(tangents, good), grads.result(failed(status, asked)), found)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        found = np.zeros(batch, np.int32)
        if self._empty:
            return Tangents([np.zeros((batch, *shape), self.dtype) for shape in self.outputs], found)
        good = status == codes.SUCCESS
        out, _ = self._second(args, batch, saved, tangents, self.lanes_of(saved[0], good), None, found)
        return Tangents(_spoil(out, good), found)


def _spoil(outputs: list[Array], good: NDArray[np.bool_]) -> list[Array]:
    if not good.all():
        for whole in outputs:
            whole[~good] = np.nan
    return outputs
