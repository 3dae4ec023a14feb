"""What every method that goes from t0 to t1 step by step has in common: how a run begins, which step is next, its row of
the tape, its error, and what follows it.

Time is kept as the sum of two floats, so that a float32 layer takes 100,000 steps without losing any. The tape of a run
is `grid`, four numbers a row: t_hi, t_lo, h, flag; and `states`, n numbers a row: y where the row's step begins. flag is 1
for an accepted step, 2 for the one that ends at t1 exactly, 0 for a row in which this sample made no step (its h is then 0
and its state stands still; such rows arise only where several samples run in one block).

The loop of a method is

    course = buffer(y0, COURSE)                   # step length and history of the errors
    status, active = open_run(…)                   # who runs at all
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(…)
        …                                         # the method: y1, what dense output needs, whether all is finite
        square = step_error(…)                    # the square of the error, 0 where dt is given
        ok = and_(active, and_(finite, square <= 1.0))
        if any_(ok):
            row, cursor = keep_step(…)            # values in the step; y := y1 where ok
            …                                     # t_hi, t_lo := those of its end where ok
        status, active = after_step(…)
    close_run(…)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.dense_output import begin_values, direction_of, read_values, times_in_order
from implicitdsl.solvers.status import BAD_TIMES, DT_UNDERFLOW, MAX_STEPS, NONFINITE, SUCCESS
from implicitdsl.solvers.step_control import (
    DT0,
    SMALLEST_PREVIOUS_SIZE,
    bounded_length,
    first_step,
    next_length,
    too_short,
    weighted_square,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    copy,
    copy_where,
    epsilon,
    fma,
    not_,
    select,
    sum_rows,
    vabs,
    vmax,
)

Model = Callable[..., None]

ACCEPTED = 0
REJECTED = 1
LAST_TIME = 2
ROWS = 3
FIRST_STEP = 4
STATISTICS = 5
"""Places in `statistics` and its length: accepted and rejected steps, the time reached, rows of the tape (also those
beyond its capacity), and the first step length tried."""

LENGTH = 0
PREVIOUS_SIZE = 1
AFTER_REJECTION = 2
EARLIER_SIZE = 3
REACH = 4
COURSE = 5
"""Places in `course` and its length: the length of the next step, the size of the error of the last accepted one, 1 where the
last step was rejected, the size of the error of the accepted one before, and the length up to which a step may end at t1."""

GRID = 4
"""Numbers in a row of the grid."""
KEPT = 2
"""Numbers beside the state in a kept row of a thinned tape (`tape.py`)."""


def end_of_step(t_hi: Element, t_lo: Element, h: Element) -> tuple[Element, Element]:
    """t + h as the sum of two floats, the first being the rounded sum (D. Knuth's two-sum, then renormalised)."""
    total = t_hi + h
    part = total - t_hi
    low = ((t_hi - (total - part)) + (h - part)) + t_lo
    high = total + low
    return high, low - (high - total)


def end_of_row(last: Mask, t1: Element, t_hi: Element, t_lo: Element, h: Element) -> tuple[Element, Element]:
    """Where a step of the tape ends: t1 itself if it is the last, else t + h."""
    end_hi, end_lo = end_of_step(t_hi, t_lo, h)
    return select(last, t1, end_hi), select(last, 0.0, end_lo)


def stage_moment(i: int, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element) -> Element:
    """The time of stage i; stages at the end of the step are at its rounded end, where the next step begins."""
    if c[i] == 1.0:
        return end_hi
    return t_hi + (t_lo + c[i] * h)


def no_low_part(active: Mask) -> Element:
    """The low part of a time that is exact: 0, as an element. From a plain 0.0, which steps make elements of, all that
    takes a time would be compiled twice."""
    return select(active, 0.0, 0.0)


def judge_start(n: int, y: Array, slope: Array, interval: Array, m: int, times: Array) -> tuple[Element, Mask]:
    """(status, active) of a run from state `y` with slope `slope`: bad_times and nonfinite starts make no step."""
    good = times_in_order(interval, m, times)
    sound = and_(all_finite(n, y, 0), all_finite(n, slope, 0))
    return select(good, select(sound, SUCCESS, NONFINITE), BAD_TIMES), and_(good, sound)


def begin_course(
    rhs: Model, n: int, y: Array, p: Array, interval: Array, slope: Array, control: Array, rtol: Element, atol: Element,
    dt: Element, work: Array, work_slope: Array, statistics: Array, course: Array,
) -> None:  # fmt: skip
    """The first step length, dt or dt0 where they are given; no step was made and none rejected. `work`, `work_slope` (n):
    scratch."""
    length = vabs(dt)
    if not (dt > 0.0):
        if control[DT0] > 0.0:
            length = control[DT0] + 0.0 * length
        else:
            length = first_step(
                rhs, n, y, p, interval[0], interval[1] - interval[0], slope, control, rtol, atol, work, work_slope
            )
        length = bounded_length(length, control)
    set_course(length, dt, control, statistics, course)


def set_course(length: Element, dt: Element, control: Array, statistics: Array, course: Array) -> None:
    """A course that begins with a length that is known."""
    course[LENGTH] = length
    course[REACH] = bounded_length((1.001 if dt > 0.0 else 1.01) * length, control)
    course[PREVIOUS_SIZE] = 0.0 * dt + SMALLEST_PREVIOUS_SIZE
    course[EARLIER_SIZE] = 0.0 * dt + SMALLEST_PREVIOUS_SIZE
    course[AFTER_REJECTION] = 0.0 * dt
    statistics[FIRST_STEP] = length
    statistics[ACCEPTED] = 0.0 * dt
    statistics[REJECTED] = 0.0 * dt


def open_run(
    rhs: Model, n: int, y0: Array, p: Array, interval: Array, m: int, times: Array, control: Array, rtol: Element,
    atol: Element, dt: Element, y: Array, slope: Array, work: Array, work_slope: Array, values: Array, statistics: Array,
    course: Array,
) -> tuple[Element, Mask]:  # fmt: skip
    """(status, active) of a run from y0: its state `y` and `slope`, the `values` at its start, and its `course`."""
    copy(n, y0, 0, y, 0)
    begin_values(n, y0, interval[0], m, times, values)
    rhs(interval[0], y, p, slope)
    status, active = judge_start(n, y, slope, interval, m, times)
    begin_course(rhs, n, y, p, interval, slope, control, rtol, atol, dt, work, work_slope, statistics, course)
    return status, active


def close_run(n: int, y: Array, t_hi: Element, row: int, y_end: Array, statistics: Array) -> None:
    """Note where a run ended, and the rows of its tape."""
    copy(n, y, 0, y_end, 0)
    statistics[LAST_TIME] = t_hi
    statistics[ROWS] = row


def next_step(
    interval: Array, t_hi: Element, t_lo: Element, dt: Element, course: Array
) -> tuple[Mask, Element, Element, Element]:
    """(last, h, end_hi, end_lo) of the next step: whether it ends at t1, its length with sign, and its end.

    A remainder below 1 % of the length (0.1 % where dt is given) is joined to the last step, if max_step allows it."""
    remaining = (interval[1] - t_hi) - t_lo
    last = vabs(remaining) <= course[REACH]
    h = select(last, remaining, direction_of(interval) * course[LENGTH])
    end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
    return last, h, end_hi, end_lo


def step_error(
    n: int, s: int, error: Array, h: Element, k: Array, y: Array, y1: Array, rtol: Element, atol: Element, dt: Element,
    work: Array,
) -> Element:  # fmt: skip
    """The square of the scaled error h*sum error_i*k_i of a step from y to y1, at most 1 where it fits; 0 where dt is
    given."""
    square = 0.0 * h
    if not (dt > 0.0):
        sum_rows(n, s + 1, error, 0, 1, k, 0, n, work, 0)
        square = weighted_square(n, h, work, y, y1, rtol, atol)
    return square


def paired_error(
    n: int, s: int, error: Array, h: Element, k: Array, y: Array, y1: Array, rtol: Element, atol: Element, dt: Element,
    work: Array,
) -> Element:  # fmt: skip
    """As `step_error`, for a table `error` of two estimates, e and a cruder one d, and a last number that is 1 where d counts:
    then the error is e²/sqrt(e² + d²/100), as in the code DOP853 (Hairer, Nørsett, Wanner I, section II.10)."""
    square = step_error(n, s, error, h, k, y, y1, rtol, atol, dt, work)
    if error[2 * s + 2] != 0.0:
        if not (dt > 0.0):
            sum_rows(n, s + 1, error, s + 1, 1, k, 0, n, work, 0)
            crude = weighted_square(n, h, work, y, y1, rtol, atol)
            both = fma(0.01, crude, square)
            square = select(both > 0.0, square * (square / select(both > 0.0, both, 1.0)), square)
    return square


def keep_row(
    ok: Mask, last: Mask, n: int, t_hi: Element, t_lo: Element, h: Element, y: Array, row: int, grid: Array, grid_rows: int,
    states: Array, state_rows: int, every: int,
) -> int:  # fmt: skip
    """Write a row of the tape, as far as there is room for it, thinned where `every` > 1 (`tape.py`); returns the number of
    rows there would be."""
    if every > 1:
        if row < grid_rows:
            grid[row] = select(ok, select(last, np.inf, h), 0.0)
        if row < state_rows and row % every == 0:
            at = row // every * (KEPT + n)
            states[at] = t_hi
            states[at + 1] = t_lo
            copy(n, y, 0, states, at + KEPT)
    else:
        if row < grid_rows:
            grid[row * GRID] = t_hi
            grid[row * GRID + 1] = t_lo
            grid[row * GRID + 2] = select(ok, h, 0.0)
            grid[row * GRID + 3] = select(ok, select(last, 2.0, 1.0), 0.0)
        if row < state_rows:
            copy(n, y, 0, states, row * n)
    return row + 1


def keep_step(
    ok: Mask, active: Mask, last: Mask, n: int, s: int, degree: int, dense: Array, t_hi: Element, t_lo: Element, h: Element,
    end_hi: Element, end_lo: Element, interval: Array, y: Array, y1: Array, k: Array, m: int, times: Array, cursor: int,
    values: Array, work: Array, row: int, grid: Array, grid_rows: int, states: Array, state_rows: int, every: int,
) -> tuple[int, int]:  # fmt: skip
    """(row, cursor) after an accepted step: its row of the tape, the values in it, and y1 in place of y."""
    row = keep_row(ok, last, n, t_hi, t_lo, h, y, row, grid, grid_rows, states, state_rows, every)
    cursor = read_values(
        ok,
        active,
        n,
        s,
        degree,
        dense,
        t_hi,
        t_lo,
        h,
        end_hi,
        end_lo,
        interval,
        y,
        y1,
        k,
        m,
        times,
        cursor,
        values,
        work,
    )
    copy_where(ok, n, y1, 0, y, 0)
    return row, cursor


def after_step(
    status: Element, active: Mask, ok: Mask, finite: Mask, last: Mask, square: Element, h: Element, t_hi: Element,
    interval: Array, control: Array, dt: Element, max_steps: int, statistics: Array, course: Array, like: Array,
) -> tuple[Element, Mask]:  # fmt: skip
    """(status, active) after a step of length h was tried, and in `course` what the next one begins with.

    `ok`: accepted; `finite`: it came to numbers; `square`: of its error; t_hi is where the run stands now. `like`: any array of the run. Ends what
    has come to t1, dt_underflow or nonfinite where the next length is too short (nonfinite at once where dt is given), and
    max_steps, accepted and rejected together. Where min_step is given, a step of that length which fails is dt_underflow."""
    failed = and_(active, not_(ok))
    statistics[ACCEPTED] = statistics[ACCEPTED] + select(ok, 1.0, 0.0)
    statistics[REJECTED] = statistics[REJECTED] + select(failed, 1.0, 0.0)
    active = and_(active, not_(and_(ok, last)))
    if dt > 0.0:
        stuck = failed
        status = select(stuck, NONFINITE, status)
    else:
        previous = course[PREVIOUS_SIZE]
        after_rejection = course[AFTER_REJECTION] > 0.5
        grown, size = next_length(ok, finite, square, previous, course[EARLIER_SIZE], after_rejection, control, h)
        length = select(active, grown, course[LENGTH])
        course[LENGTH] = length
        course[REACH] = bounded_length(1.01 * length, control)
        course[EARLIER_SIZE] = select(ok, previous, course[EARLIER_SIZE])
        course[PREVIOUS_SIZE] = select(ok, vmax(size, SMALLEST_PREVIOUS_SIZE), previous)
        course[AFTER_REJECTION] = select(failed, 1.0, 0.0)
        span = interval[1] - interval[0]
        stuck = and_(active, too_short(failed, h, length, epsilon(like), t_hi, span, control))
        status = select(stuck, select(finite, DT_UNDERFLOW, NONFINITE), status)
    active = and_(active, not_(stuck))
    spent = and_(active, statistics[ACCEPTED] + statistics[REJECTED] >= max_steps)
    return select(spent, MAX_STEPS, status), and_(active, not_(spent))
