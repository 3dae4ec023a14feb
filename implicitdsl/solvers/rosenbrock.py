"""Rosenbrock–Wanner integration of M y' = f(t, y, p) with a diagonal M of zeros and ones, for stiff systems and, where M
is singular, for differential-algebraic ones of index 1.

Model functions: `rhs(t, y, p, out)` overwrites `out` (n) with f; `linearise(t, y, p, matrix, drift)` overwrites `matrix`
with f_y and `drift` (n) with f_t. `mass` (n) is the diagonal of M, `pattern` says how f_y is held (`step_matrix`). A method is a tableau of s + 1 stages
(`rosenbrock_tableau.py`: its tables `a, couple, c, drive, error, dense` and `gamma`, `degree`). Times, tape, statistics
and statuses are those of `explicit_rk`; so is the computed map that `rosenbrock_adjoint` differentiates. A step solves
with one matrix, M/gamma - h*f_y at its start, factored with pivots that are each sample's own; a singular one is a step
that fails.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import begin_values, direction_of, read_values, times_in_order
from implicitdsl.solvers.explicit_rk import (
    ACCEPTED,
    FIRST_STEP,
    GRID,
    LAST_TIME,
    REJECTED,
    ROWS,
    end_of_step,
)
from implicitdsl.solvers.status import BAD_TIMES, DT_UNDERFLOW, MAX_STEPS, NONFINITE, SUCCESS
from implicitdsl.solvers.step_control import (
    SMALLEST_PREVIOUS_ERROR,
    first_step,
    next_length,
    scaled_rms,
    shortest_step,
)
from implicitdsl.solvers.step_matrix import (
    factor_size,
    factor_step_matrix,
    jacobian_size,
    multiply_jacobian,
    solve_step_matrix,
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
    copy_where,
    epsilon,
    fill,
    fma,
    interrupted,
    not_,
    select,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]


def stage_moment(i: int, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element) -> Element:
    """The time of stage i; stages at the end of the step are at its rounded end, where the next step begins."""
    if c[i] == 1.0:
        return end_hi
    return t_hi + (t_lo + c[i] * h)


def factor_step(
    linearise: Model,
    n: int,
    mass: Array,
    pattern: Array,
    gamma: float,
    t: Element,
    h: Element,
    y: Array,
    p: Array,
    matrix: Array,
    drift: Array,
    lu: Array,
    pivots: Array,
) -> None:
    """`matrix` := f_y, `drift` := f_t at the start of a step, and the factors of A = M/gamma - h*f_y.

    In a step of length 0 the rows without mass are divided by h, as `run_stages` does with their right-hand sides.
    """
    linearise(t, y, p, matrix, drift)
    factor_step_matrix(n, mass, pattern, gamma, h, matrix, lu, pivots)


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
            fill(n, 0.0, slopes, i * n)
            for j in range(i):
                if a[i * (s + 1) + j] != 0.0:
                    axpy(n, a[i * (s + 1) + j], k, j * n, slopes, i * n)
            copy(n, points, 0, points, i * n)
            axpy(n, h, slopes, i * n, points, i * n)
        if i <= s:
            rhs(stage_moment(i, c, t_hi, t_lo, h, end_hi), view(points, i * n, n), p, view(k, i * n, n))
            if drive[i] != 0.0:
                axpy(n, h * drive[i], drift, 0, k, i * n)
            if i > 0:
                fill(n, 0.0, work, 0)
                for j in range(i):
                    if couple[i * (s + 1) + j] != 0.0:
                        axpy(n, couple[i * (s + 1) + j], k, j * n, work, 0)
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
) -> Element:
    """Solve from t0 to t1 and read the solution at `times`; everything as `explicit_rk.integrate` says.

    Where M is singular, y0 is taken to be consistent (`consistent_start` makes it so).
    """
    t0 = interval[0]
    t1 = interval[1]
    adaptive = not (dt > 0.0)
    direction = direction_of(interval)
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
    copy(n, y0, 0, points, 0)
    begin_values(n, y0, t0, m, times, values)

    good = times_in_order(interval, m, times)
    rhs(t0, y, p, view(k, 0, n))
    sound = and_(all_finite(n, y, 0), all_finite(n, k, 0))
    status = select(good, select(sound, SUCCESS, NONFINITE), BAD_TIMES)
    active = and_(good, sound)
    length = vabs(dt)
    if adaptive:
        length = first_step(rhs, n, y, p, t0, t1 - t0, k, control, rtol, atol, y1, work)
        reach = 1.01
    else:
        reach = 1.001
    statistics[FIRST_STEP] = length

    t_hi = t0
    t_lo = 0.0 * dt
    accepted = 0.0 * dt
    rejected = 0.0 * dt
    previous = 0.0 * dt + SMALLEST_PREVIOUS_ERROR
    after_rejection = and_(active, not_(active))
    cursor = 0
    row = 0
    while any_(active) and not interrupted():
        remaining = (t1 - t_hi) - t_lo
        last = vabs(remaining) <= reach * length
        h = select(last, remaining, direction * length)
        end_hi, end_lo = end_of_step(t_hi, t_lo, h)
        end_hi = select(last, t1, end_hi)
        end_lo = select(last, 0.0, end_lo)
        factor_step(linearise, n, mass, pattern, gamma, t_hi, h, y, p, matrix, drift, lu, pivots)
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

        finite = and_(all_finite(n, y1, 0), all_finite((s + 1) * n, k, 0))
        fits = finite
        err = 0.0 * dt
        if adaptive:
            fill(n, 0.0, work, 0)
            for i in range(s + 1):
                if error[i] != 0.0:
                    axpy(n, h * error[i], k, i * n, work, 0)
            err = scaled_rms(n, work, y, y1, rtol, atol)
            fits = and_(finite, err <= 1.0)
        ok = and_(active, fits)
        failed = and_(active, not_(fits))

        if any_(ok):
            flag = select(ok, select(last, 2.0, 1.0), 0.0)
            if row < grid_rows:
                grid[row * GRID] = t_hi
                grid[row * GRID + 1] = t_lo
                grid[row * GRID + 2] = select(ok, h, 0.0)
                grid[row * GRID + 3] = flag
            if row < state_rows:
                copy(n, y, 0, states, row * n)
            row = row + 1
            cursor = read_values(
                ok, active, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times, cursor,
                values, work,
            )  # fmt: skip
            copy_where(ok, n, y1, 0, y, 0)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)

        accepted = accepted + select(ok, 1.0, 0.0)
        rejected = rejected + select(failed, 1.0, 0.0)
        active = and_(active, not_(and_(ok, last)))
        if adaptive:
            length = select(active, next_length(ok, finite, err, previous, after_rejection, control, h), length)
            previous = select(ok, vmax(err, SMALLEST_PREVIOUS_ERROR), previous)
            after_rejection = failed
            stuck = and_(active, not_(length >= shortest_step(epsilon(y0), t_hi, t1 - t0)))
            status = select(stuck, select(finite, DT_UNDERFLOW, NONFINITE), status)
        else:
            stuck = failed
            status = select(stuck, NONFINITE, status)
        active = and_(active, not_(stuck))
        spent = and_(active, accepted + rejected >= max_steps)
        status = select(spent, MAX_STEPS, status)
        active = and_(active, not_(spent))

    copy(n, y, 0, y_end, 0)
    statistics[ACCEPTED] = accepted
    statistics[REJECTED] = rejected
    statistics[LAST_TIME] = t_hi
    statistics[ROWS] = row
    return status
