"""LU with partial pivoting, each sample by rows of its own choice: P A = L U in the words of the vocabulary.

Matrices are 1-D, row-major, from element 0 of their array. Rows are exchanged by select, where some sample asks for it;
pivots are elements, the number of the row exchanged with row k. Source: Golub & Van Loan, Matrix Computations, 4th ed.,
3.4.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    any_,
    axpy,
    buffer,
    fma,
    select,
    subtract_products,
    vabs,
    vmax,
    vmin,
)

PANEL = 16
"""Columns eliminated before the rest of the matrix hears of it, once for all of them."""
ROWS = 8
"""Rows of a triangle that are solved together."""


def pivoted_lu(n: int, a: Array, pivots: Array) -> Element:
    """P A = L U in place of the n*n elements of `a`, n at least 1; pivots (n) receives the rows exchanged.

    Gives min |U_kk| / max |U_kk|: 0 where A is singular, NaN where A, or its factors, are not finite.
    """
    low = vabs(a[0]) * 0.0 + 1.0
    high = low
    spoilt = low * 0.0
    above = buffer(a, max(n - PANEL, 1) * PANEL)
    for panel in range((n + PANEL - 1) // PANEL):
        first = panel * PANEL
        last = min(first + PANEL, n)
        for k in range(first, last):
            choose_row(n, k, a, pivots)
            pivot = a[k * n + k]
            size = vabs(pivot)
            # 0 times a number that is not finite is NaN, and stays it.
            spoilt = spoilt + 0.0 * pivot
            low = size if k == 0 else vmin(size, low)
            high = size if k == 0 else vmax(size, high)
            # Below a pivot of 0 stand zeros: nothing is to be eliminated.
            eliminate(n, k, last, 1.0 / select(size > 0.0, pivot, 1.0), a)
        if last < n:
            eliminate_rest(n, first, last, a, above)
    return select(high > 0.0, low / select(high > 0.0, high, 1.0), 0.0) + spoilt


def choose_row(n: int, k: int, a: Array, pivots: Array) -> None:
    """The row with the largest entry of column k, from row k on, in the place of row k."""
    best = vabs(a[k * n + k])
    chosen = best * 0.0 + k
    for i in range(k + 1, n):
        size = vabs(a[i * n + k])
        larger = size > best
        best = select(larger, size, best)
        chosen = select(larger, i, chosen)
    pivots[k] = chosen
    for i in range(k + 1, n):
        here = chosen == i
        if any_(here):
            exchange(here, n, a, k * n, i * n)


def exchange(mask: Element, n: int, a: Array, at: int, other: int) -> None:
    """The n elements at one place for those at another, for the samples of the mask."""
    for j in range(n):
        x = a[at + j]
        y = a[other + j]
        a[at + j] = select(mask, y, x)
        a[other + j] = select(mask, x, y)


def eliminate(n: int, k: int, last: int, inverse: Element, a: Array) -> None:
    """The rows below row k less their multiples of it, in the columns before `last`; the multiples stay in column k."""
    for i in range(k + 1, n):
        factor = a[i * n + k] * inverse
        a[i * n + k] = factor
        axpy(last - k - 1, -factor, a, k * n + k + 1, a, i * n + k + 1)


def eliminate_rest(n: int, first: int, last: int, a: Array, above: Array) -> None:
    """What the columns `first` … `last` - 1 take from those that follow; `above` is room for their rows, transposed."""
    wide = last - first
    for i in range(first + 1, last):
        for k in range(first, i):
            axpy(n - last, -a[i * n + k], a, k * n + last, a, i * n + last)
    for t in range(wide):
        for j in range(n - last):
            above[j * wide + t] = a[(first + t) * n + last + j]
    subtract_products(n - last, n - last, wide, a, last * n + first, n, above, 0, wide, a, last * n + last, n)


def pivoted_lu_solve(n: int, lu: Array, pivots: Array, x: Array) -> None:
    """x := A^-1 x from `pivoted_lu`."""
    exchange_all(n, pivots, x, 1)
    blocks = (n + ROWS - 1) // ROWS
    for block in range(blocks):
        first = block * ROWS
        last = min(first + ROWS, n)
        if first > 0:
            subtract_products(last - first, 1, first, lu, first * n, n, x, 0, n, x, first, 1)
        for k in range(first + 1, last):
            total = x[k]
            for j in range(first, k):
                total = fma(-lu[k * n + j], x[j], total)
            x[k] = total
    for block in range(blocks):
        first = (blocks - 1 - block) * ROWS
        last = min(first + ROWS, n)
        if last < n:
            subtract_products(last - first, 1, n - last, lu, first * n + last, n, x, last, n, x, first, 1)
        for step in range(last - first):
            k = last - 1 - step
            total = x[k]
            for j in range(k + 1, last):
                total = fma(-lu[k * n + j], x[j], total)
            x[k] = total / lu[k * n + k]


def pivoted_lu_solve_transposed(n: int, lu: Array, pivots: Array, x: Array) -> None:
    """x := A^-T x from `pivoted_lu`."""
    for k in range(n):
        x[k] = x[k] / lu[k * n + k]
        axpy(n - k - 1, -x[k], lu, k * n + k + 1, x, k + 1)
    for step in range(n):
        k = n - 1 - step
        axpy(k, -x[k], lu, k * n, x, 0)
    exchange_all(n, pivots, x, -1)


def exchange_all(n: int, pivots: Array, x: Array, direction: int) -> None:
    """The elements of x exchanged as the rows were, first to last, or last to first with direction -1."""
    for step in range(n):
        k = step if direction == 1 else n - 1 - step
        chosen = pivots[k]
        for i in range(k + 1, n):
            here = chosen == i
            if any_(here):
                exchange(here, 1, x, k, i)
