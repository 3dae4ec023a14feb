"""The transpose of `events_tangent.py`: second derivatives through events, on the held steps.

The step with flag 3 has the unknowns (h, ḣ), given by G = g(t + h, y1, p) = 0 and Ġ = 0, the guard and its tangent. With
the cotangents (H, Ḣ) of h and ḣ the implicit function theorem adds mu1*grad G + mu2*grad Ġ to everything else, where
G_h*mu2 = -Ḣ and G_h*mu1 + Ġ_h*mu2 = -H (because Ġ depends on ḣ as G on h). All derivatives are those of the computed step.
G_h and Ġ_h are found first, then the gradient is that of mu1*G + mu2*Ġ, as in `events_adjoint.py`.

Model functions beside those of `explicit_rk_tangent.py`, all adding: `guards_vjp(t, y, pm, lam, t_bar, y_bar, pm_bar)`,
`guards_jvp_vjp(t, y, pm, t_dot, y_dot, pm_dot, lam, …)`, `reset_vjp(t, y, p, fire, lam, …)`, `reset_jvp_vjp(t, y, p, fire,
t_dot, y_dot, p_dot, lam, …)`, the bars in the order of what they belong to; and without the parts of pm and its tangent,
`guards_vjp_y`, `guards_jvp_vjp_y`, and `rhs_tangent_vjp_y`, which has the arguments of `rhs_tangent_vjp` and leaves the last
alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_tangent import transpose_tangent_read
from implicitdsl.solvers.event_rows import BLOCK, CUT, MENDED, WIDTH, belongs, makes_step, read_event_row
from implicitdsl.solvers.status import SINGULAR, SUCCESS
from implicitdsl.solvers.stepping import end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    fill,
    interrupted,
    is_finite,
    not_,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def replay_pullback_with_events(
    rhs: Model, linearise: Model, rhs_tangent: Model, linearise_tangent: Model, take_dual_step: Model,
    transpose_dual_step: Model, transpose_mend_dual: Model, room_size: Callable[..., int], window_size: Callable[...,
    int], look_back_dual: Model, rhs_tangent_vjp: Model, rhs_tangent_vjp_y: Model, linearise_tangent_vjp: Model,
    linearise_tangent_vjp_y: Model, guards_vjp: Model, guards_vjp_y: Model, guards_jvp_vjp: Model,
    guards_jvp_vjp_y: Model, reset_vjp: Model, reset_jvp_vjp: Model, n: int, algebraic: int, mass: Array,
    pattern: Array, first: int, g: int, count: int, blocks: int, pm2: Array, interval: Array, m: int, times: Array,
    times_dot: Array, s: int, last_row: int, degree: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array,
    dense: Array, grid: Array, rows: int, end_time: Element, stopped: Mask, states2: Array, dots: Array,
    values_bar: Array, values_dot_bar: Array, end2_bar: Array, end_time_bars: Array, y2_bar: Array, pm2_bar: Array,
    interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array,
) -> Element:  # fmt: skip
    """Transpose `replay_with_events`: as `explicit_rk_tangent.tangent_pullback`, with the bars of the time at which the
    run ends and of its tangent (`end_time_bars`, 2). Returns a status number, as `pullback_with_events`. Where a run ends in a
    step of no time, algebraic unknowns get NaN along a direction that gives it some, as `start_tangent_pullback` says."""
    direction = direction_of(interval)
    full = first + count
    width = WIDTH + count + algebraic
    window = 2 * window_size(n)
    points = buffer(states2, 2 * (last_row + 1) * n)
    slopes = buffer(states2, 2 * (last_row + 1) * n)
    room = buffer(states2, room_size(n, s, last_row, pattern))
    k = buffer(states2, 2 * (s + 1) * n)
    k_bar = buffer(states2, 2 * (s + 1) * n)
    point_bar = buffer(states2, 2 * n)
    state_bar = buffer(states2, window)
    lam = buffer(states2, window)
    stage_t_bar = buffer(states2, 2)
    ends = buffer(states2, 4)
    one = buffer(states2, g + blocks)
    by_value = buffer(states2, 4)
    by_rate = buffer(states2, 4)
    guard_bar = buffer(states2, window)
    kept = buffer(states2, 2 * full)
    y1 = view(points, 2 * last_row * n, 2 * n)
    p = view(pm2, 0, first)
    pm = view(pm2, 0, full)
    pm_dot = view(pm2, full, full)
    copy(2 * n, end2_bar, 0, lam, 0)
    time_bar = select(stopped, end_time_bars[0], 0.0)
    time_dot_bar = select(stopped, end_time_bars[1], 0.0)
    interval_bar[1] = interval_bar[1] + select(stopped, 0.0, end_time_bars[0])
    interval_dot_bar[1] = interval_dot_bar[1] + select(stopped, 0.0, end_time_bars[1])
    for j in range(m):
        held = select(and_(stopped, direction * (times[j] - end_time) >= 0.0), 1.0, 0.0)
        axpy(n, held, values_bar, j * n, lam, 0)
        axpy(n, held, values_dot_bar, j * n, lam, n)
    status = 0.0 * end_time + SUCCESS
    spoilt = end_time != end_time
    cursor = m
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, flag, which, opens = read_event_row(row, width, first, count, grid, pm2)
        live = makes_step(flag)
        block = flag == BLOCK
        last = flag == 2.0
        cut = flag == CUT
        t_dot = dots[2 * row]
        h_dot = dots[2 * row + 1]

        mended = flag == MENDED
        spoilt = or_(spoilt, and_(and_(last, h == 0.0), or_(t_dot != 0.0, h_dot != 0.0)))
        if algebraic > 0 and any_(mended):
            fill(2, 0.0, stage_t_bar, 0)
            for i in range(2 * n):
                point_bar[i] = select(mended, lam[i], 0.0)
            for i in range(n - algebraic, n):
                point_bar[i] = select(and_(spoilt, mended), np.nan, point_bar[i])
            copy(2 * full, pm2_bar, 0, kept, 0)
            transpose_mend_dual(
                mended, rhs_tangent_vjp, linearise_tangent, n, algebraic, mass, pattern, t_hi, t_dot,
                view(states2, 2 * row * n, 2 * n), pm2, point_bar, stage_t_bar, pm2_bar,
            )  # fmt: skip
            copy_where(not_(mended), 2 * full, kept, 0, pm2_bar, 0)
            copy_where(mended, 2 * n, point_bar, 0, lam, 0)
            time_bar = time_bar + select(mended, stage_t_bar[0], 0.0)
            time_dot_bar = time_dot_bar + select(mended, stage_t_bar[1], 0.0)

        if blocks > 0 and any_(block):
            fill(2 * n, 0.0, state_bar, 0)
            fill(2, 0.0, stage_t_bar, 0)
            for i in range(2 * n):
                point_bar[i] = select(block, lam[i], 0.0)
            for b in range(blocks):
                one[b] = select(and_(block, which == b), 1.0, 0.0)
            copy(2 * full, pm2_bar, 0, kept, 0)
            fires = view(one, 0, blocks)
            y = view(states2, 2 * row * n, n)
            y_dot = view(states2, (2 * row + 1) * n, n)
            bars = view(pm2_bar, 0, first)
            dot_bars = view(pm2_bar, full, first)
            reset_vjp(t_hi, y, p, fires, view(point_bar, 0, n), view(stage_t_bar, 0, 1), view(state_bar, 0, n), bars)
            reset_jvp_vjp(
                t_hi, y, p, fires, t_dot, y_dot, view(pm2, full, first), view(point_bar, n, n), view(stage_t_bar, 0, 1),
                view(state_bar, 0, n), bars, view(stage_t_bar, 1, 1), view(state_bar, n, n), dot_bars,
            )  # fmt: skip
            copy_where(not_(block), 2 * full, kept, 0, pm2_bar, 0)
            copy_where(block, 2 * n, state_bar, 0, lam, 0)
            time_bar = time_bar + select(block, stage_t_bar[0], 0.0)
            time_dot_bar = time_dot_bar + select(block, stage_t_bar[1], 0.0)

        if any_(live):
            end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
            copy(2 * n, states2, 2 * row * n, points, 0)
            look_back_dual(row, width, grid, states2, n, 0, room)
            take_dual_step(
                rhs, linearise, rhs_tangent, linearise_tangent, n, mass, pattern, pm2, s, last_row, gamma, a, couple, c,
                drive, t_hi, t_lo, t_dot, h, h_dot, end_hi, points, slopes, k, room,
            )  # fmt: skip
            fill(2 * (s + 1) * n, 0.0, k_bar, 0)
            fill(window, 0.0, state_bar, 0)
            fill(4, 0.0, ends, 0)
            read = False
            j = cursor - 1
            going = True
            while j >= 0 and going:
                inside = and_(live, belongs(times[j], t_hi, t_lo, end_hi, end_lo, opens, cut, direction))
                if any_(inside):
                    read = True
                    transpose_tangent_read(
                        inside, j, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, k, times, times_dot, values_bar,
                        values_dot_bar, k_bar, state_bar, times_bar, times_dot_bar, ends,
                    )  # fmt: skip
                begun = or_(inside, direction * ((times[j] - t_hi) - t_lo) > 0.0)
                if j == cursor - 1 and all_(begun):
                    cursor = j
                going = any_(begun)
                j = j - 1
            for i in range(2 * n):
                point_bar[i] = select(live, lam[i], 0.0)
            transpose_dual_step(
                rhs_tangent_vjp, linearise, linearise_tangent_vjp, n, mass, pattern, pm2, s, last_row, gamma, a, couple,
                c, drive, t_hi, t_lo, t_dot, h, h_dot, end_hi, live, read, points, slopes, k, k_bar, point_bar,
                state_bar, pm2_bar, ends, room,
            )  # fmt: skip
            if any_(cut):
                for i in range(g):
                    one[i] = select(and_(cut, which == i), 1.0, 0.0)
                chosen = view(one, 0, g)
                fill(2 * (s + 1) * n, 0.0, k_bar, 0)
                fill(2 * n, 0.0, point_bar, 0)
                fill(2, 0.0, stage_t_bar, 0)
                guards_vjp_y(end_hi, view(y1, 0, n), pm, chosen, view(stage_t_bar, 0, 1), view(point_bar, 0, n))
                seed_ends(stage_t_bar, by_value)
                transpose_dual_step(
                    rhs_tangent_vjp_y, linearise, linearise_tangent_vjp_y, n, mass, pattern, pm2, s, last_row, gamma, a,
                    couple, c, drive, t_hi, t_lo, t_dot, h, h_dot, end_hi, cut, False, points, slopes, k, k_bar,
                    point_bar, guard_bar, pm2_bar, by_value, room,
                )  # fmt: skip
                fill(2 * (s + 1) * n, 0.0, k_bar, 0)
                fill(2 * n, 0.0, point_bar, 0)
                fill(2, 0.0, stage_t_bar, 0)
                guards_jvp_vjp_y(
                    end_hi, view(y1, 0, n), pm, t_dot + h_dot, view(y1, n, n), pm_dot, chosen, view(stage_t_bar, 0, 1),
                    view(point_bar, 0, n), view(stage_t_bar, 1, 1), view(point_bar, n, n),
                )  # fmt: skip
                seed_ends(stage_t_bar, by_rate)
                transpose_dual_step(
                    rhs_tangent_vjp_y, linearise, linearise_tangent_vjp_y, n, mass, pattern, pm2, s, last_row, gamma, a,
                    couple, c, drive, t_hi, t_lo, t_dot, h, h_dot, end_hi, cut, False, points, slopes, k, k_bar,
                    point_bar, guard_bar, pm2_bar, by_rate, room,
                )  # fmt: skip
                wanted = ends[3] + time_dot_bar
                mu2 = select(wanted == 0.0, 0.0, -wanted / by_value[1])
                wanted = ends[1] + time_bar + select(mu2 == 0.0, 0.0, by_rate[1] * mu2)
                mu1 = select(wanted == 0.0, 0.0, -wanted / by_value[1])
                status = select(and_(cut, not_(and_(is_finite(mu1), is_finite(mu2)))), SINGULAR, status)
                fill(2 * (s + 1) * n, 0.0, k_bar, 0)
                fill(2 * n, 0.0, point_bar, 0)
                fill(window, 0.0, guard_bar, 0)
                fill(2, 0.0, stage_t_bar, 0)
                copy(2 * full, pm2_bar, 0, kept, 0)
                for i in range(g):
                    one[i] = select(and_(cut, which == i), mu1, 0.0)
                guards_vjp(
                    end_hi, view(y1, 0, n), pm, chosen, view(stage_t_bar, 0, 1), view(point_bar, 0, n),
                    view(pm2_bar, 0, full),
                )  # fmt: skip
                for i in range(g):
                    one[i] = select(and_(cut, which == i), mu2, 0.0)
                guards_jvp_vjp(
                    end_hi, view(y1, 0, n), pm, t_dot + h_dot, view(y1, n, n), pm_dot, chosen, view(stage_t_bar, 0, 1),
                    view(point_bar, 0, n), view(pm2_bar, 0, full), view(stage_t_bar, 1, 1), view(point_bar, n, n),
                    view(pm2_bar, full, full),
                )  # fmt: skip
                seed_ends(stage_t_bar, by_value)
                transpose_dual_step(
                    rhs_tangent_vjp, linearise, linearise_tangent_vjp, n, mass, pattern, pm2, s, last_row, gamma, a,
                    couple, c, drive, t_hi, t_lo, t_dot, h, h_dot, end_hi, cut, False, points, slopes, k, k_bar,
                    point_bar, guard_bar, pm2_bar, by_value, room,
                )  # fmt: skip
                copy_where(not_(cut), 2 * full, kept, 0, pm2_bar, 0)
                for i in range(window):
                    state_bar[i] = state_bar[i] + select(cut, guard_bar[i], 0.0)
                ends[0] = ends[0] + select(cut, by_value[0], 0.0)
                ends[2] = ends[2] + select(cut, by_value[2], 0.0)
            axpy(window - 2 * n, 1.0, lam, 2 * n, state_bar, 0)
            copy_where(live, window, state_bar, 0, lam, 0)
            time_bar = select(live, ends[0] + select(last, -ends[1], time_bar), time_bar)
            time_dot_bar = select(live, ends[2] + select(last, -ends[3], time_dot_bar), time_dot_bar)
            interval_bar[1] = interval_bar[1] + select(last, ends[1], 0.0)
            interval_dot_bar[1] = interval_dot_bar[1] + select(last, ends[3], 0.0)
    interval_bar[0] = interval_bar[0] + time_bar
    interval_dot_bar[0] = interval_dot_bar[0] + time_dot_bar
    axpy(2 * n, 1.0, lam, 0, y2_bar, 0)
    return status


def seed_ends(time_bars: Array, ends: Array) -> None:
    """The bars of t, h, ṫ, ḣ where only the end of the step, t + h with the tangent ṫ + ḣ, has some."""
    ends[0] = time_bars[0]
    ends[1] = time_bars[0]
    ends[2] = time_bars[1]
    ends[3] = time_bars[1]
