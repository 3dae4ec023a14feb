"""`ode` and `dae` with events on the back end `python`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.backends.python.sample_engine import Answer
from implicitdsl.backends.settings import Settings, highest_order
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.events import tables
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation, pattern_of
from implicitdsl.solvers import event_bdf_steps, event_esdirk_steps, event_steps, event_stiff_steps
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.event_rows import WIDTH
from implicitdsl.solvers.events import FIRED, STATISTICS, STOPPED, integrate_with_events
from implicitdsl.solvers.events_adjoint import pullback_with_events
from implicitdsl.solvers.events_tangent import replay_with_events
from implicitdsl.solvers.events_tangent_adjoint import replay_pullback_with_events
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
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
        self._width = WIDTH + self._modes + problem.algebraic

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

    def _choose_method(self, problem: OdeProblem) -> None:
        """Explicit or stiff: the functions of a step, and its numbers as the solvers take them."""
        name = self._settings.solver
        self._algebraic = problem.algebraic
        pattern = pattern_of(problem, "dense")
        self._mass, self._pattern = np.array(problem.mass, self._dtype), pattern.numbers
        if name not in ROSENBROCK and name not in ESDIRK and name != BDF.name:
            super()._choose_method(problem)
            t = self._tableau
            self._steps: Any = event_steps
            self._linear = "rhs"
            self._method = (t.stages, t.stages, t.degree, 0.0, self._a, self._a, self._c, self._c)
            return
        self._functions.update({n: flat_function(simplified(f)) for n, f in linearisation(problem, pattern).items()})
        self._linear = "linearise"
        tolerances = np.array((self._settings.rtol, self._settings.atol), self._dtype)
        if name == BDF.name:
            t, none = BDF.event_tables(self._dtype), self._zeros(1)
            self._steps = event_bdf_steps
            self._method = (BDF.degree - 1, 1, BDF.degree, 0.0, none, none, none, tolerances)
            self._error, self._dense = t["error"], t["dense"]
            self._control = self._settings.control(BDF, self._dtype)
            return
        if name in ESDIRK:
            esdirk = ESDIRK[name]
            t, drive = esdirk.event_tables(self._dtype), tolerances
            self._steps = event_esdirk_steps
            numbers = (esdirk.readers + 1, esdirk.last, esdirk.degree, esdirk.gamma)
            self._method = (*numbers, t["a"], t["couple"], t["c"], drive)
            self._error, self._dense = t["error"], t["dense"]
            self._control = self._settings.control(esdirk, self._dtype)
            return
        method = ROSENBROCK[name]
        t, s = method.tables(self._dtype), method.stages
        self._steps = event_stiff_steps
        self._method = (s, s + 1, method.degree, method.gamma, t["a"], t["couple"], t["c"], t["drive"])
        # `paired_error` reads a second estimate, which counts for nothing here.
        self._error, self._dense = np.concatenate([t["error"], self._zeros(s + 2)]), t["dense"]
        self._control = self._settings.control(method, self._dtype)

    def _sizes(self, start: Start) -> tuple[int, int, Array, Array, int, int, int, int]:
        """States, what the method asks of them, and the numbers of arguments, guards, modes and blocks."""
        return (
            self._n,
            self._algebraic,
            self._mass,
            self._pattern,
            start.p.size,
            self._guards,
            self._modes,
            self._blocks,
        )

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, real, run, steps = self._settings, self._dtype.type, self._new_run(rows), self._steps
        tables = self._tables
        rhs, linearise, guards, guards_rate, guards_vjp_y, modes, conditions = self._model(
            "rhs", self._linear, "guards", "guards_rate", "guards_vjp_y", "modes", "conditions"
        )
        run.status = int(
            self.runs(integrate_with_events)(
                rhs, linearise, steps.take_step, steps.slope_at_end, steps.slope_at_start, steps.mend,
                steps.room_size, steps.judge, steps.finish_step, guards, guards_rate, guards_vjp_y, modes,
                conditions, self._reset(), *self._sizes(start), tables.places, tables.steps, tables.strict,
                tables.steers, tables.stops, tables.touches, start.y0, self._full(start), start.interval, self._m,
                start.times, *self._method, self._error, self._dense, self._control,
                int(highest_order(s)), real(s.rtol), real(s.atol), real(s.dt or 0.0),
                s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows, run.states, rows,
            )
        )  # fmt: skip
        return run

    def _new_run(self, rows: int, every: int = 1) -> Run:
        n = self._n
        sizes = (self._m * n, n, STATISTICS, rows * self._width, rows * n)
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
        pm, steps = self._full(start), self._steps
        pm_bar = np.zeros_like(pm)
        end_time_bar = interval_bar[1].copy()
        interval_bar[1] = 0.0
        rhs, linearise, rhs_vjp, linearise_vjp, guards_vjp, guards_vjp_y = self._model(
            "rhs", self._linear, "rhs_vjp", f"{self._linear}_vjp", "guards_vjp", "guards_vjp_y"
        )
        found = self.runs(pullback_with_events)(
            rhs, linearise, steps.take_step, steps.transpose_step, steps.transpose_mend, steps.room_size,
            steps.window_size, steps.look_back, rhs_vjp, self._without("rhs_vjp_y"), linearise_vjp,
            self._without(f"{self._linear}_vjp_y"), guards_vjp, guards_vjp_y, self._reset("_vjp"), *self._sizes(start),
            pm, start.interval, self._m, start.times, *self._method, self._dense, run.grid, run.rows, run.states,
            run.statistics[LAST_TIME], run.statistics[STOPPED], values_bar, end_bar, end_time_bar, y0_bar, pm_bar,
            interval_bar, times_bar,
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
        tangent, linear = self._new_tangent_run(run), f"{self._linear}_tangent"
        rhs_tangent, linearise_tangent, guards_jvp, guards_rate = self._model(
            "rhs_tangent", linear, "guards_jvp", "guards_rate"
        )
        tangent.end_dot = self.runs(replay_with_events)(
            self._functions["rhs"], rhs_tangent, self._at_rest("rhs_tangent_y"), linearise_tangent,
            self._at_rest(f"{linear}_y"), self._functions[self._linear], self._steps.take_dual_step,
            self._steps.mend_dual, self._steps.room_size, self._steps.look_back_dual, guards_jvp, guards_rate,
            self._reset(), self._reset("_jvp"), *self._sizes(start), slope.y2, slope.p2, start.interval,
            slope.interval_dot, self._m, start.times, slope.times_dot, *self._method, self._dense, run.grid, run.rows,
            run.statistics[LAST_TIME], bool(run.statistics[STOPPED]), tangent.values, tangent.values_dot, tangent.end2,
            tangent.states2, tangent.dots,
        )  # fmt: skip
        return tangent

    def _end_pair(self, start: Start, slope: Slope, tangent: TangentRun) -> tuple[Any, Any]:
        assert isinstance(tangent, EventTangentRun)
        stopped = tangent.statistics[STOPPED]
        return (tangent.statistics[LAST_TIME] if stopped else start.interval[1]), tangent.end_dot

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        assert isinstance(tangent, EventTangentRun)
        values_bar, values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, dots_bar = bars
        first, full = start.p.size, start.p.size + self._modes
        end_bars = np.array([interval_bar[1], interval_dot_bar[1]], self._dtype)
        interval_bar[1] = interval_dot_bar[1] = 0.0
        pm2_bar = self._zeros(2 * full)
        linear, steps = f"{self._linear}_tangent", self._steps
        rhs_tangent, linearise_tangent, guards_vjp, guards_vjp_y, guards_jvp_vjp, guards_jvp_vjp_y = self._model(
            "rhs_tangent", linear, "guards_vjp", "guards_vjp_y", "guards_jvp_vjp", "guards_jvp_vjp_y"
        )
        found = self.runs(replay_pullback_with_events)(
            self._functions["rhs"], self._functions[self._linear], rhs_tangent, linearise_tangent, steps.take_dual_step,
            steps.transpose_dual_step, steps.transpose_mend_dual, steps.room_size, steps.window_size,
            steps.look_back_dual, self._apart("rhs_tangent_vjp"), self._without("rhs_tangent_vjp_y", 2),
            self._apart(f"{linear}_vjp"), self._without(f"{linear}_vjp_y", 2), guards_vjp, guards_vjp_y, guards_jvp_vjp,
            guards_jvp_vjp_y, self._reset("_vjp"), self._reset("_jvp_vjp"), *self._sizes(start), slope.p2,
            start.interval, self._m, start.times, slope.times_dot, *self._method, self._dense, run.grid, run.rows,
            run.statistics[LAST_TIME], bool(run.statistics[STOPPED]), tangent.states2, tangent.dots, values_bar,
            values_dot_bar, end2_bar, end_bars, y2_bar, pm2_bar, interval_bar, interval_dot_bar, times_bar, dots_bar,
        )  # fmt: skip
        p2_bar[:first] += pm2_bar[:first]
        p2_bar[first:] += pm2_bar[full : full + first]
        return int(found)

    # ------------------------------------------------------------ functions of the model as solvers ask for them

    def _without(self, name: str, times: int = 1) -> Any:
        """The derivative by time and state alone (`times` = 2: and their tangents), which leaves the last bar alone."""
        function = self._functions[name]

        def called(*rest: Any) -> None:
            *given, time_bar, state_bar, _ = rest
            function(*given, *(time_bar[i : i + 1] for i in range(times)), state_bar)

        return called

    def _apart(self, name: str) -> Any:
        """The function of the model, which has the bars of t and its tangent apart."""
        function = self._functions[name]

        def called(*rest: Any) -> None:
            *given, time_bar, state_bar, arguments_bar = rest
            function(*given, time_bar[:1], time_bar[1:], state_bar, arguments_bar)

        return called

    def _at_rest(self, name: str) -> Any:
        """The tangent with arguments at rest."""
        function = self._functions[name]

        def called(t: Any, t_dot: Any, y2: Array, pm2: Array, *out: Array) -> None:
            function(t, t_dot, y2, pm2[: len(pm2) // 2], *out)

        return called
