"""The exact derivative of what `bdf` computes, with its accepted steps and orders held.

A reverse sweep over the tape whose cotangents are those of the last PAST points: a step gives the cotangent of its new
point to its stage, by the implicit function theorem as in `esdirk_adjoint`, and to the points that the formula took.

Model functions: `rhs`, `linearise` as in `rosenbrock`; `rhs_vjp` as in `explicit_rk_adjoint`.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.bdf import LAST, make_step, polynomial, scale_rows
from implicitdsl.solvers.bdf_history import (
    HIGHEST,
    INVERSE,
    LEAD,
    PAST,
    PRODUCT,
    SLOPE,
    WEIGHTS,
    combine,
    expand,
    recall,
    transpose_divide,
    transpose_expand,
)
from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start, transpose_reads
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size, solve_step_matrix_transposed
from implicitdsl.solvers.stepping import GRID, end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    interrupted,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def transpose_polynomial(
    n: int, h: Element, order: Element, weights: Array, table: Array, u: Array, rows_bar: Array, u_bar: Array,
    table_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose `bdf.polynomial`, from the cotangents of the N_k: additions to `u_bar`, `table_bar` and `ends` (of t, h)."""
    newest_bar = buffer(u, n)
    gap = buffer(u, n)
    bent = buffer(u, n)
    copy(n, u, 0, gap, 0)
    for k in range(1, PAST):
        below = select(order > k, 1.0, 0.0)
        axpy(n, below, rows_bar, k * n, table_bar, k * n)
        axpy(n, select(order == k, 1.0, 0.0), rows_bar, k * n, newest_bar, 0)
        axpy(n, -below * weights[3 * (PRODUCT + k)], table, k * n, gap, 0)
    combine(n, PRODUCT, 1, order - 1.0, weights, table, 0, bent)
    inverse = weights[3 * INVERSE]
    axpy(n, inverse, newest_bar, 0, u_bar, 0)
    for k in range(1, PAST):
        w = select(order > k, weights[3 * (PRODUCT + k)], 0.0)
        axpy(n, -inverse * w, newest_bar, 0, table_bar, k * n)
    ends[1] = (
        ends[1] + weights[3 * INVERSE + 1] * dot(n, newest_bar, 0, gap, 0) - inverse * dot(n, newest_bar, 0, bent, 0)
    )


def transpose_formula(
    rhs_vjp: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, h: Element, end: Element,
    live: Mask, back: Array, table: Array, weights: Array, u: Array, y1: Array, lu: Array, pivots: Array, newest: Array,
    u_bar: Array, table_bar: Array, past_bar: Array, p_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose the formula of a step, from the cotangents `newest` of its new point, `u_bar` and `table_bar`, the last two used
    up: additions to `past_bar`, `p_bar` and `ends` (of t, h). `lu` is left with the factors at the new point."""
    matrix = buffer(u, jacobian_size(n, pattern))
    drift = buffer(u, n)
    moved = buffer(u, n)
    point_bar = buffer(u, n)
    moment_bar = buffer(u, 1)
    for q in range(n):
        u_bar[q] = u_bar[q] + h * newest[q]
        past_bar[q] = past_bar[q] + newest[q]
        ends[1] = ends[1] + newest[q] * u[q]
    factor_step(linearise, n, mass, pattern, 1.0 / weights[3 * LEAD], end, h, y1, p, matrix, drift, lu, pivots)
    solve_step_matrix_transposed(n, pattern, lu, pivots, u_bar)
    for q in range(n):
        u_bar[q] = select(live, u_bar[q], 0.0)
        moved[q] = mass[q] * u_bar[q]
    rhs_vjp(end, y1, p, u_bar, moment_bar, point_bar, p_bar)
    ends[0] = ends[0] + moment_bar[0]
    ends[1] = ends[1] + moment_bar[0] + dot(n, point_bar, 0, u, 0) - weights[3 * LEAD + 1] * dot(n, moved, 0, u, 0)
    axpy(n, 1.0, point_bar, 0, past_bar, 0)
    for k in range(1, PAST):
        axpy(n, weights[3 * (SLOPE + k)], moved, 0, table_bar, k * n)
        ends[1] = ends[1] + weights[3 * (SLOPE + k) + 1] * dot(n, moved, 0, table, k * n)
    transpose_divide(n, back, table_bar, past_bar)


def pullback(
    rhs: Model, linearise: Model, rhs_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array,
    m: int, times: Array, dense: Array, rtol: Element, atol: Element, grid: Array, rows: int, states: Array,
    values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> None:  # fmt: skip
    """Transpose the frozen map: from the cotangents of `values` (m*n) and `y_end` (n) to those of y0, p, (t0, t1), times.

    Everything as `explicit_rk_adjoint.pullback` says; rtol and atol are those of the run.
    """
    past = buffer(states, PAST * n)
    back = buffer(states, PAST)
    table = buffer(states, PAST * n)
    table_bar = buffer(states, PAST * n)
    poly = buffer(states, PAST * n)
    poly_bar = buffer(states, PAST * n)
    past_bar = buffer(states, (PAST + 1) * n)
    lam = buffer(states, (PAST + 1) * n)
    weights = buffer(states, WEIGHTS)
    u = buffer(states, n)
    u_bar = buffer(states, n)
    y1 = buffer(states, n)
    held = buffer(states, n)
    slope = buffer(states, n)
    newest = buffer(states, n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    fresh = buffer(states, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    ends = buffer(states, 2)
    read_ends = buffer(states, 2)
    copy(n, end_bar, 0, lam, 0)
    direction = direction_of(interval)
    started = direction != direction
    cursor = m
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi = grid[row * GRID]
        t_lo = grid[row * GRID + 1]
        h = grid[row * GRID + 2]
        flag = grid[row * GRID + 3]
        live = flag > 0.0
        last = flag > LAST
        order = select(last, flag - LAST, select(live, flag, 1.0))
        end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
        have = recall(n, row, grid, states, n, past, back)
        make_step(
            rhs, linearise, n, mass, pattern, p, have, order, t_hi, h, end_hi, live, past, back, table, weights, u, y1,
            held, slope, matrix, drift, lu, pivots, fresh, rtol, atol,
        )  # fmt: skip
        polynomial(n, order, back, weights, table, u, poly)
        expand(n, back, poly)
        scale_rows(n, h, poly)

        fill((PAST + 1) * n, 0.0, past_bar, 0)
        fill(PAST * n, 0.0, table_bar, 0)
        fill(PAST * n, 0.0, poly_bar, 0)
        fill(n, 0.0, u_bar, 0)
        fill(2, 0.0, ends, 0)
        fill(2, 0.0, read_ends, 0)
        cursor, _ = transpose_reads(
            n, HIGHEST - 1, HIGHEST, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, view(poly, n, HIGHEST * n),
            times, cursor, values_bar, view(poly_bar, n, HIGHEST * n), past_bar, times_bar, read_ends, True,
        )  # fmt: skip
        # The powers of x do not know h: what reading by theta gives to it goes nowhere.
        ends[0] = read_ends[0]
        scale_rows(n, h, poly_bar)
        transpose_expand(n, back, poly_bar)
        transpose_polynomial(n, h, order, weights, table, u, poly_bar, u_bar, table_bar, ends)
        for q in range(n):
            newest[q] = select(live, lam[q], 0.0)
        transpose_formula(
            rhs_vjp, linearise, n, mass, pattern, p, h, end_hi, live, back, table, weights, u, y1, lu, pivots, newest,
            u_bar, table_bar, past_bar, p_bar, ends,
        )  # fmt: skip
        # The newest point is gone; what the run before had of the others is added to what this step took.
        axpy(PAST * n, 1.0, lam, n, past_bar, 0)
        copy_where(live, PAST * n, past_bar, 0, lam, 0)
        for q in range(n):
            lam[PAST * n + q] = 0.0
        interval_bar[0] = interval_bar[0] + select(live, ends[0] - select(last, ends[1], 0.0), 0.0)
        interval_bar[1] = interval_bar[1] + select(last, ends[1], 0.0)
        started = or_(started, live)
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
