"""`ode` and `dae` by Rosenbrock–Wanner steps on the back end `python`, and the exact derivative of the computed map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.backends.settings import matrix_choice
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation, pattern_of
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.consistent_start import (
    consistent_start,
    start_pullback,
    start_tangent,
    start_tangent_pullback,
)
from implicitdsl.solvers.dense_output import times_in_order
from implicitdsl.solvers.rosenbrock import integrate
from implicitdsl.solvers.rosenbrock_adjoint import pullback
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
from implicitdsl.solvers.rosenbrock_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.rosenbrock_thinned import pullback_thinned
from implicitdsl.solvers.stepping import LAST_TIME


class StiffEngine(OdeEngine):
    """dx/dt = f(t, x, p) by a method that solves with the Jacobian of f in every step."""

    def _choose_method(self, problem: OdeProblem) -> None:
        method = ROSENBROCK[self._settings.solver]
        pattern = pattern_of(problem, matrix_choice(self._settings))
        functions = linearisation(problem, pattern)
        self._functions |= {name: flat_function(simplified(f)) for name, f in functions.items()}
        self.step_matrix = pattern.about
        self._mass = np.array(problem.mass, self._dtype)
        self._pattern = pattern.numbers
        self._algebraic = problem.algebraic
        self._table = method.tables(self._dtype)
        self._control = self._settings.control(method, self._dtype)
        t = self._table
        self._method = (method.stages, method.degree, method.gamma, t["a"], t["couple"], t["c"], t["drive"])

    def _start(self, values: Sequence[Array]) -> Start:
        start, f = super()._start(values), self._functions
        if self._algebraic:
            atol = self._dtype.type(self._settings.atol)
            found = self.runs(consistent_start)(
                f["rhs"],
                f["linearise"],
                self._n,
                self._algebraic,
                self._mass,
                self._pattern,
                start.interval[0],
                start.y0,
                start.p,
                atol,
            )
            start.status = int(found)
        return start

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, f, t = self._settings, self._functions, self._table
        if start.status != codes.SUCCESS:
            return self._not_begun(start)
        run, real = self._new_run(rows, every), self._dtype.type
        run.status = int(
            self.runs(integrate)(
                f["rhs"], f["linearise"], self._n, self._mass, self._pattern, start.y0, start.p, start.interval,
                self._m, start.times, *self._method, t["error"], t["dense"], self._control, real(s.rtol),
                real(s.atol), real(s.dt or 0.0), self._limit(start), run.values, run.y_end, run.statistics, run.grid,
                rows, run.states, rows, run.every,
            )
        )  # fmt: skip
        return run

    def _limit(self, start: Start) -> int:
        """The steps that a run may take."""
        return self._settings.max_steps

    def _not_begun(self, start: Start) -> Run:
        """The run of a sample without a consistent start: its values are NaN, its end is where it stands."""
        run = self._new_run(0)
        good = times_in_order(start.interval, self._m, start.times)
        run.status = start.status if good else codes.BAD_TIMES
        run.values[:], run.y_end[:] = np.nan, start.y0
        run.statistics[LAST_TIME] = start.interval[0]
        return run

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        f = self._functions
        common = (
            f["rhs"], f["linearise"], f["rhs_vjp"], f["linearise_vjp"], self._n, self._mass, self._pattern, start.p,
            start.interval, self._m, start.times, *self._method, self._table["dense"], run.grid, run.rows, run.states,
        )  # fmt: skip
        if run.every > 1:
            self.runs(pullback_thinned)(*common, run.every, *self._segment(run), *bars)
        else:
            self.runs(pullback)(*common, *bars)
        self._transpose_start(start, *bars)
        return codes.SUCCESS

    def _transpose_start(self, start: Start, *bars: Array) -> None:
        """The transpose of making the start consistent; `bars` as those of `_transpose`."""
        if self._algebraic:
            _, _, y0_bar, p_bar, interval_bar, _ = bars
            f = self._functions
            self.runs(start_pullback)(
                f["rhs_vjp"], f["linearise"], self._n, self._algebraic, self._mass, self._pattern,
                start.interval[0], start.y0, start.p, y0_bar,
                interval_bar[:1], p_bar,
            )  # fmt: skip

    def _slope(self, start: Start, directions: Sequence[Array]) -> Slope:
        slope, f = super()._slope(start, directions), self._functions
        if self._algebraic:
            self.runs(start_tangent)(
                f["rhs_tangent"], f["linearise"], self._n, self._algebraic, self._mass, self._pattern,
                start.interval[0], slope.interval_dot[0],
                slope.y2, slope.p2,
            )  # fmt: skip
        return slope

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        f, tangent = self._functions, self._new_tangent_run(run)
        self.runs(tangent_replay)(
            f["rhs_tangent"], f["linearise_tangent"], self._n, self._mass, self._pattern, slope.y2, slope.p2,
            start.interval, slope.interval_dot, self._m, start.times, slope.times_dot, *self._method,
            self._table["dense"], run.grid, run.rows, tangent.values, tangent.values_dot, tangent.end2,
            tangent.states2,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        f = self._functions
        self.runs(tangent_pullback)(
            f["rhs_tangent"], f["linearise_tangent"], self._rhs_tangent_vjp, self._linearise_tangent_vjp, self._n,
            self._mass, self._pattern, slope.p2, start.interval, slope.interval_dot, self._m, start.times,
            slope.times_dot, *self._method, self._table["dense"], run.grid, run.rows, tangent.states2, *bars,
        )  # fmt: skip
        self._transpose_start_tangent(start, slope, *bars)
        return codes.SUCCESS

    def _transpose_start_tangent(self, start: Start, slope: Slope, *bars: Array) -> None:
        """The transpose of the tangent of the start; `bars` as those of `_transpose_replay`."""
        if self._algebraic:
            _, _, _, y2_bar, p2_bar, interval_bar, interval_dot_bar, _, _ = bars
            t2_bar = self._zeros(2)
            self.runs(start_tangent_pullback)(
                self._rhs_tangent_vjp, self._functions["linearise_tangent"], self._n, self._algebraic, self._mass,
                self._pattern, start.interval,
                slope.interval_dot, slope.y2, slope.p2, y2_bar, t2_bar, p2_bar,
            )  # fmt: skip
            interval_bar[0] += t2_bar[0]
            interval_dot_bar[0] += t2_bar[1]

    def _linearise_tangent_vjp(self, t: Any, t_dot: Any, *rest: Array) -> None:
        """The function of the model, which has t_bar and t_dot_bar apart."""
        y2, p2, matrix2_cot, drift2_cot, t2_bar, y2_bar, p2_bar = rest
        self._functions["linearise_tangent_vjp"](
            t, t_dot, y2, p2, matrix2_cot, drift2_cot, t2_bar[:1], t2_bar[1:], y2_bar, p2_bar
        )
