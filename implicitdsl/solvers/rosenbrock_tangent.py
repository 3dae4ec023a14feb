"""Second order through `rosenbrock`: the tangent of the frozen map, and the transpose of that tangent.

As `explicit_rk_tangent`, whose state, parameters, times and their tangents these are. The step of dual numbers has the
matrix of the step itself: from A k_i = r_i follows A k̇_i = ṙ_i + (ḣ*f_y + h*ḟ_y) k_i, where ḟ_y and ḟ_t are the tangents
of f_y and f_t along (ṫ, ẏ, ṗ).

Model functions: `rhs_tangent`, `rhs_tangent_vjp` as there;
`linearise_tangent(t, t_dot, y2, p2, matrix2, drift2)` overwrites matrix2 with (f_y, ḟ_y), drift2 (2n) with (f_t, ḟ_t);
`linearise_tangent_vjp(t, t_dot, y2, p2, matrix2_cot, drift2_cot, t2_bar, y2_bar, p2_bar)` adds the transpose of its
derivative to t2_bar (2: of t and t_dot), y2_bar (2n), p2_bar (as p2).
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_tangent import (
    begin_tangents,
    hold_tangent_start,
    read_tangents,
    transpose_tangent_reads,
)
from implicitdsl.solvers.step_matrix import (
    add_jacobian_transposed,
    add_outer_product,
    factor_size,
    factor_step_matrix,
    jacobian_size,
    multiply_jacobian,
    solve_step_matrix,
    solve_step_matrix_transposed,
)
from implicitdsl.solvers.stepping import stage_moment
from implicitdsl.solvers.sweeps import add_ends, begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_to_rows,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    fma,
    select,
    sum_rows,
    view,
)

Model = Callable[..., None]


def run_tangent_step(
    rhs_tangent: Model,
    linearise_tangent: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p2: Array,
    s: int,
    gamma: float,
    a: Array,
    couple: Array,
    c: Array,
    drive: Array,
    t_hi: Element,
    t_lo: Element,
    t_dot: Element,
    h: Element,
    h_dot: Element,
    end_hi: Element,
    matrix2: Array,
    drift2: Array,
    lu: Array,
    pivots: Array,
    points: Array,
    slopes: Array,
    k: Array,
) -> None:
    """A step of dual numbers, whose rows are (value, tangent), 2n numbers; row 0 of `points` is (y, ẏ), and the rows of
    `points`, `slopes` and `k` are those of `rosenbrock.run_stages`."""
    work = buffer(points, 2 * n)
    entries = jacobian_size(n, pattern)
    linearise_tangent(t_hi, t_dot, view(points, 0, 2 * n), p2, matrix2, drift2)
    factor_step_matrix(n, mass, pattern, gamma, h, matrix2, lu, pivots)
    for i in range(s + 2):
        at = 2 * i * n
        if i > 0:
            sum_rows(2 * n, i, a, i * (s + 1), 1, k, 0, 2 * n, slopes, at)
            copy(2 * n, points, 0, points, at)
            axpy(2 * n, h, slopes, at, points, at)
            axpy(n, h_dot, slopes, at, points, at + n)
        if i <= s:
            moment = stage_moment(i, c, t_hi, t_lo, h, end_hi)
            rhs_tangent(moment, fma(c[i], h_dot, t_dot), view(points, at, 2 * n), p2, view(k, at, 2 * n))
            if drive[i] != 0.0:
                axpy(2 * n, h * drive[i], drift2, 0, k, at)
                axpy(n, h_dot * drive[i], drift2, 0, k, at + n)
            if i > 0:
                sum_rows(2 * n, i, couple, i * (s + 1), 1, k, 0, 2 * n, work, 0)
                for q in range(n):
                    k[at + q] = fma(mass[q], work[q], k[at + q])
                    k[at + n + q] = fma(mass[q], work[n + q], k[at + n + q])
            if any_(h == 0.0):
                fill(n, 0.0, work, 0)
                if i > 0:
                    multiply_jacobian(n, pattern, matrix2, 0, slopes, at, work, 0)
                for q in range(n):
                    if mass[q] == 0.0:
                        limit = (c[i] + drive[i]) * drift2[q] + work[q]
                        k[at + q] = select(h == 0.0, limit, k[at + q])
            solve_step_matrix(n, pattern, lu, pivots, view(k, at, n))
            multiply_jacobian(n, pattern, matrix2, 0, k, at, work, 0)
            multiply_jacobian(n, pattern, matrix2, entries, k, at, work, n)
            for q in range(n):
                k[at + n + q] = fma(h, work[n + q], fma(h_dot, work[q], k[at + n + q]))
            solve_step_matrix(n, pattern, lu, pivots, view(k, at + n, n))


def tangent_replay(
    rhs_tangent: Model,
    linearise_tangent: Model,
    n: int,
    mass: Array,
    pattern: Array,
    y2: Array,
    p2: Array,
    interval: Array,
    interval_dot: Array,
    m: int,
    times: Array,
    times_dot: Array,
    s: int,
    degree: int,
    gamma: float,
    a: Array,
    couple: Array,
    c: Array,
    drive: Array,
    dense: Array,
    grid: Array,
    rows: int,
    values: Array,
    values_dot: Array,
    end2: Array,
    states2: Array,
) -> None:
    """Run the steps of a tape with tangents, as `explicit_rk_tangent.tangent_replay` says."""
    points = buffer(y2, 2 * (s + 2) * n)
    slopes = buffer(y2, 2 * (s + 2) * n)
    k = buffer(y2, 2 * (s + 1) * n)
    matrix2 = buffer(y2, 2 * jacobian_size(n, pattern))
    drift2 = buffer(y2, 2 * n)
    lu = buffer(y2, factor_size(n, pattern))
    pivots = buffer(y2, n)
    found = buffer(y2, 2 * n)
    copy(2 * n, y2, 0, points, 0)
    begin_tangents(n, y2, interval[0], m, times, values, values_dot)

    cursor = 0
    for row in range(rows):
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        copy(2 * n, points, 0, states2, 2 * row * n)
        run_tangent_step(
            rhs_tangent, linearise_tangent, n, mass, pattern, p2, s, gamma, a, couple, c, drive, t_hi, t_lo,
            interval_dot[0], h, h_dot, end_hi, matrix2, drift2, lu, pivots, points, slopes, k,
        )  # fmt: skip
        cursor = read_tangents(
            live, n, s, degree, dense, t_hi, t_lo, interval_dot[0], h, h_dot, end_hi, end_lo, interval, points,
            view(points, 2 * (s + 1) * n, 2 * n), k, m, times, times_dot, cursor, values, values_dot, found,
        )  # fmt: skip
        copy_where(live, 2 * n, points, 2 * (s + 1) * n, points, 0)
    copy(2 * n, points, 0, end2, 0)


def transpose_tangent_step(
    rhs_tangent_vjp: Model,
    linearise_tangent_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p2: Array,
    s: int,
    a: Array,
    couple: Array,
    c: Array,
    drive: Array,
    t_hi: Element,
    t_lo: Element,
    t_dot: Element,
    h: Element,
    h_dot: Element,
    end_hi: Element,
    live: Mask,
    matrix2: Array,
    drift2: Array,
    lu: Array,
    pivots: Array,
    points: Array,
    slopes: Array,
    k: Array,
    lam: Array,
    k_bar: Array,
    state_bar: Array,
    p2_bar: Array,
    ends: Array,
) -> None:
    """Transpose the map (t, h, y2, p2) → (k, y1) of a step of dual numbers: from `k_bar` (2*(s+1)*n, overwritten) and the
    cotangent `lam` of y1 (2n) to additions to `state_bar`, `p2_bar` and `ends` (those of t, h, ṫ, ḣ)."""
    entries = jacobian_size(n, pattern)
    matrix_bar = buffer(lam, 2 * entries)
    drift_bar = buffer(lam, 2 * n)
    point_bar = buffer(lam, 2 * n)
    moment_bar = buffer(lam, 2)
    along = buffer(lam, 2 * n)
    mixed = buffer(lam, n)
    copy(2 * n, lam, 0, point_bar, 0)
    for back in range(s + 2):
        i = s + 1 - back
        at = 2 * i * n
        if i <= s:
            mu = view(k_bar, at, n)
            mu_dot = view(k_bar, at + n, n)
            solve_step_matrix_transposed(n, pattern, lu, pivots, mu_dot)
            for q in range(n):
                mu_dot[q] = select(live, mu_dot[q], 0.0)
            add_jacobian_transposed(n, pattern, matrix2, 0, h_dot, mu_dot, 0, mu, 0)
            add_jacobian_transposed(n, pattern, matrix2, entries, h, mu_dot, 0, mu, 0)
            solve_step_matrix_transposed(n, pattern, lu, pivots, mu)
            for q in range(n):
                mu[q] = select(live, mu[q], 0.0)
            fill(2 * n, 0.0, point_bar, 0)
            fill(2, 0.0, moment_bar, 0)
            rhs_tangent_vjp(
                stage_moment(i, c, t_hi, t_lo, h, end_hi), fma(c[i], h_dot, t_dot), view(points, at, 2 * n), p2,
                view(k_bar, at, 2 * n), moment_bar, point_bar, p2_bar,
            )  # fmt: skip
            ends[0] = ends[0] + moment_bar[0]
            ends[1] = fma(c[i], moment_bar[0], ends[1])
            ends[2] = ends[2] + moment_bar[1]
            ends[3] = fma(c[i], moment_bar[1], ends[3])
            multiply_jacobian(n, pattern, matrix2, 0, k, at, along, 0)
            multiply_jacobian(n, pattern, matrix2, 0, k, at + n, along, n)
            multiply_jacobian(n, pattern, matrix2, entries, k, at, mixed, 0)
            for q in range(n):
                slope = along[q] + drive[i] * drift2[q]
                slope_dot = along[n + q] + drive[i] * drift2[n + q] + mixed[q]
                ends[1] = fma(mu[q], slope, fma(mu_dot[q], slope_dot, ends[1]))
                ends[3] = fma(mu_dot[q], slope, ends[3])
                mixed[q] = fma(h, mu[q], h_dot * mu_dot[q])
                drift_bar[q] = fma(drive[i], mixed[q], drift_bar[q])
                drift_bar[n + q] = fma(drive[i] * h, mu_dot[q], drift_bar[n + q])
            add_outer_product(n, pattern, 1.0, mixed, 0, k, at, matrix_bar, 0)
            add_outer_product(n, pattern, h, mu_dot, 0, k, at + n, matrix_bar, 0)
            add_outer_product(n, pattern, h, mu_dot, 0, k, at, matrix_bar, entries)
        axpy(2 * n, 1.0, point_bar, 0, state_bar, 0)
        if i > 0:
            ends[1] = ends[1] + dot(2 * n, point_bar, 0, slopes, at)
            ends[3] = ends[3] + dot(n, point_bar, n, slopes, at)
            add_to_rows(2 * n, i, h, a, i * (s + 1), 1, point_bar, 0, k_bar, 0, 2 * n)
            add_to_rows(n, i, h_dot, a, i * (s + 1), 1, point_bar, n, k_bar, 0, 2 * n)
        if i > 0 and i <= s:
            for q in range(n):
                for j in range(i):
                    if couple[i * (s + 1) + j] != 0.0:
                        weight = mass[q] * couple[i * (s + 1) + j]
                        k_bar[2 * j * n + q] = fma(weight, k_bar[at + q], k_bar[2 * j * n + q])
                        k_bar[2 * j * n + n + q] = fma(weight, k_bar[at + n + q], k_bar[2 * j * n + n + q])
    fill(2, 0.0, moment_bar, 0)
    linearise_tangent_vjp(t_hi, t_dot, view(points, 0, 2 * n), p2, matrix_bar, drift_bar, moment_bar, state_bar, p2_bar)
    ends[0] = ends[0] + moment_bar[0]
    ends[2] = ends[2] + moment_bar[1]


def tangent_pullback(
    rhs_tangent: Model,
    linearise_tangent: Model,
    rhs_tangent_vjp: Model,
    linearise_tangent_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p2: Array,
    interval: Array,
    interval_dot: Array,
    m: int,
    times: Array,
    times_dot: Array,
    s: int,
    degree: int,
    gamma: float,
    a: Array,
    couple: Array,
    c: Array,
    drive: Array,
    dense: Array,
    grid: Array,
    rows: int,
    states2: Array,
    values_bar: Array,
    values_dot_bar: Array,
    end2_bar: Array,
    y2_bar: Array,
    p2_bar: Array,
    interval_bar: Array,
    interval_dot_bar: Array,
    times_bar: Array,
    times_dot_bar: Array,
) -> None:
    """Transpose `tangent_replay`; everything as `explicit_rk_tangent.tangent_pullback` says."""
    direction = direction_of(interval)
    t_dot = interval_dot[0]
    points = buffer(states2, 2 * (s + 2) * n)
    slopes = buffer(states2, 2 * (s + 2) * n)
    k = buffer(states2, 2 * (s + 1) * n)
    k_bar = buffer(states2, 2 * (s + 1) * n)
    matrix2 = buffer(states2, 2 * jacobian_size(n, pattern))
    drift2 = buffer(states2, 2 * n)
    lu = buffer(states2, factor_size(n, pattern))
    pivots = buffer(states2, n)
    state_bar = buffer(states2, 2 * n)
    lam = buffer(states2, 2 * n)
    held_lam = buffer(states2, 2 * n)
    ends = buffer(states2, 4)
    copy(2 * n, end2_bar, 0, lam, 0)
    started = direction != direction
    cursor = m
    for row in range(rows - 1, -1, -1):
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        copy(2 * n, states2, 2 * row * n, points, 0)
        run_tangent_step(
            rhs_tangent, linearise_tangent, n, mass, pattern, p2, s, gamma, a, couple, c, drive, t_hi, t_lo, t_dot, h,
            h_dot, end_hi, matrix2, drift2, lu, pivots, points, slopes, k,
        )  # fmt: skip

        begin_transpose(live, 2 * (s + 1) * n, 2 * n, lam, held_lam, k_bar, state_bar, 4, ends)
        cursor, _ = transpose_tangent_reads(
            live, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, end_hi, end_lo, interval, k, times, times_dot,
            cursor, values_bar, values_dot_bar, k_bar, state_bar, times_bar, times_dot_bar, ends,
        )  # fmt: skip
        transpose_tangent_step(
            rhs_tangent_vjp, linearise_tangent_vjp, n, mass, pattern, p2, s, a, couple, c, drive, t_hi, t_lo, t_dot,
            h, h_dot, end_hi, live, matrix2, drift2, lu, pivots, points, slopes, k, held_lam, k_bar, state_bar,
            p2_bar, ends,
        )  # fmt: skip

        started = end_transpose(live, last, 2 * n, state_bar, lam, ends, interval_bar, started)
        add_ends(live, last, ends[2], ends[3], interval_dot_bar)

    hold_tangent_start(n, interval, m, times, values_bar, values_dot_bar, started, lam, y2_bar)
