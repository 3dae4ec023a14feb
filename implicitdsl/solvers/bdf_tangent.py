"""Second order through `bdf`: the tangent of the frozen map, and the transpose of that tangent.

As `esdirk_tangent`; times, orders and the distances of past points are held. Only the last step has a length that moves,
h + ḣ, and with it its weights.

Model functions: `rhs`, `linearise` as in `esdirk`; `rhs_tangent`, `rhs_tangent_vjp` as in `explicit_rk_tangent`.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.bdf import LAST, make_step, polynomial, scale_rows
from implicitdsl.solvers.bdf_history import (
    HIGHEST,
    INVERSE,
    LEAD,
    PAST,
    PRODUCT,
    SLOPE,
    WEIGHTS,
    combine,
    divide,
    expand,
    recall,
)
from implicitdsl.solvers.dense_output import begin_values
from implicitdsl.solvers.dense_output_tangent import read_tangents
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size, solve_step_matrix
from implicitdsl.solvers.stepping import GRID, end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    axpy,
    buffer,
    copy,
    copy_where,
    fill,
    fma,
    select,
    view,
)

Model = Callable[..., None]


def recall_dual(n: int, row: int, grid: Array, states2: Array, past2: Array, back: Array) -> Element:
    """As `recall`, from a tape of (value, tangent): the values of `past2` come first, all of their tangents after them."""
    recall(n, row, grid, view(states2, n, (2 * row + 1) * n), 2 * n, view(past2, PAST * n, PAST * n), back)
    return recall(n, row, grid, states2, 2 * n, past2, back)


def run_tangent_step(
    rhs: Model, linearise: Model, rhs_tangent: Model, n: int, mass: Array, pattern: Array, p2: Array, have: Element,
    order: Element, t: Element, t_dot: Element, h: Element, h_dot: Element, end: Element, live: Mask, past2: Array,
    back: Array, table2: Array, weights: Array, u2: Array, y2: Array, lu: Array, pivots: Array, rtol: Element,
    atol: Element,
) -> None:  # fmt: skip
    """A step of dual numbers: the values of `past2`, `table2`, `u2` and `y2` (the new point) come first, all of their tangents
    after them. `lu` is left with the factors at the new point."""
    held = buffer(u2, n)
    slope = buffer(u2, n)
    out2 = buffer(u2, 2 * n)
    matrix = buffer(u2, jacobian_size(n, pattern))
    drift = buffer(u2, n)
    fresh = buffer(u2, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    make_step(
        rhs, linearise, n, mass, pattern, p2, have, order, t, h, end, live, past2, back, table2, weights,
        u2, y2, held, slope, matrix, drift, lu, pivots, fresh, rtol, atol,
    )  # fmt: skip
    divide(n, view(past2, PAST * n, PAST * n), back, view(table2, PAST * n, PAST * n))
    for q in range(n):
        y2[n + q] = fma(h_dot, u2[q], past2[PAST * n + q])
    rhs_tangent(end, t_dot + h_dot, y2, p2, out2)
    fill(n, 0.0, held, 0)
    combine(n, SLOPE, 0, order - 1.0, weights, table2, PAST * n, held)
    fill(n, 0.0, slope, 0)
    combine(n, SLOPE, 1, order - 1.0, weights, table2, 0, slope)
    for q in range(n):
        moved = held[q] + h_dot * (slope[q] - weights[3 * LEAD + 1] * u2[q])
        u2[n + q] = fma(mass[q], moved, out2[n + q])
    factor_step(linearise, n, mass, pattern, 1.0 / weights[3 * LEAD], end, h, y2, p2, matrix, drift, lu, pivots)
    solve_step_matrix(n, pattern, lu, pivots, view(u2, n, n))
    axpy(n, h, u2, n, y2, n)


def tangent_powers(
    n: int, h_dot: Element, order: Element, back: Array, weights: Array, table2: Array, u2: Array, rows: Array
) -> None:
    """Rows 1 … HIGHEST of both halves of `rows` := the coefficients of the step's polynomial by powers of x, values and
    tangents."""
    gap = buffer(u2, n)
    bent = buffer(u2, n)
    polynomial(n, order, back, weights, table2, u2, rows)
    dots = view(rows, PAST * n, PAST * n)
    polynomial(n, order, back, weights, view(table2, PAST * n, PAST * n), view(u2, n, n), dots)
    combine(n, PRODUCT, 0, order - 1.0, weights, table2, 0, gap)
    combine(n, PRODUCT, 1, order - 1.0, weights, table2, 0, bent)
    for q in range(n):
        turn = weights[3 * INVERSE + 1] * (u2[q] - gap[q]) - weights[3 * INVERSE] * bent[q]
        for k in range(1, PAST):
            dots[k * n + q] = dots[k * n + q] + select(order == k, h_dot * turn, 0.0)
    expand(n, back, rows)
    expand(n, back, dots)


def tangent_polynomial(
    n: int, h: Element, h_dot: Element, order: Element, back: Array, weights: Array, table2: Array, u2: Array,
    rows: Array, rows2: Array,
) -> None:  # fmt: skip
    """Rows 0 … HIGHEST - 1 of `rows2` (2n each) := the coefficients of the step's polynomial by powers of theta, with h held,
    and their tangents. `rows` (2*PAST*n): scratch."""
    tangent_powers(n, h_dot, order, back, weights, table2, u2, rows)
    for half in range(2):
        part = view(rows, half * PAST * n, PAST * n)
        scale_rows(n, h, part)
        for k in range(HIGHEST):
            copy(n, part, (k + 1) * n, rows2, 2 * k * n + half * n)


def tangent_replay(
    rhs: Model, linearise: Model, rhs_tangent: Model, n: int, mass: Array, pattern: Array, y2: Array, p2: Array,
    interval: Array, interval_dot: Array, m: int, times: Array, times_dot: Array, dense: Array, rtol: Element,
    atol: Element, grid: Array, rows: int, values: Array, values_dot: Array, end2: Array, states2: Array,
) -> None:  # fmt: skip
    """Run the steps of a tape with tangents, as `explicit_rk_tangent.tangent_replay` says."""
    t0 = interval[0]
    past2 = buffer(y2, 2 * PAST * n)
    back = buffer(y2, PAST)
    table2 = buffer(y2, 2 * PAST * n)
    poly = buffer(y2, 2 * PAST * n)
    rows2 = buffer(y2, 2 * HIGHEST * n)
    weights = buffer(y2, WEIGHTS)
    u2 = buffer(y2, 2 * n)
    now2 = buffer(y2, 2 * n)
    next2 = buffer(y2, 2 * n)
    lu = buffer(y2, factor_size(n, pattern))
    pivots = buffer(y2, n)
    found = buffer(y2, 2 * n)
    copy(2 * n, y2, 0, now2, 0)
    begin_values(n, y2, t0, m, times, values)
    for j in range(m):
        for i in range(n):
            values_dot[j * n + i] = select(times[j] == t0, y2[n + i], 0.0)
    cursor = 0
    for row in range(rows):
        t_hi = grid[row * GRID]
        t_lo = grid[row * GRID + 1]
        h = grid[row * GRID + 2]
        flag = grid[row * GRID + 3]
        live = flag > 0.0
        last = flag > LAST
        order = select(last, flag - LAST, select(live, flag, 1.0))
        h_dot = select(last, interval_dot[1] - interval_dot[0], 0.0)
        end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
        copy(2 * n, now2, 0, states2, 2 * row * n)
        have = recall_dual(n, row, grid, states2, past2, back)
        run_tangent_step(
            rhs, linearise, rhs_tangent, n, mass, pattern, p2, have, order, t_hi, interval_dot[0], h, h_dot, end_hi, live,
            past2, back, table2, weights, u2, next2, lu, pivots, rtol, atol,
        )  # fmt: skip
        tangent_polynomial(n, h, h_dot, order, back, weights, table2, u2, poly, rows2)
        # The powers of x do not know h.
        cursor = read_tangents(
            live, n, HIGHEST - 1, HIGHEST, dense, t_hi, t_lo, interval_dot[0], h, 0.0 * h, end_hi, end_lo, interval,
            now2, next2, rows2, m, times, times_dot, cursor, values, values_dot, found,
        )  # fmt: skip
        copy_where(live, 2 * n, next2, 0, now2, 0)
    copy(2 * n, now2, 0, end2, 0)
