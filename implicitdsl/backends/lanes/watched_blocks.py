"""Functions of `ode_blocks.py` and `ode_tangent_blocks.py` for an explicit method that leaves stiff samples: compiled
in their place.

The facts of a sample go on, behind those of any method, with the end of its run (`solvers/stiffness.py`), or the
tangent of that end where tangents are asked for; then with the cotangents of its state and time, told to derivatives.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import FACTS, degree, stages
from implicitdsl.solvers.explicit_rk_tangent import tangent_replay
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.stiffness import END, END_TIME, HANDED_OVER, integrate_until_stiff
from implicitdsl.solvers.vocabulary import copy, fill, select, view

Array = Any

rhs, rhs_tangent = model["rhs"], model["rhs_tangent"]
states_of_model, save_times, max_steps = model["states"], model["save_times"], model["max_steps"]
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))


def size_facts() -> int:
    """Numbers that a block reports of each sample, and is told beside its arguments."""
    return FACTS + 2 * states_of_model() + END + 1


def end_of(facts: Array) -> Array:
    """The end of a run, or its tangent."""
    return view(facts, FACTS, states_of_model() + END)


def add_end_bars(facts: Array, state_bar: Array, time_bar: Array) -> None:
    """Adds the cotangents of the end of a run, of the samples that were left. The steps are held, so that their time
    moves with that of the start."""
    n = states_of_model()
    told = view(facts, FACTS + n + END, n + 1)
    left = facts[0] == HANDED_OVER
    for i in range(n):
        state_bar[i] = state_bar[i] + select(left, told[i], 0.0)
    time_bar[0] = time_bar[0] + select(left, told[n], 0.0)


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape, thinned where `every` > 1; writes the facts."""
    facts[0] = integrate_until_stiff(
        rhs, states_of_model(), y0, p, interval, save_times(), times, stages(), degree(), tableau_a(p), tableau_c(p),
        tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p), max_steps(), values, end_of(facts),
        view(facts, 1, STATISTICS), grid, rows, states, rows, every,
    )  # fmt: skip
    copy(states_of_model(), end_of(facts), 0, y_end, 0)


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents, that of the end of the run included; returns the tangent of
    the time at which a run ends that is not left."""
    n = states_of_model()
    tangent_replay(
        rhs_tangent, n, y2, p2, interval, interval_dot, save_times(), times, times_dot, stages(), degree(),
        tableau_a(p2), tableau_c(p2), tableau_dense(p2), grid, made, values, values_dot, end2, states2,
    )  # fmt: skip
    end_dot = end_of(facts)
    fill(n + END, 0.0, end_dot, 0)
    copy(n, end2, n, end_dot, 0)
    end_dot[n + END_TIME] = interval_dot[0]
    return interval_dot[1]
