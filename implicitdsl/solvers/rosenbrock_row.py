"""The polynomial of a step of a Rosenbrock–Wanner method, made again from its row of the tape."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.rosenbrock import run_stages
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy

Model = Callable[..., None]


def remake_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, gamma: float, a: Array,
    couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element, live: Mask,
    row: int, states: Array, k: Array,
) -> Mask:  # fmt: skip
    """As `explicit_rk_row.remake_step`."""
    points = buffer(states, (s + 2) * n)
    slopes = buffer(states, (s + 2) * n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    work = buffer(states, n)
    copy(n, states, row * n, points, 0)
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
    run_stages(
        rhs, n, mass, pattern, p, s, a, couple, c, drive, t_hi, t_lo, h, end_hi, matrix, drift, lu, pivots, points,
        slopes, k, work,
    )  # fmt: skip
    return live
