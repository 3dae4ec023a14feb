"""The tangent of what `delays.py` computes: its rows run again as dual numbers.

Beside the tape, `tape_dot` holds the tangents of its rows and `dots` those of t and h of each row. A read at
sigma = t + c_i*h - lag - t_row has sigma_dot = t_dot + c_i*h_dot - lag_dot - t_row_dot; the weight w_k = sigma*theta^(k-1)
of C_k moves by k*theta^(k-1)*sigma_dot + (1 - k)*theta^k*h_row_dot. A step that ends at a break point or at t1 has the h_dot that
makes its end move with it.

Model functions: `rhs_tangent(t, t_dot, yz2, p2, out2)` with yz2 = (y, z, ẏ, ż); `history(t, p, out)` and
`history_jvp(t, p, t_dot, p_dot, out)`. p2 holds `size` arguments and their tangents.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.delay_breaks import break_time_dot
from implicitdsl.solvers.delay_reads import PIECE, find_row, hold_size
from implicitdsl.solvers.delays import END, FLAG, NEWEST, WHICH, WIDTH
from implicitdsl.solvers.dense_output import begin_values, direction_of, fraction
from implicitdsl.solvers.dense_output_tangent import read_tangents
from implicitdsl.solvers.explicit_rk import stage_time
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    fma,
    gather,
    not_,
    select,
    sum_rows,
    view,
)

Model = Callable[..., None]

PIECE_DOT = 3
"""Where the tangents of the tape lie in those of a row that is held."""


def hold_dot_size(n: int, degree: int) -> int:
    """Numbers that are held of the tangents of a row: which it is, the tangents of its t and h, those of the tape."""
    return PIECE_DOT + n * (degree + 1)


def hold_none(n: int, count: int, degree: int, none: Element, holds: Array, holds_dot: Array) -> None:
    """No row is held, of any lag; `none` is -1."""
    for j in range(count):
        holds[j * hold_size(n, degree)] = none
        holds_dot[j * hold_dot_size(n, degree)] = none


def hold_tangents(row: Element, n: int, degree: int, tape_dot: Array, dots: Array, hold_dot: Array) -> None:
    """Put the tangents of a row in `hold_dot`, unless they are there."""
    if any_(row != hold_dot[0]):
        gather(2, row, 2, dots, hold_dot, 1)
        gather(n * (degree + 1), row, n * (degree + 1), tape_dot, hold_dot, PIECE_DOT)
        hold_dot[0] = row


def value_and_tangent_at(
    on_tape: Mask, n: int, degree: int, sigma: Element, sigma_dot: Element, h: Element, h_dot: Element, piece: Array,
    piece_dot: Array, z: Array, z_dot: Array,
) -> None:  # fmt: skip
    """z, z_dot := the value of a row's polynomial sigma after its start and its tangent, for samples that read the tape."""
    theta = fraction(sigma, h)
    for i in range(n):
        value = piece[degree * n + i]
        tangent = piece_dot[i]
        for back in range(1, degree):
            value = fma(value, theta, piece[(degree - back) * n + i])
        power = 1.0 + 0.0 * h
        for k in range(1, degree + 1):
            moved = fma(k * power, sigma_dot, (1 - k) * power * theta * h_dot)
            tangent = fma(moved, piece[k * n + i], fma(sigma * power, piece_dot[k * n + i], tangent))
            power = power * theta
        z[i] = select(on_tape, fma(sigma, value, piece[i]), z[i])
        z_dot[i] = select(on_tape, tangent, z_dot[i])


def read_past_tangent(
    history: Model, history_jvp: Model, n: int, count: int, lags: Array, lags_dot: Array, p2: Array, size: int,
    degree: int, width: int, grid: Array, tape: Array, tape_dot: Array, dots: Array, newest: Element,
    direction: Element, t_hi: Element, t_lo: Element, offset: Element, time_dot: Element, firsts: Array, rows: Array,
    holds: Array, holds_dot: Array, past: Array, past_dot: Array,
) -> None:  # fmt: skip
    """`delays.read_past` with tangents; `time_dot` is that of t + offset. `holds_dot` has
    `hold_dot_size` numbers for each lag."""
    for j in range(count):
        z = view(past, j * n, n)
        z_dot = view(past_dot, j * n, n)
        on_tape = firsts[j] >= 0.0
        beyond = not_(on_tape)
        rows[j] = firsts[j]
        moved = time_dot - lags_dot[j]
        if any_(beyond):
            start = select(on_tape, grid[0], t_hi)
            reach = select(on_tape, 0.0, t_lo) + select(on_tape, 0.0, offset)
            time = (start - lags[j]) + reach
            history(time, p2, z)
            history_jvp(time, p2, moved, view(p2, size, size), z_dot)
        if any_(on_tape):
            hold = view(holds, j * hold_size(n, degree), hold_size(n, degree))
            hold_dot = view(holds_dot, j * hold_dot_size(n, degree), hold_dot_size(n, degree))
            rows[j] = find_row(
                on_tape, firsts[j], newest, n, degree, width, grid, tape, t_hi, t_lo, offset, lags[j], direction, hold
            )  # fmt: skip
            hold_tangents(hold[0], n, degree, tape_dot, dots, hold_dot)
            sigma = (((t_hi - hold[1]) + (t_lo - hold[2])) - lags[j]) + offset
            value_and_tangent_at(
                on_tape, n, degree, sigma, moved - hold_dot[1], hold[3], hold_dot[2],
                view(hold, PIECE, n * (degree + 1)), view(hold_dot, PIECE_DOT, n * (degree + 1)), z, z_dot,
            )  # fmt: skip


def run_delayed_tangent_stages(
    rhs_tangent: Model, history: Model, history_jvp: Model, n: int, count: int, lags: Array, lags_dot: Array, p2: Array,
    size: int, s: int, degree: int, a: Array, c: Array, t_hi: Element, t_lo: Element, t_dot: Element, h: Element,
    h_dot: Element, end_hi: Element, width: int, grid: Array, tape: Array, tape_dot: Array, dots: Array,
    newest: Element, direction: Element, firsts: Array, rows: Array, holds: Array, holds_dot: Array,
    points: Array, slopes: Array, k: Array,
) -> None:  # fmt: skip
    """All stages of a step of dual numbers. Row i of `points` is (y, z, ẏ, ż) of stage i, 2*n*(1 + count) numbers, the rows
    of `slopes` and `k` are (value, tangent), 2n; row 0 of `points` holds y and ẏ."""
    wide = n * (1 + count)
    for i in range(s + 1):
        at = 2 * i * wide
        if i > 0:
            sum_rows(2 * n, i, a, i * s, 1, k, 0, 2 * n, slopes, 2 * i * n)
            copy(n, points, 0, points, at)
            copy(n, points, wide, points, at + wide)
            axpy(n, h, slopes, 2 * i * n, points, at)
            axpy(n, h, slopes, (2 * i + 1) * n, points, at + wide)
            axpy(n, h_dot, slopes, 2 * i * n, points, at + wide)
        time_dot = fma(c[i], h_dot, t_dot)
        read_past_tangent(
            history, history_jvp, n, count, lags, lags_dot, p2, size, degree, width, grid, tape, tape_dot, dots, newest,
            direction, t_hi, t_lo, c[i] * h, time_dot, firsts, view(rows, i * count, count), holds, holds_dot,
            view(points, at + n, n * count), view(points, at + wide + n, n * count),
        )  # fmt: skip
        time = stage_time(i, s, c, t_hi, t_lo, h, end_hi)
        rhs_tangent(time, time_dot, view(points, at, 2 * wide), p2, view(k, 2 * i * n, 2 * n))


def length_dot(
    flag: Element, which: Element, break_points: int, count: int, breaks: Array, lags_dot: Array, interval_dot: Array,
    t_dot: Element,
) -> Element:  # fmt: skip
    """The tangent of the h of a row that begins at a time with tangent t_dot."""
    h_dot = select(flag == 2.0, interval_dot[1] - t_dot, 0.0)
    landed = flag == 3.0
    if any_(landed):
        end_dot = break_time_dot(which, break_points, count, breaks, interval_dot[0], lags_dot)
        h_dot = select(landed, end_dot - t_dot, h_dot)
    return h_dot


def tangent_replay_with_delays(
    rhs_tangent: Model, history: Model, history_jvp: Model, n: int, count: int, lags: Array, lags_dot: Array,
    break_points: int, breaks: Array, y2: Array, p2: Array, size: int, interval: Array, interval_dot: Array, m: int,
    times: Array, times_dot: Array, s: int, degree: int, a: Array, c: Array, dense: Array, grid: Array, tape: Array,
    made: int, values: Array, values_dot: Array, end2: Array, tape_dot: Array, dots: Array,
) -> None:  # fmt: skip
    """Run the rows of a tape with tangents: `values` and `values_dot` (m*n each), `end2` (2n), `tape_dot` (made rows as the
    tape has), `dots` (2*made). y2 = (y0, ẏ0), interval_dot = (ṫ0, ṫ1). Times not reached give NaN and the tangent 0."""
    t0 = interval[0]
    direction = direction_of(interval)
    wide = n * (1 + count)
    width = WIDTH + count
    points = buffer(y2, 2 * (s + 1) * wide)
    slopes = buffer(y2, 2 * (s + 1) * n)
    k = buffer(y2, 2 * (s + 1) * n)
    rows = buffer(y2, (s + 1) * count)
    holds = buffer(y2, count * hold_size(n, degree))
    holds_dot = buffer(y2, count * hold_dot_size(n, degree))
    state = buffer(y2, 2 * n)
    found = buffer(y2, 2 * n)
    hold_none(n, count, degree, 0.0 * direction - 1.0, holds, holds_dot)
    copy(2 * n, y2, 0, state, 0)
    begin_values(n, y2, t0, m, times, values)
    for j in range(m):
        for i in range(n):
            values_dot[j * n + i] = select(times[j] == t0, y2[n + i], 0.0)

    t_dot = interval_dot[0]
    cursor = 0
    for row in range(made):
        at = row * width
        t_hi, t_lo, h, flag = grid[at], grid[at + 1], grid[at + 2], grid[at + FLAG]
        end_hi, end_lo = grid[at + END], grid[at + END + 1]
        live = flag > 0.0
        h_dot = length_dot(flag, grid[at + WHICH], break_points, count, breaks, lags_dot, interval_dot, t_dot)
        copy(n, state, 0, points, 0)
        copy(n, state, n, points, wide)
        run_delayed_tangent_stages(
            rhs_tangent, history, history_jvp, n, count, lags, lags_dot, p2, size, s, degree, a, c, t_hi, t_lo, t_dot,
            h, h_dot, end_hi, width, grid, tape, tape_dot, dots, grid[at + NEWEST], direction,
            view(grid, at + WIDTH, count), rows, holds, holds_dot, points, slopes, k,
        )  # fmt: skip
        write_tangent_row(n, s, degree, dense, state, k, tape_dot, row)
        dots[2 * row] = t_dot
        dots[2 * row + 1] = h_dot
        cursor = read_tangents(
            live, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, end_hi, end_lo, interval, state,
            view(points, 2 * s * wide, n), k, m, times, times_dot, cursor, values, values_dot, found,
        )  # fmt: skip
        copy_where(live, n, points, 2 * s * wide, state, 0)
        copy_where(live, n, points, (2 * s + 1) * wide, state, n)
        t_dot = select(live, t_dot + h_dot, t_dot)
    copy(2 * n, state, 0, end2, 0)


def write_tangent_row(
    n: int, s: int, degree: int, dense: Array, state: Array, k: Array, tape_dot: Array, row: int
) -> None:
    """The tangents of `delay_reads.write_row`."""
    at = row * n * (degree + 1)
    copy(n, state, n, tape_dot, at)
    for q in range(degree):
        sum_rows(n, s + 1, dense, q, degree, k, n, 2 * n, tape_dot, at + (q + 1) * n)
