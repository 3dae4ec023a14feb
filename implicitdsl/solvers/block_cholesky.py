"""Cholesky factors of Q + delta I + C' W C, the matrix of a quadratic program whose rows press with weights W.

Left-looking by columns of blocks, so that all but a sliver of the work is products of rows with rows, which a target
holds in registers; the sliver is written out for blocks of four, whose numbers stay in registers too. Source: Golub &
Van Loan, Matrix Computations, 4th ed., 4.2.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
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
            scaled[i * count + k] = -columns[i * count + k] * weights[k]
    sound = quadratic[0] * 0.0 <= delta
    for j in range(0, n, BLOCK):
        wide = min(BLOCK, n - j)
        for i in range(j, n):
            for c in range(wide):
                factor[i * n + j + c] = quadratic[i * n + j + c]
        for c in range(j, j + wide):
            factor[c * n + c] = factor[c * n + c] + delta
        subtract_products(n - j, wide, count, scaled, j * count, count, columns, j * count, count, factor, j * n + j, n)
        subtract_products(n - j, wide, j, factor, j * n, n, factor, j * n, n, factor, j * n + j, n)
        if wide == BLOCK:
            sound = and_(sound, finish_four(n, j, factor))
        else:
            sound = and_(sound, finish_last(n, j, factor))
    return sound


def inverse_root(pivot: Element) -> Element:
    """1/sqrt(pivot): a root and a reciprocal side by side, which one after the other would be the longest wait of a small factor."""
    return vsqrt(pivot) * (1.0 / pivot)


def finish_four(n: int, j: int, factor: Array) -> Mask:
    """Columns j … j + 3, from which all columns before are subtracted: factors their square, and divides the rows below."""
    first, second, third, fourth = j * n + j, (j + 1) * n + j, (j + 2) * n + j, (j + 3) * n + j
    pivot = factor[first]
    sound = pivot > 0.0
    d0 = inverse_root(pivot)
    l10, l20, l30 = factor[second] * d0, factor[third] * d0, factor[fourth] * d0
    pivot = fma(-l10, l10, factor[second + 1])
    sound = and_(sound, pivot > 0.0)
    d1 = inverse_root(pivot)
    l21, l31 = fma(-l20, l10, factor[third + 1]) * d1, fma(-l30, l10, factor[fourth + 1]) * d1
    pivot = fma(-l21, l21, fma(-l20, l20, factor[third + 2]))
    sound = and_(sound, pivot > 0.0)
    d2 = inverse_root(pivot)
    l32 = fma(-l31, l21, fma(-l30, l20, factor[fourth + 2])) * d2
    pivot = fma(-l32, l32, fma(-l31, l31, fma(-l30, l30, factor[fourth + 3])))
    sound = and_(sound, pivot > 0.0)
    d3 = inverse_root(pivot)
    factor[first] = d0
    factor[second] = l10
    factor[second + 1] = d1
    factor[third] = l20
    factor[third + 1] = l21
    factor[third + 2] = d2
    factor[fourth] = l30
    factor[fourth + 1] = l31
    factor[fourth + 2] = l32
    factor[fourth + 3] = d3
    for i in range(j + BLOCK, n):
        at = i * n + j
        a0 = factor[at] * d0
        a1 = fma(-a0, l10, factor[at + 1]) * d1
        a2 = fma(-a1, l21, fma(-a0, l20, factor[at + 2])) * d2
        a3 = fma(-a2, l32, fma(-a1, l31, fma(-a0, l30, factor[at + 3]))) * d3
        factor[at] = a0
        factor[at + 1] = a1
        factor[at + 2] = a2
        factor[at + 3] = a3
    return sound


def finish_last(n: int, j: int, factor: Array) -> Mask:
    """As `finish_four`, for the last columns, fewer than four."""
    sound = factor[j * n + j] > 0.0
    for c in range(j, n):
        pivot = factor[c * n + c]
        for t in range(j, c):
            pivot = fma(-factor[c * n + t], factor[c * n + t], pivot)
        sound = and_(sound, pivot > 0.0)
        inverse = inverse_root(pivot)
        factor[c * n + c] = inverse
        for i in range(c + 1, n):
            total = factor[i * n + c]
            for t in range(j, c):
                total = fma(-factor[i * n + t], factor[c * n + t], total)
            factor[i * n + c] = total * inverse
    return sound


def cholesky_solve(n: int, factor: Array, x: Array) -> None:
    """x := (L L')^-1 x with the factor of `weighted_cholesky`."""
    whole = n - n % BLOCK
    for i in range(0, whole, BLOCK):
        forward_four(n, i, factor, x)
    for i in range(whole, n):
        total = x[i]
        for t in range(i):
            total = fma(-factor[i * n + t], x[t], total)
        x[i] = total * factor[i * n + i]
    for back in range(n - whole):
        k = n - 1 - back
        x[k] = x[k] * factor[k * n + k]
        axpy(k, -x[k], factor, k * n, x, 0)
    for back in range(whole // BLOCK):
        backward_four(n, whole - BLOCK * (back + 1), factor, x)


def forward_four(n: int, i: int, factor: Array, x: Array) -> None:
    """Rows i … i + 3 of x := L^-1 x, those before being done."""
    first, second, third, fourth = i * n, (i + 1) * n, (i + 2) * n, (i + 3) * n
    x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
    for t in range(i):
        y = x[t]
        x0 = fma(-factor[first + t], y, x0)
        x1 = fma(-factor[second + t], y, x1)
        x2 = fma(-factor[third + t], y, x2)
        x3 = fma(-factor[fourth + t], y, x3)
    x0 = x0 * factor[first + i]
    x1 = fma(-factor[second + i], x0, x1) * factor[second + i + 1]
    x2 = fma(-factor[third + i + 1], x1, fma(-factor[third + i], x0, x2)) * factor[third + i + 2]
    x3 = fma(-factor[fourth + i + 1], x1, fma(-factor[fourth + i], x0, x3))
    x3 = fma(-factor[fourth + i + 2], x2, x3) * factor[fourth + i + 3]
    x[i] = x0
    x[i + 1] = x1
    x[i + 2] = x2
    x[i + 3] = x3


def backward_four(n: int, i: int, factor: Array, x: Array) -> None:
    """Rows i … i + 3 of x := L'^-1 x, those after being done, and what they take from the rows before."""
    first, second, third, fourth = i * n, (i + 1) * n, (i + 2) * n, (i + 3) * n
    x3 = x[i + 3] * factor[fourth + i + 3]
    x2 = fma(-factor[fourth + i + 2], x3, x[i + 2]) * factor[third + i + 2]
    x1 = fma(-factor[third + i + 1], x2, fma(-factor[fourth + i + 1], x3, x[i + 1])) * factor[second + i + 1]
    x0 = fma(-factor[third + i], x2, fma(-factor[fourth + i], x3, x[i]))
    x0 = fma(-factor[second + i], x1, x0) * factor[first + i]
    for t in range(i):
        y = fma(-factor[third + t], x2, fma(-factor[fourth + t], x3, x[t]))
        x[t] = fma(-factor[first + t], x0, fma(-factor[second + t], x1, y))
    x[i] = x0
    x[i + 1] = x1
    x[i + 2] = x2
    x[i + 3] = x3
