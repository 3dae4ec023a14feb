"""A quadratic program brought to entries of about 1 by powers of 2, for many samples at once, nothing left out.

As in `presolve.py`, after Ruiz, RAL-TR-2001-034. A program that needs more than scaling (a row without entries, data that is not
finite) is told apart, not mended.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    binade,
    fill,
    select,
    vabs,
    vmax,
    vsqrt,
)

SWEEPS = 3
ROOT_OF_TWO = 1.4142135623730951


def scale_matrices(
    n: int,
    count: int,
    quadratic: Array,
    rows: Array,
    columns: Array,
    factors: Array,
    weights: Array,
    objective: Array,
    tops: Array,
) -> Mask:
    """Scales Q (made symmetric) and C (count*n) in place; whether all is finite and no row is empty.

    x = factors * x', row i is times weights_i, the objective times objective[0]: factors (n), weights (count) and objective (2) are
    written, and columns (n*count) receives the scaled C'. objective[1] is 1 where Q is not 0, else 0. tops (n) is room.
    """
    sound = and_(all_finite(n * n, quadratic, 0), all_finite(count * n, rows, 0))
    symmetrise(n, quadratic)
    fill(n, 1.0, factors, 0)
    fill(count, 1.0, weights, 0)
    for _ in range(SWEEPS):
        for k in range(n):
            tops[k] = largest_product(n, quadratic, k * n, factors)
        for i in range(count):
            for k in range(n):
                tops[k] = vmax(vabs(rows[i * n + k]) * weights[i], tops[k])
        for k in range(n):
            factors[k] = factors[k] * inverse_binade(vsqrt(tops[k] * factors[k]))
        for i in range(count):
            weights[i] = weights[i] * inverse_binade(vsqrt(largest_product(n, rows, i * n, factors) * weights[i]))
    for i in range(count):
        top = largest_product(n, rows, i * n, factors)
        sound = and_(sound, top > 0.0)
        weights[i] = inverse_binade(top)
        for k in range(n):
            entry = rows[i * n + k] * weights[i] * factors[k]
            rows[i * n + k] = entry
            columns[k * count + i] = entry
    top = factors[0] * 0.0
    for i in range(n):
        top = vmax(largest_product(n, quadratic, i * n, factors) * factors[i], top)
    objective[0] = inverse_binade(top)
    objective[1] = select(top > 0.0, 1.0, 0.0)
    for i in range(n):
        for k in range(n):
            quadratic[i * n + k] = quadratic[i * n + k] * (factors[i] * objective[0]) * factors[k]
    return sound


def scale_vectors(
    n: int, count: int, linear: Array, sides: Array, factors: Array, weights: Array, objective: Array
) -> Element:
    """Scales q (n) and the sides (count) in place as `scale_matrices` did the matrices; gives the scale of the objective, which is
    by the size of q where Q is 0."""
    own = inverse_binade(largest_product(n, linear, 0, factors))
    scale = select(objective[1] > 0.0, objective[0], own)
    for k in range(n):
        linear[k] = linear[k] * factors[k] * scale
    for i in range(count):
        sides[i] = sides[i] * weights[i]
    return scale


def symmetrise(n: int, matrix: Array) -> None:
    """matrix := (matrix + matrix') / 2."""
    for i in range(n):
        for k in range(i):
            mean = 0.5 * (matrix[i * n + k] + matrix[k * n + i])
            matrix[i * n + k] = mean
            matrix[k * n + i] = mean


def largest_product(n: int, x: Array, at: int, factors: Array) -> Element:
    """max |x_k| factors_k over the n elements from `at` on."""
    top = factors[0] * 0.0
    for k in range(n):
        top = vmax(vabs(x[at + k]) * factors[k], top)
    return top


def inverse_binade(top: Element) -> Element:
    """The power of 2 that is nearest to 1/top on a scale of ratios; 1 for 0."""
    return select(top > 0.0, binade(ROOT_OF_TWO / select(top > 0.0, top, 1.0)), 1.0)
