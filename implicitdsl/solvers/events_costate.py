"""The gradient of a run with events by its costate equation: as `continuous_adjoint.sweep_costate`, over a tape of
`event_rows.py`.

Between events lambda goes back as ever, with the modes of the row. An event at tau, where guard g is 0 and the state goes
from y- to y+ = R(tau, y-, p), turns lambda+ into

    lambda- = R_y' lambda+ + w g_y,    dL/dp := dL/dp + R_p' lambda+ + w g_p,
    w = -H/(g_t + g_y f-),             H = (R_y' lambda+)' f- + R_t' lambda+ - lambda+' f+,

the transposed saltation matrix (`problems/events.py`): H is the gradient by the time of the event with y- moving along, w
that by the guard's value. Several blocks are the product of their R, in turn. f- and the rate of the guard are those of the
polynomial of the step that the event ends. The sweep finds lambda+' f+ where a step opens, and carries the gradient by that
time, `time_bar`, over the blocks before it; at the start of the run it is the gradient by t0. Where a block stops the run
there is no f+: what the outputs ask about the end's time is in its place.

Algebraic unknowns follow from the rest of the state before and after every block, so a cotangent of them is that of the
others by `through_equations`.

Model functions beside those of `sweep_costate`: `guards_rate` as in `event_location`; `guards_vjp`, `reset_vjp` as in
`events_adjoint`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from implicitdsl.solvers.continuous_adjoint import cross_step, unit_of_costate
from implicitdsl.solvers.dense_output import direction_of, step_value
from implicitdsl.solvers.event_rows import BLOCK, CUT, MENDED, WIDTH, makes_step, read_event_row
from implicitdsl.solvers.status import SINGULAR, STALLED, SUCCESS
from implicitdsl.solvers.stepping import COURSE, STATISTICS, end_of_row, set_course
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    dot,
    fill,
    interrupted,
    is_finite,
    not_,
    select,
    view,
)

Model = Callable[..., None]
Step = Callable[..., Any]


def remake_event_step(
    take_step: Model, look_back: Model, room_size: Callable[..., int], rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array,
    pm: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, h: Element, end_hi: Element, live: Mask, row: int, width: int, grid: Array, states: Array, k: Array,
) -> Mask:  # fmt: skip
    """As `explicit_rk_row.remake_step`, by the step of `event_steps.py` or its like."""
    points = buffer(states, (last_row + 1) * n)
    slopes = buffer(states, (last_row + 1) * n)
    room = buffer(states, room_size(n, s, last_row, pattern))
    copy(n, states, row * n, points, 0)
    look_back(row, width, grid, states, n, room)
    take_step(
        rhs, linearise, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi, t_lo, h, end_hi, 0, points,
        slopes, k, room,
    )  # fmt: skip
    return and_(live, all_finite(n, points, last_row * n))


def cross_blocks(
    through_equations: Model, reset_vjp: Model, n: int, algebraic: int, first: int, count: int, blocks: int,
    unit: Element, flag: Element, which: Element, time: Element, y: Array, pm: Array, lam: Array, pm_bar: Array,
    time_bar: Element,
) -> Element:  # fmt: skip
    """lambda over a row of the tape that is no step: a block, or where algebraic unknowns were made consistent; gives the
    gradient by its time."""
    bar = buffer(lam, n)
    back = buffer(lam, n)
    t_bar = buffer(lam, 1)
    kept = buffer(lam, first + count)
    fire = buffer(lam, blocks + 1)
    copy(first + count, pm_bar, 0, kept, 0)
    mended = flag == MENDED
    if algebraic > 0 and any_(mended):
        for i in range(n):
            bar[i] = select(mended, unit * lam[i], 0.0)
        through_equations(mended, time, y, pm, bar, t_bar, pm_bar)
        for i in range(n):
            lam[i] = select(mended, bar[i] / unit, lam[i])
        time_bar = select(mended, time_bar + t_bar[0], time_bar)
    block = flag == BLOCK
    if blocks > 0 and any_(block):
        fill(1, 0.0, t_bar, 0)
        for i in range(n):
            bar[i] = select(block, unit * lam[i], 0.0)
        for b in range(blocks):
            fire[b] = select(and_(block, which == b), 1.0, 0.0)
        reset_vjp(time, y, view(pm, 0, first), view(fire, 0, blocks), bar, t_bar, back, pm_bar)
        for i in range(n):
            lam[i] = select(block, back[i] / unit, lam[i])
        time_bar = select(block, time_bar + t_bar[0], time_bar)
    copy_where(not_(flag > CUT), first + count, kept, 0, pm_bar, 0)
    return time_bar


def cross_event(
    slope: Model, through_equations: Model, guards_rate: Model, guards_vjp: Model, n: int, first: int, g: int,
    count: int, unit: Element, status: Element, cut: Mask, which: Element, end_hi: Element, h: Element, y1: Array,
    k: Array, pm: Array, time_bar: Element, lam: Array, pm_bar: Array,
) -> Element:  # fmt: skip
    """lambda over the guard at the end y1 of a step that an event cuts; returns the status."""
    work = buffer(lam, n)
    bar = buffer(lam, n)
    t_bar = buffer(lam, 1)
    rates = buffer(lam, g)
    kept = buffer(lam, first + count)
    slope(pm, end_hi, y1, h, h, k, work)
    guards_rate(end_hi, y1, pm, 1.0, work, rates)
    wanted = time_bar + unit * dot(n, lam, 0, work, 0)
    rate = 0.0 * h
    for i in range(g):
        rate = select(which == i, rates[i], rate)
    # Where nothing asks about the event's time, its derivative need not exist.
    weight = select(wanted == 0.0, 0.0, -wanted / rate)
    status = select(and_(cut, and_(not_(is_finite(weight)), status == SUCCESS)), SINGULAR, status)
    for i in range(g):
        rates[i] = select(and_(cut, which == i), weight, 0.0)
    copy(first + count, pm_bar, 0, kept, 0)
    guards_vjp(end_hi, y1, pm, rates, t_bar, bar, pm_bar)
    for i in range(n):
        bar[i] = select(cut, bar[i], 0.0)
    through_equations(cut, end_hi, y1, pm, bar, t_bar, pm_bar)
    copy_where(not_(cut), first + count, kept, 0, pm_bar, 0)
    for i in range(n):
        lam[i] = select(cut, lam[i] + bar[i] / unit, lam[i])
    return status


def sweep_costate_with_events(
    remake: Step, advance: Step, slope: Model, through_equations: Model, rhs: Model, guards_rate: Model,
    guards_vjp: Model, reset_vjp: Model, n: int, algebraic: int, first: int, g: int, count: int, blocks: int, pm: Array,
    interval: Array, m: int, times: Array, s: int, degree: int, dense: Array, control: Array, dt: Element,
    values: Array, y_end: Array, grid: Array, rows: int, states: Array, end_time: Element, stopped: Element,
    values_bar: Array, end_bar: Array, end_time_bar: Element, y0_bar: Array, pm_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> Element:  # fmt: skip
    """As `sweep_costate`, with the cotangent of the time at which the run ends, which is t1 unless it stopped (`stopped` 1,
    at `end_time`). The modes in `pm` are overwritten. Statuses beside those of `sweep_costate`: singular where the rate of
    a guard is 0 at its event, which has no derivative then."""
    direction = direction_of(interval)
    width = WIDTH + count + algebraic
    k = buffer(states, (s + 1) * n)
    lam = buffer(states, n)
    work = buffer(states, n)
    statistics = buffer(states, STATISTICS)
    course = buffer(states, COURSE)
    unit = unit_of_costate(n, m, values_bar, end_bar)
    set_course(0.0 * interval[0] + dt, dt, control, statistics, course)
    ends_early = stopped > 0.5
    for i in range(n):
        lam[i] = select(ends_early, end_bar[i] / unit, 0.0)
    for j in range(m):
        held = and_(ends_early, direction * (times[j] - end_time) >= 0.0)
        axpy(n, select(held, 1.0 / unit, 0.0), values_bar, j * n, lam, 0)
    time_bar = select(ends_early, end_time_bar, 0.0)
    interval_bar[1] = interval_bar[1] + select(ends_early, 0.0, end_time_bar)
    status = 0.0 * end_time_bar + SUCCESS
    cursor = m
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi, t_lo, h, flag, which, opens = read_event_row(row, width, first, count, grid, pm)
        live = makes_step(flag)
        last = flag == 2.0
        cut = flag == CUT
        y = view(states, row * n, n)
        if any_(flag > CUT):
            time_bar = cross_blocks(
                through_equations, reset_vjp, n, algebraic, first, count, blocks, unit, flag, which, t_hi, y, pm, lam,
                pm_bar, time_bar,
            )  # fmt: skip
        if any_(live):
            end_hi, _ = end_of_row(last, interval[1], t_hi, t_lo, h)
            made = remake(pm, t_hi, t_lo, h, end_hi, live, row, grid, states, k)
            status = select(and_(and_(live, not_(made)), status == SUCCESS), STALLED, status)
            if any_(cut):
                step_value(n, s, degree, dense, h, h, y, k, work)
                status = cross_event(
                    slope, through_equations, guards_rate, guards_vjp, n, first, g, count, unit, status, cut, which,
                    end_hi, h, work, k, pm, time_bar, lam, pm_bar,
                )  # fmt: skip
            status, cursor = cross_step(
                advance, slope, through_equations, n, pm, unit, status, live, last, opens, cut, interval, m, times,
                cursor, t_hi, t_lo, h, y, k, values, y_end, values_bar, end_bar, lam, pm_bar, interval_bar, times_bar,
                statistics, course,
            )  # fmt: skip
            rhs(t_hi, y, pm, work)
            time_bar = select(and_(live, opens), -unit * dot(n, lam, 0, work, 0), time_bar)
    good = status == SUCCESS
    interval_bar[0] = interval_bar[0] + select(good, time_bar, 0.0)
    for i in range(n):
        y0_bar[i] = y0_bar[i] + select(good, unit * lam[i], 0.0)
    return status
