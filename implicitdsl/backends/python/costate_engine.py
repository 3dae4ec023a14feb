"""`ode` on the back end `python` with a gradient by the costate equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from implicitdsl.backends.adjoints import CONTINUOUS, no_second
from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Start
from implicitdsl.backends.python.sample_engine import Answer
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.costate import costate_functions
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem, derive
from implicitdsl.solvers.continuous_adjoint import backsolve_costate, sweep_costate
from implicitdsl.solvers.quadrature import gauss_rule
from implicitdsl.solvers.status import APPROXIMATE
from implicitdsl.solvers.stepping import ACCEPTED


class CostateEngine(OdeEngine):
    """dx/dt = f(t, x, p) by an explicit method, differentiated to tolerance by its costate."""

    def _choose_method(self, problem: OdeProblem) -> None:
        super()._choose_method(problem)
        found = costate_functions(derive(problem)["rhs"])
        self._functions |= {name: flat_function(simplified(f)) for name, f in found.items()}
        self._continuous = CONTINUOUS[self._settings.adjoint]
        self._nodes = self._continuous.nodes(self._settings.solver)
        self._gauss = gauss_rule(max(self._nodes, 1), self._dtype)

    def _spacing(self, rows: int) -> int:
        return 1

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        return replace(super().solve_sample(values), notes=APPROXIMATE)

    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        rows = [np.asarray(0)] if self._continuous.carried else saved
        return super().pull_sample(values, rows, cotangent)

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        s, t, f, real = self._settings, self._tableau, self._functions, self._dtype.type
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar = bars
        model = (f["rhs"], f["rhs_costate"], f["rhs_gradient"], self._n, start.y0, start.p, start.interval, self._m)
        method = (
            t.stages, t.degree, self._a, self._c, self._error, self._dense, self._control, real(s.rtol), real(s.atol),
            real(s.dt or 0.0), s.max_steps, run.values, run.y_end,
        )  # fmt: skip
        into = (values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar)
        if self._continuous.carried:
            accepted = run.statistics[ACCEPTED]
            return int(backsolve_costate(*model, start.times, *method, accepted, *into))
        return int(
            sweep_costate(
                *model, start.times, self._nodes, self._gauss, *method, run.grid, run.rows, run.states, *into
            )
        )  # fmt: skip

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Any, ...]:
        raise no_second(self._settings.adjoint)
