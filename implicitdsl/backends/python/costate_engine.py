"""`ode` on the back end `python` with a gradient by the costate equation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from implicitdsl.backends.adjoints import CONTINUOUS, COSTATE_METHOD, no_second
from implicitdsl.backends.auto import AUTO
from implicitdsl.backends.engine import Array, Engine
from implicitdsl.backends.python.auto_engine import AutoEngine, RestEngine, WatchedEngine
from implicitdsl.backends.python.bdf_engine import BdfEngine
from implicitdsl.backends.python.esdirk_engine import EsdirkEngine
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Start
from implicitdsl.backends.python.sample_engine import Answer
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems.costate import costate_functions, costate_rate
from implicitdsl.problems.derived import simplified
from implicitdsl.problems.ode import OdeProblem, derive
from implicitdsl.solvers import bdf_row, esdirk_row, explicit_rk_row, rosenbrock_row
from implicitdsl.solvers.bdf import BDF, LAST
from implicitdsl.solvers.bdf_history import HIGHEST
from implicitdsl.solvers.consistent_start import algebraic_slope, transpose_consistent
from implicitdsl.solvers.continuous_adjoint import backsolve_costate, sweep_costate
from implicitdsl.solvers.costate import integrate_costate
from implicitdsl.solvers.costate_stiff import integrate_stiff_costate
from implicitdsl.solvers.dense_output import step_slope
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
from implicitdsl.solvers.status import APPROXIMATE
from implicitdsl.solvers.stepping import ACCEPTED

Model = Callable[..., None]


class ByCostate(OdeEngine):
    """What an engine of one method has in place of the derivative of its steps: a gradient to tolerance by its
    costate."""

    final: float = 2.0
    """The smallest flag of a step that ends at t1."""

    def _choose_method(self, problem: OdeProblem) -> None:
        super()._choose_method(problem)
        rhs = derive(problem)["rhs"]
        found = {**costate_functions(rhs), "rhs_costate_rate": costate_rate(rhs)}
        self._functions |= {name: flat_function(simplified(f)) for name, f in found.items()}
        self._continuous = CONTINUOUS[self._settings.adjoint]
        self._rule = self._continuous.rule(self._settings.solver, self._dtype)

    def _spacing(self, rows: int) -> int:
        return 1

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        return replace(super().solve_sample(values), notes=APPROXIMATE)

    @property
    def _limits(self) -> tuple[Any, Any, Any, int]:
        s, real = self._settings, self._dtype.type
        return real(s.rtol), real(s.atol), real(s.dt or 0.0), s.max_steps

    @abstractmethod
    def _polynomial(self) -> tuple[int, int, Array]:
        """(s, degree, dense) of the steps of the run."""

    @abstractmethod
    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        """See `sweep_costate`."""

    @abstractmethod
    def _advance(self, p: Array, unit: Any, *rest: Any) -> Any:
        """See `sweep_costate`."""

    @abstractmethod
    def _slope_at(self, p: Array, t: Any, value: Array, sigma: Any, h: Any, k: Array, out: Array) -> None:
        """See `sweep_costate`."""

    def _through_equations(self, live: Any, t: Any, y: Array, p: Array, bar: Array, t_bar: Array, p_bar: Array) -> None:
        """See `sweep_costate`."""

    def _costate_control(self) -> Array:
        return self._control

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        dt = self._dtype.type(self._settings.dt or 0.0)
        stages, _, _ = self._polynomial()
        return int(
            self.runs(sweep_costate)(
                self._remake, self._advance, self._slope_at, self._through_equations, self._functions["rhs"], self._n,
                start.y0, start.p, start.interval, self._m, start.times, (stages + 1) * self._n, self.final,
                self._costate_control(), dt, run.values, run.y_end, run.grid, run.rows, run.states, *bars,
            )
        )  # fmt: skip

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Any, ...]:
        raise no_second(self._settings.adjoint)


class CostateEngine(ByCostate):
    """An explicit method, which runs the costate too."""

    def _polynomial(self) -> tuple[int, int, Array]:
        return self._tableau.stages, self._tableau.degree, self._dense

    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        return self.runs(explicit_rk_row.remake_step)(
            self._functions["rhs"], self._n, p, self._tableau.stages, self._a, self._c, t_hi, t_lo, h, end_hi, live,
            row, states, k,
        )  # fmt: skip

    @property
    def _own(self) -> tuple[int, int, Array, Array, Array, Array, Array]:
        t = self._tableau
        return (t.stages, t.degree, self._a, self._c, self._error, self._dense, self._control)

    @property
    def _costate_model(self) -> tuple[Model, Model, Model, int]:
        f = self._functions
        return (f["rhs"], f["rhs_costate"], f["rhs_gradient"], self._n)

    def _advance(self, p: Array, unit: Any, *rest: Any) -> Any:
        rtol, atol, dt, max_steps = self._limits
        return self.runs(integrate_costate)(
            *self._costate_model,
            p,
            0,
            self._rule.size // 2,
            self._rule,
            *self._own,
            rtol,
            atol,
            unit,
            dt,
            max_steps,
            *rest,
        )

    def _slope_at(self, p: Array, t: Any, value: Array, sigma: Any, h: Any, k: Array, out: Array) -> None:
        self._functions["rhs"](t, value, p, out)

    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        rows = [np.asarray(0)] if self._continuous.carried else saved
        return super().pull_sample(values, rows, cotangent)

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        if not self._continuous.carried:
            return super()._transpose(start, run, *bars)
        return int(
            self.runs(backsolve_costate)(
                *self._costate_model, start.y0, start.p, start.interval, self._m, start.times, *self._own,
                *self._limits, run.values, run.y_end, run.statistics[ACCEPTED], *bars,
            )
        )  # fmt: skip


class StiffByCostate(ByCostate):
    """A method that solves with the Jacobian: its costate is run by transposed steps, of one method for all."""

    _mass: Array
    _pattern: Array
    _algebraic: int

    def _choose_method(self, problem: OdeProblem) -> None:
        super()._choose_method(problem)
        t = COSTATE_METHOD.tables(self._dtype)
        tables = (t["a"], t["couple"], t["c"], t["drive"], t["error"], t["dense"])
        self._backwards = (COSTATE_METHOD.stages, COSTATE_METHOD.degree, COSTATE_METHOD.gamma, *tables)

    def _costate_control(self) -> Array:
        return self._settings.control(COSTATE_METHOD, self._dtype)

    def _advance(self, p: Array, unit: Any, *rest: Any) -> Any:
        f, (rtol, atol, dt, max_steps) = self._functions, self._limits
        return self.runs(integrate_stiff_costate)(
            f["linearise"], f["rhs_costate"], f["rhs_costate_rate"], f["rhs_gradient"], self._n, self._algebraic,
            self._mass, self._pattern, p, *self._polynomial(), self._rule.size // 2, self._rule, *self._backwards,
            self._costate_control(), rtol, atol, unit, dt, max_steps, *rest,
        )  # fmt: skip

    def _slope_at(self, p: Array, t: Any, value: Array, sigma: Any, h: Any, k: Array, out: Array) -> None:
        self.runs(step_slope)(self._n, *self._polynomial(), sigma, h, k, out)
        if self._algebraic:
            self.runs(algebraic_slope)(
                self._functions["linearise"], self._n, self._algebraic, self._mass, self._pattern, t, value, p, out
            )

    def _through_equations(self, live: Any, t: Any, y: Array, p: Array, bar: Array, t_bar: Array, p_bar: Array) -> None:
        if self._algebraic:
            self.runs(transpose_consistent)(
                live, self._functions["rhs_vjp"], self._functions["linearise"], self._n, self._algebraic, self._mass,
                self._pattern, t, y, p, bar, t_bar, p_bar,
            )  # fmt: skip

    @property
    def _stiff_model(self) -> tuple[Model, Model, int, Array, Array]:
        f = self._functions
        return (f["rhs"], f["linearise"], self._n, self._mass, self._pattern)


class RosenbrockCostateEngine(StiffByCostate, StiffEngine):
    """Rosenbrock–Wanner steps."""

    def _polynomial(self) -> tuple[int, int, Array]:
        stages, degree, _, _, _, _, _ = self._method
        return stages, degree, self._table["dense"]

    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        stages, _, gamma, a, couple, c, drive = self._method
        return self.runs(rosenbrock_row.remake_step)(
            *self._stiff_model, p, stages, gamma, a, couple, c, drive, t_hi, t_lo, h, end_hi, live, row, states, k
        )


class EsdirkCostateEngine(StiffByCostate, EsdirkEngine):
    """ESDIRK steps."""

    def _polynomial(self) -> tuple[int, int, Array]:
        _, readers, degree, _, _, _, _, dense = self._numbers
        return readers, degree, dense

    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        last, readers, _, gamma, couple, predict, c, _ = self._numbers
        return self.runs(esdirk_row.remake_step)(
            *self._stiff_model, p, last, readers, gamma, couple, predict, c, *self._tolerances, t_hi, t_lo, h, end_hi,
            live, row, states, k,
        )  # fmt: skip


class BdfCostateEngine(StiffByCostate, BdfEngine):
    """Steps of a BDF."""

    final = LAST + 1.0

    def _polynomial(self) -> tuple[int, int, Array]:
        return HIGHEST - 1, HIGHEST, self._dense

    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        return self.runs(bdf_row.remake_step)(
            *self._stiff_model, p, *self._tolerances, t_hi, h, end_hi, live, row, grid, states, k
        )


class WatchedCostateEngine(CostateEngine, WatchedEngine):
    """An explicit method that leaves stiff samples: the instant at which it does is held."""

    def _add_end(self, cotangent: Array, end_bar: Array, interval_bar: Array) -> None:
        super()._add_end(cotangent, end_bar, self._zeros(2))


class RestCostateEngine(RosenbrockCostateEngine, RestEngine):
    """A stiff method for what was handed over."""


class AutoCostateEngine(AutoEngine):
    """The two together, each with the costate of its own steps."""

    watched, rest = WatchedCostateEngine, RestCostateEngine


def by_costate(solver: str) -> Callable[..., Engine]:
    """The engine of that method."""
    if solver == AUTO:
        return AutoCostateEngine
    if solver == BDF.name:
        return BdfCostateEngine
    if solver in ESDIRK:
        return EsdirkCostateEngine
    return RosenbrockCostateEngine if solver in ROSENBROCK else CostateEngine
