"""The costate equation of a stiff ode or a dae and its quadrature, integrated backwards in time: one span between two
instants.

Everything as `costate` says with y(t) from the polynomial of a forward step, but for the method: M' d lambda/dt =
-J' lambda, J = f_y(t, y(t)), is stiff backwards where y is forwards, and a Rosenbrock–Wanner method runs it (`rosenbrock`,
whatever method ran y). Its matrix for a step of length g is M/gamma + g*J', the transpose of that of a forward step of
length -g, and its derivative in time is that of lambda' f_y along y(t), lambda held. A method of one step, for lambda jumps
at every save time, where one of many would begin again at order 1.

The adjoint of a dae of index 1 is one itself (Y. Cao, S. Li, L. Petzold, R. Serban, SIAM J. Sci. Comput. 24 (2003)
1076-1089): the costates of its algebraic equations make the gradient by the algebraic unknowns 0, so they follow from the
others, 0 = g_z' lambda_z + f_z' lambda_x. They live inside a span only; before and after it lambda is the gradient by the
states that evolve, and 0 for the rest.

What it costs beside `rosenbrock_adjoint`, which transposes the steps that were made, with their own factors: a forward row is
made again here too, with its factors, but then lambda takes at least one step of its own over it (the polynomial of y ends
there), with a Jacobian and factors more, eight products lambda' f_y and solves, and three points of the rule; and a jump at a
save time sets off a transient that small steps resolve, where a transposed step has nothing to resolve.

The integral takes a quadrature rule with the polynomials of both.

Model functions: `linearise` as in `rosenbrock`, `rhs_costate`, `rhs_gradient` as in `costate`;
`rhs_costate_rate(t, y, p, lam, t_dot, y_dot, rate)` adds the derivative of lam' f_y along (t_dot, y_dot) to `rate` (n).
The forward method has the polynomial (`stages`, `powers`, `curve`); s, degree … are those of the costate's.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.costate import add_rule, open_span, open_step
from implicitdsl.solvers.dense_output import step_slope, step_value
from implicitdsl.solvers.step_matrix import (
    add_jacobian_transposed,
    algebraic_factor_size,
    factor_algebraic,
    factor_size,
    factor_step_matrix,
    jacobian_size,
    solve_algebraic_transposed,
    solve_step_matrix_transposed,
)
from implicitdsl.solvers.stepping import after_step, step_error
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_rows,
    all_finite,
    and_,
    any_,
    axpy,
    buffer,
    copy,
    copy_where,
    fill,
    interrupted,
    scale,
    select,
    step_along,
    view,
)

Model = Callable[..., None]


def find_algebraic_costates(n: int, algebraic: int, mass: Array, pattern: Array, matrix: Array, lam: Array) -> None:
    """The last `algebraic` components of `lam` := -g_z'^-1 f_z' lambda_x, `matrix` being the Jacobian."""
    first = n - algebraic
    lu = buffer(lam, algebraic_factor_size(algebraic, pattern))
    pivots = buffer(lam, algebraic)
    bar = buffer(lam, n)
    fill(algebraic, 0.0, lam, first)
    add_jacobian_transposed(n, pattern, matrix, 0, -1.0, lam, 0, bar, 0)
    factor_algebraic(n, algebraic, mass, pattern, matrix, lu, pivots)
    copy(algebraic, bar, first, lam, first)
    solve_algebraic_transposed(algebraic, pattern, lu, pivots, view(lam, first, algebraic))


def run_stiff_costate_stages(
    rhs_costate: Model, n: int, algebraic: int, pattern: Array, p: Array, stages: int, powers: int, curve: Array,
    s: int, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, at_hi: Element,
    at_lo: Element, g: Element, end: Element, h: Element, y: Array, k_row: Array, rate: Array, lu: Array, pivots: Array,
    points: Array, k: Array, place: Array,
) -> None:  # fmt: skip
    """All stages of a step of length g from the offset at_hi + at_lo to `end`, whose lambda stands in row 0 of `points` and
    whose matrix is factored; `rate` is the derivative of -lambda' f_y in time. Row s + 1 of `points` becomes lambda there."""
    for i in range(s + 2):
        if i > 0:
            step_along(n, i, g, a, i * (s + 1), 1, k, 0, n, points, 0, points, i * n)
        if i <= s:
            offset = at_hi + (at_lo + c[i] * g)
            if c[i] == 1.0:
                offset = end
            step_value(n, stages, powers, curve, offset, h, y, k_row, place)
            stage = view(k, i * n, n)
            fill(n, 0.0, stage, 0)
            rhs_costate(t_hi + (t_lo + offset), place, p, view(points, i * n, n), stage)
            scale(n, -1.0, stage, 0)
            if drive[i] != 0.0:
                axpy(n, g * drive[i], rate, 0, stage, 0)
            add_rows(n - algebraic, i, couple, i * (s + 1), 1, k, 0, n, stage, 0)
            solve_step_matrix_transposed(n, pattern, lu, pivots, stage)


def integrate_stiff_costate(
    linearise: Model, rhs_costate: Model, rhs_costate_rate: Model, rhs_gradient: Model, n: int, algebraic: int,
    mass: Array, pattern: Array, p: Array, stages: int, powers: int, curve: Array, nodes: int, rule: Array, s: int,
    degree: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, error: Array, dense: Array,
    control: Array, rtol: Element, atol: Element, unit: Element, dt: Element, max_steps: int, status: Element,
    wanted: Mask, t_hi: Element, t_lo: Element, span: Array, h: Element, y: Array, k_row: Array, lam: Array,
    p_bar: Array, statistics: Array, course: Array,
) -> Element:  # fmt: skip
    """Run `lam` over the offsets span[0] to span[1] from the time t_hi + t_lo, where `wanted`; everything as
    `costate.integrate_costate`. `rule`: the nodes in [0, 1], then their weights. Of `lam` the last `algebraic` numbers are
    those of algebraic equations: 0 before and after."""
    points = buffer(lam, (s + 2) * n)
    k = buffer(lam, (s + 1) * n)
    matrix = buffer(lam, jacobian_size(n, pattern))
    drift = buffer(lam, n)
    lu = buffer(lam, factor_size(n, pattern))
    pivots = buffer(lam, n)
    rate = buffer(lam, n)
    start = buffer(lam, n)
    slope = buffer(lam, n)
    place = buffer(lam, n)
    safe = buffer(lam, n)
    work = buffer(lam, n)
    cot = buffer(lam, n)
    copy(n, lam, 0, points, 0)
    at_hi, at_lo, active = open_span(wanted, span)
    while any_(active) and not interrupted():
        last, g, end_hi, end_lo = open_step(active, span, at_hi, at_lo, dt, course)
        offset = at_hi + at_lo
        moment = t_hi + (t_lo + offset)
        step_value(n, stages, powers, curve, offset, h, y, k_row, start)
        step_slope(n, stages, powers, curve, offset, h, k_row, slope)
        linearise(moment, start, p, matrix, drift)
        if algebraic > 0:
            find_algebraic_costates(n, algebraic, mass, pattern, matrix, view(points, 0, n))
        factor_step_matrix(n, mass, pattern, gamma, -g, matrix, lu, pivots)
        fill(n, 0.0, rate, 0)
        rhs_costate_rate(moment, start, p, view(points, 0, n), 1.0 + 0.0 * g, slope, rate)
        scale(n, -1.0, rate, 0)
        run_stiff_costate_stages(
            rhs_costate, n, algebraic, pattern, p, stages, powers, curve, s, a, couple, c, drive, t_hi, t_lo, at_hi, at_lo, g,
            end_hi + end_lo, h, y, k_row, rate, lu, pivots, points, k, place,
        )  # fmt: skip
        lam1 = view(points, (s + 1) * n, n)
        finite = and_(all_finite(n, lam1, 0), all_finite((s + 1) * n, k, 0))
        square = step_error(n, s, error, g, k, points, lam1, rtol, atol, dt, work)
        ok = and_(active, and_(finite, square <= 1.0))
        if any_(ok):
            add_rule(
                rhs_gradient, ok, n, p, nodes, rule, t_hi, t_lo, at_hi, at_lo, g, unit, s, degree, dense, points, k, stages,
                powers, curve, h, y, k_row, start, p_bar, cot, safe, slope, work,
            )  # fmt: skip
            copy_where(ok, n, lam1, 0, points, 0)
            at_hi = select(ok, end_hi, at_hi)
            at_lo = select(ok, end_lo, at_lo)
        status, active = after_step(
            status, active, ok, finite, last, square, g, t_hi + at_hi, span, control, dt, max_steps, statistics, course, lam
        )  # fmt: skip
    copy(n - algebraic, points, 0, lam, 0)
    return status
