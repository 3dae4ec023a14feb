"""The linear system of a quadratic program whose active rows are held as equations, for many samples at once.

    [Q C_a'; C_a 0] [u; w] = [f; c]

is solved by the proximal method of multipliers: with H = Q + delta I + C_a' C_a / delta, every sweep solves for the correction
whose multipliers are (C_a du - rest) / delta. Where the system is regular a sweep gains about as many digits as delta has, so that a
few end at rounding; where it is singular the sweeps stop gaining, which the residual or the size of the answer to a right-hand
side of no particular direction tells. Source: Rockafellar, Math. Oper. Res. 1 (1976) 97-116.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import cholesky_solve
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_products,
    and_,
    copy,
    epsilon,
    fill,
    select,
    subtract_products,
    vabs,
)

SWEEPS = 3
SWEEPS_SINGLE = 12
"""Sweeps that end at rounding in double and in single precision, whose delta is larger beside its rounding."""


def held_rows_solve(
    n: int,
    count: int,
    quadratic: Array,
    rows: Array,
    columns: Array,
    held: Array,
    strength: Element,
    factor: Array,
    f: Array,
    c: Array,
    u: Array,
    w: Array,
    rest: Array,
    gap: Array,
    push: Array,
) -> None:
    """u (n), w (count) := the solution for the rows with held = 1; w is 0 for the others.

    factor is that of Q + delta I + C' (strength * held) C. rest (n) and gap (count) receive the residuals f - Q u - C'w and
    held * (c - C u) at the point given; push (count) is room.
    """
    fill(n, 0.0, u, 0)
    fill(count, 0.0, w, 0)
    sweeps = SWEEPS
    if epsilon(f) > 1e-12:
        sweeps = SWEEPS_SINGLE
    for sweep in range(sweeps + 1):
        copy(n, f, 0, rest, 0)
        copy(count, c, 0, gap, 0)
        if sweep > 0:
            subtract_products(n, 1, n, quadratic, 0, n, u, 0, n, rest, 0, 1)
            subtract_products(count, 1, n, rows, 0, n, u, 0, n, gap, 0, 1)
        for i in range(count):
            gap[i] = select(held[i] > 0.0, gap[i], 0.0)
            push[i] = w[i]
            if sweep < sweeps:
                push[i] = w[i] - strength * gap[i]
        subtract_products(n, 1, count, columns, 0, count, push, 0, count, rest, 0, 1)
        if sweep < sweeps:
            cholesky_solve(n, factor, rest)
            for k in range(n):
                u[k] = u[k] + rest[k]
            # The multipliers' correction is strength * (C du - gap), and push is w - strength * gap.
            fill(count, 0.0, gap, 0)
            add_products(count, 1, n, rows, 0, n, rest, 0, n, gap, 0, 1)
            for i in range(count):
                w[i] = select(held[i] > 0.0, push[i] + strength * gap[i], 0.0)


def fill_directionless(n: int, start: int, x: Array) -> None:
    """x := numbers in [-1, 1] that no structure of a program is orthogonal to: fractions of multiples of the golden ratio."""
    for i in range(n):
        number = (start + i + 1) * 0.6180339887498949
        x[i] = 2.0 * (number - float(int(number))) - 1.0


def total_size(n: int, x: Array) -> Element:
    """The sum of |x_i|: unlike the largest it is not finite where one of them is not."""
    total = 0.0
    for i in range(n):
        total = total + vabs(x[i])
    return total


def is_regular(
    n: int,
    count: int,
    quadratic: Array,
    rows: Array,
    columns: Array,
    held: Array,
    strength: Element,
    factor: Array,
    close: Element,
    bound: Element,
    f: Array,
    c: Array,
    u: Array,
    w: Array,
    rest: Array,
    gap: Array,
    push: Array,
) -> Mask:
    """Whether the system of the held rows is regular by a wide margin: it answers a right-hand side of no particular direction, to a
    residual `close` times its size, by less than `bound` times its size. The arrays from f on are room."""
    fill_directionless(n, 0, f)
    fill_directionless(count, n, c)
    size = total_size(n, f) + total_size(count, c)
    held_rows_solve(n, count, quadratic, rows, columns, held, strength, factor, f, c, u, w, rest, gap, push)
    exact = total_size(n, rest) + total_size(count, gap) <= close * size
    return and_(exact, total_size(n, u) + total_size(count, w) <= bound * size)
