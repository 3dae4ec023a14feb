"""`ode` and `dae` by ESDIRK steps on the back end `python`, and the exact derivative of the computed map."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import Run, Slope, Start, TangentRun
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.backends.settings import matrix_choice
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation, pattern_of
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.esdirk import integrate
from implicitdsl.solvers.esdirk_adjoint import pullback
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.esdirk_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.esdirk_thinned import pullback_thinned


class EsdirkEngine(StiffEngine):
    """dx/dt = f(t, x, p) by a method whose stages are solved one after the other."""

    def _choose_method(self, problem: OdeProblem) -> None:
        method = ESDIRK[self._settings.solver]
        pattern = pattern_of(problem, matrix_choice(self._settings))
        functions = linearisation(problem, pattern)
        self._functions |= {name: flat_function(simplified(f)) for name, f in functions.items()}
        self.step_matrix = pattern.about
        self._mass = np.array(problem.mass, self._dtype)
        self._pattern = pattern.numbers
        self._algebraic = problem.algebraic
        self._control = self._settings.control(method, self._dtype)
        t = method.tables(self._dtype)
        self._numbers = (
            method.last, method.readers, method.degree, method.gamma, t["couple"], t["predict"], t["c"], t["dense"],
        )  # fmt: skip

    @property
    def _tolerances(self) -> tuple[Any, Any]:
        real = self._dtype.type
        return real(self._settings.rtol), real(self._settings.atol)

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, f = self._settings, self._functions
        if start.status != codes.SUCCESS:
            return self._not_begun(start)
        run = self._new_run(rows, every)
        run.status = int(
            self.runs(integrate)(
                f["rhs"], f["linearise"], self._n, self._mass, self._pattern, start.y0, start.p, start.interval,
                self._m, start.times, *self._numbers, self._control, *self._tolerances, self._dtype.type(s.dt or 0.0),
                s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows, run.states, rows,
                run.every,
            )
        )  # fmt: skip
        return run

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        f = self._functions
        common = (
            f["rhs"], f["linearise"], f["rhs_vjp"], self._n, self._mass, self._pattern, start.p, start.interval,
            self._m, start.times, *self._numbers, *self._tolerances, run.grid, run.rows, run.states,
        )  # fmt: skip
        if run.every > 1:
            self.runs(pullback_thinned)(*common, run.every, *self._segment(run), *bars)
        else:
            self.runs(pullback)(*common, *bars)
        self._transpose_start(start, *bars)
        return codes.SUCCESS

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        f, tangent = self._functions, self._new_tangent_run(run)
        self.runs(tangent_replay)(
            f["rhs"], f["linearise"], f["rhs_tangent"], self._n, self._mass, self._pattern, slope.y2, slope.p2,
            start.interval, slope.interval_dot, self._m, start.times, slope.times_dot, *self._numbers,
            *self._tolerances, run.grid, run.rows, tangent.values, tangent.values_dot, tangent.end2, tangent.states2,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        f = self._functions
        self.runs(tangent_pullback)(
            f["rhs"], f["linearise"], f["rhs_tangent"], self._rhs_tangent_vjp, self._n, self._mass, self._pattern,
            slope.p2, start.interval, slope.interval_dot, self._m, start.times, slope.times_dot, *self._numbers,
            *self._tolerances, run.grid, run.rows, tangent.states2, *bars,
        )  # fmt: skip
        self._transpose_start_tangent(start, slope, *bars)
        return codes.SUCCESS
