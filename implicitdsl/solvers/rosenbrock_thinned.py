"""The reverse sweep of `rosenbrock_adjoint` over a thinned tape; everything as `explicit_rk_thinned` says."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start
from implicitdsl.solvers.rosenbrock import run_stages
from implicitdsl.solvers.rosenbrock_adjoint import sweep
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.stepping import KEPT
from implicitdsl.solvers.sweeps import remake_row, segment_of
from implicitdsl.solvers.vocabulary import (
    Array,
    buffer,
    copy,
    copy_where,
    interrupted,
    select,
    view,
)

Model = Callable[..., None]


def retrace(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array, s: int, gamma: float, a: Array,
    couple: Array, c: Array, drive: Array, kept: Array, marks: Array, rows: int, grid: Array, states: Array,
) -> None:  # fmt: skip
    """Make `rows` steps again from a kept row, by their marks: writes the rows of a full tape in the bits of the run."""
    points = buffer(kept, (s + 2) * n)
    slopes = buffer(kept, (s + 2) * n)
    k = buffer(kept, (s + 1) * n)
    matrix = buffer(kept, jacobian_size(n, pattern))
    drift = buffer(kept, n)
    lu = buffer(kept, factor_size(n, pattern))
    pivots = buffer(kept, n)
    work = buffer(kept, n)
    t_hi = kept[0]
    t_lo = kept[1]
    copy(n, kept, KEPT, points, 0)
    for row in range(rows):
        live, h, end_hi, end_lo = remake_row(n, marks[row], row, interval, t_hi, t_lo, points, grid, states)
        if row + 1 < rows:
            factor_step(linearise, n, mass, pattern, gamma, t_hi, h, view(points, 0, n), p, matrix, drift, lu, pivots)
            run_stages(
                rhs, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, matrix, drift, lu, pivots, points, slopes,
                k, work,
            )  # fmt: skip
            copy_where(live, n, points, (s + 1) * n, points, 0)
            t_hi = select(live, end_hi, t_hi)
            t_lo = select(live, end_lo, t_lo)


def pullback_thinned(
    rhs: Model, linearise: Model, rhs_vjp: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array,
    m: int, times: Array, s: int, degree: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array,
    dense: Array, marks: Array, rows: int, kept: Array, every: int, grid: Array, states: Array, values_bar: Array,
    end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> None:  # fmt: skip
    """As `rosenbrock_adjoint.pullback`; the tape is that of `explicit_rk_thinned.pullback_thinned`. What is left in
    `states` begins with the first state of the run."""
    lam = buffer(kept, n)
    copy(n, end_bar, 0, lam, 0)
    direction = direction_of(interval)
    started = direction != direction
    cursor = m
    for back in range((rows + every - 1) // every):
        if interrupted():
            break
        segment, first, count = segment_of(back, rows, every)
        retrace(
            rhs, linearise, n, mass, pattern, p, interval, s, gamma, a, couple, c, drive,
            view(kept, segment * (KEPT + n), KEPT + n), view(marks, first, count), count, grid, states,
        )  # fmt: skip
        cursor, started = sweep(
            rhs, linearise, rhs_vjp, linearise_vjp, n, mass, pattern, p, interval, m, times, s, degree, gamma, a, couple, c, drive,
            dense, grid, count, states, values_bar, lam, p_bar, interval_bar, times_bar, cursor, started,
        )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
