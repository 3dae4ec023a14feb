"""The four functions of `ode_blocks.py` and `ode_tangent_blocks.py` that name a method, for ESDIRK methods; the start
of a `dae` is that of `stiff_blocks.py`."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, rhs_tangent_vjp, stages
from implicitdsl.backends.lanes.stiff_blocks import (
    GAMMA,
    consistent_block,
    tangent_of_start,
    transpose_start,
    transpose_start_tangent,
)
from implicitdsl.solvers.esdirk import integrate
from implicitdsl.solvers.esdirk_adjoint import pullback
from implicitdsl.solvers.esdirk_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.esdirk_thinned import pullback_thinned
from implicitdsl.solvers.status import BAD_TIMES
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.vocabulary import select, view

Array = Any

rhs, rhs_vjp, rhs_tangent, linearise = (model[name] for name in ("rhs", "rhs_vjp", "rhs_tangent", "linearise"))
states_of_model, save_times, max_steps, algebraic = (
    model[name] for name in ("states", "save_times", "max_steps", "algebraic")
)
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
mass, pattern = model["mass"], model["pattern"]
tableau_couple, tableau_predict, tableau_c, tableau_dense = (
    model[f"tableau_{part}"] for part in ("couple", "predict", "c", "dense")
)
LAST_STAGE = 0
"""As GAMMA: the stage at the end of a step."""


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape, thinned where `every` > 1; writes the facts."""
    began = consistent_block(p, y0, interval)
    ran = integrate(
        rhs, linearise, states_of_model(), mass(p), pattern(p), y0, p, interval, save_times(), times, LAST_STAGE,
        stages(), degree(), GAMMA, tableau_couple(p), tableau_predict(p), tableau_c(p), tableau_dense(p), control(p),
        rtol(p), atol(p), dt(p), max_steps(), values, y_end, view(facts, 1, STATISTICS), grid, rows, states, rows,
        every,
    )  # fmt: skip
    facts[0] = select(ran == BAD_TIMES, ran, select(began != 0.0, began, ran))


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows; `facts` are those of the run, and may be given another status."""
    pullback(
        rhs, linearise, rhs_vjp, states_of_model(), mass(p), pattern(p), p, interval, save_times(), times, LAST_STAGE,
        stages(), degree(), GAMMA, tableau_couple(p), tableau_predict(p), tableau_c(p), tableau_dense(p), rtol(p),
        atol(p), grid, made, states, values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
    )  # fmt: skip
    transpose_start(p, interval, states, y0_bar, p_bar, interval_bar)


def transpose_thinned(
    p: Array, interval: Array, times: Array, marks: Array, made: int, kept: Array, every: int, grid: Array,
    states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """As `transpose_run`, from a thinned tape."""
    pullback_thinned(
        rhs, linearise, rhs_vjp, states_of_model(), mass(p), pattern(p), p, interval, save_times(), times, LAST_STAGE,
        stages(), degree(), GAMMA, tableau_couple(p), tableau_predict(p), tableau_c(p), tableau_dense(p), rtol(p),
        atol(p), marks, made, kept, every, grid, states, values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
    )  # fmt: skip
    transpose_start(p, interval, states, y0_bar, p_bar, interval_bar)


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents; returns the tangent of the time at which the run ends."""
    tangent_of_start(y2, p2, interval, interval_dot)
    tangent_replay(
        rhs, linearise, rhs_tangent, states_of_model(), mass(p2), pattern(p2), y2, p2, interval, interval_dot,
        save_times(), times, times_dot, LAST_STAGE, stages(), degree(), GAMMA, tableau_couple(p2), tableau_predict(p2),
        tableau_c(p2), tableau_dense(p2), rtol(p2), atol(p2), grid, made, values, values_dot, end2, states2,
    )  # fmt: skip
    return interval_dot[1]


def transpose_replay(
    p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, states2: Array, values_bar: Array, values_dot_bar: Array, end2_bar: Array, y2_bar: Array,
    p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array, facts: Array,
) -> None:  # fmt: skip
    """Transpose `replay_run`; `facts` are those of the run, and may be given another status."""
    tangent_pullback(
        rhs, linearise, rhs_tangent, rhs_tangent_vjp, states_of_model(), mass(p2), pattern(p2), p2, interval,
        interval_dot, save_times(), times, times_dot, LAST_STAGE, stages(), degree(), GAMMA, tableau_couple(p2),
        tableau_predict(p2), tableau_c(p2), tableau_dense(p2), rtol(p2), atol(p2), grid, made, states2, values_bar,
        values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, times_dot_bar,
    )  # fmt: skip
    transpose_start_tangent(p2, interval, interval_dot, states2, y2_bar, p2_bar, interval_bar, interval_dot_bar)
