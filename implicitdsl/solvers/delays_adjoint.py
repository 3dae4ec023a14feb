"""The exact derivative of what `delays.py` computes: its rows, read again in reverse.

The rows of the tape are variables of the computed map: a stage of a later step reads an earlier row's polynomial at
sigma = t + c_i*h - lag - t_row, so its cotangent goes to that row's numbers, to the row's t and h, to the reading step's t
and h, and to the lag; or to the history and its time. Going backwards, all readers of a row come before the row itself.
Where a step ends at t0 + sum of lags, its end and its length move with t0 and the lags.

Model functions beside those of `delays.py`: `rhs_vjp(t, yz, p, lam, t_bar, yz_bar, p_bar)` and
`history_vjp(t, p, lam, t_bar, p_bar)`, which add.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.delay_breaks import transpose_break
from implicitdsl.solvers.delay_reads import PIECE, hold_row, hold_size, transpose_row, transpose_value
from implicitdsl.solvers.delays import END, FLAG, NEWEST, WHICH, WIDTH, run_delayed_stages
from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import transpose_reads
from implicitdsl.solvers.explicit_rk import stage_time
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
    copy_where,
    dot,
    fill,
    fma,
    interrupted,
    not_,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def transpose_past(
    live: Mask, history_vjp: Model, n: int, count: int, lags: Array, p: Array, degree: int, width: int, grid: Array,
    tape: Array, t_hi: Element, t_lo: Element, offset: Element, rows: Array, holds: Array, work: Array,
    piece_bar: Array, past_bar: Array, tape_bar: Array, ends_bar: Array, lags_bar: Array, p_bar: Array,
) -> Element:  # fmt: skip
    """Transpose `delays.read_past`; returns the cotangent of t + offset. `past_bar` is used up."""
    time_bar = 0.0 * t_hi
    for j in range(count):
        lam = view(past_bar, j * n, n)
        on_tape = rows[j] >= 0.0
        from_history = and_(live, not_(on_tape))
        reading = and_(live, on_tape)
        sigma_bar = 0.0 * t_hi
        if any_(reading):
            hold = view(holds, j * hold_size(n, degree), hold_size(n, degree))
            hold_row(on_tape, rows[j], n, degree, width, grid, tape, hold)
            sigma = (((t_hi - hold[1]) + (t_lo - hold[2])) - lags[j]) + offset
            sigma_bar = transpose_value(
                reading, select(on_tape, rows[j], 0.0), n, degree, sigma, hold[3], view(hold, PIECE, n * (degree + 1)),
                piece_bar, lam, tape_bar, work, ends_bar,
            )  # fmt: skip
        if any_(from_history):
            for i in range(n):
                lam[i] = select(from_history, lam[i], 0.0)
            start = select(from_history, t_hi, grid[0])
            reach = select(from_history, t_lo + offset, 0.0)
            fill(1, 0.0, work, 0)
            history_vjp((start - lags[j]) + reach, p, lam, work, p_bar)
            sigma_bar = sigma_bar + select(from_history, work[0], 0.0)
        lags_bar[j] = lags_bar[j] - sigma_bar
        time_bar = time_bar + sigma_bar
    return time_bar


def transpose_delayed_stages(
    live: Mask, rhs_vjp: Model, history_vjp: Model, n: int, count: int, lags: Array, p: Array, s: int, degree: int,
    a: Array, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element, width: int, grid: Array, tape: Array,
    rows: Array, holds: Array, work: Array, piece_bar: Array, points: Array, slopes: Array, k_bar: Array,
    point_bar: Array, stage_t_bar: Array, t_bar: Element, h_bar: Element, y_bar: Array, tape_bar: Array,
    ends_bar: Array, lags_bar: Array, p_bar: Array,
) -> tuple[Element, Element]:  # fmt: skip
    """(t_bar, h_bar), with what the stages of a step add: the transpose of `delays.run_delayed_stages`. `point_bar`
    (n*(1 + count)) begins with the cotangent of y1 and is used up, as is `k_bar`."""
    wide = n * (1 + count)
    for back in range(s + 1):
        i = s - back
        if i < s:
            fill(n, 0.0, point_bar, 0)
        fill(n * count, 0.0, point_bar, n)
        fill(1, 0.0, stage_t_bar, 0)
        time = stage_time(i, s, c, t_hi, t_lo, h, end_hi)
        rhs_vjp(time, view(points, i * wide, wide), p, view(k_bar, i * n, n), stage_t_bar, point_bar, p_bar)
        read_bar = transpose_past(
            live, history_vjp, n, count, lags, p, degree, width, grid, tape, t_hi, t_lo, c[i] * h,
            view(rows, i * count, count), holds, work, piece_bar, view(point_bar, n, n * count), tape_bar, ends_bar,
            lags_bar, p_bar,
        )  # fmt: skip
        time_bar = stage_t_bar[0] + read_bar
        t_bar = t_bar + time_bar
        h_bar = fma(c[i], time_bar, h_bar)
        axpy(n, 1.0, point_bar, 0, y_bar, 0)
        if i > 0:
            h_bar = h_bar + dot(n, point_bar, 0, slopes, i * n)
            add_to_rows(n, i, h, a, i * s, 1, point_bar, 0, k_bar, 0, n)
    return t_bar, h_bar


def pullback_with_delays(
    rhs: Model, rhs_vjp: Model, history: Model, history_vjp: Model, n: int, count: int, lags: Array, break_points: int,
    breaks: Array, p: Array, interval: Array, m: int, times: Array, s: int, degree: int, a: Array, c: Array, dense: Array, grid: Array,
    tape: Array, made: int, tape_bar: Array, ends_bar: Array, values_bar: Array, end_bar: Array, y0_bar: Array,
    lags_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> None:  # fmt: skip
    """Transpose the frozen map: from the cotangents of `values` (m*n) and `y_end` (n) to those of y0, the lags, p,
    (t0, t1) and the times, to whose bars it adds. `tape_bar` (made rows as the tape has) and `ends_bar` (2*made) are
    room."""
    t0 = interval[0]
    direction = direction_of(interval)
    wide = n * (1 + count)
    width = WIDTH + count
    points = buffer(tape, (s + 1) * wide)
    slopes = buffer(tape, (s + 1) * n)
    k = buffer(tape, (s + 1) * n)
    k_bar = buffer(tape, (s + 1) * n)
    rows = buffer(tape, (s + 1) * count)
    holds = buffer(tape, count * hold_size(n, degree))
    work = buffer(tape, 2)
    piece_bar = buffer(tape, n * (degree + 1))
    point_bar = buffer(tape, wide)
    y_bar = buffer(tape, n)
    lam = buffer(tape, n)
    stage_t_bar = buffer(tape, 1)
    ends = buffer(tape, 2)
    fill(made * n * (degree + 1), 0.0, tape_bar, 0)
    fill(2 * made, 0.0, ends_bar, 0)
    for j in range(count):
        holds[j * hold_size(n, degree)] = 0.0 * direction - 1.0
    copy(n, end_bar, 0, lam, 0)
    started = direction != direction
    time_bar = 0.0 * t0
    cursor = m
    for row in range(made - 1, -1, -1):
        if interrupted():
            break
        at = row * width
        t_hi = grid[at]
        t_lo = grid[at + 1]
        h = grid[at + 2]
        flag = grid[at + FLAG]
        newest = grid[at + NEWEST]
        end_hi = grid[at + END]
        end_lo = grid[at + END + 1]
        live = flag > 0.0
        last = flag == 2.0
        landed = flag == 3.0
        copy(n, tape, row * n * (degree + 1), points, 0)
        run_delayed_stages(
            rhs, history, n, count, lags, p, s, degree, a, c, t_hi, t_lo, h, end_hi, 0, s, width, grid, tape, newest,
            direction, view(grid, at + WIDTH, count), rows, holds, points, slopes, k,
        )  # fmt: skip

        fill((s + 1) * n, 0.0, k_bar, 0)
        fill(n, 0.0, y_bar, 0)
        fill(2, 0.0, ends, 0)
        cursor, _ = transpose_reads(
            n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, k, times, cursor, values_bar, k_bar,
            y_bar, times_bar, ends, True,
        )  # fmt: skip
        transpose_row(n, s, degree, dense, tape_bar, row, k_bar, y_bar)
        for i in range(n):
            point_bar[i] = select(live, lam[i], 0.0)
        t_bar, h_bar = transpose_delayed_stages(
            live, rhs_vjp, history_vjp, n, count, lags, p, s, degree, a, c, t_hi, t_lo, h, end_hi, width, grid, tape,
            rows, holds, work, piece_bar, points, slopes, k_bar, point_bar, stage_t_bar, ends[0] + ends_bar[2 * row],
            ends[1] + ends_bar[2 * row + 1], y_bar, tape_bar, ends_bar, lags_bar, p_bar,
        )  # fmt: skip

        copy_where(live, n, y_bar, 0, lam, 0)
        fixed = or_(last, landed)
        end_time_bar = time_bar + h_bar
        interval_bar[1] = interval_bar[1] + select(last, end_time_bar, 0.0)
        if any_(landed):
            interval_bar[0] = interval_bar[0] + select(landed, end_time_bar, 0.0)
            transpose_break(landed, grid[at + WHICH], break_points, count, breaks, end_time_bar, lags_bar)
        time_bar = select(live, t_bar + select(fixed, -h_bar, time_bar), time_bar)
        started = or_(started, live)

    interval_bar[0] = interval_bar[0] + time_bar
    for j in range(m):
        held = and_(times[j] == t0, not_(started))
        axpy(n, select(held, 1.0, 0.0), values_bar, j * n, lam, 0)
    axpy(n, 1.0, lam, 0, y0_bar, 0)
