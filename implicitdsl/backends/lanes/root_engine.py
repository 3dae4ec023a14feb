"""`root` and `fixpoint` on the back end `lanes`: blocks of samples, and one by one what blocks leave open.

Machine code for a block settles the samples that converge to a simple root beyond doubt. Every other sample goes to the
solver of one sample, so that statuses and notes are that solver's. Derivatives likewise: the implicit system is
factored in lanes, and where it is close to singular the solver of one sample decides whether there is a derivative.
The pullback of a contraction is a series, where there are unknowns enough for that to be cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Array,
    Gradient,
    RunOptions,
    Second,
    Solution,
    Tangents,
    asked_rows,
    is_per_sample,
)
from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec, failed, flat_rows, of_batch, split
from implicitdsl.backends.lanes.contraction import Contraction
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import Packing, Rows, count_of, fill_lanes, put_rows
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.one_root import SOLVERS, OneRoot
from implicitdsl.backends.lanes.one_sample import code_signature
from implicitdsl.backends.lanes.plans import Plans
from implicitdsl.backends.lanes.root_tape import RootPlan, RootTape, make_plan
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.block_newton import OPEN
from implicitdsl.solvers.block_picard import CONTRACTED
from implicitdsl.solvers.block_series import FEWEST
from implicitdsl.solvers.block_system import work_size

SIGNATURES = {
    "newton": "nnaaaaaa", "picard": "nnaaaaaa", "picard_rest": "nnaaaaaa", "series": "nnaaaaaa",
    "adjoint": "nnaaaaaa", "gather": "nnaaaaa", "push": "nnaaaaaa", "second_adjoint": "nnaaaaaaa",
    "second_gather": "nnaaaaaa", "one": "a",
    **{part: code_signature(signature) for part, (_, signature) in SOLVERS.items()},
}  # fmt: skip
REST = "picard_rest"
"""The part for what Picard iteration leaves to Newton's method, which is made where there is such a sample."""
PLAIN, WAITING = 1, 2
"""What a part that solves says of its samples: none needs a second look; some wait for `REST`."""
FACTS = 3
CONTRACTS = 1 << 40
"""Beside the notes that are kept of a sample: the map contracts at its fixed point, in every direction."""


class RootEngine(BlockEngine):
    """0 = F(w, p), o = g(w, p)."""

    method = ""
    """The part that solves, where it is not one of the two for roots."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        self._n, self._out = spec.numbers["states"], spec.numbers["size_out"]
        self.unknowns = self._n
        self.plans: Plans[RootPlan] = Plans(make_plan)
        self._work = max(work_size(self._n), spec.numbers["size_kinks"])
        self._kept = spec.numbers.get("size_kept", 0) + spec.numbers.get("size_slope", 0)
        self._cost: Array | None = None
        self._method = self.method or ("picard" if spec.numbers["by_picard"] else "newton")
        self._limits = (*spec.more.get("lower", ()), *spec.more.get("upper", ()))
        self._bounds: dict[bool, Arena] = {}
        self._from_zero: bool = spec.more.get("from_zero", False)
        self._gives_roots: bool = spec.more.get("gives_roots", False)
        self._contraction = Contraction(spec.more.get("slopes", ()), self._n)
        self.facts_size = FACTS

    def room_for(self, p: Packing) -> int:
        """Elements that a block works in."""
        return self._work + (p.size + self._kept if self._kept else 0)

    @cached_property
    def _one(self) -> OneRoot:
        return OneRoot(self.spec, self.code)

    def _flat(self, args: Sequence[Array], row: int) -> Array:
        """All arguments of one sample."""
        parts = [(a[row] if is_per_sample(a, s) else a).reshape(-1) for a, s in zip(args, self.arguments, strict=True)]
        return np.concatenate(parts, dtype=self.dtype) if parts else np.zeros(0, self.dtype)

    # ------------------------------------------------------------ solve

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        plan, values = self.plans.of(self, args, batch), self.values(args, batch)
        p, entry = plan.packed, self.code.entry(self._method, plan.shared)
        roots, facts = np.empty((batch, self._n), self.dtype), np.empty((batch, self.facts_size), self.dtype)
        flat = roots if self._gives_roots else np.empty((batch, self._out), self.dtype)
        cost = of_batch(self._cost, batch)
        order = self.in_order(cost)
        known = self._known(proved=self._contraction.is_proved(values, batch))
        contracted: list[Rows] = []

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(order, first, last, batch)
            room = Arena(plan.forth(self, count))
            p.pack(values, rows, room.array(0))
            *given, own = room.addresses
            became = entry(0, count, *given, *known.addresses, own)
            if became == WAITING:
                self.code.entry(REST, plan.shared)(0, count, *given, *known.addresses, own)
            put_rows(roots, rows, room.array(1))
            if not self._gives_roots:
                put_rows(flat, rows, room.array(2))
            if became == PLAIN:
                facts[rows, 1] = room.array(3)[:, 1].reshape(-1)[: count_of(rows)]
                contracted.append(rows)
            else:
                put_rows(facts, rows, room.array(3))

        bytes_each = self._bytes(p.size + self._n + self._out)
        self.run_tasks(self._method, batch, bytes_each, work, costs=cost, order=order)
        steps, status = facts[:, 1].astype(np.int64), np.zeros(batch, np.int32)
        self._cost = steps.copy() if batch > self.width else None
        contracts = sum(map(count_of, contracted)) == batch
        if contracts:
            notes, saved_notes = np.zeros(batch, np.int64), np.full(batch, CONTRACTS)
        else:
            for rows in contracted:
                facts[rows, 0], facts[rows, 2] = CONTRACTED, 0.0
            became = self.became(facts)
            notes = np.where(became == 1, codes.NEAR_SINGULAR, 0) | np.where(facts[:, 2] != 0, codes.KINK, 0)
            rest = np.flatnonzero(became == OPEN)
            self._solve_rest(args, rest, flat, roots, (status, notes, steps))
            saved_notes = notes | np.where(became == CONTRACTED, CONTRACTS, 0)
            contracts = bool((became == CONTRACTED).all())
        # An answer is its caller's, who may change it.
        saved = roots.copy() if self._gives_roots else roots
        by_series = run.keep and contracts and self._n >= FEWEST and "series" in self.code.signatures
        tape = RootTape(self, plan, values, saved) if by_series else None
        return Solution(split(flat, self.outputs), status, notes, steps, [saved, saved_notes], tape=tape)

    def _known(self, *, proved: bool) -> Arena:
        """The bounds and what is known of the map (`block_picard.KNOWN`), in the lanes."""
        if proved not in self._bounds:
            # Matrices of a bounded norm are finite: their products with 0 are 0.
            numbers = np.array([*self._limits, proved, proved and self._from_zero], self.dtype)
            held = Arena(self.places((1, len(numbers))), lasting=True)
            fill_lanes(held.array(0), numbers, slice(0, 1))
            self._bounds[proved] = held
        return self._bounds[proved]

    def became(self, facts: Array) -> NDArray[np.int64]:
        """What became of each sample, given its facts: see `block_newton`."""
        return facts[:, 0].astype(np.int64)

    def _bytes(self, elements: int) -> int:
        return elements * self.width * self.dtype.itemsize

    def _solve_rest(
        self, args: Sequence[Array], rest: NDArray[np.int64], flat: Array, roots: Array, facts: Sequence[Array]
    ) -> None:  # fmt: skip
        """`facts` are statuses, notes and steps."""
        status, notes, steps = facts
        for row in rest:
            roots[row], flat[row], status[row], notes[row], steps[row] = self._one.find(self._flat(args, row))

    # ------------------------------------------------------------ derivatives

    def _ready(self, saved: Sequence[Array], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The chosen samples whose derivative lanes may find: an ill-conditioned root is judged again, one by one."""
        return np.flatnonzero(chosen & (saved[1] & codes.NEAR_SINGULAR == 0))

    def _contracting(self, saved: Sequence[Array], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some samples whose map contracts."""
        contracts = saved[1][rows] & CONTRACTS != 0
        return rows if contracts.all() else rows[contracts]

    def _run(
        self, part: str, args: Sequence[Array], batch: int, rows: NDArray[np.int64], roots: Array,
        given: Sequence[Array], found: Sequence[Array], *, dots: Sequence[Array] | None = None, works: bool = True,
        grads: Gradients | None = None,
    ) -> None:  # fmt: skip
        """A part for some samples: `given` (batch, size) arrays in, `found` (batch, size) arrays out, or gradients."""
        values, shared = self.values(args, batch), self.layout(args, batch)
        directions = None if dots is None else self.values(dots, batch)
        p, entry = self.packing("p", shared), self.code.entry(part, shared)
        sizes = [a.shape[1] for a in (*given, *found)]

        def work(first: int, last: int) -> None:
            count, here = last - first, self.samples_of(rows, first, last, len(rows))
            shapes = [(count, p.size), (count, self._n), *([(count, p.size)] if directions else [])]
            inputs = len(shapes)
            shapes += [(count, size) for size in sizes]
            shapes += [(count, p.size)] if grads else []
            shapes += [(self.room_for(p),)] if works else []
            room = self.arena(*shapes)
            p.pack(values, here, room.array(0))
            fill_lanes(room.array(1), roots, here)
            if directions is not None:
                p.pack(directions, here, room.array(2))
            for k, array in enumerate(given, inputs):
                fill_lanes(room.array(k), array, here, fill=0.0)
            if grads is not None:
                p_bar = room.array(inputs + len(sizes))
                grads.set_addresses(p, p_bar, first)
            entry(0, count, *room.addresses)
            for k, array in enumerate(found, inputs + len(given)):
                put_rows(array, here, room.array(k))
            if grads is not None:
                p_bar = room.array(inputs + len(sizes))
                grads.gather(p, p_bar, first, here)

        if len(rows):
            whole = 1 if grads is None else grads.chunk
            self.run_tasks(part, len(rows), self._bytes(p.size + sum(sizes)), work, whole=whole)

    def _gradients(self, args: Sequence[Array], batch: int, samples: int) -> Gradients:
        packed = self.packing("p", self.layout(args, batch))
        return Gradients(self.arguments, args, (packed,), self.blocks_of(samples), self.width)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        cot = flat_rows(cotangents, batch, self.dtype)
        asked = asked_rows(cot)
        good = asked & (status == codes.SUCCESS)
        verdict = np.full((batch, 1), float(OPEN), self.dtype)
        ready = self._ready(saved, good)
        grads = self._gradients(args, batch, len(ready))
        contracting = self._contracting(saved, ready)
        if len(contracting) and self._n >= FEWEST:
            self._run("series", args, batch, contracting, saved[0], [cot], [verdict], grads=grads)
            ready = ready[verdict[ready, 0] != 0]
        if len(ready):
            lam = np.zeros((batch, self._n), self.dtype)
            self._run("adjoint", args, batch, ready, saved[0], [cot], [lam, verdict])
            ready = ready[verdict[ready, 0] == 0]
            self._run("gather", args, batch, ready, saved[0], [cot, lam], [], works=False, grads=grads)
        found, refused = grads.result(failed(status, asked)), np.zeros(batch, np.int32)
        for row in np.flatnonzero(good & (verdict[:, 0] != 0)):
            notes = int(saved[1][row]) & ~CONTRACTS
            bar, refused[row] = self._one.pull(saved[0][row], self._flat(args, row), notes, cot[row])
            self._join(found, bar, row)
        return Gradient(found, refused)

    def _join(self, found: Sequence[Array | None], bar: Array, row: int) -> None:
        """Adds the flat gradient of one sample."""
        start = 0
        for whole, argument, size in zip(found, self.arguments, self._sizes, strict=True):
            part = bar[start : start + size].reshape(argument.shape)
            start += size
            if whole is None:
                continue
            if whole.ndim > part.ndim:
                whole[row] = part
            else:
                whole += part

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        good = status == codes.SUCCESS
        flat, verdict = np.empty((batch, self._out), self.dtype), np.full((batch, 1), float(OPEN), self.dtype)
        flat[~good] = np.nan
        self._run("push", args, batch, self._ready(saved, good), saved[0], [], [flat, verdict], dots=tangents)
        refused = np.zeros(batch, np.int32)
        for row in np.flatnonzero(good & (verdict[:, 0] != 0)):
            _, flat[row], refused[row] = self._one.push(
                saved[0][row], self._flat(args, row), int(saved[1][row]) & ~CONTRACTS, self._flat(tangents, row)
            )
        outputs = split(flat, self.outputs)
        return Tangents(outputs, refused)

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
        cot = flat_rows(cotangents, batch, self.dtype)
        asked = asked_rows(cot)
        good = asked & (status == codes.SUCCESS)
        pushed = self.pushforward(args, batch, saved, status, directions)
        three, verdict = np.zeros((batch, 3 * self._n), self.dtype), np.full((batch, 1), float(OPEN), self.dtype)
        ready = self._ready(saved, good)
        self._run("second_adjoint", args, batch, ready, saved[0], [cot], [three, verdict], dots=directions)
        settled = np.flatnonzero(good & (verdict[:, 0] == 0))
        grads = self._gradients(args, batch, len(settled))
        self._run(
            "second_gather", args, batch, settled, saved[0], [cot, three], [], dots=directions, works=False, grads=grads
        )
        found, refused = grads.result(failed(status, asked)), pushed.status
        for row in np.flatnonzero(good & (verdict[:, 0] != 0)):
            bar, told = self._one.second(
                saved[0][row],
                self._flat(args, row),
                int(saved[1][row]) & ~CONTRACTS,
                cot[row],
                self._flat(directions, row),
            )
            refused[row] = told or refused[row]
            self._join(found, bar, row)
        return Second(pushed.outputs, found, refused)
