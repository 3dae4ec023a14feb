"""Functions of `costate_blocks.py` for runs with events: compiled in their place, whatever the method. A row of the
tape is made again by the step of `events_blocks.py`; arguments stand before the modes in one array, as there."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.costate_blocks import advance, control_of_costate, slope_at, through_equations
from implicitdsl.backends.lanes.events_blocks import GAMMA, last_row, row_size
from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, stages
from implicitdsl.solvers.event_steps import look_back, room_size, take_step
from implicitdsl.solvers.events import STOPPED
from implicitdsl.solvers.events_costate import remake_event_step, sweep_costate_with_events
from implicitdsl.solvers.stepping import LAST_TIME
from implicitdsl.solvers.vocabulary import buffer, copy

Array = Any

rhs, linearise, guards_rate, guards_vjp, reset_vjp = (
    model[name] for name in ("rhs", "linearise", "guards_rate", "guards_vjp", "reset_vjp")
)
states_of_model, save_times, algebraic = model["states"], model["save_times"], model["algebraic"]
size_p, own_bar, dt, mass, pattern = (model[name] for name in ("size_p", "own_bar", "dt", "mass", "pattern"))
event_guards, event_modes, event_blocks = model["event_guards"], model["event_modes"], model["event_blocks"]
tableau_a, tableau_c, tableau_dense, tableau_couple, tableau_drive = (
    model[f"tableau_{part}"] for part in ("a", "c", "dense", "couple", "drive")
)


def remake(
    p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array, k: Array
) -> Any:
    return remake_event_step(
        take_step, look_back, room_size, rhs, linearise, states_of_model(), mass(p), pattern(), p, stages(), last_row(),
        GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p), t_hi, t_lo, h, end_hi, live, row,
        row_size(), grid, states, k,
    )  # fmt: skip


def go_back(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    made: int, states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """Integrate the costate of a run whose tape has `made` rows; writes the status of the gradient."""
    pm, pm_bar = buffer(p, size_p() + event_modes()), buffer(p, size_p() + event_modes())
    copy(size_p(), p, 0, pm, 0)
    copy(size_p(), p_bar, 0, pm_bar, 0)
    end_bar_of_time = interval_bar[1]
    interval_bar[1] = 0.0 * end_bar_of_time
    facts[0] = sweep_costate_with_events(
        remake, advance, slope_at, through_equations, rhs, guards_rate, guards_vjp, reset_vjp, states_of_model(),
        algebraic(), size_p(), event_guards(), event_modes(), event_blocks(), pm, interval, save_times(), times,
        stages(), degree(), tableau_dense(p), control_of_costate(p), dt(p), values, y_end, grid, made, states,
        facts[1 + LAST_TIME], facts[1 + STOPPED], values_bar, end_bar, end_bar_of_time, y0_bar, pm_bar, interval_bar,
        times_bar,
    )  # fmt: skip
    copy(own_bar(), pm_bar, 0, p_bar, 0)
