"""The functions of `ode_tangent_blocks.py` that name a solver, for runs with events, as `events_blocks.py`.

Two numbers a row, the tangents of its time and length, lie behind the states in `states2`.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.events_blocks import GAMMA, end_of_run, last_row
from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, rhs_tangent_vjp, stages
from implicitdsl.solvers.event_steps import (
    look_back_dual,
    mend_dual,
    room_size,
    take_dual_step,
    transpose_dual_step,
    transpose_mend_dual,
    window_size,
)
from implicitdsl.solvers.events import STOPPED
from implicitdsl.solvers.events_tangent import replay_with_events
from implicitdsl.solvers.events_tangent_adjoint import replay_pullback_with_events
from implicitdsl.solvers.vocabulary import buffer, copy, view

Array = Any

rhs, rhs_tangent, rhs_tangent_without = model["rhs"], model["rhs_tangent"], model["rhs_tangent_y"]
rhs_tangent_vjp_without = model["rhs_tangent_vjp_y"]
linearise, algebraic = model["linearise"], model["algebraic"]
linearise_tangent, linearise_tangent_without = model["linearise_tangent"], model["linearise_tangent_y"]
linearise_tangent_vjp_apart, linearise_tangent_vjp_without = (
    model["linearise_tangent_vjp"], model["linearise_tangent_vjp_y"],
)  # fmt: skip
guards_rate, guards_vjp, guards_vjp_y = model["guards_rate"], model["guards_vjp"], model["guards_vjp_y"]
guards_jvp, guards_jvp_vjp, guards_jvp_vjp_y = (model[f"guards_jvp{end}"] for end in ("", "_vjp", "_vjp_y"))
reset, reset_vjp, reset_jvp, reset_jvp_vjp = (model[f"reset{end}"] for end in ("", "_vjp", "_jvp", "_jvp_vjp"))
states_of_model, size_p, own_bar, save_times = (model[name] for name in ("states", "size_p", "own_bar", "save_times"))
event_guards, event_modes, event_blocks = model["event_guards"], model["event_modes"], model["event_blocks"]
tableau_a, tableau_c, tableau_dense = model["tableau_a"], model["tableau_c"], model["tableau_dense"]
tableau_couple, tableau_drive, mass, pattern = (
    model[name] for name in ("tableau_couple", "tableau_drive", "mass", "pattern")
)  # fmt: skip


def rhs_tangent_y(t: Any, t_dot: Any, y2: Array, pm2: Array, out2: Array) -> None:
    """`rhs_tangent` with arguments at rest."""
    rhs_tangent_without(t, t_dot, y2, pm2, out2)


def rhs_tangent_vjp_y(
    t: Any, t_dot: Any, y2: Array, pm2: Array, lam2: Array, t2_bar: Array, y2_bar: Array, pm2_bar: Array
) -> None:
    """`rhs_tangent_vjp` by time and state alone."""
    rhs_tangent_vjp_without(t, t_dot, y2, pm2, lam2, t2_bar, view(t2_bar, 1, 1), y2_bar)


def linearise_tangent_y(t: Any, t_dot: Any, y2: Array, pm2: Array, matrix2: Array, drift2: Array) -> None:
    """`linearise_tangent` with arguments at rest."""
    linearise_tangent_without(t, t_dot, y2, pm2, matrix2, drift2)


def linearise_tangent_vjp(
    t: Any, t_dot: Any, y2: Array, pm2: Array, matrix2_cot: Array, drift2_cot: Array, t2_bar: Array, y2_bar: Array,
    pm2_bar: Array,
) -> None:  # fmt: skip
    """The function of the model, which has t_bar and t_dot_bar apart."""
    linearise_tangent_vjp_apart(t, t_dot, y2, pm2, matrix2_cot, drift2_cot, t2_bar, view(t2_bar, 1, 1), y2_bar, pm2_bar)


def linearise_tangent_vjp_y(
    t: Any, t_dot: Any, y2: Array, pm2: Array, matrix2_cot: Array, drift2_cot: Array, t2_bar: Array, y2_bar: Array,
    pm2_bar: Array,
) -> None:  # fmt: skip
    """`linearise_tangent_vjp` by time and state alone."""
    linearise_tangent_vjp_without(t, t_dot, y2, pm2, matrix2_cot, drift2_cot, t2_bar, view(t2_bar, 1, 1), y2_bar)


def put_modes_behind(p2: Array, pm2: Array) -> None:
    """pm2 := arguments, modes, and the tangents of both."""
    full = size_p() + event_modes()
    copy(size_p(), p2, 0, pm2, 0)
    copy(size_p(), p2, size_p(), pm2, full)


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents; returns the tangent of the time at which the run ends."""
    pm2 = buffer(p2, 2 * (size_p() + event_modes()))
    put_modes_behind(p2, pm2)
    n = states_of_model()
    return replay_with_events(
        rhs, rhs_tangent, rhs_tangent_y, linearise_tangent, linearise_tangent_y, linearise, take_dual_step, mend_dual,
        room_size, look_back_dual, guards_jvp, guards_rate, reset, reset_jvp, n, algebraic(), mass(p2), pattern(),
        size_p(), event_guards(), event_modes(), event_blocks(), y2, pm2, interval, interval_dot, save_times(), times,
        times_dot, stages(), last_row(), degree(), GAMMA, tableau_a(p2), tableau_couple(p2), tableau_c(p2),
        tableau_drive(p2), tableau_dense(p2), grid, made, end_of_run(interval, facts), facts[1 + STOPPED] > 0.5, values,
        values_dot, end2, states2, view(states2, 2 * made * n, 2 * made),
    )  # fmt: skip


def transpose_replay(
    p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, states2: Array, values_bar: Array, values_dot_bar: Array, end2_bar: Array, y2_bar: Array,
    p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array, facts: Array,
) -> None:  # fmt: skip
    """Transpose `replay_run`; gives `facts` the status of the derivative."""
    full = size_p() + event_modes()
    pm2, pm2_bar, end_bars = buffer(p2, 2 * full), buffer(p2, 2 * full), buffer(p2, 2)
    put_modes_behind(p2, pm2)
    put_modes_behind(p2_bar, pm2_bar)
    end_bars[0] = interval_bar[1]
    end_bars[1] = interval_dot_bar[1]
    interval_bar[1] = 0.0 * end_bars[0]
    interval_dot_bar[1] = 0.0 * end_bars[1]
    n = states_of_model()
    facts[0] = replay_pullback_with_events(
        rhs, linearise, rhs_tangent, linearise_tangent, take_dual_step, transpose_dual_step, transpose_mend_dual,
        room_size, window_size, look_back_dual, rhs_tangent_vjp, rhs_tangent_vjp_y, linearise_tangent_vjp,
        linearise_tangent_vjp_y, guards_vjp, guards_vjp_y, guards_jvp_vjp, guards_jvp_vjp_y, reset_vjp, reset_jvp_vjp,
        n, algebraic(), mass(p2), pattern(), size_p(), event_guards(), event_modes(), event_blocks(), pm2, interval,
        save_times(), times, times_dot, stages(), last_row(), degree(), GAMMA, tableau_a(p2), tableau_couple(p2),
        tableau_c(p2), tableau_drive(p2), tableau_dense(p2), grid, made, end_of_run(interval, facts),
        facts[1 + STOPPED] > 0.5, states2, view(states2, 2 * made * n, 2 * made), values_bar, values_dot_bar, end2_bar,
        end_bars, y2_bar, pm2_bar, interval_bar, interval_dot_bar, times_bar, times_dot_bar,
    )  # fmt: skip
    copy(own_bar(), pm2_bar, 0, p2_bar, 0)
    copy(own_bar(), pm2_bar, full, p2_bar, size_p())
