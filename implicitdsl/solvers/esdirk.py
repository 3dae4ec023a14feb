"""ESDIRK integration of M y' = f(t, y, p) with a diagonal M of zeros and ones, for stiff systems and, where M is
singular, for differential-algebraic ones of index 1.

Model functions as in `rosenbrock`; a method is a tableau of `esdirk_tableau.py` (its tables `couple, predict, c, dense`
and `gamma`, `last`, `readers` = s, `degree`). Times, tape, statistics and statuses are those of `stepping`.

Each stage is solved by Newton's method until the next correction would be lost in rounding, with the matrix M/gamma -
h*f_y of the start of the step, or of a later iterate where corrections shrink slowly: the computed map is then that of exact stages, and the derivative that `esdirk_adjoint` gives
by the implicit function theorem at the stages is its derivative to as many digits. A stage that does not get there is a
step that fails, and shorter ones are tried; where dt is given, the status is `diverged`. Stages of lanes in one block are
iterated together, each lane until it is done.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of, lies_inside, read_values
from implicitdsl.solvers.status import DIVERGED, NONFINITE, STALLED
from implicitdsl.solvers.step_control import scaled_rms
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
    keep_row,
    next_step,
    no_low_part,
    open_run,
    stage_moment,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    epsilon,
    fma,
    interrupted,
    not_,
    or_,
    select,
    sum_rows,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]

ROUNDS = 20
"""Corrections of a stage before it is given up."""
SLOW = 0.1
"""The rate of corrections above which the matrix is made anew, where the iteration stands."""
SMALL = 1e-2
"""A correction that counts for nothing, in units of the tolerance, where rounding lets it not become smaller."""
UNSOLVED = 32.0
"""The error that a step with an unsolved stage is taken to have: the next is about half as long."""


def solve_stage(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, gamma: float, c: Element,
    moment: Element, h: Element, active: Mask, matrix: Array, drift: Array, lu: Array, pivots: Array, y: Array,
    held: Array, u: Array, point: Array, rtol: Element, atol: Element, fresh: Array,
) -> Mask:  # fmt: skip
    """Iterate `u` (n) until M (u/gamma - held) = f(moment, y + h*u), and leave the argument of f in `point`; gives which
    samples of the mask came to it.

    `matrix` and `drift` are f_y and f_t at the start of the step, which give the limit of u for rows without mass in a
    step of length 0. `lu`, `pivots` are replaced for samples whose corrections shrink slowly. `fresh`: scratch for a
    Jacobian, its factors, and 4n.
    """
    jacobian, factors = jacobian_size(n, pattern), factor_size(n, pattern)
    step = view(fresh, jacobian + factors, n)
    limit = view(fresh, jacobian + factors + n, n)
    fresh_drift = view(fresh, jacobian + factors + 2 * n, n)
    fresh_pivots = view(fresh, jacobian + factors + 3 * n, n)
    fresh_lu = view(fresh, jacobian, factors)
    largest = 0.0 * h
    for q in range(n):
        largest = vmax(vabs(y[q]), largest)
    floor = fma(1e-3, atol, epsilon(y) * largest)
    floor = select(floor > 0.0, floor, epsilon(y))
    seeking = active
    solved = and_(active, not_(active))
    before = 0.0 * h
    rounds = 0
    while rounds < ROUNDS and any_(seeking):
        rounds = rounds + 1
        for q in range(n):
            point[q] = fma(h, u[q], y[q])
        rhs(moment, point, p, step)
        for q in range(n):
            if mass[q] != 0.0:
                step[q] = step[q] + (held[q] - u[q] / gamma)
        if any_(h == 0.0):
            multiply_jacobian(n, pattern, matrix, 0, u, 0, limit, 0)
            for q in range(n):
                if mass[q] == 0.0:
                    step[q] = select(h == 0.0, c * drift[q] + limit[q], step[q])
        solve_step_matrix(n, pattern, lu, pivots, step)
        relative = 0.0 * h
        scaled = 0.0 * h
        for q in range(n):
            moved = vabs(h * step[q])
            size = vmax(vabs(y[q]), vabs(fma(h, u[q] + step[q], y[q])))
            relative = vmax(moved / (size + floor), relative)
            scaled = vmax(moved / fma(rtol, size, atol + floor), scaled)
            u[q] = select(seeking, u[q] + step[q], u[q])
        sound = all_finite(n, step, 0)
        done = relative <= 4.0 * epsilon(y)
        lost = not_(sound)
        if rounds > 1:
            rate = relative / select(before > 0.0, before, 1.0)
            done = or_(done, and_(rate <= 0.3, rate * relative <= epsilon(y)))
            noise = or_(relative <= 1e4 * epsilon(y), and_(rate >= 0.9, scaled <= SMALL))
            if rounds > 2:
                done = or_(done, and_(rate >= 0.5, noise))
                lost = or_(lost, and_(rate > 2.0, not_(scaled <= SMALL)))
            stale = and_(and_(seeking, not_(or_(done, lost))), and_(rate > SLOW, not_(noise)))
            if any_(stale):
                for q in range(n):
                    point[q] = fma(h, u[q], y[q])
                factor_step(
                    linearise, n, mass, pattern, gamma, moment, h, point, p, fresh, fresh_drift, fresh_lu, fresh_pivots
                )
                copy_where(stale, factors, fresh_lu, 0, lu, 0)
                copy_where(stale, n, fresh_pivots, 0, pivots, 0)
        done = and_(done, sound)
        solved = or_(solved, and_(seeking, done))
        seeking = and_(seeking, not_(or_(done, lost)))
        before = relative
    for q in range(n):
        point[q] = fma(h, u[q], y[q])
    return solved


def run_stages(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, gamma: float, rows: int,
    couple: Array, predict: Array, c: Array, first: int, final: int, t_hi: Element, t_lo: Element, h: Element,
    end_hi: Element, active: Mask, matrix: Array, drift: Array, lu: Array, pivots: Array, points: Array, k: Array,
    rtol: Element, atol: Element,
) -> Mask:  # fmt: skip
    """Stages `first` … `final` of a step whose state y stands in row 0 of `points`, f(t, y) in row 0 of `k`, and whose
    matrix is factored. Row i of `k` becomes u_i, row i of `points` Y_i (n numbers a row).

    Gives which samples of the mask have them all. A stage without a solution is left where its iteration began.
    """
    held = buffer(points, n)
    began = buffer(points, n)
    fresh = buffer(points, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    solved = active
    for i in range(first, final + 1):
        sum_rows(n, i, couple, i * rows, 1, k, 0, n, held, 0)
        sum_rows(n, i, predict, i * rows, 1, k, 0, n, began, 0)
        copy(n, began, 0, k, i * n)
        found = solve_stage(
            rhs, linearise, n, mass, pattern, p, gamma, c[i], stage_moment(i, c, t_hi, t_lo, h, end_hi), h, solved,
            matrix, drift, lu, pivots, points, held, view(k, i * n, n), view(points, i * n, n), rtol, atol, fresh,
        )  # fmt: skip
        copy_where(not_(found), n, began, 0, k, i * n)
        solved = and_(solved, found)
    return solved


def reads_any(
    live: Mask, m: int, times: Array, cursor: int, direction: Element, end_hi: Element, end_lo: Element
) -> bool:
    """Whether `read_values` would read anything in a step that ends there."""
    return cursor < m and any_(and_(live, direction * ((times[cursor] - end_hi) - end_lo) <= 0.0))


def reading(
    live: Mask, m: int, times: Array, cursor: int, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element,
    interval: Array,
) -> Mask:  # fmt: skip
    """Which samples have a time of their own in the step."""
    found = and_(live, not_(live))
    for j in range(cursor, m):
        inside = lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction_of(interval))
        found = or_(found, and_(live, inside))
    return found


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
    last_stage: int,
    s: int,
    degree: int,
    gamma: float,
    couple: Array,
    predict: Array,
    c: Array,
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

    Where M is singular, y0 is taken to be consistent (`consistent_start` makes it so). The reading stages are solved only
    in steps with times in them, after these were accepted: asking for other times changes no step. For the same reason a
    reading stage without a solution does not make the step shorter: a sample that has a time there ends as `stalled`.
    """
    adaptive = not (dt > 0.0)
    direction = direction_of(interval)
    rows = last_stage + s + 1
    points = buffer(y0, rows * n)
    k = buffer(y0, rows * n)
    matrix = buffer(y0, jacobian_size(n, pattern))
    drift = buffer(y0, n)
    lu = buffer(y0, factor_size(n, pattern))
    pivots = buffer(y0, n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    y = view(points, 0, n)
    y1 = view(points, last_stage * n, n)
    slope = view(k, 0, n)
    read_k = view(k, last_stage * n, (s + 1) * n)
    status, active = open_run(
        rhs, n, y0, p, interval, m, times, control, rtol, atol, dt, y, slope, y1, work, values, statistics, course
    )

    t_hi = interval[0]
    t_lo = no_low_part(active)
    cursor = 0
    row = 0
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        rhs(t_hi, y, p, slope)
        factor_step(linearise, n, mass, pattern, gamma, t_hi, h, y, p, matrix, drift, lu, pivots)
        solved = run_stages(
            rhs, linearise, n, mass, pattern, p, gamma, rows, couple, predict, c, 1, last_stage, t_hi, t_lo, h, end_hi, active, matrix,
            drift, lu, pivots, points, k, rtol, atol,
        )  # fmt: skip
        finite = and_(all_finite(n, y1, 0), all_finite((last_stage + 1) * n, k, 0))
        unread = and_(active, not_(active))
        err = 0.0 * dt
        if adaptive:
            for i in range(n):
                work[i] = h * (k[last_stage * n + i] - k[(last_stage - 1) * n + i])
            err = select(solved, scaled_rms(n, work, y, y1, rtol, atol), UNSOLVED)
        ok = and_(and_(active, solved), and_(finite, err <= 1.0))
        if any_(ok):
            row = keep_row(ok, last, n, t_hi, t_lo, h, y, row, grid, grid_rows, states, state_rows, every)
            if reads_any(ok, m, times, cursor, direction, end_hi, end_lo):
                read = run_stages(
                    rhs, linearise, n, mass, pattern, p, gamma, rows, couple, predict, c, last_stage + 1, rows - 1, t_hi, t_lo, h, end_hi,
                    ok, matrix, drift, lu, pivots, points, k, rtol, atol,
                )  # fmt: skip
                unread = and_(ok, not_(read))
                if any_(unread):
                    unread = and_(unread, reading(ok, m, times, cursor, t_hi, t_lo, end_hi, end_lo, interval))
                cursor = read_values(
                    ok, active, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, read_k, m, times,
                    cursor, values, work,
                )  # fmt: skip
            copy_where(ok, n, y1, 0, y, 0)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
        tried = active
        status, active = after_step(
            status, active, ok, finite, last, err * err, h, t_hi, interval, control, dt, max_steps, statistics,
            course, y0,
        )  # fmt: skip
        if not adaptive:
            open_stage = and_(and_(tried, not_(solved)), and_(finite, status == NONFINITE))
            status = select(open_stage, DIVERGED, status)
        status = select(unread, STALLED, status)
        active = and_(active, not_(unread))
    close_run(n, y, t_hi, row, y_end, statistics)
    return status
