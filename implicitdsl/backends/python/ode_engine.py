"""`ode` on the back end `python`: explicit Runge–Kutta and the exact derivative of the computed map.

The tape is not kept between the calls of torch: the pullback runs the solve again, with the same bits, and records it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.sample_engine import Answer, SampleEngine
from implicitdsl.backends.settings import Settings
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem, derive, used_arguments
from implicitdsl.problems.separable import parts
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.explicit_rk import integrate
from implicitdsl.solvers.explicit_rk_adjoint import pullback
from implicitdsl.solvers.explicit_rk_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.explicit_rk_thinned import pullback_thinned
from implicitdsl.solvers.stepping import ACCEPTED, LAST_TIME, REJECTED, ROWS, STATISTICS
from implicitdsl.solvers.tableau import EXPLICIT
from implicitdsl.solvers.tape import room, spacing


@dataclass
class Start:
    """What a run begins with: flat p and q, the start, the interval, the save times; a status where there is none."""

    p: Array
    q: Array
    y0: Array
    interval: Array
    times: Array
    status: int = codes.SUCCESS


@dataclass
class Run:
    """What a run leaves: states at the save times and at the end, and the tape of `rows` steps, of which every
    `every`-th state is kept."""

    status: int
    values: Array
    y_end: Array
    statistics: Array
    grid: Array
    states: Array
    every: int = 1

    @property
    def rows(self) -> int:
        return int(self.statistics[ROWS])


@dataclass
class Slope:
    """The tangents of everything that a run begins with; `y2` and `p2` hold values and tangents."""

    p_dot: Array
    q_dot: Array
    y2: Array
    p2: Array
    interval_dot: Array
    times_dot: Array


@dataclass
class TangentRun:
    """States and their tangents at the save times, at the end (`end2`), and at the start of every step (`states2`)."""

    values: Array
    values_dot: Array
    end2: Array
    states2: Array


class OdeEngine(SampleEngine):
    """dx/dt = f(t, x, p), read at times or at the end."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        self._at = problem.at is not None
        self._m = problem.at.shape[0] if problem.at is not None else 0
        shapes = tuple((self._m, *o.shape) if self._at else o.shape for o in problem.outputs)
        super().__init__(problem.signature, shapes, (((), np.dtype(np.int64)),), dtype)
        self._read_shapes = shapes
        functions = derive(problem)
        self._functions = {name: flat_function(simplified(f)) for name, f in functions.items()}
        self._used = used_arguments(problem)
        self._at_leaves = functions["at"].inputs[0].leaves if self._at else ()
        self._n = sum(s.size for s in problem.states)
        self._out_sizes = [o.size for o in problem.outputs]
        self._from_times = problem.t0 is None
        self._empty = self._at and self._m == 0
        self._settings = settings
        self._choose_method(problem)

    # ------------------------------------------------------------ the method

    def _choose_method(self, problem: OdeProblem) -> None:
        """What the four functions below need of the method."""
        tableau = EXPLICIT[self._settings.solver].eager
        self._tableau = tableau
        a, self._c, self._error, self._dense = tableau.arrays(self._dtype)
        moved = parts(problem) if tableau.splits else ()
        assert not isinstance(moved, str), moved
        self._a = np.array([*a, *moved], self._dtype)
        self._control = self._settings.control(tableau, self._dtype)

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        """A run that keeps `rows` rows of its tape, thinned where `every` > 1."""
        s = self._settings
        run = self._new_run(rows, every)
        real = self._dtype.type
        run.status = int(
            self.runs(integrate)(
                self._functions["rhs"], self._n, self._n, start.y0, start.p, start.interval, self._m, start.times,
                self._tableau.stages, self._tableau.degree, self._a, self._c, self._error, self._dense, self._control,
                real(s.rtol), real(s.atol), real(s.dt or 0.0), s.max_steps, run.values, run.y_end, run.statistics,
                run.grid, rows, run.states, rows, run.every, run.states, 0,
            )
        )  # fmt: skip
        return run

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        """The transpose of a run: `bars` of the values, the end, y0, p, the interval, the times. Returns a status."""
        common = (
            self._functions["rhs"], self._functions["rhs_vjp"], self._n, self._n, start.p, start.interval, self._m,
            start.times, self._tableau.stages, self._tableau.degree, self._a, self._c, self._dense, run.grid, run.rows,
            run.states,
        )  # fmt: skip
        if run.every > 1:
            self.runs(pullback_thinned)(*common, run.every, *self._segment(run), *bars)
        else:
            self.runs(pullback)(*common, *bars)
        return codes.SUCCESS

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        """The run again with tangents."""
        t, tangent = self._tableau, self._new_tangent_run(run)
        self.runs(tangent_replay)(
            self._functions["rhs_tangent"], self._n, slope.y2, slope.p2, start.interval, slope.interval_dot, self._m,
            start.times, slope.times_dot, t.stages, t.degree, self._a, self._c, self._dense, run.grid, run.rows,
            tangent.values, tangent.values_dot, tangent.end2, tangent.states2,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        """The transpose of `_replay`: `bars` of the values and their tangents, the end, y2, p2, then interval and
        times, each followed by that of its tangent. Returns a status."""
        t = self._tableau
        self.runs(tangent_pullback)(
            self._functions["rhs_tangent"], self._rhs_tangent_vjp, self._n, slope.p2, start.interval,
            slope.interval_dot, self._m, start.times, slope.times_dot, t.stages, t.degree, self._a, self._c,
            self._dense, run.grid, run.rows, tangent.states2, *bars,
        )  # fmt: skip
        return codes.SUCCESS

    def _new_run(self, rows: int, every: int = 1) -> Run:
        n = self._n
        grid, states, _, _ = room(rows, n, every)
        parts = (self._zeros(k) for k in (self._m * n, n, STATISTICS, grid, states))
        return Run(codes.SUCCESS, *parts, every=every)

    def _segment(self, run: Run) -> tuple[Array, Array]:
        """Room for the rows of a thinned tape that are made again."""
        _, _, grid, states = room(run.rows, self._n, run.every)
        return self._zeros(grid), self._zeros(states)

    def _spacing(self, rows: int) -> int:
        return spacing(rows, self._n, self._settings.tape_bytes / self._dtype.itemsize)

    def _new_tangent_run(self, run: Run) -> TangentRun:
        n = self._n
        return TangentRun(*(self._zeros(k) for k in (self._m * n, self._m * n, 2 * n, run.rows * 2 * n)))

    # ------------------------------------------------------------ forward

    def _zeros(self, n: int) -> Array:
        return np.zeros(n, self._dtype)

    def _start(self, values: Sequence[Array]) -> Start:
        p, q = self.pack(values, self._used), self.pack(values, self._at_leaves)
        y0, t0, t1, times = self._zeros(self._n), self._zeros(1), self._zeros(1), self._zeros(self._m)
        self._functions["begin"](p, y0, t0, t1)
        if self._at and self._m:
            self._functions["at"](q, times)
        interval = np.concatenate([t0, t1])
        if self._from_times and self._m:
            interval = np.array([times[0], times[-1]], self._dtype)
        return Start(p, q, y0, interval, times)

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        if self._empty:
            return Answer(
                [np.zeros(shape, self._dtype) for shape in self._read_shapes], [np.asarray(0)], extras={"t_end": np.nan}
            )
        start = self._start(values)
        run = self._integrate(start, 0)
        steps = int(run.statistics[ACCEPTED] + run.statistics[REJECTED])
        return Answer(self._read(start, run), [np.asarray(run.rows)], run.status, 0, steps, self._facts(run))

    def _facts(self, run: Run) -> dict[str, Any]:
        """What `layer.last` says of a run beside its status."""
        return {"t_end": run.statistics[LAST_TIME], "accepted": int(run.statistics[ACCEPTED])}

    def _moments(self, start: Start, run: Run) -> list[tuple[Any, int]]:
        """The instants at which outputs are read: their time, and the row of `values` (-1: the end)."""
        return [(start.times[j], j) for j in range(self._m)] if self._at else [(self._end(start, run), -1)]

    def _end(self, start: Start, run: Run) -> Any:
        """The time at which the run ends."""
        return start.interval[1]

    def _state_at(self, run: Run, j: int) -> Array:
        return run.y_end if j < 0 else run.values[j * self._n : (j + 1) * self._n]

    def _read(self, start: Start, run: Run) -> list[Array]:
        outputs = [np.zeros(shape, self._dtype) for shape in self._read_shapes]
        for t, j in self._moments(start, run):
            flat = self._zeros(sum(self._out_sizes))
            self._functions["output"](t, self._state_at(run, j), start.p, flat)
            self._scatter(outputs, j, flat)
        return outputs

    def _scatter(self, outputs: Sequence[Array], j: int, flat: Array) -> None:
        position = 0
        for whole, size in zip(outputs, self._out_sizes, strict=True):
            part = flat[position : position + size]
            if j < 0:
                whole[...] = part.reshape(whole.shape)
            else:
                whole[j] = part.reshape(whole.shape[1:])
            position += size

    def _cotangent_at(self, cotangent: Array, j: int) -> Array:
        """The part of the flat cotangent that belongs to one instant, flat over the outputs."""
        if j < 0:
            return cotangent[: sum(self._out_sizes)]
        parts: list[Array] = []
        position = 0
        for size in self._out_sizes:
            parts.append(cotangent[position + j * size : position + (j + 1) * size])
            position += self._m * size
        return np.ascontiguousarray(np.concatenate(parts)) if parts else self._zeros(0)

    # ------------------------------------------------------------ first order

    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        if self._empty:
            return [None] * len(self.arguments), codes.SUCCESS
        start = self._start(values)
        run = self._integrate(start, int(saved[0]), self._spacing(int(saved[0])))
        p_bar, interval_bar, times_bar = self._zeros(start.p.size), self._zeros(2), self._zeros(self._m)
        values_bar, end_bar, y0_bar = self._zeros(self._m * self._n), self._zeros(self._n), self._zeros(self._n)
        for t, j in self._moments(start, run):
            cot = self._cotangent_at(cotangent, j)
            if cot.any():
                time_bar = times_bar[j : j + 1] if j >= 0 else interval_bar[1:]
                state_bar = values_bar[j * self._n : (j + 1) * self._n] if j >= 0 else end_bar
                self._functions["output_vjp"](t, self._state_at(run, j), start.p, cot, time_bar, state_bar, p_bar)
        self._add_end(cotangent, end_bar, interval_bar)
        found = self._transpose(start, run, values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar)
        self._ends_to_times(interval_bar, times_bar)
        q_bar = self._zeros(start.q.size)
        self._functions["begin_vjp"](start.p, y0_bar, interval_bar[:1], interval_bar[1:], p_bar)
        if self._at:
            self._functions["at_vjp"](start.q, times_bar, q_bar)
        return self._grads(p_bar, q_bar), found

    def _add_end(self, cotangent: Array, end_bar: Array, interval_bar: Array) -> None:
        """Adds the cotangents of the end of a run, where that is an output, to those of its state and the interval."""

    def _ends_to_times(self, interval_bar: Array, times_bar: Array) -> None:
        """Where the times define the interval, its cotangents are theirs."""
        if self._from_times:
            times_bar[0] += interval_bar[0]
            times_bar[-1] += interval_bar[1]
            interval_bar[:] = 0.0

    def _grads(self, p_bar: Array, q_bar: Array) -> list[Array | None]:
        grads = self.unpack(p_bar, self._used)
        for i, part in enumerate(self.unpack(q_bar, self._at_leaves)):
            if part is not None:
                whole = grads[i]
                grads[i] = part if whole is None else whole + part
        return grads

    # ------------------------------------------------------------ second order: the tangent problem on the frozen steps

    def _slope(self, start: Start, directions: Sequence[Array]) -> Slope:
        f, n = self._functions, self._n
        p_dot, q_dot = self.pack(directions, self._used), self.pack(directions, self._at_leaves)
        y0_dot, interval_dot, times_dot = self._zeros(n), self._zeros(2), self._zeros(self._m)
        f["begin_jvp"](start.p, p_dot, y0_dot, interval_dot[:1], interval_dot[1:])
        if self._at:
            f["at_jvp"](start.q, q_dot, times_dot)
        if self._from_times:
            interval_dot = np.array([times_dot[0], times_dot[-1]], self._dtype)
        y2, p2 = np.concatenate([start.y0, y0_dot]), np.concatenate([start.p, p_dot])
        return Slope(p_dot, q_dot, y2, p2, interval_dot, times_dot)

    def _instant(self, start: Start, slope: Slope, tangent: TangentRun, j: int) -> tuple[Any, ...]:
        """(t, y, p, t_dot, y_dot, p_dot) at an instant."""
        n = self._n
        if j < 0:
            (t, t_dot), y, y_dot = self._end_pair(start, slope, tangent), tangent.end2[:n], tangent.end2[n:]
        else:
            row = slice(j * n, (j + 1) * n)
            t, t_dot, y, y_dot = start.times[j], slope.times_dot[j], tangent.values[row], tangent.values_dot[row]
        return t, y, start.p, t_dot, y_dot, slope.p_dot

    def _end_pair(self, start: Start, slope: Slope, tangent: TangentRun) -> tuple[Any, Any]:
        """The time at which the run ends, and its tangent."""
        return start.interval[1], slope.interval_dot[1]

    def push_sample(
        self, values: Sequence[Array], saved: Sequence[Array], tangents: Sequence[Array]
    ) -> tuple[Array, int]:
        if self._empty:
            return self._zeros(0), codes.SUCCESS
        start = self._start(values)
        run = self._integrate(start, int(saved[0]))
        slope = self._slope(start, tangents)
        return self._output_dot(start, slope, self._replay(start, run, slope)), codes.SUCCESS

    def _output_dot(self, start: Start, slope: Slope, tangent: TangentRun) -> Array:
        outputs = [np.zeros(shape, self._dtype) for shape in self._read_shapes]
        for j in range(self._m) if self._at else (-1,):
            flat = self._zeros(sum(self._out_sizes))
            self._functions["output_jvp"](*self._instant(start, slope, tangent, j), flat)
            self._scatter(outputs, j, flat)
        return np.concatenate([o.reshape(-1) for o in outputs])

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Array, list[Array | None], int]:
        if self._empty:
            return self._zeros(0), [None] * len(self.arguments), codes.SUCCESS
        n, f = self._n, self._functions
        start = self._start(values)
        run = self._integrate(start, int(saved[0]))
        slope = self._slope(start, directions)
        tangent = self._replay(start, run, slope)
        size = start.p.size
        p2_bar, y2_bar, end2_bar = self._zeros(2 * size), self._zeros(2 * n), self._zeros(2 * n)
        values_bar, values_dot_bar = self._zeros(self._m * n), self._zeros(self._m * n)
        interval_bar, interval_dot_bar = self._zeros(2), self._zeros(2)
        times_bar, times_dot_bar = self._zeros(self._m), self._zeros(self._m)
        for j in range(self._m) if self._at else (-1,):
            cot = self._cotangent_at(cotangent, j)
            if not cot.any():
                continue
            if j < 0:
                bars = (
                    interval_bar[1:],
                    end2_bar[:n],
                    p2_bar[:size],
                    interval_dot_bar[1:],
                    end2_bar[n:],
                    p2_bar[size:],
                )
            else:
                row = slice(j * n, (j + 1) * n)
                bars = (
                    times_bar[j : j + 1],
                    values_bar[row],
                    p2_bar[:size],
                    times_dot_bar[j : j + 1],
                    values_dot_bar[row],
                    p2_bar[size:],
                )
            f["output_jvp_vjp"](*self._instant(start, slope, tangent, j), cot, *bars)
        self._add_end(cotangent, end2_bar[n:], interval_dot_bar)
        found = self._transpose_replay(
            start, run, slope, tangent, values_bar, values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar,
            interval_dot_bar, times_bar, times_dot_bar,
        )  # fmt: skip
        self._ends_to_times(interval_bar, times_bar)
        self._ends_to_times(interval_dot_bar, times_dot_bar)
        p_bar, unused = p2_bar[:size].copy(), self._zeros(size)
        f["begin_vjp"](start.p, y2_bar[:n], interval_bar[:1], interval_bar[1:], p_bar)
        f["begin_jvp_vjp"](start.p, slope.p_dot, y2_bar[n:], interval_dot_bar[:1], interval_dot_bar[1:], p_bar, unused)
        q_bar = self._zeros(start.q.size)
        if self._at:
            f["at_vjp"](start.q, times_bar, q_bar)
            f["at_jvp_vjp"](start.q, slope.q_dot, times_dot_bar, q_bar, self._zeros(start.q.size))
        return self._output_dot(start, slope, tangent), self._grads(p_bar, q_bar), found

    def _rhs_tangent_vjp(
        self, t: Any, t_dot: Any, y2: Array, p2: Array, lam2: Array, t2_bar: Array, y2_bar: Array, p2_bar: Array
    ) -> None:
        self._functions["rhs_tangent_vjp"](t, t_dot, y2, p2, lam2, t2_bar[:1], t2_bar[1:], y2_bar, p2_bar)
