"""The gradient of an ode by its costate equation: optimise, then discretise.

Accurate to the tolerance of the run, not the exact derivative of the computed steps (that is `explicit_rk_adjoint`). Over
the forward tape, row by row, with y(t) from dense output (`sweep_costate`: the adjoints `interpolated` and `gauss`), or
without a tape, y running backwards beside lambda (`backsolve_costate`).

`sweep_costate` takes the method as four functions, so that one sweep serves them all:
`remake(p, t_hi, t_lo, h, end_hi, live, row, grid, states, k)` makes the stages `k` of a row's polynomial again, which with
the row's state is read by `dense_output.step_value`, and gives the samples that have it;
`advance(p, unit, status, wanted, t_hi, t_lo, span, h, y, k, lam, p_bar, statistics, course)` is `integrate_costate` or
`integrate_stiff_costate` with the tables of its method;
`slope(p, t, value, sigma, h, k, out)` is the slope of the solution in a step at t, sigma after its begin: f of the value, or
where the equation is stiff, so that f of a value a little off is far off, that of the polynomial, and for algebraic
unknowns what keeps their equations;
`through_equations(live, t, y, p, bar, t_bar, p_bar)` makes of a cotangent of all states that of those which evolve, where
algebraic ones follow from them (`consistent_start.transpose_consistent`): lambda is the gradient by the states that evolve,
and 0 for the others, wherever it enters or leaves `advance`.

t1, t0 and the save times act through f: dL/dt1 = end_bar' f(t1), dL/dt_j = values_bar_j' f(t_j), dL/dt0 = -lambda(t0)' f(t0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from implicitdsl.solvers.costate import integrate_costate
from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.event_rows import belongs
from implicitdsl.solvers.status import STALLED, SUCCESS
from implicitdsl.solvers.stepping import COURSE, GRID, LENGTH, REACH, STATISTICS, end_of_row, set_course
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    and_,
    any_,
    binade,
    buffer,
    copy,
    copy_where,
    dot,
    interrupted,
    not_,
    or_,
    select,
    vabs,
    view,
    vmax,
)

Model = Callable[..., None]
Step = Callable[..., Any]


def unit_of_costate(n: int, m: int, values_bar: Array, end_bar: Array) -> Element:
    """A power of 2 about as large as the largest cotangent: lambda is counted in it, because the gradient is linear in the
    cotangents, so that what the absolute tolerance lets pass must not depend on their unit."""
    size = vabs(end_bar[0])
    for i in range(1, n):
        size = vmax(size, vabs(end_bar[i]))
    for i in range(m * n):
        size = vmax(size, vabs(values_bar[i]))
    return binade(select(size > 0.0, size, 1.0))


def jump(n: int, inside: Mask, unit: Element, bar: Array, lam: Array) -> None:
    """lambda := lambda + a cotangent, where `inside`."""
    for i in range(n):
        lam[i] = select(inside, lam[i] + bar[i] / unit, lam[i])


def enter_cotangent(
    through_equations: Model, n: int, p: Array, inside: Mask, unit: Element, t: Element, y: Array, t_safe: Element,
    y_safe: Array, bars: Array, at: int, lam: Array, p_bar: Array,
) -> None:  # fmt: skip
    """lambda := lambda + the cotangent bars[at:] of the solution y at t, where `inside`; elsewhere nothing is added, at a
    point that is safe."""
    bar = buffer(lam, n)
    place = buffer(lam, n)
    t_bar = buffer(lam, 1)
    for i in range(n):
        bar[i] = select(inside, bars[at + i], 0.0)
        place[i] = select(inside, y[i], y_safe[i])
    through_equations(inside, select(inside, t, t_safe), place, p, bar, t_bar, p_bar)
    jump(n, inside, unit, bar, lam)


def end_costate(
    rhs: Model, n: int, p: Array, interval: Array, y0: Array, unit: Element, lam: Array, status: Element, y0_bar: Array,
    interval_bar: Array, work: Array,
) -> None:  # fmt: skip
    """The gradients of the start and of t0, from lambda there; none where the run failed."""
    rhs(interval[0], y0, p, work)
    good = status == SUCCESS
    interval_bar[0] = interval_bar[0] - select(good, unit * dot(n, lam, 0, work, 0), 0.0)
    for i in range(n):
        y0_bar[i] = y0_bar[i] + select(good, unit * lam[i], 0.0)


def cross_step(
    advance: Step, slope: Model, through_equations: Model, n: int, p: Array, unit: Element, status: Element, live: Mask,
    last: Mask, opens: Mask, cut: Mask, interval: Array, m: int, times: Array, cursor: int, t_hi: Element, t_lo: Element,
    h: Element, y: Array, k: Array, values: Array, y_end: Array, values_bar: Array, end_bar: Array, lam: Array,
    p_bar: Array, interval_bar: Array, times_bar: Array, statistics: Array, course: Array,
) -> tuple[Element, int]:  # fmt: skip
    """(status, cursor) after lambda has gone from the end of a step to its begin, over the jumps in it. `opens` and `cut` as
    in `event_rows.belongs`; the save times from number `cursor` on are done."""
    direction = direction_of(interval)
    end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
    span = buffer(lam, 2)
    work = buffer(lam, n)
    if any_(last):
        slope(p, interval[1], y_end, h, h, k, work)
        interval_bar[1] = interval_bar[1] + select(last, dot(n, end_bar, 0, work, 0), 0.0)
        for i in range(n):
            lam[i] = select(last, 0.0, lam[i])
        enter_cotangent(
            through_equations, n, p, last, unit, interval[1], y_end, t_hi, y, end_bar, 0, lam, p_bar
        )  # fmt: skip
    fresh = and_(live, course[LENGTH] == 0.0)
    course[REACH] = select(fresh, 1.01 * vabs(h), course[REACH])
    course[LENGTH] = select(fresh, vabs(h), course[LENGTH])
    at = h
    j = cursor - 1
    going = True
    while j >= 0 and going:
        inside = and_(live, belongs(times[j], t_hi, t_lo, end_hi, end_lo, opens, cut, direction))
        if any_(inside):
            beyond = (times[j] - end_hi) - end_lo
            target = select(beyond == 0.0, h, (times[j] - t_hi) - t_lo)
            span[0] = at
            span[1] = target
            status = advance(
                p, unit, status, and_(inside, status == SUCCESS), t_hi, t_lo, span, h, y, k, lam, p_bar, statistics,
                course,
            )  # fmt: skip
            at = select(inside, target, at)
            value = view(values, j * n, n)
            slope(p, times[j], value, target, h, k, work)
            along = dot(n, values_bar, j * n, work, 0)
            times_bar[j] = times_bar[j] + select(inside, along, 0.0)
            enter_cotangent(
                through_equations, n, p, inside, unit, times[j], value, t_hi, y, values_bar, j * n, lam, p_bar
            )  # fmt: skip
        begun = or_(inside, direction * ((times[j] - t_hi) - t_lo) > 0.0)
        if j == cursor - 1 and all_(begun):
            cursor = j
        going = any_(begun)
        j = j - 1
    span[0] = at
    span[1] = 0.0 * at
    status = advance(
        p, unit, status, and_(live, status == SUCCESS), t_hi, t_lo, span, h, y, k, lam, p_bar, statistics, course
    )
    return status, cursor


def sweep_costate(
    remake: Step, advance: Step, slope: Model, through_equations: Model, rhs: Model, n: int, y0: Array, p: Array,
    interval: Array, m: int, times: Array, size: int, final: float, control: Array, dt: Element, values: Array,
    y_end: Array, grid: Array, rows: int, states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array,
    interval_bar: Array, times_bar: Array,
) -> Element:  # fmt: skip
    """From the cotangents of `values` (m*n) and `y_end` (n) of a run to those of y0, p, (t0, t1), times, which are added to;
    returns a status. The solution is that of the tape of `rows` rows, with the polynomial of each step, of `size` numbers
    beside the state; flags from `final` on are those of steps that end at t1. `control`: that of the costate's method."""
    k = buffer(states, size)
    lam = buffer(states, n)
    work = buffer(states, n)
    statistics = buffer(states, STATISTICS)
    course = buffer(states, COURSE)
    unit = unit_of_costate(n, m, values_bar, end_bar)
    set_course(0.0 * interval[0] + dt, dt, control, statistics, course)
    # A run that was left before t1 has no row that ends there.
    for i in range(n):
        lam[i] = end_bar[i] / unit
    status = select(direction_of(interval) == 0.0, SUCCESS, SUCCESS)
    cursor = m
    for row in range(rows - 1, -1, -1):
        if interrupted():
            break
        t_hi = grid[row * GRID]
        t_lo = grid[row * GRID + 1]
        h = grid[row * GRID + 2]
        flag = grid[row * GRID + 3]
        live = flag > 0.0
        last = flag >= final
        end_hi, _ = end_of_row(last, interval[1], t_hi, t_lo, h)
        made = remake(p, t_hi, t_lo, h, end_hi, live, row, grid, states, k)
        status = select(and_(and_(live, not_(made)), status == SUCCESS), STALLED, status)
        opens = and_(t_hi == interval[0], t_lo == 0.0)
        status, cursor = cross_step(
            advance, slope, through_equations, n, p, unit, status, live, last, opens, and_(live, not_(live)), interval,
            m, times, cursor, t_hi, t_lo, h, view(states, row * n, n), k, values, y_end, values_bar, end_bar, lam,
            p_bar, interval_bar, times_bar, statistics, course,
        )  # fmt: skip
    end_costate(rhs, n, p, interval, y0, unit, lam, status, y0_bar, interval_bar, work)
    return status


def backsolve_costate(
    rhs: Model, rhs_costate: Model, rhs_gradient: Model, n: int, y0: Array, p: Array, interval: Array, m: int, times: Array,
    s: int, degree: int, a: Array, c: Array, error: Array, dense: Array, control: Array, rtol: Element, atol: Element,
    dt: Element, max_steps: int, values: Array, y_end: Array, accepted: Element, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> Element:  # fmt: skip
    """As `sweep_costate`, without a tape: y runs backwards beside lambda, and is set to what the forward run had at each
    save time. `accepted` is the number of forward steps: their mean length is the first that is tried."""
    state = buffer(values, 2 * n)
    work = buffer(values, n)
    span = buffer(values, 2)
    statistics = buffer(values, STATISTICS)
    course = buffer(values, COURSE)
    unit = unit_of_costate(n, m, values_bar, end_bar)
    length = vabs(interval[1] - interval[0]) / vmax(accepted, 1.0)
    if dt > 0.0:
        length = 0.0 * length + dt
    set_course(length, dt, control, statistics, course)
    rhs(interval[1], y_end, p, work)
    interval_bar[1] = interval_bar[1] + dot(n, end_bar, 0, work, 0)
    for i in range(n):
        state[i] = end_bar[i] / unit
    copy(n, y_end, 0, state, n)
    status = select(direction_of(interval) == 0.0, SUCCESS, SUCCESS)
    begin = interval[1]
    for back in range(m + 1):
        j = m - 1 - back
        base = interval[0]
        if j >= 0:
            base = times[j]
        span[0] = begin - base
        span[1] = 0.0 * base
        good = status == SUCCESS
        status = integrate_costate(
            rhs, rhs_costate, rhs_gradient, n, p, 1, 0, dense, s, degree, a, c, error, dense, control, rtol, atol, unit, dt,
            max_steps, status, good, base, 0.0 * base, span, 0.0 * base, work, work, state, p_bar, statistics, course,
        )  # fmt: skip
        if j >= 0:
            good = status == SUCCESS
            rhs(times[j], view(values, j * n, n), p, work)
            times_bar[j] = times_bar[j] + select(good, dot(n, values_bar, j * n, work, 0), 0.0)
            jump(n, good, unit, view(values_bar, j * n, n), state)
            copy_where(good, n, values, j * n, state, n)
        begin = base
    end_costate(rhs, n, p, interval, y0, unit, state, status, y0_bar, interval_bar, work)
    return status
