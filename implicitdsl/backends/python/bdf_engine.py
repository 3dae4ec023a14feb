"""`ode` and `dae` by backward differentiation formulas on the back end `python`, and the exact derivative of the
computed map."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import Run, Slope, Start, TangentRun
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.backends.settings import highest_order, matrix_choice
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation, pattern_of
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.bdf import BDF, integrate
from implicitdsl.solvers.bdf_adjoint import pullback
from implicitdsl.solvers.bdf_tangent import tangent_replay
from implicitdsl.solvers.bdf_tangent_adjoint import tangent_pullback


class BdfEngine(StiffEngine):
    """dx/dt = f(t, x, p) by a method of many steps and variable order; its tape is not thinned."""

    def _choose_method(self, problem: OdeProblem) -> None:
        pattern = pattern_of(problem, matrix_choice(self._settings))
        functions = linearisation(problem, pattern)
        self._functions |= {name: flat_function(simplified(f)) for name, f in functions.items()}
        self.step_matrix = pattern.about
        self._mass = np.array(problem.mass, self._dtype)
        self._pattern = pattern.numbers
        self._algebraic = problem.algebraic
        self._control = self._settings.control(BDF, self._dtype)
        self._highest = int(highest_order(self._settings))
        self._dense = BDF.tables(self._dtype)["dense"]

    @property
    def _tolerances(self) -> tuple[Any, Any]:
        real = self._dtype.type
        return real(self._settings.rtol), real(self._settings.atol)

    def _spacing(self, rows: int) -> int:
        """A row made again would need the points before it: every row is kept."""
        return 1

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, f = self._settings, self._functions
        if start.status != codes.SUCCESS:
            return self._not_begun(start)
        run = self._new_run(rows, every)
        run.status = int(
            self.runs(integrate)(
                f["rhs"], f["linearise"], self._n, self._mass, self._pattern, start.y0, start.p, start.interval,
                self._m, start.times, self._highest, self._dense, self._control, *self._tolerances,
                self._dtype.type(s.dt or 0.0), s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows,
                run.states, rows,
            )
        )  # fmt: skip
        return run

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        f = self._functions
        self.runs(pullback)(
            f["rhs"], f["linearise"], f["rhs_vjp"], self._n, self._mass, self._pattern, start.p, start.interval,
            self._m, start.times, self._dense, *self._tolerances, run.grid, run.rows, run.states, *bars,
        )  # fmt: skip
        self._transpose_start(start, *bars)
        return codes.SUCCESS

    def _replay(self, start: Start, run: Run, slope: Slope) -> TangentRun:
        f, tangent = self._functions, self._new_tangent_run(run)
        self.runs(tangent_replay)(
            f["rhs"], f["linearise"], f["rhs_tangent"], self._n, self._mass, self._pattern, slope.y2, slope.p2,
            start.interval, slope.interval_dot, self._m, start.times, slope.times_dot, self._dense, *self._tolerances,
            run.grid, run.rows, tangent.values, tangent.values_dot, tangent.end2, tangent.states2,
        )  # fmt: skip
        return tangent

    def _transpose_replay(self, start: Start, run: Run, slope: Slope, tangent: TangentRun, *bars: Array) -> int:
        f = self._functions
        self.runs(tangent_pullback)(
            f["rhs"], f["linearise"], f["rhs_tangent"], self._rhs_tangent_vjp, self._n, self._mass, self._pattern,
            slope.p2, start.interval, slope.interval_dot, self._m, start.times, slope.times_dot, self._dense,
            *self._tolerances, run.grid, run.rows, tangent.states2, *bars,
        )  # fmt: skip
        self._transpose_start_tangent(start, slope, *bars)
        return codes.SUCCESS
