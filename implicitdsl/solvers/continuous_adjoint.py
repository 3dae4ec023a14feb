"""The gradient of an ode by its costate equation: optimise, then discretise.

Accurate to the tolerance of the run, not the exact derivative of the computed steps (that is `explicit_rk_adjoint`). Over
the forward tape, row by row, with y(t) from dense output (`sweep_costate`: the adjoints `interpolated` and `gauss`), or
without a tape, y running backwards beside lambda (`backsolve_costate`).

`sweep_costate` takes the method as three functions, so that one sweep serves them all:
`remake(p, t_hi, t_lo, h, end_hi, live, row, grid, states, k)` makes the stages `k` of a row's polynomial again, which with
the row's state is read by `dense_output.step_value`, and gives the samples that have it;
`advance(p, unit, status, wanted, t_hi, t_lo, span, h, y, k, lam, p_bar, statistics, course)` is `integrate_costate` or
`integrate_stiff_costate` with the tables of its method;
`slope(p, t, value, sigma, h, k, out)` is the slope of the solution in a step at t, sigma after its begin: f of the value, or
where the equation is stiff, so that f of a value a little off is far off, that of the polynomial.

t1, t0 and the save times act through f: dL/dt1 = end_bar' f(t1), dL/dt_j = values_bar_j' f(t_j), dL/dt0 = -lambda(t0)' f(t0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from implicitdsl.solvers.costate import integrate_costate
from implicitdsl.solvers.dense_output import direction_of, has_begun, lies_inside
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


def jump(
    n: int, inside: Mask, unit: Element, j: int, values_bar: Array, slope: Array, lam: Array, times_bar: Array
) -> None:
    """lambda := lambda + the cotangent of save time number j, and the gradient of that time, where `inside`; `slope` is that
    of the solution there."""
    along = dot(n, values_bar, j * n, slope, 0)
    times_bar[j] = times_bar[j] + select(inside, along, 0.0)
    for i in range(n):
        lam[i] = select(inside, lam[i] + values_bar[j * n + i] / unit, lam[i])


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


def sweep_costate(
    remake: Step, advance: Step, slope: Model, rhs: Model, n: int, y0: Array, p: Array, interval: Array, m: int, times: Array,
    size: int, final: float, control: Array, dt: Element, values: Array, y_end: Array, grid: Array, rows: int,
    states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> Element:  # fmt: skip
    """From the cotangents of `values` (m*n) and `y_end` (n) of a run to those of y0, p, (t0, t1), times, which are added to;
    returns a status. The solution is that of the tape of `rows` rows, with the polynomial of each step, of `size` numbers
    beside the state; flags from `final` on are those of steps that end at t1. `control`: that of the costate's method."""
    direction = direction_of(interval)
    k = buffer(states, size)
    lam = buffer(states, n)
    work = buffer(states, n)
    span = buffer(states, 2)
    statistics = buffer(states, STATISTICS)
    course = buffer(states, COURSE)
    unit = unit_of_costate(n, m, values_bar, end_bar)
    set_course(0.0 * interval[0] + dt, dt, control, statistics, course)
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
        end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
        y = view(states, row * n, n)
        made = remake(p, t_hi, t_lo, h, end_hi, live, row, grid, states, k)
        status = select(and_(and_(live, not_(made)), status == SUCCESS), STALLED, status)
        if any_(last):
            slope(p, interval[1], y_end, h, h, k, work)
            interval_bar[1] = interval_bar[1] + select(last, dot(n, end_bar, 0, work, 0), 0.0)
        fresh = and_(live, course[LENGTH] == 0.0)
        course[REACH] = select(fresh, 1.01 * vabs(h), course[REACH])
        course[LENGTH] = select(fresh, vabs(h), course[LENGTH])
        at = h
        j = cursor - 1
        going = True
        while j >= 0 and going:
            inside = and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction))
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
                slope(p, times[j], view(values, j * n, n), target, h, k, work)
                jump(n, inside, unit, j, values_bar, work, lam, times_bar)
            begun = has_begun(times[j], t_hi, t_lo, interval[0], direction, inside)
            if j == cursor - 1 and all_(begun):
                cursor = j
            going = any_(begun)
            j = j - 1
        span[0] = at
        span[1] = 0.0 * at
        status = advance(
            p, unit, status, and_(live, status == SUCCESS), t_hi, t_lo, span, h, y, k, lam, p_bar, statistics, course
        )
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
            jump(n, good, unit, j, values_bar, work, state, times_bar)
            copy_where(good, n, values, j * n, state, n)
        begin = base
    end_costate(rhs, n, p, interval, y0, unit, state, status, y0_bar, interval_bar, work)
    return status
