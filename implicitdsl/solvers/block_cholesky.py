"""Cholesky factors of Q + delta I + C' W C, the matrix of a quadratic program whose rows press with weights W.

Left-looking by columns of blocks, so that all but a sliver of the work is products of rows with rows, which a target
holds in registers. Source: Golub & Van Loan, Matrix Computations, 4th ed., 4.2.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_products,
    and_,
    axpy,
    fma,
    subtract_products,
    vsqrt,
)

BLOCK = 4
"""Columns that are finished together."""


def weighted_cholesky(
    n: int,
    count: int,
    quadratic: Array,
    delta: Element,
    columns: Array,
    weights: Array,
    scaled: Array,
    factor: Array,
) -> Mask:
    """factor (n*n, lower triangle) := L with L L' = Q + delta I + C' W C, 1/L_ii on the diagonal; whether it exists.

    quadratic is Q (n*n, symmetric), columns C' (n*count), weights the diagonal of W (count, >= 0); scaled is room for n*count.
    Where a pivot is not positive the factor holds NaN or infinities.
    """
    for i in range(n):
        for k in range(count):
            scaled[i * count + k] = columns[i * count + k] * weights[k]
    sound = quadratic[0] * 0.0 <= delta
    for j in range(0, n, BLOCK):
        wide = min(BLOCK, n - j)
        for i in range(j, n):
            for c in range(wide):
                factor[i * n + j + c] = quadratic[i * n + j + c]
        for c in range(j, j + wide):
            factor[c * n + c] = factor[c * n + c] + delta
        add_products(n - j, wide, count, scaled, j * count, count, columns, j * count, count, factor, j * n + j, n)
        subtract_products(n - j, wide, j, factor, j * n, n, factor, j * n, n, factor, j * n + j, n)
        for c in range(j, j + wide):
            pivot = factor[c * n + c]
            for t in range(j, c):
                pivot = fma(-factor[c * n + t], factor[c * n + t], pivot)
            sound = and_(sound, pivot > 0.0)
            # A root and a reciprocal side by side: one after the other they would be the longest wait of a small factor.
            inverse = vsqrt(pivot) * (1.0 / pivot)
            factor[c * n + c] = inverse
            for i in range(c + 1, n):
                total = factor[i * n + c]
                for t in range(j, c):
                    total = fma(-factor[i * n + t], factor[c * n + t], total)
                factor[i * n + c] = total * inverse
    return sound


def cholesky_solve(n: int, factor: Array, x: Array) -> None:
    """x := (L L')^-1 x with the factor of `weighted_cholesky`."""
    for i in range(0, n, BLOCK):
        high = min(BLOCK, n - i)
        subtract_products(high, 1, i, factor, i * n, n, x, 0, n, x, i, 1)
        for r in range(i, i + high):
            total = x[r]
            for t in range(i, r):
                total = fma(-factor[r * n + t], x[t], total)
            x[r] = total * factor[r * n + r]
    for back in range(n):
        k = n - 1 - back
        x[k] = x[k] * factor[k * n + k]
        axpy(k, -x[k], factor, k * n, x, 0)
