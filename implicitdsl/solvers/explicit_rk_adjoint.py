"""The exact derivative of what `explicit_rk` computes, with its accepted steps held.

Reverse sweep over the tape: the stages of each step are computed again from the state stored at its start (or were kept
by `explicit_rk`, with what the derivative needs of them), and the step's map (y, p, t, h) → (y1, values inside) is transposed (W. W. Hager, Numer. Math. 87 (2000) 247–282, for the discrete
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
from implicitdsl.solvers.reading_stages import first_reading, reads_back, transpose_reading
from implicitdsl.solvers.split_stages import keep_part
from implicitdsl.solvers.sweeps import begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_rows,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    fma,
    interrupted,
    scale,
    select,
    sum_rows,
    view,
)

Model = Callable[..., None]

REMADE = False
STORED = True
"""Whether the stages are made again, or lie in the tape."""


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
    k: Array,
    k_bar: Array,
    bars: Array,
    stage_t_bar: Array,
    t_bar: Element,
    h_bar: Element,
    y_bar: Array,
    p_bar: Array,
    timed: bool,
    opening: int,
    carried: bool,
) -> tuple[Element, Element]:
    """(t_bar, h_bar), with what the stages of a step from number `opening` on add: the transpose of
    `explicit_rk.run_stages`. `carried`: k_s has a cotangent from the step after.

    Row s of `bars` ((s + 1)*n) is the cotangent of y1, and `k_bar` that of the stages; both are used up. Adds to `y_bar` and
    `p_bar`.
    `last_stage`: the dense output reads k_s; the step itself does not. Unless `timed`,
    t_bar and h_bar stay as they are.
    """
    if a[(s + 1) * s + s - 1] < 0.0 and last_stage:
        t_bar, h_bar = transpose_reading(
            rhs_vjp, n, wide, p, s, a, c, t_hi, t_lo, h, points, k, k_bar, stage_t_bar, t_bar, h_bar, y_bar, p_bar,
            timed,
        )  # fmt: skip
    for back in range(s + 1):
        i = s - back
        bar = view(bars, i * n, n)
        if a[(s + 1) * s + i] >= 0.0 and i < s:
            transpose_sums(n, s, a, i, bars, k_bar)
            fill(n, 0.0, bar, 0)
        if a[(s + 1) * s + i] >= 0.0 and i >= opening:
            if i < s or last_stage or carried:
                fill(1, 0.0, stage_t_bar, 0)
                time = stage_time(i, s, c, t_hi, t_lo, h, end_hi)
                if a[(s + 1) * s + i] > 0.0:
                    keep_part(n, s, a, a[(s + 1) * s + i], k_bar, i * n)
                rhs_vjp(time, view(points, i * wide, wide), p, view(k_bar, i * n, n), stage_t_bar, bar, p_bar)
                if timed:
                    t_bar = t_bar + stage_t_bar[0]
                    h_bar = fma(c[i], stage_t_bar[0], h_bar)
            axpy(n, 1.0, bar, 0, y_bar, 0)
            if i > 0:
                if timed:
                    # Row 0 is for the first stage, which comes last.
                    sum_rows(n, i, a, i * s, 1, k, 0, n, bars, 0)
                    h_bar = h_bar + dot(n, bar, 0, bars, 0)
                scale(n, h, bar, 0)
    return t_bar, h_bar


def transpose_sums(n: int, s: int, a: Array, i: int, bars: Array, k_bar: Array) -> None:
    """Add to row i of `k_bar` what comes from the points of later stages, the last first: row j of `bars` is the cotangent
    of the point of stage j, times h."""
    if a[(s + 1) * s + s - 1] < 0.0:
        # Before the last stage are those that only the dense output reads, which are transposed already.
        first = first_reading(s, a)
        add_rows(n, 1, a, s * s + i, 1, bars, s * n, n, k_bar, i * n)
        add_rows(n, first - 1 - i, a, (first - 1) * s + i, -s, bars, (first - 1) * n, -n, k_bar, i * n)
    else:
        add_rows(n, s - i, a, s * s + i, -s, bars, s * n, -n, k_bar, i * n)


def stands(t: Element, y: Array, p: Array, out: Array) -> None:
    """The right-hand side where its value is known: it stands in `out`."""


def sweep(
    rhs: Model, rhs_vjp: Model, n: int, wide: int, p: Array, interval: Array, m: int, times: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, grid: Array, rows: int, states: Array, values_bar: Array, lam: Array,
    first_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, cursor: int, started: Mask, timed: bool,
    opens: bool, resumed: bool, stored: bool,
) -> tuple[int, Mask]:  # fmt: skip
    """Transpose `rows` successive rows of a tape, the last first: `lam` (n), the cotangent of the state after them, becomes
    that of the state before them; `interval_bar` and `times_bar` get theirs where `timed`. Takes and returns the cursor
    of the save times and which samples made any step.

    The first stage of a step is the last of the one before: both are transposed at once, with the earlier step. Until then
    the cotangent waits in `first_bar` (n). `opens`: the run begins with these rows; `resumed`: it goes on after them.
    `stored`: a row of `states` holds the points of all its stages, the last of which is the first of the next row, and `rhs`
    finds its value behind a point."""
    points = buffer(states, (s + 1) * wide)
    k = buffer(states, (s + 1) * n)
    k_bar = buffer(states, (s + 1) * n)
    bars = buffer(states, (s + 1) * n)
    y_bar = buffer(states, n)
    stage_t_bar = buffer(states, 1)
    ends = buffer(states, 2)
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        until = s
        if stored:
            points = view(states, row * s * wide, (s + 1) * wide)
        else:
            if row < rows - 1:
                # The last stage of a step is the first of the next, which was made before.
                until = s - 1
                copy(wide, points, 0, points, s * wide)
                copy(n, k, 0, k, s * n)
            copy(n, states, row * n, points, 0)
        run_stages(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, 0, until, False, points, k)
        if until < s:
            run_stages(stands, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, s, s, False, points, k)
        if a[(s + 1) * s + s - 1] < 0.0 and reads_back(live, times, cursor, t_hi, t_lo, end_hi, end_lo, interval):
            make_reading(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, live, points, k)

        begin_transpose(live, (s + 1) * n, n, lam, view(bars, s * n, n), k_bar, y_bar, 2, ends)
        cursor, read = transpose_reads(
            n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, interval, live, k, times, cursor, values_bar, k_bar,
            y_bar, times_bar, ends, timed,
        )  # fmt: skip
        for i in range(n):
            k_bar[s * n + i] = k_bar[s * n + i] + select(live, first_bar[i], 0.0)
        ends[0], ends[1] = transpose_stages(
            rhs_vjp, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, read, points, k, k_bar, bars, stage_t_bar,
            ends[0], ends[1], y_bar, p_bar, timed, 1, resumed or row < rows - 1,
        )  # fmt: skip
        copy_where(live, n, k_bar, 0, first_bar, 0)
        started = end_transpose(live, last, n, y_bar, lam, ends, interval_bar, started)
    if opens and rows > 0:
        transpose_first(
            rhs_vjp, n, wide, p, s, a, interval[0], points, first_bar, started, lam, p_bar, interval_bar, timed
        )
    return cursor, started


def transpose_first(
    rhs_vjp: Model, n: int, wide: int, p: Array, s: int, a: Array, t0: Element, points: Array, first_bar: Array,
    started: Mask, lam: Array, p_bar: Array, interval_bar: Array, timed: bool,
) -> None:  # fmt: skip
    """Transpose the first stage of a run, whose point is the first of `points`: of the samples that started, adds to `lam`
    and to the cotangent of t0, and to `p_bar`."""
    point_bar = buffer(lam, n)
    t_bar = buffer(lam, 1)
    fill(n, 0.0, point_bar, 0)
    fill(1, 0.0, t_bar, 0)
    if a[(s + 1) * s] > 0.0:
        keep_part(n, s, a, a[(s + 1) * s], first_bar, 0)
    rhs_vjp(t0, view(points, 0, wide), p, first_bar, t_bar, point_bar, p_bar)
    for i in range(n):
        lam[i] = lam[i] + select(started, point_bar[i], 0.0)
    if timed:
        interval_bar[0] = interval_bar[0] + select(started, t_bar[0], 0.0)


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
        y0_bar, p_bar, interval_bar, times_bar, True, REMADE,
    )  # fmt: skip


def transpose_steps(
    rhs: Model, rhs_vjp: Model, n: int, wide: int, p: Array, interval: Array, m: int, times: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, grid: Array, rows: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, timed: bool, stored: bool,
) -> None:  # fmt: skip
    """As `pullback`; unless `timed`, `interval_bar` and `times_bar` stay as they are, and cost nothing. `stored`: as in
    `sweep`."""
    lam = buffer(states, n)
    first_bar = buffer(states, n)
    copy(n, end_bar, 0, lam, 0)
    fill(n, 0.0, first_bar, 0)
    direction = direction_of(interval)
    _, started = sweep(
        rhs, rhs_vjp, n, wide, p, interval, m, times, s, degree, a, c, dense, grid, rows, states, values_bar, lam,
        first_bar, p_bar, interval_bar, times_bar, m, direction != direction, timed, True, False, stored,
    )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
