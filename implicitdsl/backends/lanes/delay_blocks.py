"""The functions of `ode_blocks.py` that name a solver, for runs that read their own past: compiled in their place.

The tape is the past, so that a run needs its rows even where nobody asks for a derivative, and stops where they end. A
row of the states holds the dense output of its step. The cotangents of all rows live as long as a sweep does.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, stages
from implicitdsl.backends.lanes.words import far_buffer
from implicitdsl.solvers.delays import WIDTH, integrate_with_delays
from implicitdsl.solvers.delays_adjoint import pullback_with_delays
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.vocabulary import buffer, view

Array = Any

rhs, rhs_vjp = model["rhs"], model["rhs_vjp"]
history, history_vjp, lags, lags_vjp = (model[name] for name in ("history", "history_vjp", "lags", "lags_vjp"))
states_of_model, delay_lags, delay_points = (model[name] for name in ("states", "delay_lags", "delay_points"))
save_times, max_steps = model["save_times"], model["max_steps"]
rtol, atol, dt, control, delay_breaks = (model[name] for name in ("rtol", "atol", "dt", "control", "delay_breaks"))
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))


def row_size() -> int:
    """Numbers in a row of the grid."""
    return WIDTH + delay_lags()


def state_size() -> int:
    """Numbers in a row of the states."""
    return states_of_model() * (degree() + 1)


def needs_tape() -> bool:
    """Whether a run cannot do without its tape."""
    return True


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """Integrate with a tape of `rows` rows; writes the facts."""
    lag_values = buffer(p, delay_lags())
    lags(p, lag_values)
    facts[0] = integrate_with_delays(
        rhs, history, states_of_model(), delay_lags(), lag_values, delay_points(), delay_breaks(p), y0, p, interval,
        save_times(), times, stages(), degree(), tableau_a(p), tableau_c(p), tableau_error(p), tableau_dense(p),
        control(p), rtol(p), atol(p), dt(p), max_steps(), values, y_end, view(facts, 1, STATISTICS), grid, states, rows,
    )  # fmt: skip


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows; `facts` are those of the run, and may be given another status."""
    lag_values, lags_bar = buffer(p, delay_lags()), buffer(p, delay_lags())
    states_bar, ends_bar = far_buffer(p, made * state_size()), far_buffer(p, 2 * made)
    lags(p, lag_values)
    pullback_with_delays(
        rhs, rhs_vjp, history, history_vjp, states_of_model(), delay_lags(), lag_values, delay_points(),
        delay_breaks(p), p, interval, save_times(), times, stages(), degree(), tableau_a(p), tableau_c(p),
        tableau_dense(p), grid, states, made, states_bar, ends_bar, values_bar, end_bar, y0_bar, lags_bar, p_bar,
        interval_bar, times_bar,
    )  # fmt: skip
    lags_vjp(p, lags_bar, p_bar)
