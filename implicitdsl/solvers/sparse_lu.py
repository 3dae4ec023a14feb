"""LU factors with a pattern that is fixed before any number is known, in the words of the vocabulary.

The rows of a matrix B (m x m) stand in an order chosen beforehand, so that its pivots are on the diagonal; L has a unit
diagonal. Everything about places is data, in an array of whole numbers that begins at `at` in `pattern` (all of them
places in `pattern` but for m, the number of places and `shift`):

    m, shift, rows (m), columns (m), place (of every column of the whole Jacobian, -1 where it takes no part),
    starts (m + 1), diagonals (m), places (of the entries of L + U, by rows, in order)

Row k of B is row `rows[k]` of the Jacobian, its column k the column `columns[k]`; vectors are counted from `shift`.
Factors are the entries of L and U by rows, the inverse of a pivot in its place, and then room for m elements.

Pivots are not chosen, they are judged: a row whose elimination passed through numbers much larger than its own, which
then hold its rounding errors, gives factors that are NaN. Sources: row-wise elimination with a working row, T. A. Davis,
Direct Methods for Sparse Linear Systems, SIAM 2006, chapter 6; growth and backward error, N. J. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., 9.3.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.vocabulary import Array, Element, epsilon, fma, not_, select, vabs, vmax, vsqrt

ROWS, COLUMNS, PLACE, STARTS, DIAGONALS, PLACES = 2, 3, 4, 5, 6, 7
"""Where the description of the factors holds the beginning of each part; before them m and `shift`."""
JACOBIAN_STARTS, JACOBIAN_COLUMNS, JACOBIAN_PLACES = 2, 3, 4
"""Where a pattern holds the beginning of the parts on the Jacobian: by rows, columns and places in its storage."""


def sparse_factor_size(pattern: Array, at: int) -> int:
    """The numbers that hold the factors."""
    m = pattern[at]
    return pattern[pattern[at + STARTS] + m] + m


def sparse_lu(
    pattern: Array, at: int, mass: Array, gamma: float, h: Element, jacobian: Array, factors: Array
) -> Element:
    """The factors of M/gamma - h*J, as far as its rows and columns take part; 1, or NaN where they cannot be trusted.

    In a step of length 0 the rows without mass are those of -J."""
    m = pattern[at]
    rows, place = pattern[at + ROWS], pattern[at + PLACE]
    starts, diagonals, places = pattern[at + STARTS], pattern[at + DIAGONALS], pattern[at + PLACES]
    first, columns, storage = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS], pattern[JACOBIAN_PLACES]
    work = pattern[starts + m]
    most = 0.1 / vsqrt(epsilon(jacobian))
    zero = select(h == h, 0.0, 0.0)
    trusted = zero + 1.0
    for i in range(m):
        row = pattern[rows + i]
        begin, middle, end = pattern[starts + i], pattern[diagonals + i], pattern[starts + i + 1]
        for e in range(begin, end):
            factors[work + pattern[places + e]] = zero
        scale = h
        if mass[row] == 0.0:
            scale = select(h == 0.0, 1.0, h)
        for e in range(pattern[first + row], pattern[first + row + 1]):
            column = pattern[place + pattern[columns + e]]
            if column >= 0:
                factors[work + column] = -scale * jacobian[pattern[storage + e]]
        if mass[row] != 0.0:
            column = pattern[place + row]
            factors[work + column] = factors[work + column] + mass[row] / gamma
        largest = zero
        for e in range(begin, end):
            largest = vmax(vabs(factors[work + pattern[places + e]]), largest)
        high = largest
        for e in range(begin, middle):
            k = pattern[places + e]
            high = vmax(vabs(factors[work + k]), high)
            factor = factors[work + k] * factors[pattern[diagonals + k]]
            factors[e] = factor
            for f in range(pattern[diagonals + k] + 1, pattern[starts + k + 1]):
                j = work + pattern[places + f]
                factors[j] = fma(-factor, factors[f], factors[j])
        for e in range(middle, end):
            factors[e] = factors[work + pattern[places + e]]
            high = vmax(vabs(factors[e]), high)
        pivot = factors[middle]
        # A NaN does not show in `high`; it stays in what is computed from it.
        grown = not_(high <= most * largest)
        factors[middle] = select(grown, np.nan, 1.0 / pivot)
        trusted = select(not_(vabs(factors[middle]) < np.inf), np.nan, trusted)
    return trusted


def sparse_lu_solve(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := B^-1 x."""
    m, shift = pattern[at], pattern[at + 1]
    rows, columns = pattern[at + ROWS], pattern[at + COLUMNS]
    starts, diagonals, places = pattern[at + STARTS], pattern[at + DIAGONALS], pattern[at + PLACES]
    z = pattern[starts + m]
    for i in range(m):
        total = x[pattern[rows + i] - shift]
        for e in range(pattern[starts + i], pattern[diagonals + i]):
            total = fma(-factors[e], factors[z + pattern[places + e]], total)
        factors[z + i] = total
    for step in range(m):
        i = m - 1 - step
        total = factors[z + i]
        for e in range(pattern[diagonals + i] + 1, pattern[starts + i + 1]):
            total = fma(-factors[e], factors[z + pattern[places + e]], total)
        total = total * factors[pattern[diagonals + i]]
        factors[z + i] = total
        x[pattern[columns + i] - shift] = total


def sparse_lu_solve_transposed(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := B^-T x."""
    m, shift = pattern[at], pattern[at + 1]
    rows, columns = pattern[at + ROWS], pattern[at + COLUMNS]
    starts, diagonals, places = pattern[at + STARTS], pattern[at + DIAGONALS], pattern[at + PLACES]
    z = pattern[starts + m]
    for i in range(m):
        factors[z + i] = x[pattern[columns + i] - shift]
    for i in range(m):
        total = factors[z + i] * factors[pattern[diagonals + i]]
        factors[z + i] = total
        for e in range(pattern[diagonals + i] + 1, pattern[starts + i + 1]):
            j = z + pattern[places + e]
            factors[j] = fma(-factors[e], total, factors[j])
    for step in range(m):
        i = m - 1 - step
        total = factors[z + i]
        for e in range(pattern[starts + i], pattern[diagonals + i]):
            j = z + pattern[places + e]
            factors[j] = fma(-factors[e], total, factors[j])
        x[pattern[rows + i] - shift] = total
