"""Explicit Runge–Kutta integration of delay equations, y' = f(t, y, z_1 … z_L, p) with z_j = y(t - lag_j), y = history(t)
before t0.

This is the method of steps with the dense output of the run itself (A. Bellen & M. Zennaro, Numerical Methods for Delay
Differential Equations, 2003, chapters 4 and 6): no step is longer than the shortest lag, so that every z is read from
accepted rows of the tape (`delay_reads.py`) or from the history, and the order is that of the method, because the dense
outputs of `tableau.py` are at most one order below. The points at which derivatives jump (`delay_breaks.py`) are ends
of steps; so all reads of a lag in one step are on one side of t0, where the solution itself may jump.

Model functions: `rhs(t, yz, p, out)` with yz = (y, z_1 … z_L), n*(1 + L) numbers; `history(t, p, out)` overwrites out (n).
Lags point to the past of the run: direction*lag > 0.

The grid has WIDTH + L numbers a row: t_hi, t_lo, h, the end of the step (two numbers), flag, which, newest, then for each
lag the row from which its reads are searched, -1 for the history. flag is 0, 1 or 2 as in `explicit_rk.py`, 3 for a step
that ends at break point `which`; newest is the last row before this one in which the sample made a step. The tape has n*(degree + 1) numbers a row. A run that
needs more rows than there are stops, and tells so by a number of rows above theirs.

The computed map, whose exact derivative `delays_adjoint.py` gives, holds the h of steps with flag 1 and the rows that are
read. A step with flag 3 ends at t0 + sum of lags, one with flag 2 at t1; so the grid moves with t0 and the lags.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.delay_breaks import judge_lags, next_break
from implicitdsl.solvers.delay_reads import PIECE, blur, find_row, hold_size, turn_to, value_at, write_row
from implicitdsl.solvers.dense_output import begin_values, direction_of, read_values
from implicitdsl.solvers.explicit_rk import stage_time
from implicitdsl.solvers.status import BAD_INPUT, BAD_TIMES
from implicitdsl.solvers.stepping import (
    COURSE,
    LAST_TIME,
    LENGTH,
    REACH,
    ROWS,
    after_step,
    begin_course,
    end_of_row,
    judge_start,
    paired_error,
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
    fill,
    interrupted,
    not_,
    or_,
    select,
    sum_rows,
    vabs,
    view,
    vmax,
    vmin,
)

Model = Callable[..., None]

END = 3
FLAG = 5
WHICH = 6
NEWEST = 7
WIDTH = 8
"""Places in a row of the grid, and its length without the rows of the lags."""


def read_past(
    history: Model, n: int, count: int, lags: Array, p: Array, degree: int, width: int, grid: Array, tape: Array,
    newest: Element, direction: Element, t_hi: Element, t_lo: Element, offset: Element, firsts: Array, rows: Array,
    holds: Array, past: Array,
) -> None:  # fmt: skip
    """past (count*n) := the states at t + offset less each lag; `rows` (count) := the rows they lie in, searched from
    `firsts` on. `holds` has `hold_size` numbers for each lag: the row read last."""
    for j in range(count):
        z = view(past, j * n, n)
        hold = view(holds, j * hold_size(n, degree), hold_size(n, degree))
        on_tape = firsts[j] >= 0.0
        beyond = not_(on_tape)
        rows[j] = firsts[j]
        if any_(beyond):
            # A sample that reads its tape asks for nothing here, at a time where the history is known to be sound.
            reach = select(on_tape, 0.0, offset)
            start = select(on_tape, grid[0], t_hi)
            history((start - lags[j]) + (select(on_tape, 0.0, t_lo) + reach), p, z)
        if any_(on_tape):
            rows[j] = find_row(
                on_tape, firsts[j], newest, n, degree, width, grid, tape, t_hi, t_lo, offset, lags[j], direction, hold
            )  # fmt: skip
            sigma = (((t_hi - hold[1]) + (t_lo - hold[2])) - lags[j]) + offset
            value_at(on_tape, n, degree, sigma, hold[3], view(hold, PIECE, n * (degree + 1)), z)


def run_delayed_stages(
    rhs: Model, history: Model, n: int, count: int, lags: Array, p: Array, s: int, degree: int, a: Array, c: Array,
    t_hi: Element, t_lo: Element, h: Element, end_hi: Element, first: int, last: int, width: int, grid: Array,
    tape: Array, newest: Element, direction: Element, firsts: Array, rows: Array, holds: Array,
    points: Array, slopes: Array, k: Array,
) -> None:  # fmt: skip
    """Stages `first` … `last` of a step, as `explicit_rk.run_stages`, with the past beside each point: row i of `points`
    holds n*(1 + count) numbers, row i of `rows` the rows of the tape that stage i read."""
    wide = n * (1 + count)
    for i in range(first, last + 1):
        if i > 0:
            sum_rows(n, i, a, i * s, 1, k, 0, n, slopes, i * n)
            copy(n, points, 0, points, i * wide)
            axpy(n, h, slopes, i * n, points, i * wide)
        read_past(
            history, n, count, lags, p, degree, width, grid, tape, newest, direction, t_hi, t_lo, c[i] * h, firsts,
            view(rows, i * count, count), holds, view(points, i * wide + n, n * count),
        )  # fmt: skip
        rhs(stage_time(i, s, c, t_hi, t_lo, h, end_hi), view(points, i * wide, wide), p, view(k, i * n, n))


def integrate_with_delays(
    rhs: Model, history: Model, n: int, count: int, lags: Array, break_points: int, breaks: Array, y0: Array,
    p: Array, interval: Array, m: int, times: Array, s: int, degree: int, a: Array, c: Array, error: Array,
    dense: Array, control: Array, rtol: Element, atol: Element, dt: Element, max_steps: int, values: Array,
    y_end: Array, statistics: Array, grid: Array, tape: Array, room: int,
) -> Element:  # fmt: skip
    """Solve from t0 to t1 with `count` >= 1 lags and the break points of `breaks`; other arguments and results as
    `explicit_rk.integrate`.

    `grid` and `tape` have `room` rows. Statuses beside those of `integrate`: bad_input, where a lag is not finite or does
    not point to the past of the run.
    """
    t0 = interval[0]
    direction = direction_of(interval)
    wide = n * (1 + count)
    width = WIDTH + count
    points = buffer(y0, (s + 1) * wide)
    slopes = buffer(y0, (s + 1) * n)
    k = buffer(y0, (s + 1) * n)
    rows = buffer(y0, (s + 1) * count)
    firsts = buffer(y0, count)
    holds = buffer(y0, count * hold_size(n, degree))
    y1 = view(points, s * wide, n)
    y = view(points, 0, n)
    work = buffer(y0, wide)
    course = buffer(y0, COURSE)
    copy(n, y0, 0, points, 0)
    begin_values(n, y0, t0, m, times, values)
    fill(width, 0.0, grid, 0)
    grid[0] = t0

    t_hi = t0
    nothing = 0.0 * direction
    t_lo = nothing
    newest = nothing - 1.0
    oldest = nothing - 1.0
    fill(count, -1.0, firsts, 0)
    for j in range(count):
        holds[j * hold_size(n, degree)] = newest
    run_delayed_stages(
        rhs, history, n, count, lags, p, s, degree, a, c, t_hi, t_lo, nothing, t0, 0, 0, width, grid, tape, newest,
        direction, firsts, rows, holds, points, slopes, k,
    )  # fmt: skip
    status, active = judge_start(n, y, k, interval, m, times)
    proper, shortest = judge_lags(count, lags, direction)
    status = select(or_(proper, status == BAD_TIMES), status, BAD_INPUT)
    active = and_(active, proper)
    copy(wide, points, 0, work, 0)
    begin_course(
        rhs, n, view(points, 0, wide), p, interval, k, control, rtol, atol, dt, work, slopes, statistics, course
    )  # fmt: skip
    target, which = next_break(break_points, count, breaks, lags, interval, t0, direction)

    cursor = 0
    row = 0
    while any_(active) and row < room and not interrupted():
        length = course[LENGTH]
        remaining = (target - t_hi) - t_lo
        reach = course[REACH]
        landing = vabs(remaining) <= vmin(reach, shortest + blur(y0, t_hi, shortest))
        h = select(landing, remaining, direction * vmin(length, shortest))
        end_hi, end_lo = end_of_row(landing, target, t_hi, t_lo, h)
        last = and_(landing, which < 0.0)
        turn_to(count, lags, t0, t_hi, t_lo, direction, oldest, firsts)
        run_delayed_stages(
            rhs, history, n, count, lags, p, s, degree, a, c, t_hi, t_lo, h, end_hi, 1, s, width, grid, tape, newest,
            direction, firsts, rows, holds, points, slopes, k,
        )  # fmt: skip
        finite = and_(all_finite(n, y1, 0), all_finite((s + 1) * n, k, 0))
        square = paired_error(n, s, error, h, k, y, y1, rtol, atol, dt, work)
        ok = and_(active, and_(finite, square <= 1.0))
        landed = and_(ok, and_(landing, not_(last)))
        if any_(ok):
            at = row * width
            grid[at] = t_hi
            grid[at + 1] = t_lo
            grid[at + 2] = select(ok, h, 0.0)
            grid[at + FLAG] = select(ok, select(last, 2.0, select(landing, 3.0, 1.0)), 0.0)
            grid[at + WHICH] = which
            grid[at + NEWEST] = newest
            grid[at + END] = select(ok, end_hi, t_hi)
            grid[at + END + 1] = select(ok, end_lo, t_lo)
            copy(count, firsts, 0, grid, at + WIDTH)
            write_row(n, s, degree, dense, y, k, tape, row)
            oldest = select(and_(ok, oldest < 0.0), row, oldest)
            newest = select(ok, row, newest)
            row = row + 1
            # The next step begins where the last stage read, or after it.
            copy_where(ok, count, rows, s * count, firsts, 0)
            cursor = read_values(
                ok, active, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, y, y1, k, m, times, cursor,
                values, work,
            )  # fmt: skip
            copy_where(ok, n, y1, 0, y, 0)
            copy_where(ok, n, k, s * n, k, 0)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
            if any_(landed):
                # What the last stage read is on the other side of the point.
                turn_to(count, lags, t0, t_hi, t_lo, direction, oldest, firsts)
                read_past(
                    history, n, count, lags, p, degree, width, grid, tape, newest, direction, t_hi, t_lo, nothing,
                    firsts, rows, holds, view(points, n, n * count),
                )  # fmt: skip
                rhs(t_hi, view(points, 0, wide), p, work)
                copy_where(landed, n, work, 0, k, 0)
                new_target, new_which = next_break(break_points, count, breaks, lags, interval, t_hi, direction)
                target = select(landed, new_target, target)
                which = select(landed, new_which, which)
        # A step cut short says nothing against the length that was wanted.
        wanted = select(landed, length, 0.0)
        wanted_reach = select(landed, reach, 0.0)
        status, active = after_step(
            status, active, ok, finite, last, square, h, t_hi, interval, control, dt, max_steps, statistics, course, y0
        )
        course[LENGTH] = vmax(wanted, course[LENGTH])
        course[REACH] = vmax(wanted_reach, course[REACH])

    copy(n, y, 0, y_end, 0)
    statistics[LAST_TIME] = t_hi
    statistics[ROWS] = row + 1 if any_(active) and row == room else row
    return status
