"""Functions of `costate_blocks.py` for methods that solve with the Jacobian: compiled in their place. The costate is
run by one Rosenbrock–Wanner method, whatever method ran the solution; `remake` is that of Rosenbrock–Wanner steps."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.adjoints import COSTATE_METHOD
from implicitdsl.backends.lanes.costate_blocks import sweep_back
from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, stages
from implicitdsl.backends.lanes.stiff_blocks import GAMMA
from implicitdsl.solvers.consistent_start import algebraic_slope, transpose_consistent
from implicitdsl.solvers.costate_stiff import integrate_stiff_costate
from implicitdsl.solvers.dense_output import step_slope
from implicitdsl.solvers.rosenbrock_row import remake_step

Array = Any

rhs, rhs_vjp, linearise, algebraic = (model[name] for name in ("rhs", "rhs_vjp", "linearise", "algebraic"))
rhs_costate, rhs_gradient, rhs_costate_rate = (
    model[name] for name in ("rhs_costate", "rhs_gradient", "rhs_costate_rate")
)
states_of_model, max_steps, nodes, gauss = (model[name] for name in ("states", "max_steps", "nodes", "gauss"))
rtol, atol, dt = model["rtol"], model["atol"], model["dt"]
mass, pattern = model["mass"], model["pattern"]
tableau_a, tableau_c, tableau_dense, tableau_couple, tableau_drive = (
    model[f"tableau_{part}"] for part in ("a", "c", "dense", "couple", "drive")
)
costate_a, costate_couple, costate_c, costate_drive, costate_error, costate_dense, costate_control = (
    model[f"costate_{part}"] for part in ("a", "couple", "c", "drive", "error", "dense", "control")
)
COSTATE_S = COSTATE_METHOD.stages
COSTATE_DEGREE = COSTATE_METHOD.degree
COSTATE_GAMMA = COSTATE_METHOD.gamma


def remake(
    p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array, k: Array
) -> Any:
    return remake_step(
        rhs, linearise, states_of_model(), mass(p), pattern(p), p, stages(), GAMMA, tableau_a(p), tableau_couple(p),
        tableau_c(p), tableau_drive(p), t_hi, t_lo, h, end_hi, live, row, states, k,
    )  # fmt: skip


def advance(
    p: Array, unit: Any, status: Any, wanted: Any, t_hi: Any, t_lo: Any, span: Array, h: Any, y: Array, k: Array,
    lam: Array, p_bar: Array, statistics: Array, course: Array,
) -> Any:  # fmt: skip
    return integrate_stiff_costate(
        linearise, rhs_costate, rhs_costate_rate, rhs_gradient, states_of_model(), algebraic(), mass(p), pattern(p), p,
        stages(), degree(), tableau_dense(p), nodes(), gauss(p), COSTATE_S, COSTATE_DEGREE, COSTATE_GAMMA, costate_a(p),
        costate_couple(p), costate_c(p), costate_drive(p), costate_error(p), costate_dense(p), costate_control(p),
        rtol(p), atol(p), unit, dt(p), max_steps(), status, wanted, t_hi, t_lo, span, h, y, k, lam, p_bar, statistics,
        course,
    )  # fmt: skip


def slope_at(p: Array, t: Any, value: Array, sigma: Any, h: Any, k: Array, out: Array) -> None:
    step_slope(states_of_model(), stages(), degree(), tableau_dense(p), sigma, h, k, out)
    if algebraic() > 0:
        algebraic_slope(linearise, states_of_model(), algebraic(), mass(p), pattern(p), t, value, p, out)


def through_equations(live: Any, t: Any, y: Array, p: Array, bar: Array, t_bar: Array, p_bar: Array) -> None:
    if algebraic() > 0:
        transpose_consistent(
            live, rhs_vjp, linearise, states_of_model(), algebraic(), mass(p), pattern(p), t, y, p, bar, t_bar, p_bar
        )


def control_of_costate(p: Array) -> Array:
    """What the steps of the costate are chosen by."""
    return costate_control(p)


def go_back(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    made: int, states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """Integrate the costate of a run whose tape has `made` rows: never with the solution carried back."""
    sweep_back(
        p, y0, interval, times, values, y_end, facts, grid, made, states, values_bar, end_bar, y0_bar, p_bar,
        interval_bar, times_bar,
    )  # fmt: skip
