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
    any_,
    copy,
    epsilon,
    fill,
    not_,
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
    asked: Mask,
    begun: int,
    least: int,
    enough: Element,
    share: Element,
    still: Element,
    f: Array,
    c: Array,
    u: Array,
    w: Array,
    rest: Array,
    gap: Array,
    push: Array,
) -> None:
    """u (n), w (count) := the solution for the rows with held = 1; w is 0 for the others. If begun = 1 they hold a point to begin at,
    w with 0 for those others; from one that is close a sweep fewer ends at rounding.

    factor is that of Q + delta I + C' (strength * held) C. Of the samples asked for, each is swept over `least` times at least, and not
    again once its residual is at most enough * (size of f and c) + share * (size of u and w) and its last change of u at most still *
    (size of u). rest (n) and gap (count) receive the residuals f - Q u - C'w and held * (c - C u) at the point given; push (count) is
    room.
    """
    if begun == 0:
        fill(n, 0.0, u, 0)
        fill(count, 0.0, w, 0)
    sweeps = SWEEPS
    if epsilon(f) > 1e-12:
        sweeps = SWEEPS_SINGLE
    bound = enough * (total_size(n, f) + total_size(count, c))
    pending = asked
    moved = bound * 0.0
    for sweep in range(sweeps + 1):
        copy(n, f, 0, rest, 0)
        copy(count, c, 0, gap, 0)
        if sweep + begun > 0:
            subtract_products(n, 1, n, quadratic, 0, n, u, 0, n, rest, 0, 1)
            subtract_products(count, 1, n, rows, 0, n, u, 0, n, gap, 0, 1)
        for i in range(count):
            gap[i] = select(held[i] > 0.0, gap[i], 0.0)
            push[i] = w[i]
            if sweep < least:
                push[i] = w[i] - strength * gap[i]
        subtract_products(n, 1, count, columns, 0, count, push, 0, count, rest, 0, 1)
        if sweep >= least:
            size = total_size(n, u)
            exact = total_size(n, rest) + total_size(count, gap) <= bound + share * (size + total_size(count, w))
            pending = and_(pending, not_(and_(exact, moved <= still * size)))
            if sweep == sweeps or not any_(pending):
                break
            # rest is the residual at w, and the correction is for that at w - strength * gap.
            for i in range(count):
                push[i] = -strength * gap[i]
            subtract_products(n, 1, count, columns, 0, count, push, 0, count, rest, 0, 1)
        cholesky_solve(n, factor, rest)
        moved = total_size(n, rest)
        for k in range(n):
            u[k] = select(pending, u[k] + rest[k], u[k])
        # The multipliers' correction is strength * (C du - gap).
        fill(count, 0.0, push, 0)
        add_products(count, 1, n, rows, 0, n, rest, 0, n, push, 0, 1)
        for i in range(count):
            w[i] = select(and_(pending, held[i] > 0.0), w[i] + strength * (push[i] - gap[i]), w[i])


def still(like: Array) -> Element:
    """The change of a sweep, relative to its point, after which the next one, which gains as much, changes nothing that counts."""
    if epsilon(like) < 1e-12:
        return 1e-6
    return 2.5e-4


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
    asked: Mask,
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
    """Of the samples asked for, those whose system of held rows is regular by a wide margin: it answers a right-hand side of no
    particular direction, to a residual `close` times its size, by less than `bound` times its size. The arrays from f on are room."""
    fill_directionless(n, 0, f)
    fill_directionless(count, n, c)
    size = total_size(n, f) + total_size(count, c)
    held_rows_solve(
        n, count, quadratic, rows, columns, held, strength, factor, asked, 0, 1, close, 0.0, 1.0, f, c, u, w, rest, gap, push
    )  # fmt: skip
    exact = total_size(n, rest) + total_size(count, gap) <= close * size
    return and_(asked, and_(exact, total_size(n, u) + total_size(count, w) <= bound * size))
