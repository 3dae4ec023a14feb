"""The polynomial of a step of an ESDIRK method, made again from its row of the tape: with its reading stages, which the
run solved in steps with save times alone."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.esdirk import run_stages
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy

Model = Callable[..., None]


def remake_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, last_stage: int, s: int, gamma: float,
    couple: Array, predict: Array, c: Array, rtol: Element, atol: Element, t_hi: Element, t_lo: Element, h: Element,
    end_hi: Element, live: Mask, row: int, states: Array, read: Array,
) -> Mask:  # fmt: skip
    """`read` ((s+1)*n) := the stages that the polynomial takes; gives the samples that made the step and have them all."""
    stages = last_stage + s + 1
    points = buffer(states, stages * n)
    k = buffer(states, stages * n)
    matrix = buffer(states, jacobian_size(n, pattern))
    drift = buffer(states, n)
    lu = buffer(states, factor_size(n, pattern))
    pivots = buffer(states, n)
    copy(n, states, row * n, points, 0)
    rhs(t_hi, points, p, k)
    factor_step(linearise, n, mass, pattern, gamma, t_hi, h, points, p, matrix, drift, lu, pivots)
    solved = run_stages(
        rhs, linearise, n, mass, pattern, p, gamma, stages, couple, predict, c, 1, stages - 1, t_hi, t_lo, h, end_hi,
        live, matrix, drift, lu, pivots, points, k, rtol, atol,
    )  # fmt: skip
    copy((s + 1) * n, k, last_stage * n, read, 0)
    return solved
