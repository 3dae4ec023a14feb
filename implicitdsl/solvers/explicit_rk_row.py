"""The polynomial of a step of an explicit Runge–Kutta method, made again from its row of the tape."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.explicit_rk import make_reading, run_stages
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy

Model = Callable[..., None]


def remake_step(
    rhs: Model, n: int, p: Array, s: int, a: Array, c: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element,
    live: Mask, row: int, states: Array, k: Array,
) -> Mask:  # fmt: skip
    """`k` ((s+1)*n) := the stages of the step that begins with row number `row` of `states`; gives the samples that made
    one."""
    points = buffer(states, (s + 1) * n)
    copy(n, states, row * n, points, 0)
    run_stages(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, 0, s, False, points, k)
    if a[(s + 1) * s + s - 1] < 0.0:
        make_reading(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, live, points, k)
    return live
