"""The exact derivative of what `explicit_rk` computes, with its accepted steps held.

Reverse sweep over the tape: the stages of each step are computed again from the state stored at its start, and the
step's map (y, p, t, h) → (y1, values inside) is transposed (W. W. Hager, Numer. Math. 87 (2000) 247–282, for the discrete
adjoint of a Runge–Kutta method). Every h is held but that of the step with flag 2, h = t1 - t with t = t0 + the steps
before; so t0 moves the whole grid, t1 the length of the last step, and a save time acts through the dense output.

Model functions: `rhs(t, y, p, out)` overwrites `out` (n); `rhs_vjp(t, y, p, lam, t_bar, y_bar, p_bar)` adds
lamᵀ df/dt, lamᵀ df/dy, lamᵀ df/dp to t_bar (1), y_bar (n), p_bar. Where `wide` > n, `rhs` leaves wide - n numbers behind
its y, for the call of `rhs_vjp` at the same place.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start, transpose_reads
from implicitdsl.solvers.explicit_rk import make_reading, run_stages, stage_time
from implicitdsl.solvers.reading_stages import reads_back, transpose_reading
from implicitdsl.solvers.split_stages import keep_part
from implicitdsl.solvers.sweeps import begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    axpy,
    buffer,
    copy,
    dot,
    fill,
    fma,
    interrupted,
    scale,
    view,
)

Model = Callable[..., None]


def transpose_stages(
    rhs_vjp: Model,
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
    last_stage: bool,
    points: Array,
    slopes: Array,
    k_bar: Array,
    point_bar: Array,
    stage_t_bar: Array,
    t_bar: Element,
    h_bar: Element,
    y_bar: Array,
    p_bar: Array,
    timed: bool,
) -> tuple[Element, Element]:
    """(t_bar, h_bar), with what the stages of a step add: the transpose of `explicit_rk.run_stages`.

    `point_bar` (n) is the cotangent of y1 and `k_bar` that of the stages; both are used up. Adds to `y_bar` and `p_bar`.
    Only where `last_stage` is true does k_s matter, which the dense output reads and the step does not. Unless `timed`,
    t_bar and h_bar stay as they are.
    """
    if a[(s + 1) * s + s - 1] < 0.0 and last_stage:
        t_bar, h_bar = transpose_reading(
            rhs_vjp, n, wide, p, s, a, c, t_hi, t_lo, h, points, slopes, k_bar, stage_t_bar, t_bar, h_bar, y_bar, p_bar,
            timed,
        )  # fmt: skip
    for back in range(s + 1):
        i = s - back
        if a[(s + 1) * s + i] >= 0.0:
            if i < s:
                fill(n, 0.0, point_bar, 0)
            if i < s or last_stage:
                fill(1, 0.0, stage_t_bar, 0)
                time = stage_time(i, s, c, t_hi, t_lo, h, end_hi)
                if a[(s + 1) * s + i] > 0.0:
                    keep_part(n, s, a, a[(s + 1) * s + i], k_bar, i * n)
                rhs_vjp(time, view(points, i * wide, wide), p, view(k_bar, i * n, n), stage_t_bar, point_bar, p_bar)
                if timed:
                    t_bar = t_bar + stage_t_bar[0]
                    h_bar = fma(c[i], stage_t_bar[0], h_bar)
            axpy(n, 1.0, point_bar, 0, y_bar, 0)
            if i > 0:
                if timed:
                    h_bar = h_bar + dot(n, point_bar, 0, slopes, i * n)
                scale(n, h, point_bar, 0)
                for j in range(i):
                    if a[i * s + j] != 0.0:
                        axpy(n, a[i * s + j], point_bar, 0, k_bar, j * n)
    return t_bar, h_bar


def stands(t: Element, y: Array, p: Array, out: Array) -> None:
    """The right-hand side where its value is known: it stands in `out`."""


def sweep(
    rhs: Model, rhs_vjp: Model, n: int, wide: int, p: Array, interval: Array, m: int, times: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, grid: Array, rows: int, states: Array, values_bar: Array, lam: Array, p_bar: Array,
    interval_bar: Array, times_bar: Array, cursor: int, started: Mask, timed: bool,
) -> tuple[int, Mask]:  # fmt: skip
    """Transpose `rows` successive rows of a tape, the last first: `lam` (n), the cotangent of the state after them, becomes
    that of the state before them; `interval_bar` and `times_bar` get theirs where `timed`. Takes and returns the cursor
    of the save times and which samples made any step."""
    points = buffer(states, (s + 1) * wide)
    slopes = buffer(states, (s + 1) * n)
    k = buffer(states, (s + 1) * n)
    k_bar = buffer(states, (s + 1) * n)
    point_bar = buffer(states, n)
    y_bar = buffer(states, n)
    stage_t_bar = buffer(states, 1)
    ends = buffer(states, 2)
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        until = s
        if row < rows - 1:
            # The last stage of a step is the first of the next, which was made before.
            until = s - 1
            copy(wide, points, 0, points, s * wide)
            copy(n, k, 0, k, s * n)
        copy(n, states, row * n, points, 0)
        run_stages(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, 0, until, False, points, slopes, k)
        if until < s:
            run_stages(stands, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, s, s, False, points, slopes, k)
        if a[(s + 1) * s + s - 1] < 0.0 and reads_back(live, times, cursor, t_hi, t_lo, end_hi, end_lo, interval):
            make_reading(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, live, points, slopes, k)

        begin_transpose(live, (s + 1) * n, n, lam, point_bar, k_bar, y_bar, 2, ends)
        cursor, read = transpose_reads(
            n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, k, times, cursor, values_bar, k_bar,
            y_bar, times_bar, ends, timed,
        )  # fmt: skip
        ends[0], ends[1] = transpose_stages(
            rhs_vjp, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, read, points, slopes, k_bar, point_bar, stage_t_bar,
            ends[0], ends[1], y_bar, p_bar, timed,
        )  # fmt: skip
        started = end_transpose(live, last, n, y_bar, lam, ends, interval_bar, started)
    return cursor, started


def pullback(
    rhs: Model,
    rhs_vjp: Model,
    n: int,
    wide: int,
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
    states: Array,
    values_bar: Array,
    end_bar: Array,
    y0_bar: Array,
    p_bar: Array,
    interval_bar: Array,
    times_bar: Array,
) -> None:
    """Transpose the frozen map: from the cotangents of `values` (m*n) and `y_end` (n) to those of y0, p, (t0, t1), times.

    Adds to `y0_bar` (n), `p_bar`, `interval_bar` (2), `times_bar` (m). Where save times define the interval, the caller adds
    interval_bar to the times_bar of the first and last of them. Times that the run did not reach contribute nothing.
    """
    transpose_steps(
        rhs, rhs_vjp, n, wide, p, interval, m, times, s, degree, a, c, dense, grid, rows, states, values_bar, end_bar,
        y0_bar, p_bar, interval_bar, times_bar, True,
    )  # fmt: skip


def transpose_steps(
    rhs: Model, rhs_vjp: Model, n: int, wide: int, p: Array, interval: Array, m: int, times: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, grid: Array, rows: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, timed: bool,
) -> None:  # fmt: skip
    """As `pullback`; unless `timed`, `interval_bar` and `times_bar` stay as they are, and cost nothing."""
    lam = buffer(states, n)
    copy(n, end_bar, 0, lam, 0)
    direction = direction_of(interval)
    _, started = sweep(
        rhs, rhs_vjp, n, wide, p, interval, m, times, s, degree, a, c, dense, grid, rows, states, values_bar, lam, p_bar,
        interval_bar, times_bar, m, direction != direction, timed,
    )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
