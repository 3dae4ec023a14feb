"""The step of a Rosenbrock–Wanner method as the solvers through events take it; see `event_steps.py`.

`room` holds the Jacobian, its derivative in time, the factors of the step's matrix and their pivots (the first two dual in
a step of dual numbers), which the transposed step reads. The slope at the end of a step is that of its dense output: a
stage is no value of f, and the slope of an unknown without mass is none of f's either.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.consistent_start import (
    algebraic_slope,
    make_consistent,
    start_tangent,
    transpose_consistent,
    transpose_consistent_tangent,
)
from implicitdsl.solvers.event_location import dense_point, step_curve
from implicitdsl.solvers.rosenbrock import factor_step, run_stages
from implicitdsl.solvers.rosenbrock_adjoint import transpose_stages
from implicitdsl.solvers.rosenbrock_tangent import run_tangent_step, transpose_tangent_step
from implicitdsl.solvers.step_matrix import factor_size, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, view

Model = Callable[..., None]


def room_size(n: int, s: int, last_row: int, pattern: Array) -> int:
    """As `event_steps.room_size`."""
    return 2 * jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n


def slope_at_start(
    rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element, y: Array, p: Array,
    slope: Array,
) -> None:  # fmt: skip
    """As `event_steps.slope_at_start`; that of algebraic unknowns is what keeps their equations."""
    rhs(time, y, p, slope)
    if algebraic > 0:
        algebraic_slope(linearise, n, algebraic, mass, pattern, time, y, p, slope)


def mend(
    live: Mask, rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, atol: Element,
) -> Element:  # fmt: skip
    """As `event_steps.mend`."""
    return make_consistent(live, rhs, linearise, n, algebraic, mass, pattern, time, y, p, atol)


def transpose_mend(
    live: Mask, rhs_vjp: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, y_bar: Array, t_bar: Array, p_bar: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_mend`."""
    transpose_consistent(live, rhs_vjp, linearise, n, algebraic, mass, pattern, time, y, p, y_bar, t_bar, p_bar)


def mend_dual(
    rhs_tangent: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    t_dot: Element, y2: Array, p2: Array,
) -> None:  # fmt: skip
    """As `event_steps.mend_dual`."""
    start_tangent(rhs_tangent, linearise, n, algebraic, mass, pattern, time, t_dot, y2, p2)


def transpose_mend_dual(
    live: Mask, rhs_tangent_vjp: Model, linearise_tangent: Model, n: int, algebraic: int, mass: Array, pattern: Array,
    time: Element, t_dot: Element, y2: Array, p2: Array, y2_bar: Array, t2_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_mend_dual`."""
    transpose_consistent_tangent(
        live,
        rhs_tangent_vjp,
        linearise_tangent,
        n,
        algebraic,
        mass,
        pattern,
        time,
        t_dot,
        y2,
        p2,
        y2_bar,
        t2_bar,
        p2_bar,
    )


def take_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, gamma: float, a: Array,
    couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element, first: int,
    points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step from row 0 of `points`."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    matrix, drift = view(room, 0, entries), view(room, entries, n)
    lu, pivots = view(room, entries + n, held), view(room, entries + n + held, n)
    work = view(room, entries + 2 * n + held, n)
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
    run_stages(
        rhs, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, matrix, drift, lu, pivots, points,
        slopes, k, work,
    )  # fmt: skip


def slope_at_end(
    n: int, s: int, degree: int, dense: Array, h: Element, y: Array, k: Array, curve: Array, point: Array, out: Array
) -> None:
    """out := the slope of the dense output at the end of a step."""
    step_curve(n, s, degree, dense, k, curve)
    dense_point(n, degree, 0.0 * h + 1.0, h, y, curve, point, out)


def transpose_step(
    rhs_vjp: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, gamma: float, a: Array,
    couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element, live: Mask,
    last_stage: bool, points: Array, slopes: Array, k: Array, k_bar: Array, point_bar: Array, y_bar: Array,
    p_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_step`, after the `take_step` that left `room`."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    matrix, drift = view(room, 0, entries), view(room, entries, n)
    lu, pivots = view(room, entries + n, held), view(room, entries + n + held, n)
    transpose_stages(
        rhs_vjp, linearise_vjp, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, live, matrix, drift,
        lu, pivots, points, slopes, k, point_bar, k_bar, y_bar, p_bar, ends,
    )  # fmt: skip


def take_dual_step(
    rhs_tangent: Model, linearise_tangent: Model, n: int, mass: Array, pattern: Array, p2: Array, s: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, t_dot: Element, h: Element,
    h_dot: Element, end_hi: Element, points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step of dual numbers, whose rows are (value, tangent)."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    matrix2, drift2 = view(room, 0, 2 * entries), view(room, 2 * entries, 2 * n)
    lu, pivots = view(room, 2 * entries + 2 * n, held), view(room, 2 * entries + 2 * n + held, n)
    run_tangent_step(
        rhs_tangent, linearise_tangent, n, mass, pattern, p2, s, gamma, a, couple, c, drive, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, matrix2, drift2, lu, pivots, points, slopes, k,
    )  # fmt: skip


def transpose_dual_step(
    rhs_tangent_vjp: Model, linearise_tangent_vjp: Model, n: int, mass: Array, pattern: Array, p2: Array, s: int,
    gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, t_dot: Element,
    h: Element, h_dot: Element, end_hi: Element, live: Mask, last_stage: bool, points: Array, slopes: Array, k: Array,
    k_bar: Array, point_bar: Array, state_bar: Array, p2_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_dual_step`, after the `take_dual_step` that left `room`."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    matrix2, drift2 = view(room, 0, 2 * entries), view(room, 2 * entries, 2 * n)
    lu, pivots = view(room, 2 * entries + 2 * n, held), view(room, 2 * entries + 2 * n + held, n)
    transpose_tangent_step(
        rhs_tangent_vjp, linearise_tangent_vjp, n, mass, pattern, p2, s, a, couple, c, drive, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, live, matrix2, drift2, lu, pivots, points, slopes, k, point_bar, k_bar, state_bar, p2_bar, ends,
    )  # fmt: skip
