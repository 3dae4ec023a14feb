"""The transpose of the tangent of `bdf` (`bdf_tangent`): a reverse sweep over pairs of value and tangent."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.bdf import LAST, scale_rows
from implicitdsl.solvers.bdf_adjoint import transpose_polynomial
from implicitdsl.solvers.bdf_history import (
    HIGHEST,
    INVERSE,
    LEAD,
    PAST,
    PRODUCT,
    SLOPE,
    WEIGHTS,
    combine,
    transpose_divide,
    transpose_expand,
)
from implicitdsl.solvers.bdf_tangent import recall_dual, run_tangent_step, tangent_polynomial
from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_tangent import transpose_tangent_reads
from implicitdsl.solvers.step_matrix import factor_size, solve_step_matrix_transposed
from implicitdsl.solvers.stepping import GRID, end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    fma,
    not_,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def transpose_tangent_polynomial(
    n: int, h: Element, h_dot: Element, order: Element, weights: Array, table2: Array, u2: Array, rows2_bar: Array,
    back: Array, u2_bar: Array, table2_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose `tangent_polynomial`: additions to `u2_bar`, `table2_bar` and `ends` (of t, h, ṫ, ḣ)."""
    rows_bar = buffer(u2, 2 * PAST * n)
    for half in range(2):
        part = view(rows_bar, half * PAST * n, PAST * n)
        for k in range(HIGHEST):
            copy(n, rows2_bar, 2 * k * n + half * n, part, (k + 1) * n)
        scale_rows(n, h, part)
    transpose_tangent_powers(n, h, h_dot, order, weights, table2, u2, rows_bar, back, u2_bar, table2_bar, ends)


def transpose_tangent_powers(
    n: int, h: Element, h_dot: Element, order: Element, weights: Array, table2: Array, u2: Array, rows_bar: Array,
    back: Array, u2_bar: Array, table2_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose `tangent_powers`, from `rows_bar`, overwritten."""
    newest_bar = buffer(u2, n)
    gap = buffer(u2, n)
    bent = buffer(u2, n)
    curved = buffer(u2, n)
    dots_bar = view(rows_bar, PAST * n, PAST * n)
    transpose_expand(n, back, rows_bar)
    transpose_expand(n, back, dots_bar)
    table_dot = view(table2, PAST * n, PAST * n)
    transpose_polynomial(n, h, order, weights, table2, u2, rows_bar, u2_bar, table2_bar, ends)
    transpose_polynomial(
        n, h, order, weights, table_dot, view(u2, n, n), dots_bar, view(u2_bar, n, n),
        view(table2_bar, PAST * n, PAST * n), ends,
    )  # fmt: skip
    # What is left is the transpose of the tangent's part by ḣ: ḣ*(inverse' (u - p) - inverse*p').
    for k in range(1, PAST):
        axpy(n, select(order == k, 1.0, 0.0), dots_bar, k * n, newest_bar, 0)
    combine(n, PRODUCT, 0, order - 1.0, weights, table2, 0, gap)
    combine(n, PRODUCT, 1, order - 1.0, weights, table2, 0, bent)
    combine(n, PRODUCT, 2, order - 1.0, weights, table2, 0, curved)
    inverse, first, second = weights[3 * INVERSE], weights[3 * INVERSE + 1], weights[3 * INVERSE + 2]
    along = 0.0 * h
    twice = 0.0 * h
    for q in range(n):
        left = u2[q] - gap[q]
        along = fma(newest_bar[q], first * left - inverse * bent[q], along)
        twice = fma(newest_bar[q], second * left - 2.0 * first * bent[q] - inverse * curved[q], twice)
    ends[3] = ends[3] + along
    ends[1] = ends[1] + h_dot * twice
    axpy(n, h_dot * first, newest_bar, 0, u2_bar, 0)
    for k in range(1, PAST):
        w = first * weights[3 * (PRODUCT + k)] + inverse * weights[3 * (PRODUCT + k) + 1]
        axpy(n, select(order > k, -h_dot * w, 0.0), newest_bar, 0, table2_bar, k * n)


def transpose_tangent_step(
    rhs_tangent_vjp: Model, n: int, mass: Array, pattern: Array, p2: Array, t_dot: Element, h: Element, h_dot: Element,
    end: Element, live: Mask, weights: Array, table2: Array, u2: Array, y2: Array, lu: Array, pivots: Array,
    newest2: Array, u2_bar: Array, table2_bar: Array, state_bar: Array, p2_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose the stage of a step of dual numbers, from the cotangents of the new point and of (u, u̇): additions to
    `table2_bar`, `state_bar` (of y and ẏ), `p2_bar` and `ends`."""
    asked = buffer(u2, 2 * n)
    point_bar = buffer(u2, 2 * n)
    moment_bar = buffer(u2, 2)
    moved = buffer(u2, n)
    mu = view(u2_bar, 0, n)
    mu_dot = view(u2_bar, n, n)
    axpy(2 * n, 1.0, newest2, 0, state_bar, 0)
    axpy(2 * n, h, newest2, 0, u2_bar, 0)
    axpy(n, h_dot, newest2, n, u2_bar, 0)
    ends[1] = ends[1] + dot(2 * n, newest2, 0, u2, 0)
    ends[3] = ends[3] + dot(n, newest2, n, u2, 0)
    lead_first, lead_second = weights[3 * LEAD + 1], weights[3 * LEAD + 2]
    solve_step_matrix_transposed(n, pattern, lu, pivots, mu_dot)
    for q in range(n):
        mu_dot[q] = select(live, mu_dot[q], 0.0)
        moved[q] = mass[q] * mu_dot[q]
    copy(n, mu_dot, 0, asked, n)
    rhs_tangent_vjp(end, t_dot + h_dot, y2, p2, asked, moment_bar, point_bar, p2_bar)
    axpy(n, h, point_bar, 0, mu, 0)
    axpy(n, h_dot, point_bar, n, mu, 0)
    axpy(n, -h_dot * lead_first, moved, 0, mu, 0)
    solve_step_matrix_transposed(n, pattern, lu, pivots, mu)
    for q in range(n):
        mu[q] = select(live, mu[q], 0.0)
    copy(n, mu, 0, asked, 0)
    fill(n, 0.0, asked, n)
    rhs_tangent_vjp(end, t_dot + h_dot, y2, p2, asked, moment_bar, point_bar, p2_bar)
    axpy(2 * n, 1.0, point_bar, 0, state_bar, 0)
    ends[0] = ends[0] + moment_bar[0]
    ends[1] = ends[1] + moment_bar[0] + dot(2 * n, point_bar, 0, u2, 0)
    ends[2] = ends[2] + moment_bar[1]
    ends[3] = ends[3] + moment_bar[1] + dot(n, point_bar, n, u2, 0)
    ends[1] = ends[1] - lead_first * dot(n, moved, 0, u2, n) - h_dot * lead_second * dot(n, moved, 0, u2, 0)
    ends[3] = ends[3] - lead_first * dot(n, moved, 0, u2, 0)
    for k in range(1, PAST):
        at = 3 * (SLOPE + k)
        axpy(n, weights[at], moved, 0, table2_bar, (PAST + k) * n)
        axpy(n, h_dot * weights[at + 1], moved, 0, table2_bar, k * n)
        ends[1] = ends[1] + weights[at + 1] * dot(n, moved, 0, table2, (PAST + k) * n)
        ends[1] = ends[1] + h_dot * weights[at + 2] * dot(n, moved, 0, table2, k * n)
        ends[3] = ends[3] + weights[at + 1] * dot(n, moved, 0, table2, k * n)
    for q in range(n):
        moved[q] = mass[q] * mu[q]
    ends[1] = ends[1] - lead_first * dot(n, moved, 0, u2, 0)
    for k in range(1, PAST):
        at = 3 * (SLOPE + k)
        axpy(n, weights[at], moved, 0, table2_bar, k * n)
        ends[1] = ends[1] + weights[at + 1] * dot(n, moved, 0, table2, k * n)


def tangent_pullback(
    rhs: Model, linearise: Model, rhs_tangent: Model, rhs_tangent_vjp: Model, n: int, mass: Array, pattern: Array,
    p2: Array, interval: Array, interval_dot: Array, m: int, times: Array, times_dot: Array, dense: Array,
    rtol: Element, atol: Element, grid: Array, rows: int, states2: Array, values_bar: Array, values_dot_bar: Array,
    end2_bar: Array, y2_bar: Array, p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array,
    times_dot_bar: Array,
) -> None:  # fmt: skip
    """Transpose `tangent_replay`; everything as `explicit_rk_tangent.tangent_pullback` says."""
    direction = direction_of(interval)
    t_dot = interval_dot[0]
    past2 = buffer(states2, 2 * PAST * n)
    back = buffer(states2, PAST)
    table2 = buffer(states2, 2 * PAST * n)
    table2_bar = buffer(states2, 2 * PAST * n)
    poly = buffer(states2, 2 * PAST * n)
    rows2 = buffer(states2, 2 * HIGHEST * n)
    rows2_bar = buffer(states2, 2 * HIGHEST * n)
    weights = buffer(states2, WEIGHTS)
    u2 = buffer(states2, 2 * n)
    u2_bar = buffer(states2, 2 * n)
    y2 = buffer(states2, 2 * n)
    lu = buffer(states2, factor_size(n, pattern))
    pivots = buffer(states2, n)
    state_bar = buffer(states2, 2 * n)
    newest2 = buffer(states2, 2 * n)
    past_bar = buffer(states2, PAST * n)
    # Two windows, of values and of tangents.
    lam = buffer(states2, 2 * (PAST + 1) * n)
    ends = buffer(states2, 4)
    read_ends = buffer(states2, 4)
    wide = (PAST + 1) * n
    copy(n, end2_bar, 0, lam, 0)
    copy(n, end2_bar, n, lam, wide)
    started = direction != direction
    cursor = m
    for row in range(rows - 1, -1, -1):
        t_hi = grid[row * GRID]
        t_lo = grid[row * GRID + 1]
        h = grid[row * GRID + 2]
        flag = grid[row * GRID + 3]
        live = flag > 0.0
        last = flag > LAST
        order = select(last, flag - LAST, select(live, flag, 1.0))
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
        have = recall_dual(n, row, grid, states2, past2, back)
        run_tangent_step(
            rhs, linearise, rhs_tangent, n, mass, pattern, p2, have, order, t_hi, t_dot, h, h_dot, end_hi, live, past2,
            back, table2, weights, u2, y2, lu, pivots, rtol, atol,
        )  # fmt: skip
        tangent_polynomial(n, h, h_dot, order, back, weights, table2, u2, poly, rows2)
        fill(2 * PAST * n, 0.0, table2_bar, 0)
        fill(2 * HIGHEST * n, 0.0, rows2_bar, 0)
        fill(2 * n, 0.0, u2_bar, 0)
        fill(2 * n, 0.0, state_bar, 0)
        fill(4, 0.0, ends, 0)
        fill(4, 0.0, read_ends, 0)
        cursor, _ = transpose_tangent_reads(
            live, n, HIGHEST - 1, HIGHEST, dense, t_hi, t_lo, t_dot, h, 0.0 * h, end_hi, end_lo, interval, rows2, times,
            times_dot, cursor, values_bar, values_dot_bar, rows2_bar, state_bar, times_bar, times_dot_bar, read_ends,
        )  # fmt: skip
        ends[0] = read_ends[0]
        ends[2] = read_ends[2]
        transpose_tangent_polynomial(n, h, h_dot, order, weights, table2, u2, rows2_bar, back, u2_bar, table2_bar, ends)
        for q in range(n):
            newest2[q] = select(live, lam[q], 0.0)
            newest2[n + q] = select(live, lam[wide + q], 0.0)
        transpose_tangent_step(
            rhs_tangent_vjp, n, mass, pattern, p2, t_dot, h, h_dot, end_hi, live, weights, table2, u2, y2, lu, pivots,
            newest2, u2_bar, table2_bar, state_bar, p2_bar, ends,
        )  # fmt: skip
        for half in range(2):
            fill(PAST * n, 0.0, past_bar, 0)
            copy(n, state_bar, half * n, past_bar, 0)
            transpose_divide(n, back, view(table2_bar, half * PAST * n, PAST * n), past_bar)
            axpy(PAST * n, 1.0, lam, half * wide + n, past_bar, 0)
            copy_where(live, PAST * n, past_bar, 0, lam, half * wide)
        interval_bar[0] = interval_bar[0] + select(live, ends[0] - select(last, ends[1], 0.0), 0.0)
        interval_bar[1] = interval_bar[1] + select(last, ends[1], 0.0)
        interval_dot_bar[0] = interval_dot_bar[0] + select(live, ends[2] - select(last, ends[3], 0.0), 0.0)
        interval_dot_bar[1] = interval_dot_bar[1] + select(last, ends[3], 0.0)
        started = or_(started, live)
    for j in range(m):
        held = select(and_(times[j] == interval[0], not_(started)), 1.0, 0.0)
        axpy(n, held, values_bar, j * n, lam, 0)
        axpy(n, held, values_dot_bar, j * n, lam, wide)
    axpy(n, 1.0, lam, 0, y2_bar, 0)
    axpy(n, 1.0, lam, wide, y2_bar, n)
