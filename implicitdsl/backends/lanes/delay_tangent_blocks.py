"""The functions of `ode_tangent_blocks.py` that name a solver, for runs that read their own past, as `delay_blocks.py`.

A row of `states2` holds the tangents of a row of the states; behind them all lie two numbers a row, the tangents of its
time and length.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.delay_blocks import state_size
from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, rhs_tangent_vjp, stages
from implicitdsl.backends.lanes.words import far_buffer
from implicitdsl.solvers.delays_tangent import tangent_replay_with_delays
from implicitdsl.solvers.delays_tangent_adjoint import tangent_pullback_with_delays
from implicitdsl.solvers.vocabulary import buffer, view

Array = Any

rhs_tangent = model["rhs_tangent"]
history, history_vjp, history_jvp, history_jvp_vjp = (
    model[f"history{end}"] for end in ("", "_vjp", "_jvp", "_jvp_vjp")
)  # fmt: skip
lags, lags_vjp, lags_jvp, lags_jvp_vjp = (model[f"lags{end}"] for end in ("", "_vjp", "_jvp", "_jvp_vjp"))
states_of_model, size_p, size_bar, save_times = (model[name] for name in ("states", "size_p", "size_bar", "save_times"))
delay_lags, delay_points, delay_breaks = model["delay_lags"], model["delay_points"], model["delay_breaks"]
tableau_a, tableau_c, tableau_dense = model["tableau_a"], model["tableau_c"], model["tableau_dense"]


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents; returns the tangent of the time at which the run ends."""
    lag_values, lags_dot = buffer(p2, delay_lags()), buffer(p2, delay_lags())
    lags(p2, lag_values)
    lags_jvp(p2, view(p2, size_p(), size_p()), lags_dot)
    tangent_replay_with_delays(
        rhs_tangent, history, history_jvp, states_of_model(), delay_lags(), lag_values, lags_dot, delay_points(),
        delay_breaks(p2), y2, p2, size_p(), interval, interval_dot, save_times(), times, times_dot, stages(), degree(),
        tableau_a(p2), tableau_c(p2), tableau_dense(p2), grid, states, made, values, values_dot, end2, states2,
        view(states2, made * state_size(), 2 * made),
    )  # fmt: skip
    return interval_dot[1]


def transpose_replay(
    p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, states2: Array, values_bar: Array, values_dot_bar: Array, end2_bar: Array, y2_bar: Array,
    p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array, facts: Array,
) -> None:  # fmt: skip
    """Transpose `replay_run`; `facts` are those of the run, and may be given another status."""
    size, bar = size_p(), size_bar()
    lag_values, lags_dot = buffer(p2, delay_lags()), buffer(p2, delay_lags())
    lags_bar, lags_dot_bar = buffer(p2, delay_lags()), buffer(p2, delay_lags())
    states_bar, states_dot_bar = far_buffer(p2, made * state_size()), far_buffer(p2, made * state_size())
    ends_bar, ends_dot_bar = far_buffer(p2, 2 * made), far_buffer(p2, 2 * made)
    lags(p2, lag_values)
    lags_jvp(p2, view(p2, size, size), lags_dot)
    tangent_pullback_with_delays(
        rhs_tangent, rhs_tangent_vjp, history, history_vjp, history_jvp, history_jvp_vjp, states_of_model(),
        delay_lags(), lag_values, lags_dot, delay_points(), delay_breaks(p2), p2, size, bar, interval, save_times(),
        times, times_dot, stages(), degree(), tableau_a(p2), tableau_c(p2), tableau_dense(p2), grid, states, made,
        states2, view(states2, made * state_size(), 2 * made), states_bar, states_dot_bar, ends_bar, ends_dot_bar,
        values_bar, values_dot_bar, end2_bar, y2_bar, lags_bar, lags_dot_bar, p2_bar, interval_bar, interval_dot_bar,
        times_bar, times_dot_bar,
    )  # fmt: skip
    lags_vjp(p2, lags_bar, p2_bar)
    lags_jvp_vjp(p2, view(p2, size, size), lags_dot_bar, p2_bar, view(p2_bar, bar, bar))
