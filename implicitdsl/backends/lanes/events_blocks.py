"""The functions of `ode_blocks.py` that name a solver, for runs with events: compiled in their place, they make of
those sources the solver of a model with `when` blocks and located jumps.

Inside a block the arguments stand before the modes in one array, `pm`; gradients do so too.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, stages
from implicitdsl.solvers.event_rows import WIDTH
from implicitdsl.solvers.event_steps import (
    finish_step,
    judge,
    look_back,
    mend,
    room_size,
    slope_at_end,
    slope_at_start,
    take_step,
    transpose_mend,
    transpose_step,
    window_size,
)
from implicitdsl.solvers.events import STATISTICS, STOPPED, integrate_with_events
from implicitdsl.solvers.events_adjoint import pullback_with_events
from implicitdsl.solvers.stepping import LAST_TIME
from implicitdsl.solvers.vocabulary import buffer, copy, select, view

Array = Any

rhs, rhs_vjp, rhs_vjp_without = model["rhs"], model["rhs_vjp"], model["rhs_vjp_y"]
linearise, linearise_vjp, linearise_vjp_without = (model[f"linearise{end}"] for end in ("", "_vjp", "_vjp_y"))
guards, guards_rate, guards_vjp, guards_vjp_y = (
    model[f"guards{end}"] for end in ("", "_rate", "_vjp", "_vjp_y")
)  # fmt: skip
modes, conditions, reset, reset_vjp = model["modes"], model["conditions"], model["reset"], model["reset_vjp"]
states_of_model, size_p, own_bar = model["states"], model["size_p"], model["own_bar"]
event_guards, event_modes, event_blocks = model["event_guards"], model["event_modes"], model["event_blocks"]
event_places, event_steps, event_strict = model["event_places"], model["event_steps"], model["event_strict"]
event_steers, event_stops, event_touches = model["event_steers"], model["event_stops"], model["event_touches"]
save_times, max_steps, algebraic = model["save_times"], model["max_steps"], model["algebraic"]
highest_order = model["highest_order"]
rtol, atol, dt = model["rtol"], model["atol"], model["dt"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))
tableau_couple, tableau_drive = model["tableau_couple"], model["tableau_drive"]
last_row = model["last_row"]
"""The row of y1 among the points of a step."""
control, mass, pattern = model["control"], model["mass"], model["pattern"]
GAMMA = 0.0
"""Gamma of a stiff method; sources are compiled with that of the method in its place."""


def rhs_vjp_y(t: Any, y: Array, pm: Array, lam: Array, t_bar: Array, y_bar: Array, pm_bar: Array) -> None:
    """`rhs_vjp` by time and state alone."""
    rhs_vjp_without(t, y, pm, lam, t_bar, y_bar)


def linearise_vjp_y(
    t: Any, y: Array, pm: Array, matrix_cot: Array, drift_cot: Array, t_bar: Array, y_bar: Array, pm_bar: Array
) -> None:
    """`linearise_vjp` by time and state alone."""
    linearise_vjp_without(t, y, pm, matrix_cot, drift_cot, t_bar, y_bar)


def row_size() -> int:
    """Numbers in a row of the grid."""
    return WIDTH + event_modes() + algebraic()


def end_of_run(interval: Array, facts: Array) -> Any:
    """The time at which the run ends."""
    return select(facts[1 + STOPPED] > 0.5, facts[1 + LAST_TIME], interval[1])


def run_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape; writes the facts."""
    pm = buffer(p, size_p() + event_modes())
    copy(size_p(), p, 0, pm, 0)
    facts[0] = integrate_with_events(
        rhs, linearise, take_step, slope_at_end, slope_at_start, mend, room_size, judge, finish_step, guards,
        guards_rate, guards_vjp_y, modes, conditions, reset, states_of_model(), algebraic(), mass(p), pattern(),
        size_p(), event_guards(), event_modes(), event_blocks(), event_places(), event_steps(), event_strict(),
        event_steers(), event_stops(), event_touches(), y0, pm, interval, save_times(), times, stages(), last_row(),
        degree(), GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p), tableau_error(p),
        tableau_dense(p), control(p), highest_order(), rtol(p), atol(p), dt(p), max_steps(), values, y_end,
        view(facts, 1, STATISTICS), grid, rows, states, rows,
    )  # fmt: skip


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows; gives `facts` the status of the derivative."""
    pm, pm_bar = buffer(p, size_p() + event_modes()), buffer(p, size_p() + event_modes())
    copy(size_p(), p, 0, pm, 0)
    copy(size_p(), p_bar, 0, pm_bar, 0)
    end_bar_of_time = interval_bar[1]
    interval_bar[1] = 0.0 * end_bar_of_time
    facts[0] = pullback_with_events(
        rhs, linearise, take_step, transpose_step, transpose_mend, room_size, window_size, look_back, rhs_vjp,
        rhs_vjp_y, linearise_vjp, linearise_vjp_y, guards_vjp, guards_vjp_y, reset_vjp, states_of_model(), algebraic(),
        mass(p), pattern(), size_p(), event_guards(), event_modes(), event_blocks(), pm, interval, save_times(), times,
        stages(), last_row(), degree(), GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p),
        tableau_dense(p), grid, made, states, facts[1 + LAST_TIME], facts[1 + STOPPED], values_bar, end_bar,
        end_bar_of_time, y0_bar, pm_bar, interval_bar, times_bar,
    )  # fmt: skip
    copy(own_bar(), pm_bar, 0, p_bar, 0)
