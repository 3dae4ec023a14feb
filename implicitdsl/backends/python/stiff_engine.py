"""`ode` by an implicit method on the back end `python`: Rosenbrock–Wanner steps and the exact derivative of the map."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation
from implicitdsl.solvers.rosenbrock import integrate
from implicitdsl.solvers.rosenbrock_adjoint import pullback
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
from implicitdsl.solvers.rosenbrock_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.status import SUCCESS
from implicitdsl.solvers.step_control import PI_CONTROLLER


class StiffEngine(OdeEngine):
    """dx/dt = f(t, x, p) by a method that solves with the Jacobian of f in every step."""

    def _choose_method(self, problem: OdeProblem) -> None:
        method = ROSENBROCK[self._settings.solver]
        self._functions |= {name: flat_function(simplified(f)) for name, f in linearisation(problem).items()}
        self._mass = np.ones(self._n, self._dtype)
        self._table = method.tables(self._dtype)
        self._control = PI_CONTROLLER.array(method, self._dtype)
        t = self._table
        self._method = (method.stages, method.degree, method.gamma, t["a"], t["couple"], t["c"], t["drive"])

    def _integrate(self, start: Start, rows: int) -> Run:
        s, f, t = self._settings, self._functions, self._table
        run, real = self._new_run(rows), self._dtype.type
        run.status = int(
            integrate(
                f["rhs"], f["linearise"], self._n, self._mass, start.y0, start.p, start.interval, self._m, start.times,
                *self._method, t["error"], t["dense"], self._control, real(s.rtol), real(s.atol), real(s.dt or 0.0),
                s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows, run.states, rows,
            )
        )  # fmt: skip
        return run

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        f = self._functions
        pullback(
            f["rhs"], f["linearise"], f["rhs_vjp"], f["linearise_vjp"], self._n, self._mass, start.p, start.interval,
            self._m, start.times, *self._method, self._table["dense"], run.grid, run.rows, run.states, *bars,
        )  # fmt: skip
        return SUCCESS

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        f, tangent = self._functions, self._new_tangent_run(run)
        tangent_replay(
            f["rhs_tangent"], f["linearise_tangent"], self._n, self._mass, slope.y2, slope.p2, start.interval,
            slope.interval_dot, self._m, start.times, slope.times_dot, *self._method, self._table["dense"], run.grid,
            run.rows, tangent.values, tangent.values_dot, tangent.end2, tangent.states2,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> None:
        f = self._functions
        tangent_pullback(
            f["rhs_tangent"], f["linearise_tangent"], self._rhs_tangent_vjp, self._linearise_tangent_vjp, self._n,
            self._mass, slope.p2, start.interval, slope.interval_dot, self._m, start.times, slope.times_dot,
            *self._method, self._table["dense"], run.grid, run.rows, tangent.states2, *bars,
        )  # fmt: skip

    def _linearise_tangent_vjp(self, t: Any, t_dot: Any, *rest: Array) -> None:
        """The function of the model, which has t_bar and t_dot_bar apart."""
        y2, p2, matrix2_cot, drift2_cot, t2_bar, y2_bar, p2_bar = rest
        self._functions["linearise_tangent_vjp"](
            t, t_dot, y2, p2, matrix2_cot, drift2_cot, t2_bar[:1], t2_bar[1:], y2_bar, p2_bar
        )
