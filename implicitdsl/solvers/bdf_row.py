"""The polynomial of a step of a BDF, made again from its row of the tape and those before it."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.bdf import LAST, make_step, polynomial, scale_rows
from implicitdsl.solvers.bdf_history import HIGHEST, PAST, WEIGHTS, expand, recall
from implicitdsl.solvers.step_matrix import factor_size, jacobian_size
from implicitdsl.solvers.stepping import GRID
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy, select

Model = Callable[..., None]


def remake_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, rtol: Element, atol: Element,
    t_hi: Element, h: Element, end_hi: Element, live: Mask, row: int, grid: Array, states: Array, k: Array,
) -> Mask:  # fmt: skip
    """`k` (HIGHEST*n) := the coefficients of the powers of theta, by h; gives the samples that made the step."""
    past = buffer(states, PAST * n)
    back = buffer(states, PAST)
    table = buffer(states, PAST * n)
    rows = buffer(states, PAST * n)
    weights = buffer(states, WEIGHTS)
    u = buffer(states, n)
    y1 = buffer(states, n)
    held = buffer(states, n)
    slope = buffer(states, n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    fresh = buffer(states, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    flag = grid[row * GRID + 3]
    order = select(flag > LAST, flag - LAST, select(live, flag, 1.0))
    have = recall(n, row, grid, states, n, past, back)
    solved = make_step(
        rhs, linearise, n, mass, pattern, p, have, order, t_hi, h, end_hi, live, past, back, table, weights, u, y1,
        held, slope, matrix, drift, lu, pivots, fresh, rtol, atol,
    )  # fmt: skip
    polynomial(n, order, back, weights, table, u, rows)
    expand(n, back, rows)
    scale_rows(n, h, rows)
    copy(HIGHEST * n, rows, n, k, 0)
    return solved
