"""The exact derivative of what `esdirk` computes, with its accepted steps held, by the implicit function theorem at its
stages.

A reverse sweep over the tape as in `explicit_rk_adjoint`. With u_i_bar the cotangent of stage i, all later uses
included, mu_i = (M/gamma - h*f_y(Y_i))^-T u_i_bar goes to the right-hand side of the stage's equation: to f at the stage,
and by the couplings to the stages before. f_y is that of the stage itself, so the iteration by which the stage was found
leaves no trace. (The discrete adjoint of implicit Runge–Kutta methods: A. Sandu, ICCS 2006, LNCS 3994, 550–557.)

Model functions: `rhs`, `linearise` as in `rosenbrock`; `rhs_vjp` as in `explicit_rk_adjoint`.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of, has_begun, lies_inside
from implicitdsl.solvers.dense_output_adjoint import hold_start, transpose_reads
from implicitdsl.solvers.esdirk import run_stages
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size, solve_step_matrix_transposed
from implicitdsl.solvers.stepping import stage_moment
from implicitdsl.solvers.sweeps import begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_to_rows,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    dot,
    fill,
    fma,
    interrupted,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def any_inside(
    live: Mask, times: Array, cursor: int, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element, start: Element,
    direction: Element,
) -> bool:  # fmt: skip
    """Whether `transpose_reads` would find a time in this step."""
    found = False
    j = cursor - 1
    going = True
    while j >= 0 and going and not found:
        inside = and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, start, direction))
        found = any_(inside)
        going = any_(has_begun(times[j], t_hi, t_lo, start, direction, inside))
        j = j - 1
    return found


def has_any(n: int, x: Array) -> Mask:
    """Where a number of x is not 0."""
    found = x[0] != 0.0
    for i in range(1, n):
        found = or_(found, x[i] != 0.0)
    return found


def transpose_stages(
    linearise: Model, rhs_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, gamma: float, last_stage: int, rows: int,
    final: int, couple: Array, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element, live: Mask,
    matrix: Array, drift: Array, lu: Array, pivots: Array, points: Array, k: Array, lam: Array, k_bar: Array,
    y_bar: Array, p_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose the map (t, h, y, p) → (u, y1) of the stages 0 … `final` of one step: from `k_bar` (overwritten) and the
    cotangent `lam` of y1 to additions to `y_bar`, `p_bar` and `ends` (those of t and h)."""
    point_bar = buffer(lam, n)
    moved = buffer(lam, n)
    moment_bar = buffer(lam, 1)
    axpy(n, 1.0, lam, 0, y_bar, 0)
    axpy(n, h, lam, 0, k_bar, last_stage * n)
    ends[1] = ends[1] + dot(n, lam, 0, k, last_stage * n)
    for back in range(final):
        i = final - back
        mu = view(k_bar, i * n, n)
        moment = stage_moment(i, c, t_hi, t_lo, h, end_hi)
        # A reading stage that this sample did not ask for may have no solution and no factors.
        asked = and_(live, has_any(n, mu))
        factor_step(linearise, n, mass, pattern, gamma, moment, h, view(points, i * n, n), p, matrix, drift, lu, pivots)
        solve_step_matrix_transposed(n, pattern, lu, pivots, mu)
        for q in range(n):
            mu[q] = select(asked, mu[q], 0.0)
        fill(n, 0.0, point_bar, 0)
        fill(1, 0.0, moment_bar, 0)
        rhs_vjp(moment, view(points, i * n, n), p, mu, moment_bar, point_bar, p_bar)
        ends[0] = ends[0] + moment_bar[0]
        ends[1] = fma(c[i], moment_bar[0], ends[1]) + dot(n, point_bar, 0, k, i * n)
        axpy(n, 1.0, point_bar, 0, y_bar, 0)
        for q in range(n):
            moved[q] = mass[q] * mu[q]
        add_to_rows(n, i, 1.0, couple, i * rows, 1, moved, 0, k_bar, 0, n)
    fill(1, 0.0, moment_bar, 0)
    rhs_vjp(t_hi, view(points, 0, n), p, view(k_bar, 0, n), moment_bar, y_bar, p_bar)
    ends[0] = ends[0] + moment_bar[0]


def sweep(
    rhs: Model, linearise: Model, rhs_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, interval: Array,
    m: int, times: Array, last_stage: int, s: int, degree: int, gamma: float, couple: Array, predict: Array, c: Array,
    dense: Array, rtol: Element, atol: Element, grid: Array, rows: int, states: Array, values_bar: Array, lam: Array,
    p_bar: Array, interval_bar: Array, times_bar: Array, cursor: int, started: Mask,
) -> tuple[int, Mask]:  # fmt: skip
    """Transpose `rows` successive rows of a tape, the last first; as `explicit_rk_adjoint.sweep`."""
    direction = direction_of(interval)
    stages = last_stage + s + 1
    points = buffer(states, stages * n)
    k = buffer(states, stages * n)
    k_bar = buffer(states, stages * n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    y_bar = buffer(states, n)
    held_lam = buffer(states, n)
    ends = buffer(states, 2)
    read_k = view(k, last_stage * n, (s + 1) * n)
    read_k_bar = view(k_bar, last_stage * n, (s + 1) * n)
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        copy(n, states, row * n, points, 0)
        final = last_stage
        if any_inside(live, times, cursor, t_hi, t_lo, end_hi, end_lo, interval[0], direction):
            final = stages - 1
        rhs(t_hi, points, p, k)
        factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
        run_stages(
            rhs, linearise, n, mass, pattern, p, gamma, stages, couple, predict, c, 1, final, t_hi, t_lo, h, end_hi, live, matrix, drift, lu,
            pivots, points, k, rtol, atol,
        )  # fmt: skip

        begin_transpose(live, stages * n, n, lam, held_lam, k_bar, y_bar, 2, ends)
        cursor, _ = transpose_reads(
            n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, read_k, times, cursor, values_bar,
            read_k_bar, y_bar, times_bar, ends, True,
        )  # fmt: skip
        transpose_stages(
            linearise, rhs_vjp, n, mass, pattern, p, gamma, last_stage, stages, final, couple, c, t_hi, t_lo, h, end_hi, live,
            matrix, drift, lu, pivots, points, k, held_lam, k_bar, y_bar, p_bar, ends,
        )  # fmt: skip
        started = end_transpose(live, last, n, y_bar, lam, ends, interval_bar, started)
    return cursor, started


def pullback(
    rhs: Model,
    linearise: Model,
    rhs_vjp: Model,
    n: int,
    mass: Array,
    pattern: Array,
    p: Array,
    interval: Array,
    m: int,
    times: Array,
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
    states: Array,
    values_bar: Array,
    end_bar: Array,
    y0_bar: Array,
    p_bar: Array,
    interval_bar: Array,
    times_bar: Array,
) -> None:
    """Transpose the frozen map: from the cotangents of `values` (m*n) and `y_end` (n) to those of y0, p, (t0, t1), times.

    Everything as `explicit_rk_adjoint.pullback` says; rtol and atol are those of the run.
    """
    lam = buffer(states, n)
    copy(n, end_bar, 0, lam, 0)
    direction = direction_of(interval)
    _, started = sweep(
        rhs, linearise, rhs_vjp, n, mass, pattern, p, interval, m, times, last_stage, s, degree, gamma, couple, predict,
        c, dense, rtol, atol, grid, rows, states, values_bar, lam, p_bar, interval_bar, times_bar, m,
        direction != direction,
    )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
