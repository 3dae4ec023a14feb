"""The costate equation of an ode and its quadrature, integrated backwards in time: one span between two instants.

With lambda(t1) the gradient of the end, d lambda/dt = -f_y(t, y(t), p)' lambda, a jump of lambda by the cotangent at every
save time, and dL/dp = integral of lambda' f_p dt (L. S. Pontryagin et al., 1962; for layers Chen, Rubanova, Bettencourt,
Duvenaud, NeurIPS 2018). An explicit Runge–Kutta method with its own error control runs it, along the offset sigma from a
base time. y(t) comes in one of two ways: it runs backwards beside lambda (`carried` = 1, the state is (lambda, y)), or it
is the polynomial of the forward step that the span lies in (`carried` = 0).

The integral is left out of the error norm (the seminorm of Kidger, Chen, Lyons, ICML 2021), so nothing of it need be kept:
each accepted step adds its stages with the weights b of the method (`nodes` = 0: the bits of a method that integrated it
beside lambda), or the points of Gauss's rule with so many nodes.

Model functions: `rhs` as in `explicit_rk`; `rhs_costate(t, y, p, lam, y_bar)` adds lam' f_y to y_bar (n);
`rhs_gradient(t, y, p, lam, p_bar)` adds lam' f_p to p_bar.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import step_value
from implicitdsl.solvers.stepping import after_step, next_step, paired_error
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    fill,
    interrupted,
    not_,
    scale,
    select,
    step_along,
    view,
)

Model = Callable[..., None]


def costate_slope(
    rhs: Model, rhs_costate: Model, n: int, p: Array, carried: int, t: Element, y: Array, point: Array, slope: Array
) -> None:
    """`slope` := the time derivative of the state (lambda or (lambda, y)) `point`, y being the solution at t."""
    fill(n, 0.0, slope, 0)
    rhs_costate(t, y, p, view(point, 0, n), view(slope, 0, n))
    scale(n, -1.0, slope, 0)
    if carried == 1:
        rhs(t, y, p, view(slope, n, n))


def run_costate_stages(
    rhs: Model, rhs_costate: Model, n: int, p: Array, carried: int, s: int, degree: int, a: Array, c: Array, dense: Array,
    t_hi: Element, t_lo: Element, at_hi: Element, at_lo: Element, g: Element, end: Element, h: Element, y_row: Array,
    k_row: Array, first: int, points: Array, k: Array, solution: Array,
) -> None:  # fmt: skip
    """Stages `first` … s of a step of length g from the offset at_hi + at_lo to `end`; row i of `solution` is y there."""
    width = n + carried * n
    for i in range(s + 1):
        if i >= first:
            if i > 0:
                step_along(width, i, g, a, i * s, 1, k, 0, width, points, 0, points, i * width)
            offset = at_hi + (at_lo + c[i] * g)
            if i == s:
                offset = end
            if carried == 1:
                copy(n, points, i * width + n, solution, i * n)
            else:
                step_value(n, s, degree, dense, offset, h, y_row, k_row, view(solution, i * n, n))
            costate_slope(
                rhs, rhs_costate, n, p, carried, t_hi + (t_lo + offset), view(solution, i * n, n),
                view(points, i * width, width), view(k, i * width, width),
            )  # fmt: skip


def add_quadrature(
    rhs_gradient: Model, ok: Mask, n: int, p: Array, t: Element, weight: Element, y: Array, safe: Array, lam: Array,
    p_bar: Array, cot: Array, place: Array,
) -> None:  # fmt: skip
    """p_bar := p_bar + weight*lam' f_p(t, y), where `ok`; elsewhere nothing, at a point that is `safe`."""
    for q in range(n):
        cot[q] = select(ok, weight * lam[q], 0.0)
        place[q] = select(ok, y[q], safe[q])
    rhs_gradient(t, view(place, 0, n), p, view(cot, 0, n), p_bar)


def add_rule(
    rhs_gradient: Model, ok: Mask, n: int, p: Array, nodes: int, rule: Array, t_hi: Element, t_lo: Element, at_hi: Element,
    at_lo: Element, g: Element, unit: Element, s: int, degree: int, dense: Array, lam: Array, k: Array, stages: int,
    powers: int, curve: Array, h: Element, y_row: Array, k_row: Array, safe: Array, p_bar: Array, cot: Array, place: Array,
    value: Array, work: Array,
) -> None:  # fmt: skip
    """The integral over a step of length g of lambda by a rule: `nodes` in [0, 1], then their weights. (s, degree, dense,
    lam, k) is the polynomial of lambda in the step, (stages, powers, curve, h, y_row, k_row) that of y."""
    for node in range(nodes):
        part = rule[node] * g
        offset = at_hi + (at_lo + part)
        step_value(n, s, degree, dense, part, g, lam, k, work)
        step_value(n, stages, powers, curve, offset, h, y_row, k_row, value)
        add_quadrature(
            rhs_gradient, ok, n, p, t_hi + (t_lo + offset), -g * (unit * rule[nodes + node]), value, safe, work, p_bar, cot,
            place,
        )  # fmt: skip


def open_span(wanted: Mask, span: Array) -> tuple[Element, Element, Mask]:
    """(at_hi, at_lo, active): where a span begins, and who has any of it to go."""
    return span[0], 0.0 * span[0], and_(wanted, not_(span[0] == span[1]))


def open_step(
    active: Mask, span: Array, at_hi: Element, at_lo: Element, dt: Element, course: Array
) -> tuple[Mask, Element, Element, Element]:
    """(last, g, end_hi, end_lo) of the next step in a span, of length 0 for who has come to its end."""
    last, g, end_hi, end_lo = next_step(span, at_hi, at_lo, dt, course)
    return last, select(active, g, 0.0), end_hi, end_lo


def integrate_costate(
    rhs: Model, rhs_costate: Model, rhs_gradient: Model, n: int, p: Array, carried: int, nodes: int, gauss: Array, s: int,
    degree: int, a: Array, c: Array, error: Array, dense: Array, control: Array, rtol: Element, atol: Element,
    unit: Element, dt: Element, max_steps: int, status: Element, wanted: Mask, t_hi: Element, t_lo: Element, span: Array,
    h: Element, y_row: Array, k_row: Array, state: Array, p_bar: Array, statistics: Array, course: Array,
) -> Element:  # fmt: skip
    """Run `state` (lambda, or (lambda, y)) over the offsets span[0] to span[1] from the time t_hi + t_lo, where `wanted`;
    adds to `p_bar`, and returns the status. lambda is in units of `unit`. `course` and `statistics` go on from span to span (`stepping.py`). `gauss`: the
    nodes in (0, 1), then their weights. (h, y_row, k_row): the forward step that the span lies in, where y is not carried."""
    width = n + carried * n
    points = buffer(state, (s + 1) * width)
    k = buffer(state, (s + 1) * width)
    solution = buffer(state, (s + 1) * n)
    value = buffer(state, width)
    work = buffer(state, width)
    cot = buffer(state, n)
    place = buffer(state, n)
    copy(width, state, 0, points, 0)
    at_hi, at_lo, active = open_span(wanted, span)
    first = 0
    while any_(active) and not interrupted():
        last, g, end_hi, end_lo = open_step(active, span, at_hi, at_lo, dt, course)
        run_costate_stages(
            rhs, rhs_costate, n, p, carried, s, degree, a, c, dense, t_hi, t_lo, at_hi, at_lo, g, end_hi + end_lo, h, y_row,
            k_row, first, points, k, solution,
        )  # fmt: skip
        first = 1
        finite = and_(all_finite(width, points, s * width), all_finite((s + 1) * width, k, 0))
        square = paired_error(width, s, error, g, k, points, view(points, s * width, width), rtol, atol, dt, work)
        ok = and_(active, and_(finite, square <= 1.0))
        if any_(ok):
            for i in range(s):
                if nodes == 0 and a[s * s + i] != 0.0:
                    add_quadrature(
                        rhs_gradient, ok, n, p, t_hi + (t_lo + (at_hi + (at_lo + c[i] * g))), -g * (unit * a[s * s + i]),
                        view(solution, i * n, n), solution, view(points, i * width, n), p_bar, cot, place,
                    )  # fmt: skip
            add_rule(
                rhs_gradient, ok, n, p, nodes, gauss, t_hi, t_lo, at_hi, at_lo, g, unit, s, degree, dense, points, k, s,
                degree, dense, h, y_row, k_row, solution, p_bar, cot, place, value, work,
            )  # fmt: skip
            copy_where(ok, width, points, s * width, points, 0)
            copy_where(ok, width, k, s * width, k, 0)
            copy_where(ok, n, solution, s * n, solution, 0)
            at_hi = select(ok, end_hi, at_hi)
            at_lo = select(ok, end_lo, at_lo)
        status, active = after_step(
            status, active, ok, finite, last, square, g, t_hi + at_hi, span, control, dt, max_steps, statistics, course, state
        )  # fmt: skip
    copy(width, points, 0, state, 0)
    return status
