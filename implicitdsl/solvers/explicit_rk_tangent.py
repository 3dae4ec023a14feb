"""Second order through `explicit_rk`: the tangent of the frozen map, and the transpose of that tangent.

The tangent problem has the doubled state (y, ẏ) (2n numbers), the doubled parameters (p, ṗ) and tangents of t0, t1 and of
the save times. A step of length h with tangent ḣ (0 but in the step that ends at t1, where ḣ = ṫ1 - ṫ0) is the step of dual
numbers: K̇_i = tangent of f at (t_i, Y_i, p) along (ṫ0 + c_i*ḣ, Ẏ_i, ṗ), Ẏ_i = ẏ + ḣ*sum a_ij*K_j + h*sum a_ij*K̇_j. So second
derivatives, those in t0, t1 and the times included, are exact on the frozen map: the pullback's pullback for a cotangent g
and a direction v is the tangent outputs along v, and `tangent_pullback` of the cotangents (0, g).

Model functions, any symbolic derivatives of f:
`rhs_tangent(t, t_dot, y2, p2, out2)` overwrites out2 (2n) with (f, f_t*t_dot + f_y*ẏ + f_p*ṗ);
`rhs_tangent_vjp(t, t_dot, y2, p2, lam2, t2_bar, y2_bar, p2_bar)` adds the transpose of its derivative applied to lam2 (2n)
to t2_bar (2: of t and t_dot), y2_bar (2n), p2_bar (as p2).
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_tangent import (
    begin_tangents,
    hold_tangent_start,
    read_tangents,
    transpose_tangent_reads,
)
from implicitdsl.solvers.explicit_rk import stage_point, stage_time
from implicitdsl.solvers.reading_stages import (
    SAME,
    first_reading,
    reading,
    reads_back,
    transpose_tangent_reading,
)
from implicitdsl.solvers.split_stages import keep_part
from implicitdsl.solvers.sweeps import add_ends, begin_transpose, end_transpose, tape_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    add_to_rows,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    fma,
    select,
    sum_rows,
    view,
)

Model = Callable[..., None]


def run_tangent_stages(
    rhs_tangent: Model,
    n: int,
    p2: Array,
    s: int,
    a: Array,
    c: Array,
    t_hi: Element,
    t_lo: Element,
    t_dot: Element,
    h: Element,
    h_dot: Element,
    end_hi: Element,
    first: int,
    last: int,
    reading: bool,
    points: Array,
    slopes: Array,
    k: Array,
) -> None:
    """As `explicit_rk.run_stages`, of a step of dual numbers, whose rows are (value, tangent), 2n numbers; row 0 of `points` is
    (y, ẏ)."""
    for i in range(first, last + 1):
        at = 2 * i * n
        if a[(s + 1) * s + i] == SAME:
            if reading:
                copy(2 * n, k, 2 * s * n, k, at)
        elif a[(s + 1) * s + i] >= 0.0 or reading:
            if i > 0:
                stage_point(n, 2 * n, 2 * n, s, a, i, h, points, k)
                sum_rows(2 * n, i, a, i * s, 1, k, 0, 2 * n, slopes, at)
                axpy(n, h_dot, slopes, at, points, at + n)
            time = stage_time(i, s, c, t_hi, t_lo, h, end_hi)
            rhs_tangent(time, fma(c[i], h_dot, t_dot), view(points, at, 2 * n), p2, view(k, at, 2 * n))
            if a[(s + 1) * s + i] > 0.0:
                keep_part(n, s, a, a[(s + 1) * s + i], k, at)
                keep_part(n, s, a, a[(s + 1) * s + i], k, at + n)


def tangent_replay(
    rhs_tangent: Model,
    n: int,
    y2: Array,
    p2: Array,
    interval: Array,
    interval_dot: Array,
    m: int,
    times: Array,
    times_dot: Array,
    s: int,
    degree: int,
    a: Array,
    c: Array,
    dense: Array,
    grid: Array,
    rows: int,
    values: Array,
    values_dot: Array,
    end2: Array,
    states2: Array,
) -> None:
    """Run the steps of a tape with tangents: `values` and `values_dot` (m*n each), `end2` (2n), `states2` (rows*2n).

    y2 = (y0, ẏ0), interval_dot = (ṫ0, ṫ1). The values are the bits of `explicit_rk.replay` wherever `rhs_tangent`
    gives the bits of `rhs`. Times not reached give NaN and the tangent 0.
    """
    direction_of(interval)
    points = buffer(y2, 2 * (s + 1) * n)
    slopes = buffer(y2, 2 * (s + 1) * n)
    k = buffer(y2, 2 * (s + 1) * n)
    found = buffer(y2, 2 * n)
    copy(2 * n, y2, 0, points, 0)
    begin_tangents(n, y2, interval[0], m, times, values, values_dot)

    cursor = 0
    for row in range(rows):
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        copy(2 * n, points, 0, states2, 2 * row * n)
        run_tangent_stages(
            rhs_tangent, n, p2, s, a, c, t_hi, t_lo, interval_dot[0], h, h_dot, end_hi, 0, s, False, points, slopes, k
        )
        if a[(s + 1) * s + s - 1] < 0.0 and any_(reading(live, m, times, cursor, t_hi, t_lo, end_hi, end_lo, interval)):
            first = first_reading(s, a)
            run_tangent_stages(
                rhs_tangent, n, p2, s, a, c, t_hi, t_lo, interval_dot[0], h, h_dot, end_hi, first, s - 1, True, points,
                slopes, k,
            )  # fmt: skip
        cursor = read_tangents(
            live, n, s, degree, dense, t_hi, t_lo, interval_dot[0], h, h_dot, end_hi, end_lo, interval, points,
            view(points, 2 * s * n, 2 * n), k, m, times, times_dot, cursor, values, values_dot, found,
        )  # fmt: skip
        copy_where(live, 2 * n, points, 2 * s * n, points, 0)
    copy(2 * n, points, 0, end2, 0)


def transpose_tangent_stages(
    rhs_tangent_vjp: Model, n: int, p2: Array, s: int, a: Array, c: Array, t_hi: Element, t_lo: Element, t_dot: Element,
    h: Element, h_dot: Element, end_hi: Element, last_stage: bool, points: Array, slopes: Array, k_bar: Array,
    point_bar: Array, stage_t_bar: Array, ends: Array, state_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """Transpose `run_tangent_stages`: adds to `state_bar` (2n), `p2_bar` and `ends` (the bars of t, h, ṫ, ḣ).

    `point_bar` (2n) is the cotangent of (y1, ẏ1) and `k_bar` that of the stages; both are used up. Only where `last_stage`
    is true does stage s matter, which the dense output reads and the step does not.
    """
    if a[(s + 1) * s + s - 1] < 0.0 and last_stage:
        transpose_tangent_reading(
            rhs_tangent_vjp, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, points, slopes, k_bar, stage_t_bar, ends,
            state_bar, p2_bar,
        )  # fmt: skip
    t_bar, h_bar, t_dot_bar, h_dot_bar = ends[0], ends[1], ends[2], ends[3]
    for back in range(s + 1):
        i = s - back
        at = 2 * i * n
        if a[(s + 1) * s + i] >= 0.0:
            if i < s:
                fill(2 * n, 0.0, point_bar, 0)
            if i < s or last_stage:
                fill(2, 0.0, stage_t_bar, 0)
                if a[(s + 1) * s + i] > 0.0:
                    keep_part(n, s, a, a[(s + 1) * s + i], k_bar, at)
                    keep_part(n, s, a, a[(s + 1) * s + i], k_bar, at + n)
                rhs_tangent_vjp(
                    stage_time(i, s, c, t_hi, t_lo, h, end_hi), fma(c[i], h_dot, t_dot), view(points, at, 2 * n), p2,
                    view(k_bar, at, 2 * n), stage_t_bar, point_bar, p2_bar,
                )  # fmt: skip
                t_bar = t_bar + stage_t_bar[0]
                t_dot_bar = t_dot_bar + stage_t_bar[1]
                h_bar = fma(c[i], stage_t_bar[0], h_bar)
                h_dot_bar = fma(c[i], stage_t_bar[1], h_dot_bar)
            axpy(2 * n, 1.0, point_bar, 0, state_bar, 0)
            if i > 0:
                h_bar = h_bar + dot(2 * n, point_bar, 0, slopes, at)
                h_dot_bar = h_dot_bar + dot(n, point_bar, n, slopes, at)
                add_to_rows(2 * n, i, h, a, i * s, 1, point_bar, 0, k_bar, 0, 2 * n)
                add_to_rows(n, i, h_dot, a, i * s, 1, point_bar, n, k_bar, 0, 2 * n)
    ends[0] = t_bar
    ends[1] = h_bar
    ends[2] = t_dot_bar
    ends[3] = h_dot_bar


def tangent_pullback(
    rhs_tangent: Model,
    rhs_tangent_vjp: Model,
    n: int,
    p2: Array,
    interval: Array,
    interval_dot: Array,
    m: int,
    times: Array,
    times_dot: Array,
    s: int,
    degree: int,
    a: Array,
    c: Array,
    dense: Array,
    grid: Array,
    rows: int,
    states2: Array,
    values_bar: Array,
    values_dot_bar: Array,
    end2_bar: Array,
    y2_bar: Array,
    p2_bar: Array,
    interval_bar: Array,
    interval_dot_bar: Array,
    times_bar: Array,
    times_dot_bar: Array,
) -> None:
    """Transpose `tangent_replay`; adds to the six bars of its arguments (2n, as p2, 2, 2, m, m).

    With values_bar = 0, values_dot_bar = g, end2_bar = (0, g_end) the bars of y0, p, t0, t1 and the times are the second
    derivative of <g, outputs> applied to the direction, and the bars of their tangents are its gradient.
    """
    direction = direction_of(interval)
    t_dot = interval_dot[0]
    points = buffer(states2, 2 * (s + 1) * n)
    slopes = buffer(states2, 2 * (s + 1) * n)
    k = buffer(states2, 2 * (s + 1) * n)
    k_bar = buffer(states2, 2 * (s + 1) * n)
    point_bar = buffer(states2, 2 * n)
    state_bar = buffer(states2, 2 * n)
    lam = buffer(states2, 2 * n)
    stage_t_bar = buffer(states2, 2)
    ends = buffer(states2, 4)
    copy(2 * n, end2_bar, 0, lam, 0)
    started = direction != direction
    cursor = m
    for row in range(rows - 1, -1, -1):
        t_hi, t_lo, h, live, last, end_hi, end_lo = tape_row(row, interval, grid)
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        copy(2 * n, states2, 2 * row * n, points, 0)
        run_tangent_stages(
            rhs_tangent, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, 0, s, False, points, slopes, k
        )
        if a[(s + 1) * s + s - 1] < 0.0 and reads_back(live, times, cursor, t_hi, t_lo, end_hi, end_lo, interval):
            first = first_reading(s, a)
            run_tangent_stages(
                rhs_tangent, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, first, s - 1, True, points, slopes, k
            )

        begin_transpose(live, 2 * (s + 1) * n, 2 * n, lam, point_bar, k_bar, state_bar, 4, ends)
        cursor, read = transpose_tangent_reads(
            live, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, end_hi, end_lo, interval, k, times, times_dot, cursor,
            values_bar, values_dot_bar, k_bar, state_bar, times_bar, times_dot_bar, ends,
        )  # fmt: skip
        transpose_tangent_stages(
            rhs_tangent_vjp, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, read, points, slopes, k_bar, point_bar,
            stage_t_bar, ends, state_bar, p2_bar,
        )  # fmt: skip
        started = end_transpose(live, last, 2 * n, state_bar, lam, ends, interval_bar, started)
        add_ends(live, last, ends[2], ends[3], interval_dot_bar)

    hold_tangent_start(n, interval, m, times, values_bar, values_dot_bar, started, lam, y2_bar)
