"""`ode` with delays on the back end `python`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.backends.settings import Settings
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.delay_breaks import break_counts
from implicitdsl.solvers.delays import WIDTH, integrate_with_delays
from implicitdsl.solvers.delays_adjoint import pullback_with_delays
from implicitdsl.solvers.delays_tangent import tangent_replay_with_delays
from implicitdsl.solvers.delays_tangent_adjoint import tangent_pullback_with_delays
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.tableau import TABLEAUS

FIRST_ROOM = 256
"""Rows of a tape before a run has told how many it needs."""


@dataclass
class DelayedRun(Run):
    """With the lags of the run."""

    lags: Array = field(default_factory=lambda: np.zeros(0))


@dataclass
class DelayedTangentRun(TangentRun):
    """`states2` are the tangents of the tape; `dots` those of t and h of every row."""

    dots: Array
    lags_dot: Array


class DelayEngine(OdeEngine):
    """dx/dt = f(t, x, x(t - lag), p), whose tape is its past."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        assert problem.delays is not None
        self._count = len(problem.delays.lags)
        self._room = FIRST_ROOM
        super().__init__(problem, settings, dtype)

    def _choose_method(self, problem: OdeProblem) -> None:
        tableau = TABLEAUS[self._settings.solver].eager
        self._tableau = tableau
        self._a, self._c, self._error, self._dense = tableau.arrays(self._dtype)
        self._control = self._settings.control(tableau, self._dtype)
        self._breaks = break_counts(self._count, tableau.order, self._dtype)
        self._break_points = self._breaks.size // self._count

    def _spacing(self, rows: int) -> int:
        """A tape that is the past is never thinned."""
        return 1

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        """A run with its tape, which grows until the run fits."""
        room = max(rows, self._room)
        run = self._try(start, room)
        while run.rows > room:
            room *= 2
            run = self._try(start, room)
        self._room = max(self._room, min(room, 1 << 14))
        return run

    def _try(self, start: Start, room: int) -> DelayedRun:
        s, t, n, real, f = self._settings, self._tableau, self._n, self._dtype.type, self._functions
        sizes = (self._m * n, n, STATISTICS, room * (WIDTH + self._count), room * n * (t.degree + 1))
        run = DelayedRun(codes.SUCCESS, *(self._zeros(k) for k in sizes), every=1, lags=self._zeros(self._count))
        self._functions["lags"](start.p, run.lags)
        run.status = int(
            self.runs(integrate_with_delays)(
                f["rhs"], f["history"], n, self._count, run.lags, self._break_points, self._breaks, start.y0,
                start.p, start.interval, self._m, start.times, t.stages, t.degree, self._a, self._c, self._error,
                self._dense, self._control, real(s.rtol), real(s.atol), real(s.dt or 0.0), s.max_steps, run.values,
                run.y_end, run.statistics, run.grid, run.states, room,
            )
        )  # fmt: skip
        return run

    def _room_of(self, made: int) -> Array:
        """Room for so many rows of the tape."""
        return self._zeros(made * self._n * (self._tableau.degree + 1))

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        assert isinstance(run, DelayedRun)
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar = bars
        t, made, f = self._tableau, run.rows, self._functions
        lags_bar = self._zeros(self._count)
        self.runs(pullback_with_delays)(
            f["rhs"], f["rhs_vjp"], f["history"], f["history_vjp"], self._n, self._count, run.lags,
            self._break_points, self._breaks, start.p, start.interval, self._m, start.times, t.stages, t.degree,
            self._a, self._c, self._dense, run.grid, run.states, made, self._room_of(made), self._zeros(2 * made),
            values_bar, end_bar, y0_bar, lags_bar, p_bar, interval_bar, times_bar,
        )  # fmt: skip
        f["lags_vjp"](start.p, lags_bar, p_bar)
        return codes.SUCCESS

    # ------------------------------------------------------------ second order

    def _replay(self, start: Start, run: Run, slope: Slope) -> DelayedTangentRun:
        assert isinstance(run, DelayedRun)
        t, n, made, values, f = self._tableau, self._n, run.rows, self._m * self._n, self._functions
        tangent = DelayedTangentRun(
            self._zeros(values), self._zeros(values), self._zeros(2 * n), self._room_of(made), self._zeros(2 * made),
            self._zeros(self._count),
        )  # fmt: skip
        f["lags_jvp"](start.p, slope.p_dot, tangent.lags_dot)
        self.runs(tangent_replay_with_delays)(
            f["rhs_tangent"], f["history"], f["history_jvp"], n, self._count, run.lags, tangent.lags_dot,
            self._break_points, self._breaks, slope.y2, slope.p2, start.p.size, start.interval, slope.interval_dot,
            self._m, start.times, slope.times_dot, t.stages, t.degree, self._a, self._c, self._dense, run.grid,
            run.states, made, tangent.values, tangent.values_dot, tangent.end2, tangent.states2, tangent.dots,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        assert isinstance(run, DelayedRun)
        assert isinstance(tangent, DelayedTangentRun)
        values_bar, values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, dots_bar = bars
        t, made, size, f = self._tableau, run.rows, start.p.size, self._functions
        lags_bar, lags_dot_bar = self._zeros(self._count), self._zeros(self._count)
        self.runs(tangent_pullback_with_delays)(
            f["rhs_tangent"], self._rhs_tangent_vjp, f["history"], f["history_vjp"], f["history_jvp"],
            f["history_jvp_vjp"], self._n, self._count, run.lags,
            tangent.lags_dot, self._break_points, self._breaks, slope.p2, size, size, start.interval, self._m,
            start.times, slope.times_dot, t.stages, t.degree, self._a, self._c, self._dense, run.grid, run.states, made,
            tangent.states2, tangent.dots, self._room_of(made), self._room_of(made), self._zeros(2 * made),
            self._zeros(2 * made), values_bar, values_dot_bar, end2_bar, y2_bar, lags_bar, lags_dot_bar, p2_bar,
            interval_bar, interval_dot_bar, times_bar, dots_bar,
        )  # fmt: skip
        f["lags_vjp"](start.p, lags_bar, p2_bar[:size])
        f["lags_jvp_vjp"](start.p, slope.p_dot, lags_dot_bar, p2_bar[:size], self._zeros(size))
        return codes.SUCCESS
