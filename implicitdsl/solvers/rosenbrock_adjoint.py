"""The exact derivative of what `rosenbrock` computes, with its accepted steps held.

A reverse sweep over the tape as in `explicit_rk_adjoint`. The stages of a step solve A k_i = r_i with one matrix
A = M/gamma - h*f_y(t, y, p); with mu_i = A^-T k_i_bar the transposed step gives mu_i to the right-hand side r_i and
h*mu_i*k_i^T to f_y, so that second derivatives of f enter through one product a step: the gradient of
<sum h*mu_i*k_i^T, f_y> + <sum h*drive_i*mu_i, f_t>. (The discrete adjoint of a Rosenbrock method: D. N. Daescu,
A. Sandu, G. R. Carmichael, Atmos. Environ. 37 (2003) 5097–5114; here with the derivatives in t and h.)

Model functions: `rhs`, `linearise` as in `rosenbrock`; `rhs_vjp` as in `explicit_rk_adjoint`;
`linearise_vjp(t, y, p, matrix_cot, drift_cot, t_bar, y_bar, p_bar)` adds the gradient of <matrix_cot, f_y> +
<drift_cot, f_t> to t_bar (1), y_bar (n), p_bar.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start, transpose_reads
from implicitdsl.solvers.rosenbrock import run_stages
from implicitdsl.solvers.step_matrix import (
    add_outer_product,
    factor_size,
    factor_step,
    jacobian_size,
    multiply_jacobian,
    solve_step_matrix_transposed,
)
from implicitdsl.solvers.stepping import stage_moment
from implicitdsl.solvers.sweeps import begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_to_rows,
    axpy,
    buffer,
    copy,
    dot,
    fill,
    fma,
    interrupted,
    select,
    view,
)

Model = Callable[..., None]


def transpose_stages(
    rhs_vjp: Model,
    linearise_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p: Array,
    s: int,
    a: Array,
    couple: Array,
    c: Array,
    drive: Array,
    t_hi: Element,
    t_lo: Element,
    h: Element,
    end_hi: Element,
    live: Mask,
    matrix: Array,
    drift: Array,
    lu: Array,
    pivots: Array,
    points: Array,
    slopes: Array,
    k: Array,
    lam: Array,
    k_bar: Array,
    y_bar: Array,
    p_bar: Array,
    ends: Array,
) -> None:
    """Transpose the map (t, h, y, p) → (k, y1) of one step: from `k_bar` ((s+1)*n, overwritten by the mu_i) and the
    cotangent `lam` of y1 to additions to `y_bar`, `p_bar` and `ends` (those of t and h)."""
    matrix_bar = buffer(lam, jacobian_size(n, pattern))
    drift_bar = buffer(lam, n)
    point_bar = buffer(lam, n)
    moved = buffer(lam, n)
    moment_bar = buffer(lam, 1)
    axpy(n, 1.0, lam, 0, y_bar, 0)
    ends[1] = ends[1] + dot(n, lam, 0, slopes, (s + 1) * n)
    add_to_rows(n, s + 1, h, a, (s + 1) * (s + 1), 1, lam, 0, k_bar, 0, n)
    for back in range(s + 1):
        i = s - back
        mu = view(k_bar, i * n, n)
        solve_step_matrix_transposed(n, pattern, lu, pivots, mu)
        for q in range(n):
            mu[q] = select(live, mu[q], 0.0)
        fill(n, 0.0, point_bar, 0)
        fill(1, 0.0, moment_bar, 0)
        moment = stage_moment(i, c, t_hi, t_lo, h, end_hi)
        rhs_vjp(moment, view(points, i * n, n), p, mu, moment_bar, point_bar, p_bar)
        ends[0] = ends[0] + moment_bar[0]
        ends[1] = fma(c[i], moment_bar[0], ends[1])
        axpy(n, 1.0, point_bar, 0, y_bar, 0)
        if i > 0:
            ends[1] = ends[1] + dot(n, point_bar, 0, slopes, i * n)
            for q in range(n):
                moved[q] = mass[q] * mu[q]
            add_to_rows(n, i, h, a, i * (s + 1), 1, point_bar, 0, k_bar, 0, n)
            add_to_rows(n, i, 1.0, couple, i * (s + 1), 1, moved, 0, k_bar, 0, n)
        add_outer_product(n, pattern, h, mu, 0, k, i * n, matrix_bar, 0)
        multiply_jacobian(n, pattern, matrix, 0, k, i * n, moved, 0)
        for q in range(n):
            ends[1] = fma(mu[q], moved[q], ends[1])
        if drive[i] != 0.0:
            axpy(n, h * drive[i], mu, 0, drift_bar, 0)
            ends[1] = fma(drive[i], dot(n, mu, 0, drift, 0), ends[1])
    fill(1, 0.0, moment_bar, 0)
    linearise_vjp(t_hi, view(points, 0, n), p, matrix_bar, drift_bar, moment_bar, y_bar, p_bar)
    ends[0] = ends[0] + moment_bar[0]


def sweep(
    rhs: Model, linearise: Model, rhs_vjp: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array,
    interval: Array, m: int, times: Array, s: int, degree: int, gamma: float, a: Array, couple: Array, c: Array,
    drive: Array, dense: Array, grid: Array, rows: int, states: Array, values_bar: Array, lam: Array, p_bar: Array,
    interval_bar: Array, times_bar: Array, cursor: int, started: Mask,
) -> tuple[int, Mask]:  # fmt: skip
    """Transpose `rows` successive rows of a tape, the last first; as `explicit_rk_adjoint.sweep`."""
    points = buffer(states, (s + 2) * n)
    slopes = buffer(states, (s + 2) * n)
    k = buffer(states, (s + 1) * n)
    k_bar = buffer(states, (s + 1) * n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    work = buffer(states, n)
    y_bar = buffer(states, n)
    held_lam = buffer(states, n)
    ends = buffer(states, 2)
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        copy(n, states, row * n, points, 0)
        factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
        run_stages(
            rhs,
            n,
            mass,
            pattern,
            p,
            s,
            a,
            couple,
            c,
            drive,
            t_hi,
            t_lo,
            h,
            end_hi,
            matrix,
            drift,
            lu,
            pivots,
            points,
            slopes,
            k,
            work,
        )

        begin_transpose(live, (s + 1) * n, n, lam, held_lam, k_bar, y_bar, 2, ends)
        cursor, _ = transpose_reads(
            n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, k, times, cursor, values_bar, k_bar,
            y_bar, times_bar, ends, True,
        )  # fmt: skip
        transpose_stages(
            rhs_vjp, linearise_vjp, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, live, matrix,
            drift, lu, pivots, points, slopes, k, held_lam, k_bar, y_bar, p_bar, ends,
        )  # fmt: skip
        started = end_transpose(live, last, n, y_bar, lam, ends, interval_bar, started)
    return cursor, started


def pullback(
    rhs: Model,
    linearise: Model,
    rhs_vjp: Model,
    linearise_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p: Array,
    interval: Array,
    m: int,
    times: Array,
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
    states: Array,
    values_bar: Array,
    end_bar: Array,
    y0_bar: Array,
    p_bar: Array,
    interval_bar: Array,
    times_bar: Array,
) -> None:
    """Transpose the frozen map: from the cotangents of `values` (m*n) and `y_end` (n) to those of y0, p, (t0, t1), times.

    Everything as `explicit_rk_adjoint.pullback` says.
    """
    lam = buffer(states, n)
    copy(n, end_bar, 0, lam, 0)
    direction = direction_of(interval)
    _, started = sweep(
        rhs, linearise, rhs_vjp, linearise_vjp, n, mass, pattern, p, interval, m, times, s, degree, gamma, a, couple, c,
        drive, dense, grid, rows, states, values_bar, lam, p_bar, interval_bar, times_bar, m, direction != direction,
    )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
