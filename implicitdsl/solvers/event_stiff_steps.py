"""The step of a Rosenbrock–Wanner method as the solvers through events take it; see `event_steps.py`.

`room` holds the Jacobian, its derivative in time, the factors of the step's matrix and their pivots (the first two dual in
a step of dual numbers), which the transposed step reads.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.event_mending import mend as mend
from implicitdsl.solvers.event_mending import mend_dual as mend_dual
from implicitdsl.solvers.event_mending import slope_at_end as slope_at_end
from implicitdsl.solvers.event_mending import slope_at_start as slope_at_start
from implicitdsl.solvers.event_mending import transpose_mend as transpose_mend
from implicitdsl.solvers.event_mending import transpose_mend_dual as transpose_mend_dual
from implicitdsl.solvers.event_one_step import finish_step as finish_step
from implicitdsl.solvers.event_one_step import judge as judge
from implicitdsl.solvers.event_one_step import look_back as look_back
from implicitdsl.solvers.event_one_step import look_back_dual as look_back_dual
from implicitdsl.solvers.event_one_step import window_size as window_size
from implicitdsl.solvers.rosenbrock import factor_step, run_stages
from implicitdsl.solvers.rosenbrock_adjoint import transpose_stages
from implicitdsl.solvers.rosenbrock_tangent import run_tangent_step, transpose_tangent_step
from implicitdsl.solvers.step_matrix import factor_size, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, view

Model = Callable[..., None]


def room_size(n: int, s: int, last_row: int, pattern: Array) -> int:
    """As `event_steps.room_size`."""
    return 2 * jacobian_size(n, pattern) + factor_size(n, pattern) + 3 * n


def parts(n: int, pattern: Array, dual: int, room: Array) -> tuple[Array, Array, Array, Array]:
    """(matrix, drift, lu, pivots) in `room`; with `dual` = 2 the first two have tangents."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    at = dual * (entries + n)
    return (
        view(room, 0, dual * entries),
        view(room, dual * entries, dual * n),
        view(room, at, held),
        view(room, at + held, n),
    )


def take_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, last_row: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element,
    first: int, points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step from row 0 of `points`."""
    matrix, drift, lu, pivots = parts(n, pattern, 1, room)
    work = buffer(points, n)
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
    run_stages(
        rhs, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, matrix, drift, lu, pivots, points,
        slopes, k, work,
    )  # fmt: skip


def transpose_step(
    rhs_vjp: Model, linearise: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, s: int,
    last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element,
    h: Element, end_hi: Element, live: Mask, last_stage: bool, points: Array, slopes: Array, k: Array, k_bar: Array,
    point_bar: Array, y_bar: Array, p_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_step`, after the `take_step` that left `room`."""
    matrix, drift, lu, pivots = parts(n, pattern, 1, room)
    transpose_stages(
        rhs_vjp, linearise_vjp, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, live, matrix, drift,
        lu, pivots, points, slopes, k, point_bar, k_bar, y_bar, p_bar, ends,
    )  # fmt: skip


def take_dual_step(
    rhs: Model, linearise: Model, rhs_tangent: Model, linearise_tangent: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, points: Array, slopes: Array, k: Array,
    room: Array,
) -> None:  # fmt: skip
    """The step of dual numbers, whose rows are (value, tangent)."""
    matrix2, drift2, lu, pivots = parts(n, pattern, 2, room)
    run_tangent_step(
        rhs_tangent, linearise_tangent, n, mass, pattern, p2, s, gamma, a, couple, c, drive, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, matrix2, drift2, lu, pivots, points, slopes, k,
    )  # fmt: skip


def transpose_dual_step(
    rhs_tangent_vjp: Model, linearise: Model, linearise_tangent_vjp: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, live: Mask, last_stage: bool,
    points: Array, slopes: Array, k: Array, k_bar: Array, point_bar: Array, state_bar: Array, p2_bar: Array,
    ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_dual_step`, after the `take_dual_step` that left `room`."""
    matrix2, drift2, lu, pivots = parts(n, pattern, 2, room)
    transpose_tangent_step(
        rhs_tangent_vjp, linearise_tangent_vjp, n, mass, pattern, p2, s, a, couple, c, drive, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, live, matrix2, drift2, lu, pivots, points, slopes, k, point_bar, k_bar, state_bar, p2_bar, ends,
    )  # fmt: skip
