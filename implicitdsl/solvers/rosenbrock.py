"""Rosenbrock–Wanner integration of M y' = f(t, y, p) with a diagonal M of zeros and ones, for stiff systems and, where M
is singular, for differential-algebraic ones of index 1.

Model functions: `rhs(t, y, p, out)` overwrites `out` (n) with f; `linearise(t, y, p, matrix, drift)` overwrites `matrix`
with f_y and `drift` (n) with f_t. `mass` (n) is the diagonal of M, `pattern` says how f_y is held (`step_matrix`). A method
is a tableau of s + 1 stages (`rosenbrock_tableau.py`: its tables `a, couple, c, drive, error, dense` and `gamma`,
`degree`). Times, tape and statistics are those of `stepping.py`, the computed map that `rosenbrock_adjoint` differentiates
that of `explicit_rk`. A step solves with one matrix, M/gamma - h*f_y at its start, factored with pivots that are each sample's own; a singular one is a step
that fails.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.step_matrix import (
    factor_size,
    factor_step,
    jacobian_size,
    multiply_jacobian,
    solve_step_matrix,
)
from implicitdsl.solvers.stepping import (
    COURSE,
    after_step,
    close_run,
    keep_step,
    next_step,
    no_low_part,
    open_run,
    stage_moment,
    step_error,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    all_finite,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    fill,
    fma,
    interrupted,
    select,
    sum_rows,
    view,
)

Model = Callable[..., None]


def run_stages(
    rhs: Model,
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
    matrix: Array,
    drift: Array,
    lu: Array,
    pivots: Array,
    points: Array,
    slopes: Array,
    k: Array,
    work: Array,
) -> None:
    """All stages of a step whose state y stands in row 0 of `points` and whose matrix is factored.

    Row i of `points` is the argument of stage i, row i of `slopes` the sum a_ij*k_j that led there, row i of `k` the stage
    (n numbers a row, i = 0..s); row s + 1 of `points` and `slopes` is that of y1.
    """
    for i in range(s + 2):
        if i > 0:
            sum_rows(n, i, a, i * (s + 1), 1, k, 0, n, slopes, i * n)
            copy(n, points, 0, points, i * n)
            axpy(n, h, slopes, i * n, points, i * n)
        if i <= s:
            rhs(stage_moment(i, c, t_hi, t_lo, h, end_hi), view(points, i * n, n), p, view(k, i * n, n))
            if drive[i] != 0.0:
                axpy(n, h * drive[i], drift, 0, k, i * n)
            if i > 0:
                sum_rows(n, i, couple, i * (s + 1), 1, k, 0, n, work, 0)
                for q in range(n):
                    k[i * n + q] = fma(mass[q], work[q], k[i * n + q])
            if any_(h == 0.0):
                # With 0 = f at the start, f/h tends to this: the slope of the algebraic unknowns where h is 0.
                fill(n, 0.0, work, 0)
                if i > 0:
                    multiply_jacobian(n, pattern, matrix, 0, slopes, i * n, work, 0)
                for q in range(n):
                    if mass[q] == 0.0:
                        limit = (c[i] + drive[i]) * drift[q] + work[q]
                        k[i * n + q] = select(h == 0.0, limit, k[i * n + q])
            solve_step_matrix(n, pattern, lu, pivots, view(k, i * n, n))


def integrate(
    rhs: Model,
    linearise: Model,
    n: int,
    mass: Array,
    pattern: Array,
    y0: Array,
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
    error: Array,
    dense: Array,
    control: Array,
    rtol: Element,
    atol: Element,
    dt: Element,
    max_steps: int,
    values: Array,
    y_end: Array,
    statistics: Array,
    grid: Array,
    grid_rows: int,
    states: Array,
    state_rows: int,
    every: int,
) -> Element:
    """Solve from t0 to t1 and read the solution at `times`; everything as `explicit_rk.integrate` says.

    Where M is singular, y0 is taken to be consistent (`consistent_start` makes it so).
    """
    points = buffer(y0, (s + 2) * n)
    slopes = buffer(y0, (s + 2) * n)
    k = buffer(y0, (s + 1) * n)
    matrix = buffer(y0, jacobian_size(n, pattern))
    drift = buffer(y0, n)
    lu = buffer(y0, factor_size(n, pattern))
    pivots = buffer(y0, n)
    y1 = view(points, (s + 1) * n, n)
    y = view(points, 0, n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    status, active = open_run(
        rhs, n, y0, p, interval, m, times, control, rtol, atol, dt, y, view(k, 0, n), y1, work, values, statistics, course
    )  # fmt: skip

    t_hi = interval[0]
    t_lo = no_low_part(active)
    cursor = 0
    row = 0
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        factor_step(linearise, n, mass, pattern, gamma, t_hi, h, y, p, matrix, drift, lu, pivots)
        run_stages(
            rhs, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, matrix, drift, lu, pivots, points,
            slopes, k, work,
        )  # fmt: skip
        finite = and_(all_finite(n, y1, 0), all_finite((s + 1) * n, k, 0))
        square = step_error(n, s, error, h, k, y, y1, rtol, atol, dt, work)
        ok = and_(active, and_(finite, square <= 1.0))
        if any_(ok):
            row, cursor = keep_step(
                ok, active, last, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times, cursor,
                values, work, row, grid, grid_rows, states, state_rows, every,
            )  # fmt: skip
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
        status, active = after_step(
            status, active, ok, finite, last, square, h, t_hi, interval, control, dt, max_steps, statistics, course, y0
        )

    close_run(n, y, t_hi, row, y_end, statistics)
    return status
