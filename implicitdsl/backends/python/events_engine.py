"""`ode` with events on the back end `python`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.backends.python.sample_engine import Answer
from implicitdsl.backends.settings import Settings
from implicitdsl.problems.events import tables
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.events import FIRED, STATISTICS, STOPPED, WIDTH, integrate_with_events
from implicitdsl.solvers.events_adjoint import pullback_with_events
from implicitdsl.solvers.events_tangent import replay_with_events
from implicitdsl.solvers.events_tangent_adjoint import replay_pullback_with_events
from implicitdsl.solvers.stepping import LAST_TIME


@dataclass
class EventTangentRun(TangentRun):
    """With the tangents of t and h of every row, and of the time at which the run ends."""

    dots: Array
    statistics: Array
    end_dot: Any = 0.0


class EventsEngine(OdeEngine):
    """dx/dt = f(t, x, p) with events: located jumps of f, resets of x, ends of the run."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        super().__init__(problem, settings, dtype)
        assert problem.events is not None
        self._tables = tables(problem.events, problem.states)
        self._blocks = len(problem.events.blocks)
        self._modes = len(self._tables.steers)
        self._guards = len(self._tables.places)

    def _full(self, start: Start) -> Array:
        """The flat arguments, and room for the modes."""
        return np.concatenate([start.p, self._zeros(self._modes)])

    def _model(self, *names: str) -> list[Any]:
        return [self._functions[name] for name in names]

    def _reset(self, suffix: str = "") -> Any:
        """The function of the blocks; None where there are none to call."""
        return self._functions.get(f"reset{suffix}")

    def _spacing(self, rows: int) -> int:
        """Tapes with events are never thinned."""
        return 1

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, t, n, real = self._settings, self._tableau, self._n, self._dtype.type
        run = self._new_run(rows)
        tables = self._tables
        model = self._model("rhs", "guards", "guards_rate", "guards_vjp_y", "modes", "conditions")
        rhs, guards, guards_rate, guards_vjp_y, modes, conditions = model
        run.status = int(
            integrate_with_events(
                rhs, guards, guards_rate, guards_vjp_y, modes, conditions, self._reset(), n, start.p.size, self._guards,
                self._modes, self._blocks, tables.places, tables.steps, tables.strict, tables.steers, tables.stops,
                tables.touches, start.y0, self._full(start), start.interval, self._m, start.times, t.stages, t.degree,
                self._a, self._c, self._error, self._dense, self._control, real(s.rtol), real(s.atol),
                real(s.dt or 0.0), s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows, run.states, rows,
            )
        )  # fmt: skip
        return run

    def _new_run(self, rows: int, every: int = 1) -> Run:
        n = self._n
        sizes = (self._m * n, n, STATISTICS, rows * (WIDTH + self._modes), rows * n)
        return Run(codes.SUCCESS, *(self._zeros(k) for k in sizes), every=1)

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        answer = super().solve_sample(values)
        if self._empty:
            answer.extras |= {"stopped": False, "fired": 0}
        return answer

    def _facts(self, run: Run) -> dict[str, Any]:
        return super()._facts(run) | {
            "stopped": bool(run.statistics[STOPPED]),
            "fired": int(run.statistics[FIRED]),
        }

    def _end(self, start: Start, run: Run) -> Any:
        return run.statistics[LAST_TIME] if run.statistics[STOPPED] else start.interval[1]

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar = bars
        t, pm = self._tableau, self._full(start)
        pm_bar = np.zeros_like(pm)
        end_time_bar = interval_bar[1].copy()
        interval_bar[1] = 0.0
        rhs, rhs_vjp, guards_vjp, guards_vjp_y = self._model("rhs", "rhs_vjp", "guards_vjp", "guards_vjp_y")
        found = pullback_with_events(
            rhs, rhs_vjp, self._rhs_vjp_y, guards_vjp, guards_vjp_y, self._reset("_vjp"), self._n, start.p.size,
            self._guards, self._modes, self._blocks, pm, start.interval, self._m, start.times, t.stages, t.degree,
            self._a, self._c, self._dense, run.grid, run.rows, run.states, run.statistics[LAST_TIME],
            run.statistics[STOPPED], values_bar, end_bar, end_time_bar, y0_bar, pm_bar, interval_bar, times_bar,
        )  # fmt: skip
        p_bar += pm_bar[: p_bar.size]
        return int(found)

    # ------------------------------------------------------------ second order

    def _slope(self, start: Start, directions: Sequence[Array]) -> Slope:
        slope = super()._slope(start, directions)
        still = self._zeros(self._modes)
        slope.p2 = np.concatenate([start.p, still, slope.p_dot, still])
        return slope

    def _new_tangent_run(self, run: Run) -> EventTangentRun:
        plain = super()._new_tangent_run(run)
        return EventTangentRun(
            plain.values, plain.values_dot, plain.end2, plain.states2, self._zeros(2 * run.rows), run.statistics
        )

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        t, tangent = self._tableau, self._new_tangent_run(run)
        rhs_tangent, guards_jvp, guards_rate = self._model("rhs_tangent", "guards_jvp", "guards_rate")
        tangent.end_dot = replay_with_events(
            rhs_tangent, self._rhs_tangent_y, guards_jvp, guards_rate, self._reset(), self._reset("_jvp"), self._n,
            start.p.size, self._guards, self._modes, self._blocks, slope.y2, slope.p2, start.interval,
            slope.interval_dot, self._m, start.times, slope.times_dot, t.stages, t.degree, self._a, self._c,
            self._dense, run.grid, run.rows, run.statistics[LAST_TIME], bool(run.statistics[STOPPED]), tangent.values,
            tangent.values_dot, tangent.end2, tangent.states2, tangent.dots,
        )  # fmt: skip
        return tangent

    def _end_pair(self, start: Start, slope: Slope, tangent: TangentRun) -> tuple[Any, Any]:
        assert isinstance(tangent, EventTangentRun)
        stopped = tangent.statistics[STOPPED]
        return (tangent.statistics[LAST_TIME] if stopped else start.interval[1]), tangent.end_dot

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        assert isinstance(tangent, EventTangentRun)
        values_bar, values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, dots_bar = bars
        t, first, full = self._tableau, start.p.size, start.p.size + self._modes
        end_bars = np.array([interval_bar[1], interval_dot_bar[1]], self._dtype)
        interval_bar[1] = interval_dot_bar[1] = 0.0
        pm2_bar = self._zeros(2 * full)
        model = self._model("rhs_tangent", "guards_vjp", "guards_vjp_y", "guards_jvp_vjp", "guards_jvp_vjp_y")
        rhs_tangent, guards_vjp, guards_vjp_y, guards_jvp_vjp, guards_jvp_vjp_y = model
        found = replay_pullback_with_events(
            rhs_tangent, self._rhs_tangent_vjp, self._rhs_tangent_vjp_y, guards_vjp, guards_vjp_y, guards_jvp_vjp,
            guards_jvp_vjp_y, self._reset("_vjp"), self._reset("_jvp_vjp"), self._n, first, self._guards, self._modes,
            self._blocks, slope.p2, start.interval, self._m, start.times, slope.times_dot, t.stages, t.degree, self._a,
            self._c, self._dense, run.grid, run.rows, run.statistics[LAST_TIME], bool(run.statistics[STOPPED]),
            tangent.states2, tangent.dots, values_bar, values_dot_bar, end2_bar, end_bars, y2_bar, pm2_bar,
            interval_bar, interval_dot_bar, times_bar, dots_bar,
        )  # fmt: skip
        p2_bar[:first] += pm2_bar[:first]
        p2_bar[first:] += pm2_bar[full : full + first]
        return int(found)

    # ------------------------------------------------------------ by time and state alone

    def _rhs_vjp_y(
        self, t: Any, y: Array, pm: Array, lam: Array, t_bar: Array, y_bar: Array, pm_bar: Array
    ) -> None:  # fmt: skip
        self._functions["rhs_vjp_y"](t, y, pm, lam, t_bar, y_bar)

    def _rhs_tangent_y(self, t: Any, t_dot: Any, y2: Array, pm2: Array, out2: Array) -> None:
        self._functions["rhs_tangent_y"](t, t_dot, y2, pm2[: pm2.size // 2], out2)

    def _rhs_tangent_vjp_y(
        self, t: Any, t_dot: Any, y2: Array, pm2: Array, lam2: Array, t2_bar: Array, y2_bar: Array, pm2_bar: Array
    ) -> None:
        self._functions["rhs_tangent_vjp_y"](t, t_dot, y2, pm2, lam2, t2_bar[:1], t2_bar[1:], y2_bar)
