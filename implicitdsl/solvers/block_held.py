"""The derivative of quadratic programs with their active sets frozen, for many samples at once: K'l = -g and K x = -r.

With the rows C (equations, then inequalities) of which those with held = 1 are active, w = (z, multipliers) and

    K = [Q C'; H C 0] + diag(0, 1 - H),    H = diag(held),

the rows of inactive multipliers are solved at sight, and what is left is the symmetric system of `held_rows.py`. A sample is answered
only where the residual is at rounding and the answer of a size that a regular system has; the others are for `implicit_adjoint`.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import weighted_cholesky
from implicitdsl.solvers.block_prepared import (
    columns_of,
    factors_of,
    objective_of,
    proximal,
    quadratic_of,
    rows_of,
    weights_of,
)
from implicitdsl.solvers.block_program import QUARTER, limits
from implicitdsl.solvers.held_rows import held_rows_solve, still, total_size
from implicitdsl.solvers.vocabulary import (
    Array,
    Mask,
    add_products,
    and_,
    epsilon,
    fill,
    select,
    subtract_products,
    view,
)


def room_of_factors(n: int, count: int) -> int:
    """Elements that `factor_held` keeps for the solves."""
    return n * n + 1


def room_of_solve(n: int, count: int) -> int:
    """Elements of room that the factorisation and the solves need."""
    return max((n + 1) * count, 3 * n + 5 * count)


def factor_held(n: int, count: int, prepared: Array, held: Array, kept: Array, room: Array) -> None:
    """Factors a prepared program with the rows held; kept as `room_of_factors` says, room as `room_of_solve`."""
    delta = proximal(prepared)
    weights = view(room, n * count, count)
    for i in range(count):
        weights[i] = held[i] / delta
    sound = weighted_cholesky(
        n, count, quadratic_of(n, count, prepared), delta, columns_of(n, count, prepared), weights, room,
        view(kept, 0, n * n),
    )  # fmt: skip
    kept[n * n] = select(sound, 1.0, 0.0)


def solve_held(
    n: int, count: int, transposed: int, prepared: Array, held: Array, kept: Array, given: Array, found: Array, room: Array
) -> Mask:  # fmt: skip
    """found (n + count) := the solution of K x = -given, or of K'x = -given if transposed = 1; where it is one.

    kept is that of `factor_held`; room as `room_of_solve` says."""
    factor, quadratic, rows = view(kept, 0, n * n), quadratic_of(n, count, prepared), rows_of(n, count, prepared)
    columns, factors = columns_of(n, count, prepared), factors_of(n, count, prepared)
    scales, objective = weights_of(n, count, prepared), objective_of(n, count, prepared)
    f, u, rest = view(room, 0, n), view(room, n, n), view(room, 2 * n, n)
    by_row = view(room, 3 * n, 5 * count)
    c, w, gap = view(by_row, 0, count), view(by_row, count, count), view(by_row, 2 * count, count)
    push, image = view(by_row, 3 * count, count), view(by_row, 4 * count, count)
    # x = factors * u and multipliers = scales * w / objective take K to the scaled system.
    for k in range(n):
        f[k] = -given[k] * factors[k] * objective[0]
    for i in range(count):
        free = held[i] <= 0.0
        c[i] = select(free, 0.0, -given[n + i] * scales[i])
        push[i] = select(free, given[n + i] * objective[0] / scales[i], 0.0)
    if transposed == 0:
        add_products(n, 1, count, columns, 0, count, push, 0, count, f, 0, 1)
    _, _, bound, rounding = limits(given)
    enough, sound = QUARTER * rounding * epsilon(given), kept[n * n] > 0.0
    held_rows_solve(
        n, count, quadratic, rows, columns, held, 1.0 / proximal(given), factor, sound, 0, 2, enough, enough, still(given),
        f, c, u, w, rest, gap, push,
    )  # fmt: skip
    size, answer = total_size(n, f) + total_size(count, c), total_size(n, u) + total_size(count, w)
    exact = total_size(n, rest) + total_size(count, gap) <= (n + count) * rounding * epsilon(given) * (size + answer)
    good = and_(and_(exact, answer <= bound * size), sound)
    for k in range(n):
        found[k] = u[k] * factors[k]
    fill(count, 0.0, image, 0)
    if transposed == 1:
        subtract_products(count, 1, n, rows, 0, n, u, 0, n, image, 0, 1)
    for i in range(count):
        free = held[i] <= 0.0
        found[n + i] = select(free, image[i] / scales[i] - given[n + i], w[i] * scales[i] / objective[0])
    return good
