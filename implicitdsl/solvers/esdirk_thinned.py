"""The reverse sweep of `esdirk_adjoint` over a thinned tape; everything as `explicit_rk_thinned` says."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start
from implicitdsl.solvers.esdirk import run_stages
from implicitdsl.solvers.esdirk_adjoint import sweep
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.stepping import KEPT
from implicitdsl.solvers.sweeps import remake_row, segment_of
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    buffer,
    copy,
    copy_where,
    interrupted,
    select,
    view,
)

Model = Callable[..., None]


def retrace(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array, last_stage: int,
    s: int, gamma: float, couple: Array, predict: Array, c: Array, rtol: Element, atol: Element, kept: Array,
    marks: Array, rows: int, grid: Array, states: Array,
) -> None:  # fmt: skip
    """Make `rows` steps again from a kept row, by their marks: writes the rows of a full tape in the bits of the run."""
    stages = last_stage + s + 1
    points = buffer(kept, stages * n)
    k = buffer(kept, stages * n)
    matrix = buffer(kept, jacobian_size(n, pattern))
    drift = buffer(kept, n)
    lu = buffer(kept, factor_size(n, pattern))
    pivots = buffer(kept, n)
    t_hi = kept[0]
    t_lo = kept[1]
    copy(n, kept, KEPT, points, 0)
    for row in range(rows):
        live, h, end_hi, end_lo = remake_row(n, marks[row], row, interval, t_hi, t_lo, points, grid, states)
        if row + 1 < rows:
            rhs(t_hi, points, p, k)
            factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
            run_stages(
                rhs, linearise, n, mass, pattern, p, gamma, stages, couple, predict, c, 1, last_stage, t_hi, t_lo, h,
                end_hi, live, matrix, drift, lu, pivots, points, k, rtol, atol,
            )  # fmt: skip
            copy_where(live, n, points, last_stage * n, points, 0)
            t_hi = select(live, end_hi, t_hi)
            t_lo = select(live, end_lo, t_lo)


def pullback_thinned(
    rhs: Model, linearise: Model, rhs_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array,
    m: int, times: Array, last_stage: int, s: int, degree: int, gamma: float, couple: Array, predict: Array, c: Array,
    dense: Array, rtol: Element, atol: Element, marks: Array, rows: int, kept: Array, every: int, grid: Array,
    states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """As `esdirk_adjoint.pullback`; the tape is that of `explicit_rk_thinned.pullback_thinned`. What is left in `states`
    begins with the first state of the run."""
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
            rhs, linearise, n, mass, pattern, p, interval, last_stage, s, gamma, couple, predict, c, rtol, atol,
            view(kept, segment * (KEPT + n), KEPT + n), view(marks, first, count), count, grid, states,
        )  # fmt: skip
        cursor, started = sweep(
            rhs, linearise, rhs_vjp, n, mass, pattern, p, interval, m, times, last_stage, s, degree, gamma, couple,
            predict, c, dense, rtol, atol, grid, count, states, values_bar, lam, p_bar, interval_bar, times_bar, cursor,
            started,
        )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
