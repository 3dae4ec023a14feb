"""The step of a BDF as the solvers through events take it; see `event_steps.py`, and `event_bdf_history.py` for its past.

Of the numbers of a method, `drive` holds the tolerances (rtol, atol) of the stage and `dense` the identity: the rows of `k` are
the coefficients of the step's polynomial by powers of theta. All derivatives are those of (t, h, points of the past, p), with
the distances of the points held. A step whose stage has no solution gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.bdf import make_step, polynomial, scale_rows
from implicitdsl.solvers.bdf_adjoint import transpose_formula, transpose_polynomial
from implicitdsl.solvers.bdf_history import HIGHEST, PAST, expand, transpose_divide, transpose_expand
from implicitdsl.solvers.bdf_tangent import run_tangent_step, tangent_powers
from implicitdsl.solvers.bdf_tangent_adjoint import transpose_tangent_powers, transpose_tangent_step
from implicitdsl.solvers.event_bdf_history import (
    BEYOND,
    HAVE,
    SOLVED,
    begin_step,
    distances_of,
    factors_of,
    facts_of,
    points_of,
    stage_of,
    table_of,
    weights_of,
)
from implicitdsl.solvers.event_bdf_history import finish_step as finish_step
from implicitdsl.solvers.event_bdf_history import judge as judge
from implicitdsl.solvers.event_bdf_history import look_back as look_back
from implicitdsl.solvers.event_bdf_history import look_back_dual as look_back_dual
from implicitdsl.solvers.event_bdf_history import room_size as room_size
from implicitdsl.solvers.event_bdf_history import window_size as window_size
from implicitdsl.solvers.event_mending import mend as mend
from implicitdsl.solvers.event_mending import mend_dual as mend_dual
from implicitdsl.solvers.event_mending import slope_at_end as slope_at_end
from implicitdsl.solvers.event_mending import slope_at_start as slope_at_start
from implicitdsl.solvers.event_mending import transpose_mend as transpose_mend
from implicitdsl.solvers.event_mending import transpose_mend_dual as transpose_mend_dual
from implicitdsl.solvers.step_matrix import factor_size, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, axpy, buffer, copy, dot, fma, select, view

Model = Callable[..., None]


def take_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, last_row: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element,
    first: int, points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step from row 0 of `points` and the past in `room`."""
    facts, stage, back = facts_of(n, room), stage_of(n, room), distances_of(n, room)
    table, weights = table_of(n, room), weights_of(n, room)
    held = buffer(points, n)
    matrix = buffer(points, jacobian_size(n, pattern))
    drift = buffer(points, n)
    fresh = buffer(points, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    rows = buffer(points, PAST * n)
    order = facts[BEYOND] + 1.0
    begin_step(n, h, points, room)
    solved = make_step(
        rhs, linearise, n, mass, pattern, p, facts[HAVE], order, t_hi, h, end_hi, h == h, points_of(n, room), back,
        table, weights, stage, view(points, last_row * n, n), held, view(stage, 2 * n, n), matrix, drift,
        factors_of(n, pattern, room), view(stage, 3 * n, n), fresh, drive[0], drive[1],
    )  # fmt: skip
    facts[SOLVED] = select(solved, 1.0, 0.0)
    polynomial(n, order, back, weights, table, stage, rows)
    expand(n, back, rows)
    scale_rows(n, h, rows)
    copy(HIGHEST * n, rows, n, k, 0)
    for q in range(n):
        points[last_row * n + q] = select(solved, points[last_row * n + q], np.nan)


def transpose_step(
    rhs_vjp: Model, linearise: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, s: int,
    last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element,
    h: Element, end_hi: Element, live: Mask, last_stage: bool, points: Array, slopes: Array, k: Array, k_bar: Array,
    point_bar: Array, y_bar: Array, p_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_step`, after the `take_step` that left `room`; `y_bar` is as wide as the past."""
    facts, u, back = facts_of(n, room), stage_of(n, room), distances_of(n, room)
    table, weights = table_of(n, room), weights_of(n, room)
    order = facts[BEYOND] + 1.0
    u_bar = buffer(points, n)
    table_bar = buffer(points, PAST * n)
    y1 = buffer(points, n)
    if last_stage:
        rows = buffer(points, PAST * n)
        rows_bar = buffer(points, PAST * n)
        copy(HIGHEST * n, k_bar, 0, rows_bar, n)
        polynomial(n, order, back, weights, table, u, rows)
        expand(n, back, rows)
        slope = 0.0 * h + 1.0
        for power in range(1, HIGHEST):
            at = (power + 1) * n
            ends[1] = ends[1] + power * slope * dot(n, rows_bar, at, rows, at)
            slope = slope * h
        scale_rows(n, h, rows_bar)
        transpose_expand(n, back, rows_bar)
        transpose_polynomial(n, h, order, weights, table, u, rows_bar, u_bar, table_bar, ends)
    for q in range(n):
        y1[q] = fma(h, u[q], points[q])
    transpose_formula(
        rhs_vjp, linearise, n, mass, pattern, p, h, end_hi, live, back, table, weights, u, y1,
        factors_of(n, pattern, room), view(u, 3 * n, n), point_bar, u_bar, table_bar, y_bar, p_bar, ends,
    )  # fmt: skip


def take_dual_step(
    rhs: Model, linearise: Model, rhs_tangent: Model, linearise_tangent: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, points: Array, slopes: Array, k: Array,
    room: Array,
) -> None:  # fmt: skip
    """The step of dual numbers, whose rows are (value, tangent)."""
    facts, stage, back = facts_of(n, room), stage_of(n, room), distances_of(n, room)
    table2, weights, past2 = table_of(n, room), weights_of(n, room), points_of(n, room)
    rows = buffer(points, 2 * PAST * n)
    order = facts[BEYOND] + 1.0
    begin_step(n, h, points, room)
    copy(n, points, n, past2, PAST * n)
    run_tangent_step(
        rhs, linearise, rhs_tangent, n, mass, pattern, p2, facts[HAVE], order, t_hi, t_dot, h, h_dot, end_hi, h == h,
        past2, back, table2, weights, stage, view(points, 2 * last_row * n, 2 * n), factors_of(n, pattern, room),
        view(stage, 3 * n, n), drive[0], drive[1],
    )  # fmt: skip
    tangent_powers(n, h_dot, order, back, weights, table2, stage, rows)
    factor = 0.0 * h + 1.0
    steeper = 0.0 * h
    for i in range(HIGHEST):
        at = (i + 1) * n
        for q in range(n):
            k[2 * i * n + q] = factor * rows[at + q]
            moved = factor * rows[PAST * n + at + q]
            k[(2 * i + 1) * n + q] = fma(steeper * h_dot, rows[at + q], moved)
        steeper = (i + 1) * factor
        factor = factor * h


def transpose_dual_step(
    rhs_tangent_vjp: Model, linearise: Model, linearise_tangent_vjp: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, live: Mask, last_stage: bool,
    points: Array, slopes: Array, k: Array, k_bar: Array, point_bar: Array, state_bar: Array, p2_bar: Array,
    ends: Array, room: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_dual_step`, after the `take_dual_step` that left `room`; `state_bar` is as wide as the past, in
    pairs of (value, tangent)."""
    facts, u2, back = facts_of(n, room), stage_of(n, room), distances_of(n, room)
    table2, weights = table_of(n, room), weights_of(n, room)
    order = facts[BEYOND] + 1.0
    u2_bar = buffer(points, 2 * n)
    table2_bar = buffer(points, 2 * PAST * n)
    newest_bar = buffer(points, 2 * n)
    if last_stage:
        rows = buffer(points, 2 * PAST * n)
        rows_bar = buffer(points, 2 * PAST * n)
        tangent_powers(n, h_dot, order, back, weights, table2, u2, rows)
        # The coefficient of theta^(i+1), by h, is h^i times that of x^(i+1).
        factor = 0.0 * h + 1.0
        steeper = 0.0 * h
        bend = 0.0 * h
        for i in range(HIGHEST):
            at, tangent = (i + 1) * n, (PAST + i + 1) * n
            by_value, by_tangent = 2 * i * n, (2 * i + 1) * n
            along = dot(n, k_bar, by_tangent, rows, at)
            ends[3] = ends[3] + steeper * along
            both = dot(n, k_bar, by_value, rows, at) + dot(n, k_bar, by_tangent, rows, tangent)
            ends[1] = ends[1] + steeper * both + bend * h_dot * along
            axpy(n, factor, k_bar, by_value, rows_bar, at)
            axpy(n, steeper * h_dot, k_bar, by_tangent, rows_bar, at)
            axpy(n, factor, k_bar, by_tangent, rows_bar, tangent)
            bend = (i + 1) * steeper
            steeper = (i + 1) * factor
            factor = factor * h
        transpose_tangent_powers(n, h, h_dot, order, weights, table2, u2, rows_bar, back, u2_bar, table2_bar, ends)
    y2 = view(points, 2 * last_row * n, 2 * n)
    transpose_tangent_step(
        rhs_tangent_vjp, n, mass, pattern, p2, t_dot, h, h_dot, end_hi, live, weights, table2, u2, y2,
        factors_of(n, pattern, room), view(u2, 3 * n, n), point_bar, u2_bar, table2_bar, newest_bar, p2_bar, ends,
    )  # fmt: skip
    for half in range(2):
        past_bar = buffer(points, PAST * n)
        copy(n, newest_bar, half * n, past_bar, 0)
        transpose_divide(n, back, view(table2_bar, half * PAST * n, PAST * n), past_bar)
        for i in range(PAST):
            axpy(n, 1.0, past_bar, i * n, state_bar, (2 * i + half) * n)
