"""The derivative of quadratic programs with their active sets frozen, for many samples at once: K'l = -g and K x = -r.

With the rows C (equations, then inequalities) of which those with held = 1 are active, w = (z, multipliers) and

    K = [Q C'; H C 0] + diag(0, 1 - H),    H = diag(held),

the rows of inactive multipliers are solved at sight, and what is left is the symmetric system of `held_rows.py`. A sample is answered
only where the residual is at rounding and the answer of a size that a regular system has; the others are for `implicit_adjoint`.
"""

from __future__ import annotations

from implicitdsl.solvers.block_cholesky import weighted_cholesky
from implicitdsl.solvers.block_program import limits, proximal
from implicitdsl.solvers.block_scaling import scale_block
from implicitdsl.solvers.held_rows import held_rows_solve, total_size
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
    return n * n + n * count + n + 2 * count + 2


def room_of_solve(n: int, count: int) -> int:
    """Elements of room that the solves need, and, with count + n*count more, the factorisation."""
    return 3 * n + 5 * count


def factor_held(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    held: Array,
    kept: Array,
    room: Array,
) -> None:
    """Scales the program in place and factors it with the rows held; kept as `room_of_factors` says, room (n + 1)*count + n."""
    factor, columns = view(kept, 0, n * n), view(kept, n * n, n * count)
    factors, scales = view(kept, n * n + n * count, n), view(kept, n * n + n * count + n, count)
    weights, facts = view(kept, n * n + n * count + n + count, count), view(kept, n * n + n * count + n + 2 * count, 2)
    sound = scale_block(n, count, quadratic, linear, rows, sides, columns, factors, scales, facts, room)
    delta = proximal(linear)
    for i in range(count):
        weights[i] = held[i] / delta
    sound = and_(sound, weighted_cholesky(n, count, quadratic, delta, columns, weights, room, factor))
    facts[1] = select(sound, 1.0, 0.0)


def solve_held(
    n: int, count: int, transposed: int, quadratic: Array, rows: Array, held: Array, kept: Array, given: Array,
    found: Array, room: Array,
) -> Mask:  # fmt: skip
    """found (n + count) := the solution of K x = -given, or of K'x = -given if transposed = 1; where it is one.

    The program and kept are those of `factor_held`; room as `room_of_solve` says."""
    factor, columns = view(kept, 0, n * n), view(kept, n * n, n * count)
    factors, scales = view(kept, n * n + n * count, n), view(kept, n * n + n * count + n, count)
    facts = view(kept, n * n + n * count + n + 2 * count, 2)
    f, u, rest = view(room, 0, n), view(room, n, n), view(room, 2 * n, n)
    by_row = view(room, 3 * n, 5 * count)
    c, w, gap = view(by_row, 0, count), view(by_row, count, count), view(by_row, 2 * count, count)
    push, image = view(by_row, 3 * count, count), view(by_row, 4 * count, count)
    # x = factors * u and multipliers = scales * w / objective take K to the scaled system.
    for k in range(n):
        f[k] = -given[k] * factors[k] * facts[0]
    for i in range(count):
        free = held[i] <= 0.0
        c[i] = select(free, 0.0, -given[n + i] * scales[i])
        push[i] = select(free, given[n + i] * facts[0] / scales[i], 0.0)
    if transposed == 0:
        add_products(n, 1, count, columns, 0, count, push, 0, count, f, 0, 1)
    held_rows_solve(
        n, count, quadratic, rows, columns, held, 1.0 / proximal(given), factor, f, c, u, w, rest, gap, push
    )
    _, _, bound, rounding = limits(given)
    size, answer = total_size(n, f) + total_size(count, c), total_size(n, u) + total_size(count, w)
    exact = total_size(n, rest) + total_size(count, gap) <= (n + count) * rounding * epsilon(given) * (size + answer)
    good = and_(and_(exact, answer <= bound * size), facts[1] > 0.0)
    for k in range(n):
        found[k] = u[k] * factors[k]
    fill(count, 0.0, image, 0)
    if transposed == 1:
        subtract_products(count, 1, n, rows, 0, n, u, 0, n, image, 0, 1)
    for i in range(count):
        free = held[i] <= 0.0
        found[n + i] = select(free, image[i] / scales[i] - given[n + i], w[i] * scales[i] / facts[0])
    return good
