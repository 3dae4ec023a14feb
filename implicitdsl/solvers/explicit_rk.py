"""Explicit Runge–Kutta integration of one initial value problem, y' = f(t, y, p), forwards or backwards in time.

Model function: `rhs(t, y, p, out)` overwrites `out` (n) with f. Sizes: n states, m save times, a tableau of s stages
(`tableau.py`; its arrays `a, c, error, dense` and `degree`). `interval` is (t0, t1). Time,
the tape and the statistics are those of `stepping.py`.

The computed map, whose exact derivative `explicit_rk_adjoint` gives, holds every h fixed but that of the step with
flag 2, which is t1 minus where it begins; where it begins moves with t0.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import begin_values, read_values
from implicitdsl.solvers.reading_stages import SAME, first_reading, reading
from implicitdsl.solvers.split_stages import keep_part
from implicitdsl.solvers.status import NONFINITE
from implicitdsl.solvers.stepping import (
    COURSE,
    GRID,
    after_step,
    close_run,
    end_of_row,
    keep_step,
    next_step,
    no_low_part,
    open_run,
    paired_error,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    interrupted,
    not_,
    or_,
    select,
    step_along,
    view,
)

Model = Callable[..., None]

SMALL = 8
"""States up to which a step is bound by how long its operations wait for each other, not by how many there are."""


def stage_time(i: int, s: int, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element) -> Element:
    """The time of stage i; the last stage is at the rounded end, where the next step's first stage is."""
    if i == s:
        return end_hi
    return t_hi + (t_lo + c[i] * h)


def stage_point(n: int, count: int, wide: int, s: int, a: Array, i: int, h: Element, points: Array, k: Array) -> None:
    """The point of stage i, rows of `count` numbers, n or with tangents 2n.

    The value of a stage is known last, and a small model waits for what is made of it: so in small systems its product
    with h*a_ij is added to a point that has all others already. Whoever runs a step again adds in this order: a method
    at the limit of its stability, as where a problem is stiff, makes much of a rounding."""
    is_small = n <= SMALL and a[i * s + i - 1] != 0.0
    before = i - 1 if is_small else i
    if before > 0:
        step_along(count, before, h, a, i * s, 1, k, 0, count, points, 0, points, i * wide)
    else:
        copy(count, points, 0, points, i * wide)
    if is_small:
        axpy(count, h * a[i * s + i - 1], k, (i - 1) * count, points, i * wide)


def run_stages(
    rhs: Model,
    n: int,
    wide: int,
    p: Array,
    s: int,
    a: Array,
    c: Array,
    t_hi: Element,
    t_lo: Element,
    h: Element,
    end_hi: Element,
    first: int,
    last: int,
    reading: bool,
    points: Array,
    k: Array,
) -> None:
    """Stages `first` … `last` of a step whose stage 0 has its point (the state y) in `points`.

    Row i of `points` is the argument of stage i, row i of `k` its value (n numbers); row s of `points` is y1. With first = 1 the value of stage 0 stands in `k` already. Rows of `points`
    are `wide` numbers apart, n or more: behind a point `rhs` may leave what its derivative needs again. Stages that only the
    dense output reads are left out unless `reading`; then the last stage stands in `k`.
    """
    for i in range(first, last + 1):
        if a[(s + 1) * s + i] == SAME:
            if reading:
                copy(n, k, s * n, k, i * n)
        elif a[(s + 1) * s + i] >= 0.0 or reading:
            if i > 0:
                stage_point(n, n, wide, s, a, i, h, points, k)
            rhs(stage_time(i, s, c, t_hi, t_lo, h, end_hi), view(points, i * wide, wide), p, view(k, i * n, n))
            if a[(s + 1) * s + i] > 0.0:
                keep_part(n, s, a, a[(s + 1) * s + i], k, i * n)


def try_step(
    rhs: Model, n: int, wide: int, p: Array, s: int, a: Array, c: Array, error: Array, t_hi: Element, t_lo: Element, h: Element,
    end_hi: Element, points: Array, k: Array, rtol: Element, atol: Element, dt: Element, work: Array,
) -> tuple[Mask, Element]:  # fmt: skip
    """(finite, square): stages 1 … s, whether they and y1 came to numbers, and the squared error of the step."""
    run_stages(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, 1, s, False, points, k)
    y1 = view(points, s * wide, n)
    # Stage 0 was the last stage of the step before, or judged at the start; what has a weight in y1 shows there.
    finite = and_(all_finite(n, y1, 0), all_finite(n, k, s * n))
    for i in range(1, s):
        if a[s * s + i] == 0.0 and a[(s + 1) * s + i] >= 0.0:
            finite = and_(finite, all_finite(n, k, i * n))
    return finite, paired_error(n, s, error, h, k, points, y1, rtol, atol, dt, work)


def make_reading(
    rhs: Model, n: int, wide: int, p: Array, s: int, a: Array, c: Array, t_hi: Element, t_lo: Element, h: Element,
    end_hi: Element, readers: Mask, points: Array, k: Array,
) -> Mask:  # fmt: skip
    """The stages that only the dense output reads, after those of the step, if there are such `readers`; gives those whose
    stages did not all come to numbers."""
    lost = and_(readers, not_(readers))
    if any_(readers):
        first = first_reading(s, a)
        run_stages(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, first, s - 1, True, points, k)
        lost = and_(readers, not_(all_finite((s - first) * n, k, first * n)))
    return lost


def next_points(ok: Mask, wide: int, s: int, points: Array, stages: Array, row: int, stage_rows: int) -> Array:
    """Where row `row` of a tape of stages begins, with stage 0 in it, after the row in `points`: at its last stage. Beyond
    `stage_rows` the place of the row before. A sample that made no step has its stage 0 in all places of that row."""
    if any_(not_(ok)):
        for i in range(1, s + 1):
            copy_where(not_(ok), wide, points, 0, points, i * wide)
    following = points
    if row < stage_rows:
        following = view(stages, row * s * wide, (s + 1) * wide)
    else:
        copy(wide, points, s * wide, points, 0)
    return following


def integrate(
    rhs: Model,
    n: int,
    wide: int,
    y0: Array,
    p: Array,
    interval: Array,
    m: int,
    times: Array,
    s: int,
    degree: int,
    a: Array,
    c: Array,
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
    stages: Array,
    stage_rows: int,
) -> Element:
    """Solve from t0 to t1 and read the solution at `times`; returns a status number of `status.py`.

    dt > 0 asks for steps of that length (the last one ends at t1; a remainder below dt/1000 is joined to it), else steps
    are chosen by the error estimate. Written: `values` (m*n; y0 itself at t0, the final state itself at t1, NaN at times
    not reached), `y_end` (n, the last accepted state), `statistics` (5, see above), and the first `grid_rows`, `state_rows`
    rows of the tape (0: no tape), thinned where `every` > 1. Where `wide` > n, `rhs` leaves wide - n numbers behind its
    y, and the points of all stages, `wide` apart, are kept for the first `stage_rows` rows in `stages`, the last of a row
    being the first of the next. Asking for other times changes no step. Statuses: success,
    max_steps (accepted and rejected together), dt_underflow, nonfinite, bad_times. For the same reason a stage that only
    the dense output reads makes no step shorter: a sample that reads one which is not finite ends as nonfinite.
    """
    points = buffer(y0, (s + 1) * wide)
    k = buffer(y0, (s + 1) * n)
    y1 = view(points, s * wide, n)
    y = view(points, 0, n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    status, active = open_run(
        rhs, n, y0, p, interval, m, times, control, rtol, atol, dt, y, view(k, 0, n), y1, work, values, statistics, course
    )  # fmt: skip

    if wide > n and stage_rows > 0:
        copy(wide, points, 0, stages, 0)
        points = view(stages, 0, (s + 1) * wide)
    t_hi = interval[0]
    t_lo = no_low_part(active)
    cursor = 0
    row = 0
    while any_(active) and not interrupted():
        if wide > n:
            # The state lies apart from the rows of stages.
            copy(n, y, 0, points, 0)
            y1 = view(points, s * wide, n)
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        finite, square = try_step(
            rhs, n, wide, p, s, a, c, error, t_hi, t_lo, h, end_hi, points, k, rtol, atol, dt, work
        )
        ok = and_(active, and_(finite, square <= 1.0))
        # The next length is a long chain of operations: begun first, it is ready when the values of this step are.
        reached = select(ok, end_hi, t_hi)
        status, running = after_step(
            status,
            active,
            ok,
            finite,
            last,
            square,
            h,
            reached,
            interval,
            control,
            dt,
            max_steps,
            statistics,
            course,
            y0,
        )
        if any_(ok):
            if a[(s + 1) * s + s - 1] < 0.0:
                readers = reading(ok, m, times, cursor, t_hi, t_lo, end_hi, end_lo, interval)
                lost = make_reading(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, readers, points, k)
                status = select(lost, NONFINITE, status)
                running = and_(running, not_(lost))
            row, cursor = keep_step(
                ok, active, last, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times, cursor,
                values, work, row, grid, grid_rows, states, state_rows, every,
            )  # fmt: skip
            copy_where(ok, n, k, s * n, k, 0)
            if wide > n:
                points = next_points(ok, wide, s, points, stages, row, stage_rows)
            t_lo = select(ok, end_lo, t_lo)
        t_hi = reached
        active = running

    close_run(n, y, t_hi, row, y_end, statistics)
    return status


def replay(
    rhs: Model,
    n: int,
    y0: Array,
    p: Array,
    interval: Array,
    m: int,
    times: Array,
    s: int,
    degree: int,
    a: Array,
    c: Array,
    dense: Array,
    grid: Array,
    rows: int,
    values: Array,
    y_end: Array,
    states: Array,
) -> None:
    """Run the steps of a tape again, whatever their error: the map that the adjoint differentiates.

    Reads h and flag of the first `rows` rows of `grid`, and writes their t_hi and t_lo (and the last h) for this
    `interval`; writes `values`, `y_end` and `states` (rows*n) as `integrate` does, in the same bits for the same problem.
    """
    t1 = interval[1]
    points = buffer(y0, (s + 1) * n)
    k = buffer(y0, (s + 1) * n)
    y1 = view(points, s * n, n)
    y = view(points, 0, n)
    work = buffer(y0, n)
    copy(n, y0, 0, points, 0)
    begin_values(n, y0, interval[0], m, times, values)
    rhs(interval[0], y, p, view(k, 0, n))
    t_hi = interval[0]
    t_lo = 0.0 * grid[0]
    cursor = 0
    for row in range(rows):
        flag = grid[row * GRID + 3]
        live = flag > 0.0
        last = flag == 2.0
        h = select(last, (t1 - t_hi) - t_lo, grid[row * GRID + 2])
        grid[row * GRID] = t_hi
        grid[row * GRID + 1] = t_lo
        grid[row * GRID + 2] = h
        copy(n, y, 0, states, row * n)
        end_hi, end_lo = end_of_row(last, t1, t_hi, t_lo, h)
        run_stages(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, 1, s, False, points, k)
        if a[(s + 1) * s + s - 1] < 0.0:
            readers = reading(live, m, times, cursor, t_hi, t_lo, end_hi, end_lo, interval)
            make_reading(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, readers, points, k)
        cursor = read_values(
            live, or_(live, not_(live)), n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times,
            cursor, values, work,
        )  # fmt: skip
        copy_where(live, n, y1, 0, y, 0)
        copy_where(live, n, k, s * n, k, 0)
        t_hi = select(live, end_hi, t_hi)
        t_lo = select(live, end_lo, t_lo)
    copy(n, y, 0, y_end, 0)
