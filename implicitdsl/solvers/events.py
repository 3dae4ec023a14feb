"""Integration through events: guards that change the right-hand side, blocks that reset the state.

To the loop of a one-step method (`event_steps.py`) this adds: each accepted step is searched for an event (`event_location.py`); where there is one, the
step is taken again with the length at which the guard is 0 at the end of that very step, so that the state before the
event is the method's own and the event time is a smooth function of where the step began. Then modes change, and
conditions that became true fire.

Model functions beside `rhs(t, y, pm, out)` and those of `event_location.py`: `reset(t, y, p, fire, out)` overwrites out
(n) with the state that the block b with fire[b] = 1 leaves. `stops` tells which blocks end the run, `touches` (blocks*g)
which guards read a state that the block assigns: their modes are taken anew after it.

In a `dae` the algebraic unknowns are made consistent at the start, and again whenever modes or states have changed
(`event_modes.py`): the solvers' `mend`, a function of `event_steps.py` or `event_stiff_steps.py` like the step itself. The
tape is that of `event_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.dense_output import direction_of, step_value, times_in_order
from implicitdsl.solvers.event_landing import blurred_time, land
from implicitdsl.solvers.event_location import cross, find_event, settle
from implicitdsl.solvers.event_modes import begin_modes, begin_moving, restore
from implicitdsl.solvers.event_rows import BLOCK, CUT, WIDTH, belongs, comes, write_event_row
from implicitdsl.solvers.status import NONFINITE, SUCCESS, ZENO
from implicitdsl.solvers.stepping import (
    COURSE,
    LAST_TIME,
    ROWS,
    begin_course,
    judge_start,
    next_step,
    no_low_part,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    epsilon,
    fill,
    interrupted,
    not_,
    or_,
    select,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]

STOPPED = 5
FIRED = 6
MENDS = 7
STATISTICS = 8
"""Places in `statistics` and its length: those of `stepping.py`, whether a block stopped the run, blocks fired, and how often
algebraic unknowns were made consistent."""

MOST_ROUNDS = 100


def read_between(
    live: Mask, waiting: Mask, opens: Mask, cut: Mask, n: int, s: int, degree: int, dense: Array, t_hi: Element,
    t_lo: Element, h: Element, end_hi: Element, end_lo: Element, direction: Element, y: Array, y1: Array, k: Array,
    m: int, times: Array, cursor: int, values: Array, work: Array,
) -> int:  # fmt: skip
    """Write the values of all times that belong to a step, from time number `cursor` on; returns the next cursor."""
    j = cursor
    going = True
    while j < m and going:
        reached = and_(live, comes(times[j], end_hi, end_lo, cut, direction))
        if any_(reached):
            inside = and_(reached, belongs(times[j], t_hi, t_lo, end_hi, end_lo, opens, cut, direction))
            step_value(n, s, degree, dense, (times[j] - t_hi) - t_lo, h, y, k, work)
            at_end = (times[j] - end_hi) - end_lo == 0.0
            for i in range(n):
                value = select(at_end, y1[i], work[i])
                values[j * n + i] = select(inside, value, values[j * n + i])
            if j == cursor and all_(or_(not_(waiting), reached)):
                cursor = j + 1
            j = j + 1
        else:
            going = False
    return cursor


def integrate_with_events(
    rhs: Model, linearise: Model, take_step: Model, slope_at_end: Model, slope_at_start: Model, mend: Model,
    room_size: Callable[..., int], judge: Callable[..., tuple[Element, Element]], finish_step: Callable[...,
    tuple[Element, Mask]], guards: Model, guards_rate: Model, guards_vjp_y: Model, modes: Model, conditions: Model,
    reset: Model, n: int, algebraic: int, mass: Array, pattern: Array, first: int, g: int, count: int, blocks: int,
    places: Array, steps: Array, strict: Array, steers: Array, stops: Array, touches: Array, y0: Array, pm: Array,
    interval: Array, m: int, times: Array, s: int, last_row: int, degree: int, gamma: float, a: Array, couple: Array,
    c: Array, drive: Array, error: Array, dense: Array, control: Array, highest: int, rtol: Element, atol: Element,
    dt: Element, max_steps: int, values: Array, y_end: Array, statistics: Array, grid: Array, grid_rows: int,
    states: Array, state_rows: int,
) -> Element:  # fmt: skip
    """Solve from t0 to t1 through all events; arguments and results as `explicit_rk.integrate` and `rosenbrock.integrate`.
    The method is `take_step` and the seven functions after it, of `event_steps.py` or one of its neighbours; y1 stands in
    row `last_row` of its points. `highest` is the highest order of a method of variable order. The last `algebraic` states are those of a `dae`.

    pm holds the `first` arguments; its last `count` numbers are the modes and are written. After a block that stops, the
    state is held: values at later times and `y_end` are that state. Statuses beside those of `integrate`: zeno, where
    more than 100 rounds of events come at one instant, as near as the rounding of the guards can tell, or where no modes
    agree with the algebraic unknowns that they give; and those of `consistent_start`.
    """
    direction = direction_of(interval)
    span = vabs(interval[1] - interval[0])
    width = WIDTH + count + algebraic
    points = buffer(y0, (last_row + 1) * n)
    slopes = buffer(y0, (last_row + 1) * n)
    k = buffer(y0, (s + 1) * n)
    room = buffer(y0, room_size(n, s, last_row, pattern))
    y1 = view(points, last_row * n, n)
    y = view(points, 0, n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    curve = buffer(y0, degree * n)
    slope = buffer(y0, n)
    found = buffer(y0, g)
    rates = buffer(y0, g)
    base = buffer(y0, g)
    raw = buffer(y0, 2 * g + count)
    slack = buffer(y0, g)
    kept = buffer(y0, count + 1)
    was = buffer(y0, blocks + 1)
    now = buffer(y0, blocks + 1)
    fire = buffer(y0, blocks + 1)
    t_bar = buffer(y0, 1)
    p = view(pm, 0, first)
    copy(n, y0, 0, points, 0)
    fill(m * n, np.nan, values, 0)

    nobody = interval[0] != interval[0]
    begun = and_(times_in_order(interval, m, times), all_finite(n, y, 0))
    begin_modes(begun, guards, modes, first, g, count, places, interval[0], y, pm, base, found, raw, slack)
    mended = 0.0 * dt
    row = 0
    if algebraic > 0:
        mended, row = restore(
            begun, mend, rhs, linearise, guards, guards_vjp_y, modes, n, algebraic, mass, pattern, first, g, count,
            places, interval[0], y, pm, rtol, atol, base, found, raw, slack, kept, t_bar, work, 0.0 * dt, row, grid,
            grid_rows, states, state_rows,
        )  # fmt: skip
    slope_at_start(rhs, linearise, n, algebraic, mass, pattern, interval[0], y, pm, slope)
    begin_moving(begun, guards, guards_rate, first, g, places, steps, interval[0], direction, y, pm, slope, base, found)
    if algebraic > 0:
        begun = and_(begun, mended == SUCCESS)
        again, row = restore(
            begun, mend, rhs, linearise, guards, guards_vjp_y, modes, n, algebraic, mass, pattern, first, g, count,
            places, interval[0], y, pm, rtol, atol, base, found, raw, slack, kept, t_bar, work, 0.0 * dt, row, grid,
            grid_rows, states, state_rows,
        )  # fmt: skip
        mended = select(mended == SUCCESS, again, mended)
    conditions(interval[0], y, pm, was)
    rhs(interval[0], y, pm, view(k, 0, n))
    status, active = judge_start(n, y, k, interval, m, times)
    status = select(status == SUCCESS, mended, status)
    active = and_(active, mended == SUCCESS)
    begin_course(rhs, n, y, pm, interval, k, control, rtol, atol, dt, y1, work, statistics, course)

    t_hi = interval[0]
    t_lo = no_low_part(active)
    fired = 0.0 * dt
    rounds = 0.0 * dt
    instant = 0.0 * dt + np.inf
    mends = 0.0 * dt + (2.0 if algebraic > 0 else 0.0)
    stopped = nobody
    opens = active
    cursor = 0
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        take_step(
            rhs, linearise, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi, t_lo, h, end_hi, 1,
            points, slopes, k, room,
        )  # fmt: skip
        finite = and_(all_finite(n, y1, 0), all_finite((s + 1) * n, k, 0))
        square, order = judge(n, s, mass, error, h, k, y, y1, rtol, atol, dt, work, room)
        ok = and_(active, and_(finite, square <= 1.0))
        tried = vabs(h)
        tick = epsilon(y0) * vmax(vabs(t_hi), epsilon(y0) * span)
        window = 32.0 * epsilon(y0) * vmax(vabs(t_hi), tried)
        which = 0.0 * h - 1.0
        cut = nobody

        if any_(ok):
            theta, which = find_event(
                ok, guards, guards_rate, modes, conditions, n, first, g, count, blocks, places, steps, strict, steers,
                s, degree, dense, t_hi, t_lo, h, direction, tick, window, y, k, pm, was, curve, work, slope, base,
                found, rates, raw, slack, kept, now,
            )  # fmt: skip
            cut = theta <= 1.0
            if any_(cut):
                h, end_hi, end_lo = land(
                    cut, which, theta, rhs, linearise, take_step, slope_at_end, guards, guards_rate, n, mass, pattern,
                    g, s, last_row, degree, gamma, a, couple, c, drive, dense, t_hi, t_lo, h, end_hi, end_lo, pm,
                    points, y1, slopes, k, room, curve, work, slope, found, rates,
                )  # fmt: skip
            last = and_(last, not_(cut))
            flag = select(ok, select(cut, CUT, select(last, 2.0, 1.0)), 0.0)
            row = write_event_row(
                row, width, t_hi, t_lo, select(ok, h, 0.0), flag, which, opens, select(ok, order, 0.0), n, first, count,
                algebraic, y, pm, grid, grid_rows, states, state_rows,
            )  # fmt: skip
            cursor = read_between(
                ok, active, opens, cut, n, s, degree, dense, t_hi, t_lo, h, end_hi, end_lo, direction, y, y1, k, m,
                times, cursor, values, work,
            )  # fmt: skip
            slope_at_end(n, s, degree, dense, h, y, k, curve, work, slope)
            copy_where(ok, n, y1, 0, y, 0)
            copy_where(ok, n, slope, 0, k, 0)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
            opens = or_(cut, and_(opens, not_(ok)))

        if any_(cut):
            blur = blurred_time(which, guards_vjp_y, n, g, t_hi, y, view(k, 0, n), pm, raw, t_bar, work, epsilon(y0))
            blur = vmax(blur, window)
            cross(
                cut, which, guards, guards_rate, modes, first, g, count, places, steps, strict, t_hi, direction, window,
                y, view(k, 0, n), pm, base, found, raw, slack,
            )  # fmt: skip
            broken = 0.0 * h + SUCCESS
            if algebraic > 0:
                broken, row = restore(
                    cut, mend, rhs, linearise, guards, guards_vjp_y, modes, n, algebraic, mass, pattern, first, g,
                    count, places, t_hi, y, pm, rtol, atol, base, found, raw, slack, kept, t_bar, work, t_lo, row, grid,
                    grid_rows, states, state_rows,
                )  # fmt: skip
                mends = mends + select(cut, 1.0, 0.0)
            rounds = select(cut, select(vabs(t_hi - instant) <= blur, rounds + 1.0, 1.0), rounds)
            instant = select(cut, t_hi, instant)
            firing = and_(cut, rounds <= MOST_ROUNDS)
            while any_(firing):
                conditions(t_hi, y, pm, now)
                waiting = nobody
                for b in range(blocks):
                    fire[b] = select(and_(firing, and_(now[b] > 0.5, not_(was[b] > 0.5))), 1.0, 0.0)
                    waiting = or_(waiting, fire[b] > 0.5)
                copy_where(firing, blocks, now, 0, was, 0)
                firing = waiting
                for b in range(blocks):
                    mine = and_(fire[b] > 0.5, not_(stopped))
                    if any_(mine):
                        row = write_event_row(
                            row, width, t_hi, t_lo, 0.0 * h, select(mine, 0.0 * h + BLOCK, 0.0), 0.0 * h + b, nobody,
                            0.0 * h, n, first, count, algebraic, y, pm, grid, grid_rows, states, state_rows,
                        )  # fmt: skip
                        fill(blocks, 0.0, now, 0)
                        now[b] = select(mine, 1.0, 0.0)
                        guards(t_hi, y, pm, base)
                        for i in range(g):
                            if touches[b * g + i] != 0:
                                base[i] = 0.0 * h + np.nan
                        reset(t_hi, y, p, now, work)
                        copy_where(mine, n, work, 0, y, 0)
                        fill(g, 0.0, slack, 0)
                        settle(mine, guards, modes, first, g, count, places, t_hi, y, pm, base, found, raw, slack)
                        if algebraic > 0:
                            again, row = restore(
                                mine, mend, rhs, linearise, guards, guards_vjp_y, modes, n, algebraic, mass, pattern,
                                first, g, count, places, t_hi, y, pm, rtol, atol, base, found, raw, slack, kept, t_bar,
                                work, t_lo, row, grid, grid_rows, states, state_rows,
                            )  # fmt: skip
                            broken = select(broken == SUCCESS, again, broken)
                            mends = mends + select(mine, 1.0, 0.0)
                        fired = fired + select(mine, 1.0, 0.0)
                        if stops[b] != 0:
                            stopped = or_(stopped, mine)
                firing = and_(firing, not_(stopped))
                rounds = rounds + select(firing, 1.0, 0.0)
                firing = and_(firing, rounds <= MOST_ROUNDS)
            rhs(t_hi, y, pm, work)
            copy_where(cut, n, work, 0, k, 0)
            sound = and_(all_finite(n, y, 0), or_(stopped, all_finite(n, k, 0)))
            lost = and_(cut, not_(sound))
            endless = and_(and_(cut, not_(stopped)), rounds > MOST_ROUNDS)
            status = select(and_(active, lost), NONFINITE, select(and_(active, endless), ZENO, status))
            failed = and_(cut, broken != SUCCESS)
            status = select(and_(active, failed), broken, status)
            active = and_(active, not_(or_(or_(lost, endless), or_(failed, stopped))))

        status, active = finish_step(
            status, active, ok, cut, finite, last, square, tried, h, t_hi, interval, control, highest, dt, max_steps,
            statistics, course, rhs, n, y, y1, pm, view(k, 0, n), rtol, atol, work, room,
        )  # fmt: skip

    copy(n, y, 0, y_end, 0)
    for j in range(m):
        held = and_(stopped, direction * (times[j] - t_hi) >= 0.0)
        for i in range(n):
            values[j * n + i] = select(held, y[i], values[j * n + i])
    statistics[LAST_TIME] = t_hi
    statistics[ROWS] = row
    statistics[STOPPED] = select(stopped, 1.0, 0.0)
    statistics[FIRED] = fired
    statistics[MENDS] = mends
    return status
