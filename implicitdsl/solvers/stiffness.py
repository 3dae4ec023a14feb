"""Stiffness seen from an explicit method, and a run that leaves a problem where it is found stiff.

The last two stages of `tsit5` lie at the end of the step, with arguments Y_{s-1} and Y_s = y1 that differ by an error of the
step. So |f(Y_s) - f(Y_{s-1})| / |Y_s - Y_{s-1}| estimates the modulus of the largest eigenvalue of f_y (E. Hairer, G. Wanner,
Solving Ordinary Differential Equations II, 2nd ed. 1996, section IV.2, "Automatic stiffness detection"; L. F. Shampine,
ACM TOMS 3 (1977) 44–53). A method held back by stability keeps h times that at the boundary of its stability domain; one
held back by accuracy stays well inside. Here the norms are those of the error estimate, so that the units of the states do
not matter, and the difference of f must point against that of Y: what grows or only turns is no stiffness.

One step in `EVERY` is looked at, and every one while the count of a sample is above 0: a step held back by stability adds 1
to it, another takes 1 away. At `PATIENCE` the sample is stiff. It leaves, unless what remains is fewer than `WORTHWHILE`
steps of the present length: a method that solves with the Jacobian would hardly be cheaper. A step too short for the
resolution of time is no reason to leave: it is too short for the other method too.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.explicit_rk import try_step
from implicitdsl.solvers.stepping import (
    ACCEPTED,
    COURSE,
    REJECTED,
    after_step,
    close_run,
    keep_step,
    next_step,
    no_low_part,
    open_run,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    any_,
    buffer,
    copy_where,
    fma,
    interrupted,
    not_,
    or_,
    select,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]

HANDED_OVER = -1
"""What a run returns in place of a status where it left a sample as stiff; no status of the language."""

END_TIME, DIRECTION, STEPS, REACHED, END = 0, 1, 2, 3, 4
"""Places behind the n numbers of the state in what is handed over, and how many there are: the time, the direction of time,
the steps made, accepted and rejected together, and the number of save times reached."""

BOUNDARY = 2.6
"""h times the eigenvalue from which a step counts as held back by stability: 3/4 of the real boundary of `tsit5`, 3.507.
Rejections keep h below the boundary itself."""
EVERY = 4
PATIENCE = 15.0
WORTHWHILE = 500.0


def is_beyond_stability(n: int, s: int, h: Element, points: Array, k: Array, rtol: Element, atol: Element) -> Mask:
    """Whether h times the estimate of the largest eigenvalue is beyond `BOUNDARY`, against the direction of the difference.

    Row 0 of `points` is the state where the step begins, row s where it ends; rows s - 1 and s of `k` belong to its end."""
    late, early = s * n, (s - 1) * n
    steep = 0.0 * h
    wide = 0.0 * h
    along = 0.0 * h
    for i in range(n):
        scale = fma(rtol, vmax(vabs(points[i]), vabs(points[late + i])), atol)
        weight = 1.0 / select(scale > 0.0, scale, 1.0)
        change = (h * weight) * (k[late + i] - k[early + i])
        distance = weight * (points[late + i] - points[early + i])
        steep = fma(change, change, steep)
        wide = fma(distance, distance, wide)
        along = fma(change, distance, along)
    return and_(steep > (BOUNDARY * BOUNDARY) * wide, along < 0.0)


def integrate_until_stiff(
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
    error: Array,
    dense: Array,
    control: Array,
    rtol: Element,
    atol: Element,
    dt: Element,
    max_steps: int,
    values: Array,
    end: Array,
    statistics: Array,
    grid: Array,
    grid_rows: int,
    states: Array,
    state_rows: int,
    every: int,
) -> Element:
    """As `explicit_rk.integrate` with dt = 0, in the same bits where nothing is stiff; a sample found stiff stops where it
    stands and gets `HANDED_OVER`. `end` (n + END) is the last accepted state, then what END_TIME … say of it."""
    points = buffer(y0, (s + 1) * n)
    k = buffer(y0, (s + 1) * n)
    y1 = view(points, s * n, n)
    y = view(points, 0, n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    status, active = open_run(
        rhs, n, y0, p, interval, m, times, control, rtol, atol, dt, y, view(k, 0, n), y1, work, values, statistics, course
    )  # fmt: skip

    t_hi = interval[0]
    t_lo = no_low_part(active)
    count = 0.0 * interval[0]
    cursor = 0
    row = 0
    turn = 0
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        finite, square = try_step(rhs, n, n, p, s, a, c, error, t_hi, t_lo, h, end_hi, points, k, rtol, atol, dt, work)
        ok = and_(active, and_(finite, square <= 1.0))
        # Every lane under way tries one step a turn, so its turns are its own, whatever its neighbours do.
        due = and_(ok, or_(count > 0.0, 0.0 * count + turn % EVERY < 0.5))
        turn = turn + 1
        if any_(due):
            beyond = is_beyond_stability(n, s, h, points, k, rtol, atol)
            count = select(due, vmax(count + select(beyond, 1.0, -1.0), 0.0), count)
        if any_(ok):
            row, cursor = keep_step(
                ok, active, last, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times, cursor,
                values, work, row, grid, grid_rows, states, state_rows, every,
            )  # fmt: skip
            copy_where(ok, n, k, s * n, k, 0)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
        status, active = after_step(
            status, active, ok, finite, last, square, h, t_hi, interval, control, dt, max_steps, statistics, course, y0
        )
        ahead = vabs((interval[1] - t_hi) - t_lo)
        stiff = and_(and_(active, ok), and_(count >= PATIENCE, ahead > WORTHWHILE * vabs(h)))
        status = select(stiff, HANDED_OVER, status)
        active = and_(active, not_(stiff))

    close_run(n, y, t_hi, row, end, statistics)
    end[n + END_TIME] = t_hi
    end[n + DIRECTION] = direction_of(interval)
    end[n + STEPS] = statistics[ACCEPTED] + statistics[REJECTED]
    end[n + REACHED] = 0.0 * t_hi
    for j in range(m):
        reached = end[n + DIRECTION] * ((times[j] - t_hi) - t_lo) <= 0.0
        end[n + REACHED] = end[n + REACHED] + select(reached, 1.0, 0.0)
    return status
