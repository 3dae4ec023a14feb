"""Whether a root is simple beyond doubt, for a block of samples: the measure of `root_quality` with room to spare.

Rounding in F is measured, not guessed; moving the root by what it allows must leave J as it is, and not move it far.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_system import largest_of
from implicitdsl.solvers.pivoted_lu import pivoted_lu_solve, pivoted_lu_solve_transposed
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    dot,
    epsilon,
    fill,
    not_,
    or_,
    power,
    select,
    subtract_products,
    vabs,
    view,
    vmax,
    vsqrt,
)

ROOM = 2.0
"""How far from a threshold of `root_quality` a sample must be to be decided here."""


def is_simple(
    residual: Any, along: Any, n: int, z: Array, p: Array, f: Array, j: Array, rows: Array, columns: Array,
    matrix: Array, pivots: Array, rate: Element, ended: Mask, grown: Mask, work: Array,
) -> Element:  # fmt: skip
    """For samples of `ended`, at a root z with F(z) = f and the factors of the scaled J: 0 a simple root, 1 an
    ill-conditioned one that is simple as well, 2 not decided; for all others 2. `work` holds 6n elements."""
    zero = buffer(z, 1)[0]
    verdict = zero + 2.0
    if any_(ended):
        noise, shift, moved, image = view(work, 0, n), view(work, n, n), view(work, 2 * n, n), view(work, 3 * n, n)
        base, weak = view(work, 4 * n, n), view(work, 5 * n, n)
        measure_noise(residual, n, z, p, f, j, noise, moved, shift, image)
        slow = and_(ended, not_(rate < 0.1))
        if any_(slow):
            weakest(n, columns, matrix, pivots, weak)
            along(z, p, weak, base)
        worst = zero
        doubtful = and_(ended, not_(ended))
        for side in range(2):
            sign = 1.0 - 2.0 * side
            for i in range(n):
                shift[i] = -rows[i] * (f[i] + sign * noise[i])
            pivoted_lu_solve(n, matrix, pivots, shift)
            doubtful = or_(doubtful, not_(all_finite(n, shift, 0)))
            worst = vmax(largest_of(n, shift), worst)
            if any_(slow):
                for i in range(n):
                    moved[i] = z[i] + shift[i] * (1.0 + vabs(z[i]))
                along(moved, p, weak, image)
                for i in range(n):
                    image[i] = rows[i] * (image[i] - base[i])
                pivoted_lu_solve(n, matrix, pivots, image)
                change = vsqrt(dot(n, image, 0, image, 0))
                doubtful = or_(doubtful, and_(slow, not_(change <= 0.1 / ROOM)))
        limit = power(zero + epsilon(z), zero + 2.0 / 3.0)
        simple = worst <= limit / ROOM
        noted = and_(worst > limit * ROOM, not_(grown))
        sure = and_(ended, not_(doubtful))
        verdict = select(and_(sure, simple), 0.0, select(and_(sure, noted), 1.0, verdict))
    return verdict


def measure_noise(
    residual: Any, n: int, z: Array, p: Array, f: Array, j: Array, noise: Array, moved: Array, shift: Array,
    image: Array,
) -> None:  # fmt: skip
    """noise_i := how far F_i strays from its tangent at relative distances from eps to its root."""
    eps = epsilon(z)
    zero = buffer(z, 1)[0]
    fill(n, zero, noise, 0)
    reach = zero + 1.0
    factor = power(zero + eps, zero - 1.0 / 12.0)
    for number in range(6):
        reach = reach * factor
        for k in range(n):
            sign = 1.0 if (number + k) % 2 == 0 else -1.0
            moved[k] = z[k] * (1.0 + eps * reach * sign)
            shift[k] = moved[k] - z[k]
        residual(moved, p, image)
        finite = all_finite(n, image, 0)
        for i in range(n):
            image[i] = image[i] - f[i]
        subtract_products(n, 1, n, j, 0, n, shift, 0, n, image, 0, 1)
        for i in range(n):
            strayed = vabs(image[i])
            noise[i] = vmax(select(finite, strayed, 0.0), noise[i])


def weakest(n: int, columns: Array, matrix: Array, pivots: Array, weak: Array) -> None:
    """weak := the direction that the factored matrix shrinks most, about, in the units of z."""
    zero = buffer(weak, 1)[0]
    for i in range(n):
        weak[i] = zero + (1.0 + i / (2.0 * n))
    for _ in range(2):
        pivoted_lu_solve_transposed(n, matrix, pivots, weak)
        normalise(n, weak)
        pivoted_lu_solve(n, matrix, pivots, weak)
        normalise(n, weak)
    for i in range(n):
        weak[i] = weak[i] * columns[i]


def normalise(n: int, x: Array) -> None:
    """x := x / |x|."""
    length = 1.0 / vmax(vsqrt(dot(n, x, 0, x, 0)), 1e-300)
    for i in range(n):
        x[i] = x[i] * length
