"""The tangent of what `events.py` computes: its tape run again in dual numbers, with events that move.

The step that ends at a guard's zero has the length h with the tangent ḣ for which the guard stays 0: the tangent of
g(t + h, y1, p) is linear in ḣ, and its slope is the derivative of the computed step. Rows after an event begin as much
later as the event does. Model functions beside those of `explicit_rk_tangent.py`: `guards_jvp(t, y, pm, t_dot, y_dot,
pm_dot, out)` and `guards_rate(t, y, pm, t_dot, y_dot, out)`, `rhs_tangent_y`, which has the arguments of `rhs_tangent` and
takes ṗ for 0, `reset(t, y, p, fire, out)`, `reset_jvp(t, y, p, fire, t_dot, y_dot, p_dot, out)`. pm2 holds arguments and modes
and then their tangents, of which those of the modes are 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_tangent import read_tangent
from implicitdsl.solvers.event_rows import BLOCK, CUT, MENDED, WIDTH, belongs, comes, makes_step, read_event_row
from implicitdsl.solvers.stepping import end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    fill,
    interrupted,
    or_,
    select,
    view,
)

Model = Callable[..., None]


def chosen(which: Element, g: int, values: Array) -> Element:
    """The number of guard `which` among those of all."""
    found = 0.0 * which
    for i in range(g):
        found = select(which == i, values[i], found)
    return found


def replay_with_events(
    rhs: Model, rhs_tangent: Model, rhs_tangent_y: Model, linearise_tangent: Model, linearise_tangent_y: Model,
    linearise: Model, take_dual_step: Model, mend_dual: Model, room_size: Callable[..., int], look_back_dual: Model,
    guards_jvp: Model, guards_rate: Model, reset: Model, reset_jvp: Model, n: int, algebraic: int, mass: Array,
    pattern: Array, first: int, g: int, count: int, blocks: int, y2: Array, pm2: Array, interval: Array,
    interval_dot: Array, m: int, times: Array, times_dot: Array, s: int, last_row: int, degree: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, dense: Array, grid: Array, rows: int, end_time: Element,
    stopped: Mask, values: Array, values_dot: Array, end2: Array, states2: Array, dots: Array,
) -> Element:  # fmt: skip
    """Run a tape of `integrate_with_events` with tangents, as `explicit_rk_tangent.tangent_replay`; returns the tangent of
    the time at which the run ends. `dots` (2 numbers a row) are the tangents of t and h. The modes in pm2 are overwritten.
    """
    direction = direction_of(interval)
    full = first + count
    width = WIDTH + count + algebraic
    points = buffer(y2, 2 * (last_row + 1) * n)
    slopes = buffer(y2, 2 * (last_row + 1) * n)
    room = buffer(y2, room_size(n, s, last_row, pattern))
    k = buffer(y2, 2 * (s + 1) * n)
    found = buffer(y2, 2 * n)
    held = buffer(y2, 2 * n)
    out = buffer(y2, g)
    fire = buffer(y2, blocks + 1)
    y1 = view(points, 2 * last_row * n, 2 * n)
    pm = view(pm2, 0, full)
    copy(2 * n, y2, 0, points, 0)
    fill(m * n, np.nan, values, 0)
    fill(m * n, 0.0, values_dot, 0)
    time_dot = interval_dot[0]
    cursor = 0
    for row in range(rows):
        if interrupted():
            break
        t_hi, t_lo, h, flag, which, opens = read_event_row(row, width, first, count, grid, pm2)
        live = makes_step(flag)
        block = flag == BLOCK
        last = flag == 2.0
        cut = flag == CUT
        mended = flag == MENDED
        if algebraic > 0 and any_(mended):
            copy(2 * n, points, 0, found, 0)
            copy(algebraic, grid, row * width + WIDTH + count, found, n - algebraic)
            mend_dual(rhs_tangent, linearise, n, algebraic, mass, pattern, t_hi, time_dot, found, pm2)
            copy_where(mended, 2 * n, found, 0, points, 0)
        copy(2 * n, points, 0, states2, 2 * row * n)
        h_dot = select(last, interval_dot[1] - time_dot, 0.0 * h)

        if any_(live):
            end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
            look_back_dual(row, width, grid, states2, n, 0, room)
            if any_(cut):
                take_dual_step(
                    rhs, linearise, rhs_tangent, linearise_tangent, n, mass, pattern, pm2, s, last_row, gamma, a,
                    couple, c, drive, t_hi, t_lo, time_dot, h, 0.0 * h, end_hi, points, slopes, k, room,
                )  # fmt: skip
                guards_jvp(end_hi, view(y1, 0, n), pm, time_dot, view(y1, n, n), view(pm2, full, full), out)
                ahead = chosen(which, g, out)
                # The slope of the computed guard by h alone: everything else at rest.
                copy(2 * n, points, 0, held, 0)
                fill(n, 0.0, points, n)
                look_back_dual(row, width, grid, states2, n, 1, room)
                take_dual_step(
                    rhs, linearise, rhs_tangent_y, linearise_tangent_y, n, mass, pattern, pm2, s, last_row, gamma, a,
                    couple, c, drive, t_hi, t_lo, 0.0 * h, h, 0.0 * h + 1.0, end_hi, points, slopes, k, room,
                )  # fmt: skip
                guards_rate(end_hi, view(y1, 0, n), pm, 1.0, view(y1, n, n), out)
                by_h = chosen(which, g, out)
                copy(2 * n, held, 0, points, 0)
                look_back_dual(row, width, grid, states2, n, 0, room)
                h_dot = select(cut, -ahead / by_h, h_dot)
            take_dual_step(
                rhs, linearise, rhs_tangent, linearise_tangent, n, mass, pattern, pm2, s, last_row, gamma, a, couple, c,
                drive, t_hi, t_lo, time_dot, h, h_dot, end_hi, points, slopes, k, room,
            )  # fmt: skip
            j = cursor
            going = True
            while j < m and going:
                reached = and_(live, comes(times[j], end_hi, end_lo, cut, direction))
                if any_(reached):
                    read_tangent(
                        and_(reached, belongs(times[j], t_hi, t_lo, end_hi, end_lo, opens, cut, direction)), j, n, s,
                        degree, dense, t_hi, t_lo, time_dot, h, h_dot, (times[j] - end_hi) - end_lo == 0.0, points, y1,
                        k, times, times_dot, values, values_dot, found,
                    )  # fmt: skip
                    over = and_(stopped, direction * (times[j] - end_time) >= 0.0)
                    passed = or_(over, direction * ((times[j] - t_hi) - t_lo) < 0.0)
                    if j == cursor and all_(or_(reached, passed)):
                        cursor = j + 1
                    j = j + 1
                else:
                    going = False
        dots[2 * row] = time_dot
        dots[2 * row + 1] = h_dot
        if any_(live):
            copy_where(live, 2 * n, y1, 0, points, 0)
            time_dot = select(live, time_dot + h_dot, time_dot)
        if blocks > 0 and any_(block):
            for b in range(blocks):
                fire[b] = select(and_(block, which == b), 1.0, 0.0)
            p = view(pm2, 0, first)
            reset(t_hi, view(points, 0, n), p, fire, view(found, 0, n))
            reset_jvp(
                t_hi, view(points, 0, n), p, fire, time_dot, view(points, n, n), view(pm2, full, first),
                view(found, n, n),
            )  # fmt: skip
            copy_where(block, 2 * n, found, 0, points, 0)
    copy(2 * n, points, 0, end2, 0)
    for j in range(m):
        after = and_(stopped, direction * (times[j] - end_time) >= 0.0)
        for i in range(n):
            values[j * n + i] = select(after, points[i], values[j * n + i])
            values_dot[j * n + i] = select(after, points[n + i], values_dot[j * n + i])
    return select(stopped, time_dot, interval_dot[1])
