"""The transpose of `delays_tangent.py`: second order through a delayed run, exact on its frozen rows.

A read has value z = y + sum_k w_k*C_k and tangent ż = ẏ + sum_k (w_k*Ċ_k + ẇ_k*C_k); with cotangents of both, those of w_k
and ẇ_k lead to sigma, sigma_dot and to h, h_dot of the row. Every row has four cotangents of its own: of its numbers, their
tangents, of (t, h) and of (ṫ, ḣ); all readers add to them before the row is met.

Model functions beside those of `delays_tangent.py`: `rhs_tangent_vjp(t, t_dot, yz2, p2, lam2, t2_bar, yz2_bar, p2_bar)`,
`history_vjp(t, p, lam, t_bar, p_bar)` and
`history_jvp_vjp(t, p, t_dot, p_dot, lam, t_bar, p_bar, t_dot_bar, p_dot_bar)`.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.delay_breaks import transpose_break
from implicitdsl.solvers.delay_reads import PIECE, hold_row, hold_size
from implicitdsl.solvers.delays import END, FLAG, NEWEST, WHICH, WIDTH
from implicitdsl.solvers.delays_tangent import (
    PIECE_DOT,
    hold_dot_size,
    hold_none,
    hold_tangents,
    run_delayed_tangent_stages,
)
from implicitdsl.solvers.dense_output import direction_of, fraction
from implicitdsl.solvers.dense_output_tangent import transpose_tangent_reads
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
    not_,
    or_,
    scatter_add,
    select,
    view,
)

Model = Callable[..., None]


def transpose_value_and_tangent(
    reading: Mask, row: Element, n: int, degree: int, sigma: Element, sigma_dot: Element, h: Element, h_dot: Element,
    piece: Array, piece_dot: Array, piece_bar: Array, z_bar: Array, z_dot_bar: Array, tape_bar: Array,
    tape_dot_bar: Array, ends_bar: Array, dots_bar: Array, work: Array,
) -> None:  # fmt: skip
    """Transpose `delays_tangent.value_and_tangent_at`; `work` := the cotangents of sigma and sigma_dot (it has room for 2)."""
    theta = fraction(sigma, h)
    inverse = select(h == 0.0, 0.0, 1.0 / select(h == 0.0, 1.0, h))
    bend = inverse * (sigma_dot - theta * h_dot)
    sigma_bar = 0.0 * h
    sigma_dot_bar = 0.0 * h
    h_bar = 0.0 * h
    h_dot_bar = 0.0 * h
    power = 1.0 + 0.0 * h
    # theta^(k-2), which k = 1 does not ask for.
    before = 0.0 * h
    copy(n, z_bar, 0, piece_bar, 0)
    for k in range(1, degree + 1):
        by_sigma = k * power
        by_h = (1 - k) * power * theta
        weight_bar = dot(n, z_bar, 0, piece, k * n) + dot(n, z_dot_bar, 0, piece_dot, k * n)
        moved_bar = dot(n, z_dot_bar, 0, piece, k * n)
        turn = moved_bar * (k * (k - 1) * before) * bend
        sigma_bar = sigma_bar + (by_sigma * weight_bar + turn)
        h_bar = h_bar + (by_h * weight_bar - theta * turn)
        sigma_dot_bar = fma(by_sigma, moved_bar, sigma_dot_bar)
        h_dot_bar = fma(by_h, moved_bar, h_dot_bar)
        fill(n, 0.0, piece_bar, k * n)
        axpy(n, sigma * power, z_bar, 0, piece_bar, k * n)
        axpy(n, fma(by_sigma, sigma_dot, by_h * h_dot), z_dot_bar, 0, piece_bar, k * n)
        before = power
        power = power * theta
    scatter_add(reading, n * (degree + 1), piece_bar, 0, row, n * (degree + 1), tape_bar)
    copy(n, z_dot_bar, 0, piece_bar, 0)
    power = 1.0 + 0.0 * h
    for k in range(1, degree + 1):
        fill(n, 0.0, piece_bar, k * n)
        axpy(n, sigma * power, z_dot_bar, 0, piece_bar, k * n)
        power = power * theta
    scatter_add(reading, n * (degree + 1), piece_bar, 0, row, n * (degree + 1), tape_dot_bar)
    work[0] = -sigma_bar
    work[1] = h_bar
    scatter_add(reading, 2, work, 0, row, 2, ends_bar)
    work[0] = -sigma_dot_bar
    work[1] = h_dot_bar
    scatter_add(reading, 2, work, 0, row, 2, dots_bar)
    work[0] = select(reading, sigma_bar, 0.0)
    work[1] = select(reading, sigma_dot_bar, 0.0)


def transpose_past_tangent(
    live: Mask, history_vjp: Model, history_jvp_vjp: Model, n: int, count: int, lags: Array, lags_dot: Array, p2: Array,
    size: int, bar_size: int, degree: int, width: int, grid: Array, tape: Array, tape_dot: Array, dots: Array,
    t_hi: Element, t_lo: Element, offset: Element, time_dot: Element, rows: Array, holds: Array, holds_dot: Array,
    work: Array, piece_bar: Array, past_bar: Array, past_dot_bar: Array, tape_bar: Array, tape_dot_bar: Array,
    ends_bar: Array, dots_bar: Array, lags_bar: Array, lags_dot_bar: Array, p2_bar: Array, found: Array,
) -> None:  # fmt: skip
    """Transpose `delays_tangent.read_past_tangent`; `found` (2) := the cotangents of t + offset and of `time_dot`. The
    bars of the past are used up."""
    fill(2, 0.0, found, 0)
    for j in range(count):
        lam = view(past_bar, j * n, n)
        lam_dot = view(past_dot_bar, j * n, n)
        on_tape = rows[j] >= 0.0
        from_history = and_(live, not_(on_tape))
        reading = and_(live, on_tape)
        sigma_bar = 0.0 * t_hi
        sigma_dot_bar = 0.0 * t_hi
        moved = time_dot - lags_dot[j]
        if any_(reading):
            hold = view(holds, j * hold_size(n, degree), hold_size(n, degree))
            hold_dot = view(holds_dot, j * hold_dot_size(n, degree), hold_dot_size(n, degree))
            hold_row(on_tape, rows[j], n, degree, width, grid, tape, hold)
            hold_tangents(hold[0], n, degree, tape_dot, dots, hold_dot)
            sigma = (((t_hi - hold[1]) + (t_lo - hold[2])) - lags[j]) + offset
            transpose_value_and_tangent(
                reading, hold[0], n, degree, sigma, moved - hold_dot[1], hold[3], hold_dot[2],
                view(hold, PIECE, n * (degree + 1)), view(hold_dot, PIECE_DOT, n * (degree + 1)), piece_bar, lam,
                lam_dot, tape_bar, tape_dot_bar, ends_bar, dots_bar, work,
            )  # fmt: skip
            sigma_bar = work[0]
            sigma_dot_bar = work[1]
        if any_(from_history):
            for i in range(n):
                lam[i] = select(from_history, lam[i], 0.0)
                lam_dot[i] = select(from_history, lam_dot[i], 0.0)
            start = select(from_history, t_hi, grid[0])
            time = (start - lags[j]) + select(from_history, t_lo + offset, 0.0)
            fill(2, 0.0, work, 0)
            history_vjp(time, p2, lam, work, p2_bar)
            history_jvp_vjp(
                time, p2, moved, view(p2, size, size), lam_dot, work, p2_bar, view(work, 1, 1),
                view(p2_bar, bar_size, bar_size),
            )  # fmt: skip
            sigma_bar = sigma_bar + select(from_history, work[0], 0.0)
            sigma_dot_bar = sigma_dot_bar + select(from_history, work[1], 0.0)
        lags_bar[j] = lags_bar[j] - sigma_bar
        lags_dot_bar[j] = lags_dot_bar[j] - sigma_dot_bar
        found[0] = found[0] + sigma_bar
        found[1] = found[1] + sigma_dot_bar


def transpose_delayed_tangent_stages(
    live: Mask, rhs_tangent_vjp: Model, history_vjp: Model, history_jvp_vjp: Model, n: int, count: int, lags: Array,
    lags_dot: Array, p2: Array, size: int, bar_size: int, s: int, degree: int, a: Array, c: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, width: int, grid: Array, tape: Array,
    tape_dot: Array, dots: Array, rows: Array, holds: Array, holds_dot: Array, work: Array, piece_bar: Array,
    points: Array, slopes: Array, k_bar: Array, point_bar: Array, stage_t_bar: Array, found: Array, ends: Array,
    state_bar: Array, tape_bar: Array, tape_dot_bar: Array, ends_bar: Array, dots_bar: Array, lags_bar: Array,
    lags_dot_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """Transpose `delays_tangent.run_delayed_tangent_stages`: adds to `state_bar` (2n), `ends` (the bars of t, h, ṫ, ḣ),
    those of the rows read, of the lags and of p2. `point_bar` (2*n*(1 + count)) has the cotangents of y1 and ẏ1 where a
    row of `points` has y and ẏ."""
    wide = n * (1 + count)
    t_bar, h_bar, t_dot_bar, h_dot_bar = ends[0], ends[1], ends[2], ends[3]
    for back in range(s + 1):
        i = s - back
        if i < s:
            fill(n, 0.0, point_bar, 0)
            fill(n, 0.0, point_bar, wide)
        fill(n * count, 0.0, point_bar, n)
        fill(n * count, 0.0, point_bar, wide + n)
        fill(2, 0.0, stage_t_bar, 0)
        time_dot = fma(c[i], h_dot, t_dot)
        rhs_tangent_vjp(
            stage_time(i, s, c, t_hi, t_lo, h, end_hi), time_dot, view(points, 2 * i * wide, 2 * wide), p2,
            view(k_bar, 2 * i * n, 2 * n), stage_t_bar, point_bar, p2_bar,
        )  # fmt: skip
        transpose_past_tangent(
            live, history_vjp, history_jvp_vjp, n, count, lags, lags_dot, p2, size, bar_size, degree, width, grid, tape,
            tape_dot, dots, t_hi, t_lo, c[i] * h, time_dot, view(rows, i * count, count), holds, holds_dot,
            work, piece_bar, view(point_bar, n, n * count), view(point_bar, wide + n, n * count), tape_bar, tape_dot_bar,
            ends_bar, dots_bar, lags_bar, lags_dot_bar, p2_bar, found,
        )  # fmt: skip
        time_bar = stage_t_bar[0] + found[0]
        time_dot_bar = stage_t_bar[1] + found[1]
        t_bar = t_bar + time_bar
        t_dot_bar = t_dot_bar + time_dot_bar
        h_bar = fma(c[i], time_bar, h_bar)
        h_dot_bar = fma(c[i], time_dot_bar, h_dot_bar)
        axpy(n, 1.0, point_bar, 0, state_bar, 0)
        axpy(n, 1.0, point_bar, wide, state_bar, n)
        if i > 0:
            value, tangent = 2 * i * n, (2 * i + 1) * n
            h_bar = h_bar + (dot(n, point_bar, 0, slopes, value) + dot(n, point_bar, wide, slopes, tangent))
            h_dot_bar = h_dot_bar + dot(n, point_bar, wide, slopes, value)
            add_to_rows(n, i, h, a, i * s, 1, point_bar, 0, k_bar, 0, 2 * n)
            add_to_rows(n, i, h, a, i * s, 1, point_bar, wide, k_bar, n, 2 * n)
            add_to_rows(n, i, h_dot, a, i * s, 1, point_bar, wide, k_bar, 0, 2 * n)
    ends[0] = t_bar
    ends[1] = h_bar
    ends[2] = t_dot_bar
    ends[3] = h_dot_bar


def transpose_tangent_row(
    n: int, s: int, degree: int, dense: Array, tape_bar: Array, tape_dot_bar: Array, row: int, k_bar: Array,
    state_bar: Array,
) -> None:  # fmt: skip
    """Transpose the making of a row and of its tangents: additions to `k_bar` and `state_bar` (2n)."""
    at = row * n * (degree + 1)
    axpy(n, 1.0, tape_bar, at, state_bar, 0)
    axpy(n, 1.0, tape_dot_bar, at, state_bar, n)
    for q in range(degree):
        add_to_rows(n, s + 1, 1.0, dense, q, degree, tape_bar, at + (q + 1) * n, k_bar, 0, 2 * n)
        add_to_rows(n, s + 1, 1.0, dense, q, degree, tape_dot_bar, at + (q + 1) * n, k_bar, n, 2 * n)


def tangent_pullback_with_delays(
    rhs_tangent: Model, rhs_tangent_vjp: Model, history: Model, history_vjp: Model, history_jvp: Model,
    history_jvp_vjp: Model, n: int, count: int, lags: Array, lags_dot: Array, break_points: int, breaks: Array,
    p2: Array, size: int, bar_size: int, interval: Array, m: int, times: Array, times_dot: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, grid: Array, tape: Array, made: int, tape_dot: Array, dots: Array,
    tape_bar: Array, tape_dot_bar: Array, ends_bar: Array, dots_bar: Array, values_bar: Array, values_dot_bar: Array,
    end2_bar: Array, y2_bar: Array, lags_bar: Array, lags_dot_bar: Array, p2_bar: Array, interval_bar: Array,
    interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array,
) -> None:  # fmt: skip
    """Transpose `tangent_replay_with_delays`; adds to the bars of its arguments. The bars of the tape and its tangents
    (made rows) and of the ends (2*made each) are room; p2_bar has `bar_size` numbers and as many of the tangents."""
    t0 = interval[0]
    direction = direction_of(interval)
    wide = n * (1 + count)
    width = WIDTH + count
    points = buffer(tape, 2 * (s + 1) * wide)
    slopes = buffer(tape, 2 * (s + 1) * n)
    k = buffer(tape, 2 * (s + 1) * n)
    k_bar = buffer(tape, 2 * (s + 1) * n)
    rows = buffer(tape, (s + 1) * count)
    holds = buffer(tape, count * hold_size(n, degree))
    holds_dot = buffer(tape, count * hold_dot_size(n, degree))
    work = buffer(tape, 2)
    piece_bar = buffer(tape, n * (degree + 1))
    point_bar = buffer(tape, 2 * wide)
    state_bar = buffer(tape, 2 * n)
    lam = buffer(tape, 2 * n)
    stage_t_bar = buffer(tape, 2)
    found = buffer(tape, 2)
    ends = buffer(tape, 4)
    fill(made * n * (degree + 1), 0.0, tape_bar, 0)
    fill(made * n * (degree + 1), 0.0, tape_dot_bar, 0)
    fill(2 * made, 0.0, ends_bar, 0)
    fill(2 * made, 0.0, dots_bar, 0)
    hold_none(n, count, degree, 0.0 * direction - 1.0, holds, holds_dot)
    copy(2 * n, end2_bar, 0, lam, 0)
    started = direction != direction
    time_bar = 0.0 * t0
    time_dot_bar = 0.0 * t0
    cursor = m
    for row in range(made - 1, -1, -1):
        at = row * width
        t_hi, t_lo, h, flag = grid[at], grid[at + 1], grid[at + 2], grid[at + FLAG]
        end_hi, end_lo = grid[at + END], grid[at + END + 1]
        t_dot, h_dot = dots[2 * row], dots[2 * row + 1]
        live = flag > 0.0
        last = flag == 2.0
        landed = flag == 3.0
        copy(n, tape, row * n * (degree + 1), points, 0)
        copy(n, tape_dot, row * n * (degree + 1), points, wide)
        run_delayed_tangent_stages(
            rhs_tangent, history, history_jvp, n, count, lags, lags_dot, p2, size, s, degree, a, c, t_hi, t_lo, t_dot,
            h, h_dot, end_hi, width, grid, tape, tape_dot, dots, grid[at + NEWEST], direction,
            view(grid, at + WIDTH, count), rows, holds, holds_dot, points, slopes, k,
        )  # fmt: skip

        fill(2 * (s + 1) * n, 0.0, k_bar, 0)
        fill(2 * n, 0.0, state_bar, 0)
        fill(4, 0.0, ends, 0)
        cursor, _ = transpose_tangent_reads(
            live, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, end_hi, end_lo, interval, k, times, times_dot, cursor,
            values_bar, values_dot_bar, k_bar, state_bar, times_bar, times_dot_bar, ends,
        )  # fmt: skip
        transpose_tangent_row(n, s, degree, dense, tape_bar, tape_dot_bar, row, k_bar, state_bar)
        for i in range(2):
            ends[i] = ends[i] + ends_bar[2 * row + i]
            ends[2 + i] = ends[2 + i] + dots_bar[2 * row + i]
        for i in range(n):
            point_bar[i] = select(live, lam[i], 0.0)
            point_bar[wide + i] = select(live, lam[n + i], 0.0)
        transpose_delayed_tangent_stages(
            live, rhs_tangent_vjp, history_vjp, history_jvp_vjp, n, count, lags, lags_dot, p2, size, bar_size, s, degree,
            a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, width, grid, tape, tape_dot, dots, rows, holds, holds_dot,
            work, piece_bar, points, slopes, k_bar, point_bar, stage_t_bar, found, ends, state_bar, tape_bar, tape_dot_bar,
            ends_bar, dots_bar, lags_bar, lags_dot_bar, p2_bar,
        )  # fmt: skip

        copy_where(live, 2 * n, state_bar, 0, lam, 0)
        end_bar = time_bar + ends[1]
        end_dot_bar = time_dot_bar + ends[3]
        interval_bar[1] = interval_bar[1] + select(last, end_bar, 0.0)
        interval_dot_bar[1] = interval_dot_bar[1] + select(last, end_dot_bar, 0.0)
        if any_(landed):
            which = grid[at + WHICH]
            interval_bar[0] = interval_bar[0] + select(landed, end_bar, 0.0)
            interval_dot_bar[0] = interval_dot_bar[0] + select(landed, end_dot_bar, 0.0)
            transpose_break(landed, which, break_points, count, breaks, end_bar, lags_bar)
            transpose_break(landed, which, break_points, count, breaks, end_dot_bar, lags_dot_bar)
        fixed = or_(last, landed)
        time_bar = select(live, ends[0] + select(fixed, -ends[1], time_bar), time_bar)
        time_dot_bar = select(live, ends[2] + select(fixed, -ends[3], time_dot_bar), time_dot_bar)
        started = or_(started, live)

    interval_bar[0] = interval_bar[0] + time_bar
    interval_dot_bar[0] = interval_dot_bar[0] + time_dot_bar
    for j in range(m):
        held = select(and_(times[j] == t0, not_(started)), 1.0, 0.0)
        axpy(n, held, values_bar, j * n, lam, 0)
        axpy(n, held, values_dot_bar, j * n, lam, n)
    axpy(2 * n, 1.0, lam, 0, y2_bar, 0)
