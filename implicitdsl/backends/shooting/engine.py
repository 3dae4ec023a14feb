"""`bvp` by multiple shooting: the engine, on the parts that a back end builds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Array,
    Engine,
    Gradient,
    Preparable,
    RunOptions,
    Second,
    Shape,
    Solution,
    Tangents,
    is_per_sample,
)
from implicitdsl.backends.shooting.derivatives import Answer, Linear
from implicitdsl.backends.shooting.newton import Found, Goals, shoot
from implicitdsl.backends.shooting.part import Given, Sums
from implicitdsl.backends.shooting.spec import PARTS, PartEngine, ShootingSpec
from implicitdsl.backends.shooting.system import Rows, System
from implicitdsl.solvers import status as codes

REFINED = 4
"""Times as many segments for samples that fail, where the number is not given."""
FINER = (4, 32)
"""Times as many again for the search where integration breaks off from the guess."""
SETTLED = frozenset({codes.SUCCESS, codes.BAD_TIMES})
INTEGRATION = frozenset({codes.NONFINITE, codes.DT_UNDERFLOW, codes.MAX_STEPS})
ROOM = 1 << 22
"""Floats that the derivatives of the legs of one round may take."""
NEAR, LOST = 3e-3, 0.03
"""What a relative error of rtol in the segments may move the states by: beyond the first a note, the second a
failure."""


class ShootingEngine:
    """du/dt = f(t, u, p), g(u(c), p) = 0, read at times or at the end."""

    def __init__(self, spec: ShootingSpec, part: PartEngine) -> None:
        self.spec = spec
        self.arguments, self.outputs = spec.arguments, spec.outputs
        self.dtype = np.dtype(spec.dtype)
        self.layer_name = spec.layer_name
        self.system = System(spec, part)
        self._at, self._m = spec.has_times, spec.reads
        self._levels, self._iterations = spec.levels, spec.iterations
        self._goals = Goals.of(spec.rtol, self.dtype)

    @property
    def saved(self) -> tuple[tuple[Shape, np.dtype[Any]], ...]:
        """The number of segments of a sample, and the fields of its `Answer` with room for the most segments."""
        n, p, most = self.system.n, self.system.places, max(self._levels)
        shapes = ((most + 1, n), (most + p, n, n), (n, p, n), (p, n), (self._m, n))
        inner = self.system.flow.engine.saved
        kept = [((count, *shape), kind) for count in (most + p, self._m) for shape, kind in inner]
        return (((), np.dtype(np.int64)), *((shape, self.dtype) for shape in shapes), *kept)

    @property
    def parts(self) -> dict[str, Engine]:
        """The engines that it is made of."""
        return {name: getattr(self.system, name).engine for name in PARTS}

    @property
    def width(self) -> int:
        """Lanes of the flow, 1 where it goes sample by sample."""
        return getattr(self.system.flow.engine, "width", 1)

    def prepare(self, *, batch: bool) -> None:
        """The machine code of the parts that solve and pullback run."""
        for engine in self.parts.values():
            if isinstance(engine, Preparable):
                engine.prepare(batch=True)

    # ------------------------------------------------------------ samples

    def _rounds(self, rows: Rows, segments: int) -> list[Rows]:
        """The samples in parts, so that what they need at once is bounded."""
        n, legs = self.system.n, segments + self.system.places
        sizes = sum(math.prod(a.shape) for a in self.arguments)
        most = max(1, ROOM // (legs * n * (n + sizes + 1)))
        return [rows[k : k + most] for k in range(0, len(rows), most)]

    def _given(self, args: Sequence[Array], batch: int, rows: Rows) -> Given:
        return Given(list(args), batch).rows(rows, self.arguments)

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        whole = Solution(
            [np.full((batch, *s), np.nan, self.dtype) for s in self.outputs],
            np.zeros(batch, np.int32), np.zeros(batch, np.int64), np.zeros(batch, np.int64),
            [np.zeros((batch, *s), t) for s, t in self.saved], {"iterations": np.zeros(batch, np.int64)},
        )  # fmt: skip
        rest = np.arange(batch if self._m else 0)
        for level, segments in enumerate(self._levels):
            # What a coarse mesh ends at is kept until a finer one does better.
            with np.errstate(all="ignore"):
                for rows in self._rounds(rest, segments):
                    given = self._given(args, batch, rows)
                    self._finish(whole, rows, given, self._find(given, segments, last=level == len(self._levels) - 1))
            rest = rest[~np.isin(whole.status[rest], list(SETTLED))]
        return whole

    def _find(self, given: Given, segments: int, *, last: bool) -> Found:
        """The states at the nodes. In the last attempt, a sample whose integration breaks off is searched for with many
        short segments, which keep a start that is far off from leaving the range of floats, and ends with the usual
        ones from what those found."""
        system = self.system
        times = system.times(given, segments)
        found = shoot(system, given, times, system.first(given, times), self._goals, self._iterations)
        for finer in FINER if last and len(self._levels) > 1 else ():
            broken = np.flatnonzero(np.isin(found.status, list(INTEGRATION)))
            for rows in self._rounds(broken, segments * finer):
                some = given.rows(rows, self.arguments)
                fine = system.times(some, segments * finer)
                close = shoot(system, some, fine, system.first(some, fine), self._goals, self._iterations)
                found.iterations[rows] += close.iterations
                done = np.flatnonzero(close.status == codes.SUCCESS)
                if not len(done):
                    continue
                start = np.ascontiguousarray(close.sweep.s[done, ::finer])
                place = rows[done]
                usual = times.rows(place)
                end = shoot(system, some.rows(done, self.arguments), usual, start, self._goals, self._iterations)
                found.sweep.put(place, end.sweep)
                found.status[place] = end.status
                found.iterations[place] += end.iterations
        return found

    def _finish(self, whole: Solution, rows: Rows, given: Given, found: Found) -> None:
        """Judges what was found and reads the outputs from it, into the places of these samples."""
        system, sweep = self.system, found.sweep
        segments = sweep.s.shape[1] - 1
        times = system.times(given, segments)
        status = np.where(times.status == codes.SUCCESS, found.status, times.status)
        columns = system.columns(sweep, given, times)
        factors = system.matrix(columns, sweep.by, times)
        moved = system.sensitivity(factors, sweep.s)
        lost = factors.deficient | ~factors.sound | ~(moved <= LOST)
        good = status == codes.SUCCESS
        status = np.where(good & lost, codes.SINGULAR, status)
        legs = system.flow.solve(system.own_reads(sweep.s, times), given, self._m)
        for k in range(self._m):
            status = np.where(status == codes.SUCCESS, legs.status[:, k], status)
        (y,) = legs.outputs
        outputs = system.reading.solve([times.reads, y], given, self._m).outputs
        for array, part in zip(whole.outputs, outputs, strict=True):
            array[rows] = part if self._at else part[:, 0]
        kept = [np.full(len(rows), segments), sweep.s, columns, sweep.by, sweep.v, y, *sweep.saved, *legs.saved]
        for array, part in zip(whole.saved, kept, strict=True):
            array[(rows, slice(0, part.shape[1])) if part.ndim > 1 else rows] = part
        whole.status[rows] = status
        whole.notes[rows] = np.where(good & (moved > NEAR) & ~lost, codes.NEAR_SINGULAR, 0)
        whole.steps[rows] = sweep.steps
        whole.extras["iterations"][rows] += found.iterations

    # ------------------------------------------------------------ derivatives

    def _linear(self, args: Sequence[Array], batch: int, saved: Sequence[Array], rows: Rows) -> Linear:
        given, segments = self._given(args, batch, rows), int(saved[0][rows[0]])
        legs = segments + self.system.places
        s, columns, by, v, y, *rest = saved[1:]
        half = len(rest) // 2
        answer = Answer(
            s[rows, : segments + 1], columns[rows, :legs], by[rows], v[rows], y[rows],
            [a[rows, :legs] for a in rest[:half]], [a[rows] for a in rest[half:]],
        )  # fmt: skip
        return Linear(self.system, given, self.system.times(given, segments), answer)

    def _alike(self, saved: Sequence[Array], chosen: NDArray[np.bool_]) -> list[Rows]:
        """The chosen samples in parts of one number of segments."""
        found: list[Rows] = []
        for segments in self._levels:
            found += self._rounds(np.flatnonzero(chosen & (saved[0] == segments)), segments)
        return found

    def _by_read(self, cotangents: Sequence[Array], rows: Rows) -> list[Array]:
        parts = (np.asarray(c, self.dtype)[rows] for c in cotangents)
        return [c if self._at else c[:, None] for c in parts]

    def _asked(self, cotangents: Sequence[Array], batch: int) -> NDArray[np.bool_]:
        asked = np.zeros(batch, np.bool_)
        for c in cotangents:
            asked |= c.reshape(batch, -1).any(axis=1)
        return asked

    def _join(self, grads: Sequence[Array], sums: Sums, rows: Rows) -> None:
        for whole, part, argument in zip(grads, sums.grads, self.arguments, strict=True):
            if is_per_sample(whole, argument):
                whole[rows] = part
            else:
                whole += part

    def _spoil(self, grads: Sequence[Array], lost: NDArray[np.bool_]) -> None:
        """A failed sample that a cotangent asks about has no gradient."""
        if lost.any():
            for whole, argument in zip(grads, self.arguments, strict=True):
                whole[lost if is_per_sample(whole, argument) else ...] = np.nan

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        grads, found = [np.zeros(a.shape, self.dtype) for a in args], np.zeros(batch, np.int32)
        asked, good = self._asked(cotangents, batch), status == codes.SUCCESS
        for rows in self._alike(saved, asked & good):
            with np.errstate(all="ignore"):
                sums = self._linear(args, batch, saved, rows).pull(self._by_read(cotangents, rows))
            found[rows] = sums.status
            self._join(grads, sums, rows)
        self._spoil(grads, asked & ~good)
        return Gradient(list(grads), found)

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
        asked, good = self._asked(cotangents, batch), status == codes.SUCCESS
        grads, found = [np.zeros(a.shape, self.dtype) for a in args], np.zeros(batch, np.int32)
        pushed = self._nothing(batch, good)
        for rows in self._alike(saved, asked & good):
            outer = self._given(directions, batch, rows).args
            with np.errstate(all="ignore"):
                linear = self._linear(args, batch, saved, rows)
                tangents, sums = linear.second(self._by_read(cotangents, rows), outer)
            found[rows] = sums.status
            self._join(grads, sums, rows)
            self._put(pushed, rows, tangents)
        self._push_rows(args, batch, saved, directions, ~asked & good, pushed)
        self._spoil(grads, asked & ~good)
        return Second(pushed, list(grads), found)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        good = status == codes.SUCCESS
        pushed = self._nothing(batch, good)
        self._push_rows(args, batch, saved, tangents, good, pushed)
        return Tangents(pushed, np.zeros(batch, np.int32))

    def _nothing(self, batch: int, good: NDArray[np.bool_]) -> list[Array]:
        pushed = [np.zeros((batch, *shape), self.dtype) for shape in self.outputs]
        for whole in pushed:
            whole[~good] = np.nan
        return pushed

    def _push_rows(
        self, args: Sequence[Array], batch: int, saved: Sequence[Array], dots: Sequence[Array],
        chosen: NDArray[np.bool_], pushed: Sequence[Array],
    ) -> None:  # fmt: skip
        for some in self._alike(saved, chosen) if self._m else ():
            with np.errstate(all="ignore"):
                tangents = self._linear(args, batch, saved, some).push(self._given(dots, batch, some).args)
            self._put(pushed, some, tangents)

    def _put(self, wholes: Sequence[Array], rows: Rows, parts: Sequence[Array]) -> None:
        for whole, part in zip(wholes, parts, strict=True):
            whole[rows] = part if self._at else part[:, 0]
