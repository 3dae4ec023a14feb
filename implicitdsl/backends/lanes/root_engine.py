"""`root` and `fixpoint` on the back end `lanes`: blocks of samples, and one by one what blocks leave open.

Machine code for a block settles the samples that converge to a simple root beyond doubt. Every other sample goes to the
solver of one sample, so that statuses and notes are that solver's. Derivatives likewise: the implicit system is
factored in lanes, and where it is close to singular the solver of one sample decides whether there is a derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Array,
    Engine,
    Gradient,
    RunOptions,
    Second,
    Solution,
    Tangents,
    is_per_sample,
)
from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec, failed, flat_rows, split
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import fill_lanes, take_lanes
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.block_system import work_size

SIGNATURES = {
    "newton": "nnaaaaaa", "picard": "nnaaaaaa", "adjoint": "nnaaaaaa", "gather": "nnaaaaa", "push": "nnaaaaaa",
    "second_adjoint": "nnaaaaaaa", "second_gather": "nnaaaaaa",
}  # fmt: skip
FACTS = 3
OPEN = 2


class RootEngine(BlockEngine):
    """0 = F(w, p), o = g(w, p)."""

    def __init__(
        self, spec: Spec, code: MachineCode, method: str, bounds: Array, one_by_one: Callable[[], Engine],
        threads: int | None = None,
    ) -> None:  # fmt: skip
        """`method`: newton or picard; `bounds`: lower, then upper; `one_by_one` gives the engine of open samples."""
        super().__init__(spec, code, threads)
        self._n, self._out = spec.numbers["states"], spec.numbers["size_out"]
        self._work = max(work_size(self._n), spec.numbers["size_kinks"])
        self._method, self._bounds, self._one_by_one = method, bounds, one_by_one

    # ------------------------------------------------------------ solve

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        values, shared = self.values(args, batch), self.layout(args, batch)
        p, entry = self.packing("p", shared), self.code.entry(self._method, shared)
        flat, roots = np.empty((batch, self._out), self.dtype), np.empty((batch, self._n), self.dtype)
        facts = np.empty((batch, FACTS), self.dtype)

        def work(first: int, last: int) -> None:
            count, rows = last - first, self.samples_of(None, first, last, batch)
            room = self.arena(
                (count, p.size), (count, self._n), (count, self._out), (count, FACTS), (1, 2 * self._n), (self._work,)
            )
            p.pack(values, rows, room.array(0))
            fill_lanes(room.array(4), self._bounds, rows)
            entry(0, count, *room.addresses)
            samples = min(last * self.width, batch) - first * self.width
            for k, whole in enumerate((roots, flat, facts), 1):
                whole[rows] = take_lanes(room.array(k), samples)

        self.run_tasks(self._method, batch, self._bytes(p.size + self._n + self._out), work)
        became = facts[:, 0].astype(np.int64)
        notes = np.where(became == 1, codes.NEAR_SINGULAR, 0) | np.where(facts[:, 2] != 0, codes.KINK, 0)
        found = Solution(
            split(flat, self.outputs), np.zeros(batch, np.int32), notes, facts[:, 1].astype(np.int64), [roots, notes]
        )
        rest = np.flatnonzero(became == OPEN)
        if len(rest):
            self._solve_rest(args, rest, run, found)
        found.saved[1] = found.notes.copy()
        return found

    def _bytes(self, elements: int) -> int:
        return elements * self.width * self.dtype.itemsize

    def _solve_rest(self, args: Sequence[Array], rest: NDArray[np.int64], run: RunOptions, found: Solution) -> None:
        other = self._one_by_one().solve(self._some(args, rest), len(rest), run)
        for whole, part in zip(found.outputs, other.outputs, strict=True):
            whole[rest] = part
        found.status[rest], found.notes[rest], found.steps[rest] = other.status, other.notes, other.steps
        found.saved[0][rest] = other.saved[0]

    def _some(self, args: Sequence[Array], rows: NDArray[np.int64]) -> list[Array]:
        """The arguments of some samples."""
        return [a[rows] if is_per_sample(a, spec) else a for a, spec in zip(args, self.arguments, strict=True)]

    # ------------------------------------------------------------ derivatives

    def _ready(self, saved: Sequence[Array], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The chosen samples whose derivative lanes may find: an ill-conditioned root is judged again, one by one."""
        return np.flatnonzero(chosen & (saved[1] & codes.NEAR_SINGULAR == 0))

    def _run(
        self, part: str, args: Sequence[Array], batch: int, rows: NDArray[np.int64], roots: Array,
        given: Sequence[Array], found: Sequence[Array], *, dots: Sequence[Array] | None = None, works: bool = True,
        grads: Gradients | None = None,
    ) -> None:  # fmt: skip
        """A part for some samples: `given` (batch, size) arrays in, `found` (batch, size) arrays out, or gradients."""
        values, shared = self.values(args, batch), self.layout(args, batch)
        directions = None if dots is None else self.values(dots, batch)
        p, bar, entry = self.packing("p", shared), self.packing("p", ()), self.code.entry(part, shared)
        sizes = [a.shape[1] for a in (*given, *found)]

        def work(first: int, last: int) -> None:
            count, here = last - first, self.samples_of(rows, first, last, len(rows))
            shapes = [(count, p.size), (count, self._n), *([(count, p.size)] if directions else [])]
            inputs = len(shapes)
            shapes += [(count, size) for size in sizes]
            shapes += [(count, bar.size)] if grads else []
            shapes += [(self._work,)] if works else []
            room = self.arena(*shapes)
            p.pack(values, here, room.array(0))
            fill_lanes(room.array(1), roots, here)
            if directions is not None:
                p.pack(directions, here, room.array(2))
            for k, array in enumerate(given, inputs):
                fill_lanes(room.array(k), array, here, fill=0.0)
            if grads is not None:
                p_bar = room.array(inputs + len(sizes))
                grads.set_addresses(bar, p_bar, first)
            entry(0, count, *room.addresses)
            for k, array in enumerate(found, inputs + len(given)):
                array[here] = take_lanes(room.array(k), len(here))
            if grads is not None:
                p_bar = room.array(inputs + len(sizes))
                grads.add(bar, take_lanes(p_bar[:, : bar.own_size], len(here)), first, here)

        if len(rows):
            whole = 1 if grads is None else grads.chunk
            self.run_tasks(part, len(rows), self._bytes(p.size + sum(sizes)), work, whole=whole)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        cot = flat_rows(cotangents, batch, self.dtype)
        asked = cot.any(axis=1)
        good = asked & (status == codes.SUCCESS)
        lam, verdict = np.zeros((batch, self._n), self.dtype), np.full((batch, 1), float(OPEN), self.dtype)
        self._run("adjoint", args, batch, self._ready(saved, good), saved[0], [cot], [lam, verdict])
        settled = np.flatnonzero(good & (verdict[:, 0] == 0))
        grads = Gradients(self.arguments, args, (self.packing("p", ()),), self.blocks_of(len(settled)), self.width)
        self._run("gather", args, batch, settled, saved[0], [cot, lam], [], works=False, grads=grads)
        found, refused = grads.result(failed(status, asked)), np.zeros(batch, np.int32)
        rest = np.flatnonzero(good & (verdict[:, 0] != 0))
        if len(rest):
            other = self._one_by_one().pullback(
                self._some(args, rest), len(rest), [s[rest] for s in saved], status[rest], [c[rest] for c in cotangents]
            )
            self._join(found, other.grads, rest)
            refused[rest] = other.status
        return Gradient(found, refused)

    def _join(self, found: list[Array | None], other: Sequence[Array | None], rest: NDArray[np.int64]) -> None:
        """Adds gradients of samples found one by one."""
        for i, (whole, part) in enumerate(zip(found, other, strict=True)):
            if whole is None or part is None:
                continue
            if part.ndim > len(self.arguments[i].shape):
                whole[rest] = part
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
        outputs, refused = split(flat, self.outputs), np.zeros(batch, np.int32)
        rest = np.flatnonzero(good & (verdict[:, 0] != 0))
        if len(rest):
            other = self._one_by_one().pushforward(
                self._some(args, rest), len(rest), [s[rest] for s in saved], status[rest], self._some(tangents, rest)
            )
            for whole, part in zip(outputs, other.outputs, strict=True):
                whole[rest] = part
            refused[rest] = other.status
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
        asked = cot.any(axis=1)
        good = asked & (status == codes.SUCCESS)
        pushed = self.pushforward(args, batch, saved, status, directions)
        three, verdict = np.zeros((batch, 3 * self._n), self.dtype), np.full((batch, 1), float(OPEN), self.dtype)
        ready = self._ready(saved, good)
        self._run("second_adjoint", args, batch, ready, saved[0], [cot], [three, verdict], dots=directions)
        settled = np.flatnonzero(good & (verdict[:, 0] == 0))
        grads = Gradients(self.arguments, args, (self.packing("p", ()),), self.blocks_of(len(settled)), self.width)
        self._run(
            "second_gather", args, batch, settled, saved[0], [cot, three], [], dots=directions, works=False, grads=grads
        )
        found, refused = grads.result(failed(status, asked)), pushed.status
        rest = np.flatnonzero(good & (verdict[:, 0] != 0))
        if len(rest):
            other = self._one_by_one().pullback_pullback(
                self._some(args, rest), len(rest), [s[rest] for s in saved], status[rest],
                [c[rest] for c in cotangents], self._some(directions, rest),
            )  # fmt: skip
            self._join(found, other.grads, rest)
            refused[rest] = np.where(other.status != 0, other.status, refused[rest])
        return Second(pushed.outputs, found, refused)
