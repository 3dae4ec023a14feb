"""The functions of `ode_blocks.py`, `ode_tangent_blocks.py` and `thinned_blocks.py` that name a method, for
Rosenbrock–Wanner methods: compiled in their place, they make of those sources the solver of a stiff method."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, rhs_tangent_vjp, stages
from implicitdsl.solvers.consistent_start import (
    consistent_start,
    start_pullback,
    start_tangent,
    start_tangent_pullback,
)
from implicitdsl.solvers.rosenbrock import integrate
from implicitdsl.solvers.rosenbrock_adjoint import pullback
from implicitdsl.solvers.rosenbrock_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.rosenbrock_thinned import pullback_thinned
from implicitdsl.solvers.status import BAD_TIMES
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.stiffness import STEPS
from implicitdsl.solvers.vocabulary import buffer, fill, select, view

Array = Any

rhs, rhs_vjp, rhs_tangent = model["rhs"], model["rhs_vjp"], model["rhs_tangent"]
linearise, linearise_vjp, linearise_tangent = (model[f"linearise{end}"] for end in ("", "_vjp", "_tangent"))
split_linearise_tangent_vjp = model["linearise_tangent_vjp"]
states_of_model, save_times, max_steps, algebraic, resumed = (
    model[name] for name in ("states", "save_times", "max_steps", "algebraic", "resumed")
)
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
mass, pattern = model["mass"], model["pattern"]
tableau_a, tableau_c, tableau_error, tableau_dense, tableau_couple, tableau_drive = (
    model[f"tableau_{part}"] for part in ("a", "c", "error", "dense", "couple", "drive")
)
GAMMA = 0.0
"""Of the method; sources are compiled with its number in this place."""


def linearise_tangent_vjp(
    t: Any, t_dot: Any, y2: Array, p2: Array, matrix2_cot: Array, drift2_cot: Array, t2_bar: Array, y2_bar: Array,
    p2_bar: Array,
) -> None:  # fmt: skip
    """The function of the model, which has t_bar and t_dot_bar apart."""
    split_linearise_tangent_vjp(t, t_dot, y2, p2, matrix2_cot, drift2_cot, t2_bar, view(t2_bar, 1, 1), y2_bar, p2_bar)


def consistent_block(p: Array, y0: Array, interval: Array) -> Any:
    """Make the start of a `dae` consistent; a sample that has none gets NaN, so that it makes no step, and a status."""
    began = 0.0 * interval[0]
    if algebraic() > 0:
        n = states_of_model()
        began = began + consistent_start(
            rhs, linearise, n, algebraic(), mass(p), pattern(p), interval[0], y0, p, 0.0 * interval[0] + atol(p)
        )
        for i in range(n):
            y0[i] = select(began != 0.0, np.nan, y0[i])
    return began


def limit(p: Array) -> Any:
    """The steps that a run may take. What was handed over to one that goes on where another method left it is the first
    argument, and the steps made before count."""
    left = buffer(p, 1)
    fill(1, max_steps(), left, 0)
    if resumed() > 0:
        left[0] = left[0] - p[states_of_model() + STEPS]
    return left[0]


def transpose_start(
    p: Array, interval: Array, states: Array, y0_bar: Array, p_bar: Array, interval_bar: Array
) -> None:  # fmt: skip
    """Transpose `consistent_block`."""
    if algebraic() > 0:
        n = states_of_model()
        start_pullback(
            rhs_vjp, linearise, n, algebraic(), mass(p), pattern(p), interval[0], view(states, 0, n), p, y0_bar,
            interval_bar, p_bar,
        )  # fmt: skip


def tangent_of_start(y2: Array, p2: Array, interval: Array, interval_dot: Array) -> None:
    """The tangents of a consistent start."""
    if algebraic() > 0:
        start_tangent(
            rhs_tangent, linearise, states_of_model(), algebraic(), mass(p2), pattern(p2), interval[0], interval_dot[0],
            y2, p2,
        )  # fmt: skip


def transpose_start_tangent(
    p2: Array, interval: Array, interval_dot: Array, states2: Array, y2_bar: Array, p2_bar: Array, interval_bar: Array,
    interval_dot_bar: Array,
) -> None:  # fmt: skip
    """Transpose `tangent_of_start`, and the start itself."""
    if algebraic() > 0:
        n = states_of_model()
        t2_bar = buffer(p2, 2)
        start_tangent_pullback(
            rhs_tangent_vjp, linearise_tangent, n, algebraic(), mass(p2), pattern(p2), interval, interval_dot,
            view(states2, 0, 2 * n), p2, y2_bar, t2_bar, p2_bar,
        )  # fmt: skip
        interval_bar[0] = interval_bar[0] + t2_bar[0]
        interval_dot_bar[0] = interval_dot_bar[0] + t2_bar[1]


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape, thinned where `every` > 1; writes the facts."""
    began = consistent_block(p, y0, interval)
    ran = integrate(
        rhs, linearise, states_of_model(), mass(p), pattern(p), y0, p, interval, save_times(), times, stages(),
        degree(), GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p), tableau_error(p),
        tableau_dense(p), control(p), rtol(p), atol(p), dt(p), limit(p), values, y_end, view(facts, 1, STATISTICS),
        grid, rows, states, rows, every,
    )  # fmt: skip
    facts[0] = select(ran == BAD_TIMES, ran, select(began != 0.0, began, ran))


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows; `facts` are those of the run, and may be given another status."""
    pullback(
        rhs, linearise, rhs_vjp, linearise_vjp, states_of_model(), mass(p), pattern(p), p, interval, save_times(),
        times, stages(), degree(), GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p),
        tableau_dense(p), grid, made, states, values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
    )  # fmt: skip
    transpose_start(p, interval, states, y0_bar, p_bar, interval_bar)


def transpose_thinned(
    p: Array, interval: Array, times: Array, marks: Array, made: int, kept: Array, every: int, grid: Array,
    states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """As `transpose_run`, from a thinned tape."""
    pullback_thinned(
        rhs, linearise, rhs_vjp, linearise_vjp, states_of_model(), mass(p), pattern(p), p, interval, save_times(),
        times, stages(), degree(), GAMMA, tableau_a(p), tableau_couple(p), tableau_c(p), tableau_drive(p),
        tableau_dense(p), marks, made, kept, every, grid, states, values_bar, end_bar, y0_bar, p_bar, interval_bar,
        times_bar,
    )  # fmt: skip
    transpose_start(p, interval, states, y0_bar, p_bar, interval_bar)


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents; returns the tangent of the time at which the run ends."""
    tangent_of_start(y2, p2, interval, interval_dot)
    tangent_replay(
        rhs_tangent, linearise_tangent, states_of_model(), mass(p2), pattern(p2), y2, p2, interval, interval_dot,
        save_times(), times, times_dot, stages(), degree(), GAMMA, tableau_a(p2), tableau_couple(p2), tableau_c(p2),
        tableau_drive(p2), tableau_dense(p2), grid, made, values, values_dot, end2, states2,
    )  # fmt: skip
    return interval_dot[1]


def transpose_replay(
    p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, states2: Array, values_bar: Array, values_dot_bar: Array, end2_bar: Array, y2_bar: Array,
    p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array, facts: Array,
) -> None:  # fmt: skip
    """Transpose `replay_run`; `facts` are those of the run, and may be given another status."""
    tangent_pullback(
        rhs_tangent, linearise_tangent, rhs_tangent_vjp, linearise_tangent_vjp, states_of_model(), mass(p2),
        pattern(p2), p2, interval, interval_dot, save_times(), times, times_dot, stages(), degree(), GAMMA,
        tableau_a(p2), tableau_couple(p2), tableau_c(p2), tableau_drive(p2), tableau_dense(p2), grid, made, states2,
        values_bar, values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, times_dot_bar,
    )  # fmt: skip
    transpose_start_tangent(p2, interval, interval_dot, states2, y2_bar, p2_bar, interval_bar, interval_dot_bar)
