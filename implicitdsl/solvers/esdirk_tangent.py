"""Second order through `esdirk`: the tangent of the frozen map, and the transpose of that tangent.

As `explicit_rk_tangent`, whose state, parameters, times and their tangents these are. The tangent of a stage obeys the
linear system of the stage itself, at the stage: (M/gamma - h*f_y) u̇_i = M (sum couple_ij*u̇_j) + ḟ, where ḟ is the
derivative of f along (ṫ_i, ẏ + ḣ*u_i, ṗ). The pair (u_i, u̇_i) has the matrix [[A, 0], [-h*ḟ_y - ḣ*f_y, A]], and the
transpose solves with A twice; the second derivatives of f enter through the transpose of its tangent alone.

Model functions: `rhs`, `linearise` as in `esdirk`; `rhs_tangent`, `rhs_tangent_vjp` as in `explicit_rk_tangent`.
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
from implicitdsl.solvers.esdirk import reads_any, run_stages
from implicitdsl.solvers.esdirk_adjoint import any_inside, has_any
from implicitdsl.solvers.step_matrix import (
    factor_size,
    factor_step,
    jacobian_size,
    solve_step_matrix,
    solve_step_matrix_transposed,
)
from implicitdsl.solvers.stepping import stage_moment
from implicitdsl.solvers.sweeps import add_ends, begin_transpose, end_transpose, tape_row
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
    select,
    view,
)

Model = Callable[..., None]


def run_tangent_stages(
    rhs: Model, linearise: Model, rhs_tangent: Model, n: int, mass: Array, pattern: Array, p2: Array, gamma: float, rows: int,
    final: int, couple: Array, predict: Array, c: Array, t_hi: Element, t_lo: Element, t_dot: Element, h: Element,
    h_dot: Element, end_hi: Element, live: Mask, matrix: Array, drift: Array, lu: Array, pivots: Array, points: Array,
    k: Array, rtol: Element, atol: Element,
) -> None:  # fmt: skip
    """Stages 0 … `final` of a step of dual numbers, whose rows are (value, tangent), 2n numbers; row 0 of `points` is
    (y, ẏ)."""
    plain_points = buffer(points, rows * n)
    plain_k = buffer(points, rows * n)
    found = buffer(points, 2 * n)
    copy(n, points, 0, plain_points, 0)
    rhs(t_hi, plain_points, p2, plain_k)
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, plain_points, p2, matrix, drift, lu, pivots)
    run_stages(
        rhs, linearise, n, mass, pattern, p2, gamma, rows, couple, predict, c, 1, final, t_hi, t_lo, h, end_hi, live, matrix, drift, lu,
        pivots, plain_points, plain_k, rtol, atol,
    )  # fmt: skip
    rhs_tangent(t_hi, t_dot, view(points, 0, 2 * n), p2, view(k, 0, 2 * n))
    for i in range(1, final + 1):
        at = 2 * i * n
        copy(n, plain_k, i * n, k, at)
        copy(n, plain_points, i * n, points, at)
        for q in range(n):
            points[at + n + q] = fma(h_dot, k[at + q], points[n + q])
        moment = stage_moment(i, c, t_hi, t_lo, h, end_hi)
        rhs_tangent(moment, fma(c[i], h_dot, t_dot), view(points, at, 2 * n), p2, found)
        copy(n, found, n, k, at + n)
        for j in range(i):
            if couple[i * rows + j] != 0.0:
                for q in range(n):
                    if mass[q] != 0.0:
                        k[at + n + q] = fma(couple[i * rows + j], k[2 * j * n + n + q], k[at + n + q])
        factor_step(linearise, n, mass, pattern, gamma, moment, h, view(points, at, n), p2, matrix, drift, lu, pivots)
        solve_step_matrix(n, pattern, lu, pivots, view(k, at + n, n))
        axpy(n, h, k, at + n, points, at + n)


def tangent_replay(
    rhs: Model,
    linearise: Model,
    rhs_tangent: Model,
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
    last_stage: int,
    s: int,
    degree: int,
    gamma: float,
    couple: Array,
    predict: Array,
    c: Array,
    dense: Array,
    rtol: Element,
    atol: Element,
    grid: Array,
    rows: int,
    values: Array,
    values_dot: Array,
    end2: Array,
    states2: Array,
) -> None:
    """Run the steps of a tape with tangents, as `explicit_rk_tangent.tangent_replay` says."""
    direction = direction_of(interval)
    stages = last_stage + s + 1
    points = buffer(y2, 2 * stages * n)
    k = buffer(y2, 2 * stages * n)
    matrix = buffer(y2, jacobian_size(n, pattern))
    drift = buffer(y2, n)
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
        final = last_stage
        if reads_any(live, m, times, cursor, direction, end_hi, end_lo):
            final = stages - 1
        run_tangent_stages(
            rhs, linearise, rhs_tangent, n, mass, pattern, p2, gamma, stages, final, couple, predict, c, t_hi, t_lo,
            interval_dot[0], h, h_dot, end_hi, live, matrix, drift, lu, pivots, points, k, rtol, atol,
        )  # fmt: skip
        cursor = read_tangents(
            live, n, s, degree, dense, t_hi, t_lo, interval_dot[0], h, h_dot, end_hi, end_lo, interval, points,
            view(points, 2 * last_stage * n, 2 * n), view(k, 2 * last_stage * n, 2 * (s + 1) * n), m, times, times_dot,
            cursor, values, values_dot, found,
        )  # fmt: skip
        copy_where(live, 2 * n, points, 2 * last_stage * n, points, 0)
    copy(2 * n, points, 0, end2, 0)


def transpose_tangent_stages(
    linearise: Model, rhs_tangent_vjp: Model, n: int, mass: Array, pattern: Array, p2: Array, gamma: float, last_stage: int, rows: int,
    final: int, couple: Array, c: Array, t_hi: Element, t_lo: Element, t_dot: Element, h: Element, h_dot: Element,
    end_hi: Element, live: Mask, matrix: Array, drift: Array, lu: Array, pivots: Array, points: Array, k: Array,
    lam: Array, k_bar: Array, state_bar: Array, p2_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose the map (t, h, y2, p2) → (u2, y1) of the stages 0 … `final` of a step of dual numbers: from `k_bar`
    (overwritten) and the cotangent `lam` of y1 (2n) to additions to `state_bar`, `p2_bar` and `ends` (those of t, h, ṫ,
    ḣ)."""
    point_bar = buffer(lam, 2 * n)
    moment_bar = buffer(lam, 2)
    asked = buffer(lam, 2 * n)
    end = 2 * last_stage * n
    axpy(2 * n, 1.0, lam, 0, state_bar, 0)
    axpy(2 * n, h, lam, 0, k_bar, end)
    axpy(n, h_dot, lam, n, k_bar, end)
    ends[1] = ends[1] + dot(2 * n, lam, 0, k, end)
    ends[3] = ends[3] + dot(n, lam, n, k, end)
    for back in range(final):
        i = final - back
        at = 2 * i * n
        mu = view(k_bar, at, n)
        mu_dot = view(k_bar, at + n, n)
        moment = stage_moment(i, c, t_hi, t_lo, h, end_hi)
        moment_dot = fma(c[i], h_dot, t_dot)
        stage = view(points, at, 2 * n)
        wanted = and_(live, has_any(2 * n, view(k_bar, at, 2 * n)))
        factor_step(linearise, n, mass, pattern, gamma, moment, h, stage, p2, matrix, drift, lu, pivots)
        solve_step_matrix_transposed(n, pattern, lu, pivots, mu_dot)
        for q in range(n):
            mu_dot[q] = select(wanted, mu_dot[q], 0.0)
        fill(n, 0.0, asked, 0)
        copy(n, mu_dot, 0, asked, n)
        fill(2 * n, 0.0, point_bar, 0)
        fill(2, 0.0, moment_bar, 0)
        rhs_tangent_vjp(moment, moment_dot, stage, p2, asked, moment_bar, point_bar, p2_bar)
        axpy(n, h, point_bar, 0, mu, 0)
        axpy(n, h_dot, point_bar, n, mu, 0)
        solve_step_matrix_transposed(n, pattern, lu, pivots, mu)
        for q in range(n):
            mu[q] = select(wanted, mu[q], 0.0)
        copy(n, mu, 0, asked, 0)
        fill(n, 0.0, asked, n)
        rhs_tangent_vjp(moment, moment_dot, stage, p2, asked, moment_bar, point_bar, p2_bar)
        ends[0] = ends[0] + moment_bar[0]
        ends[1] = fma(c[i], moment_bar[0], ends[1]) + select(wanted, dot(2 * n, point_bar, 0, k, at), 0.0)
        ends[2] = ends[2] + moment_bar[1]
        ends[3] = fma(c[i], moment_bar[1], ends[3]) + select(wanted, dot(n, point_bar, n, k, at), 0.0)
        axpy(2 * n, 1.0, point_bar, 0, state_bar, 0)
        for j in range(i):
            if couple[i * rows + j] != 0.0:
                for q in range(n):
                    if mass[q] != 0.0:
                        weight = couple[i * rows + j]
                        k_bar[2 * j * n + q] = fma(weight, mu[q], k_bar[2 * j * n + q])
                        k_bar[2 * j * n + n + q] = fma(weight, mu_dot[q], k_bar[2 * j * n + n + q])
    fill(2, 0.0, moment_bar, 0)
    rhs_tangent_vjp(t_hi, t_dot, view(points, 0, 2 * n), p2, view(k_bar, 0, 2 * n), moment_bar, state_bar, p2_bar)
    ends[0] = ends[0] + moment_bar[0]
    ends[2] = ends[2] + moment_bar[1]


def tangent_pullback(
    rhs: Model,
    linearise: Model,
    rhs_tangent: Model,
    rhs_tangent_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p2: Array,
    interval: Array,
    interval_dot: Array,
    m: int,
    times: Array,
    times_dot: Array,
    last_stage: int,
    s: int,
    degree: int,
    gamma: float,
    couple: Array,
    predict: Array,
    c: Array,
    dense: Array,
    rtol: Element,
    atol: Element,
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
    stages = last_stage + s + 1
    points = buffer(states2, 2 * stages * n)
    k = buffer(states2, 2 * stages * n)
    k_bar = buffer(states2, 2 * stages * n)
    matrix = buffer(states2, jacobian_size(n, pattern))
    drift = buffer(states2, n)
    lu = buffer(states2, factor_size(n, pattern))
    pivots = buffer(states2, n)
    state_bar = buffer(states2, 2 * n)
    lam = buffer(states2, 2 * n)
    held_lam = buffer(states2, 2 * n)
    ends = buffer(states2, 4)
    read_k = view(k, 2 * last_stage * n, 2 * (s + 1) * n)
    read_k_bar = view(k_bar, 2 * last_stage * n, 2 * (s + 1) * n)
    copy(2 * n, end2_bar, 0, lam, 0)
    started = direction != direction
    cursor = m
    for row in range(rows - 1, -1, -1):
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        copy(2 * n, states2, 2 * row * n, points, 0)
        final = last_stage
        if any_inside(live, times, cursor, t_hi, t_lo, end_hi, end_lo, interval[0], direction):
            final = stages - 1
        run_tangent_stages(
            rhs, linearise, rhs_tangent, n, mass, pattern, p2, gamma, stages, final, couple, predict, c, t_hi, t_lo, t_dot, h,
            h_dot, end_hi, live, matrix, drift, lu, pivots, points, k, rtol, atol,
        )  # fmt: skip

        begin_transpose(live, 2 * stages * n, 2 * n, lam, held_lam, k_bar, state_bar, 4, ends)
        cursor, _ = transpose_tangent_reads(
            live, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, end_hi, end_lo, interval, read_k, times, times_dot,
            cursor, values_bar, values_dot_bar, read_k_bar, state_bar, times_bar, times_dot_bar, ends,
        )  # fmt: skip
        transpose_tangent_stages(
            linearise, rhs_tangent_vjp, n, mass, pattern, p2, gamma, last_stage, stages, final, couple, c, t_hi, t_lo, t_dot, h,
            h_dot, end_hi, live, matrix, drift, lu, pivots, points, k, held_lam, k_bar, state_bar, p2_bar, ends,
        )  # fmt: skip

        started = end_transpose(live, last, 2 * n, state_bar, lam, ends, interval_bar, started)
        add_ends(live, last, ends[2], ends[3], interval_dot_bar)

    hold_tangent_start(n, interval, m, times, values_bar, values_dot_bar, started, lam, y2_bar)
