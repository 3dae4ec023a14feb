"""The step of an ESDIRK method as the solvers through events take it; see `event_steps.py`.

Of the numbers of a method, `a` is its table of predictions and `drive` the tolerances (rtol, atol) of its stages. The rows of
`k` are the stages from the last but one on: the one before y1, which estimates the error and is not read, y1 itself, and the
s - 1 stages for reading, which are solved in every step, since events are sought between the ends of all. `room` holds the
Jacobian, its derivative in time, the factors of the step's matrix and their pivots, then points and values of all stages
(dual ones in a step of dual numbers), which the transposed step reads. A step with a stage that has no solution gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.esdirk import run_stages
from implicitdsl.solvers.esdirk_adjoint import transpose_stages
from implicitdsl.solvers.esdirk_tangent import run_tangent_stages, transpose_tangent_stages
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
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy, select, view

Model = Callable[..., None]


def room_size(n: int, s: int, last_row: int, pattern: Array) -> int:
    """As `event_steps.room_size`."""
    return jacobian_size(n, pattern) + factor_size(n, pattern) + 2 * n + 4 * (last_row + s) * n


def parts(n: int, pattern: Array, size: int, room: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
    """(matrix, drift, lu, pivots, stages, found) in `room`, the last two of `size` numbers each."""
    entries, held = jacobian_size(n, pattern), factor_size(n, pattern)
    at = entries + held + 2 * n
    return (
        view(room, 0, entries),
        view(room, entries, n),
        view(room, entries + n, held),
        view(room, entries + n + held, n),
        view(room, at, size),
        view(room, at + size, size),
    )


def take_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, last_row: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element,
    first: int, points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step from row 0 of `points`."""
    rows = last_row + s
    matrix, drift, lu, pivots, stages, found = parts(n, pattern, rows * n, room)
    y = view(stages, 0, n)
    copy(n, points, 0, y, 0)
    rhs(t_hi, y, p, view(found, 0, n))
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, y, p, matrix, drift, lu, pivots)
    solved = run_stages(
        rhs, linearise, n, mass, pattern, p, gamma, rows, couple, a, c, 1, rows - 1, t_hi, t_lo, h, end_hi, h == h,
        matrix, drift, lu, pivots, stages, found, drive[0], drive[1],
    )  # fmt: skip
    copy((s + 1) * n, found, (last_row - 1) * n, k, 0)
    for q in range(n):
        points[last_row * n + q] = select(solved, stages[last_row * n + q], np.nan)


def transpose_step(
    rhs_vjp: Model, linearise: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, s: int,
    last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element,
    h: Element, end_hi: Element, live: Mask, last_stage: bool, points: Array, slopes: Array, k: Array, k_bar: Array,
    point_bar: Array, y_bar: Array, p_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_step`, after the `take_step` that left `room`."""
    rows = last_row + s
    matrix, drift, lu, pivots, stages, found = parts(n, pattern, rows * n, room)
    found_bar = buffer(k_bar, rows * n)
    copy((s + 1) * n, k_bar, 0, found_bar, (last_row - 1) * n)
    final = rows - 1 if last_stage else last_row
    transpose_stages(
        linearise, rhs_vjp, n, mass, pattern, p, gamma, last_row, rows, final, couple, c, t_hi, t_lo, h, end_hi, live,
        matrix, drift, lu, pivots, stages, found, point_bar, found_bar, y_bar, p_bar, ends,
    )  # fmt: skip


def take_dual_step(
    rhs: Model, linearise: Model, rhs_tangent: Model, linearise_tangent: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, points: Array, slopes: Array, k: Array,
    room: Array,
) -> None:  # fmt: skip
    """The step of dual numbers, whose rows are (value, tangent)."""
    rows = last_row + s
    matrix, drift, lu, pivots, stages, found = parts(n, pattern, 2 * rows * n, room)
    copy(2 * n, points, 0, stages, 0)
    run_tangent_stages(
        rhs, linearise, rhs_tangent, n, mass, pattern, p2, gamma, rows, rows - 1, couple, a, c, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, h == h, matrix, drift, lu, pivots, stages, found, drive[0], drive[1],
    )  # fmt: skip
    copy(2 * (s + 1) * n, found, 2 * (last_row - 1) * n, k, 0)
    copy(2 * n, stages, 2 * last_row * n, points, 2 * last_row * n)


def transpose_dual_step(
    rhs_tangent_vjp: Model, linearise: Model, linearise_tangent_vjp: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, live: Mask, last_stage: bool,
    points: Array, slopes: Array, k: Array, k_bar: Array, point_bar: Array, state_bar: Array, p2_bar: Array,
    ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_dual_step`, after the `take_dual_step` that left `room`."""
    rows = last_row + s
    matrix, drift, lu, pivots, stages, found = parts(n, pattern, 2 * rows * n, room)
    found_bar = buffer(k_bar, 2 * rows * n)
    copy(2 * (s + 1) * n, k_bar, 0, found_bar, 2 * (last_row - 1) * n)
    final = rows - 1 if last_stage else last_row
    transpose_tangent_stages(
        linearise, rhs_tangent_vjp, n, mass, pattern, p2, gamma, last_row, rows, final, couple, c, t_hi, t_lo, t_dot, h,
        h_dot, end_hi, live, matrix, drift, lu, pivots, stages, found, point_bar, found_bar, state_bar, p2_bar, ends,
    )  # fmt: skip
