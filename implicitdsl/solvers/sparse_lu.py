"""LU factors with a pattern that is fixed before any number is known, in the words of the vocabulary.

The rows of a matrix B (m x m) stand in an order chosen beforehand, so that its pivots are on the diagonal; L has a unit
diagonal. Everything about places is data, in an array of whole numbers that begins at `at` in `pattern` (all of them
places in `pattern` but for m, the number of places, `shift` and `kept`):

    m, shift, rows (m), columns (m), place (of every column of the whole Jacobian, -1 where it takes no part),
    starts (m + 1), diagonals (m), places (of the entries of L + U, by rows, in order), kept

Row k of B is row `rows[k]` of the Jacobian, its column k the column `columns[k]`; vectors are counted from `shift`.
Factors are the entries of L and U by rows, the inverse of a pivot in its place, and then room for m elements.

Pivots are not chosen, they are judged. With `kept` = 0 a row whose elimination passed through numbers much larger than
its own, which then hold its rounding errors, gives factors that are NaN. With `kept` > 0, the number of entries of the
whole Jacobian, a pivot too small is replaced by eps^(1/3) of its row, and the factors of the samples that this happens to
are used to refine: B itself is kept behind them (its diagonal shift, its entries, and room for four vectors), a solve is
repeated with what is left until the backward error is that of rounding, and where it does not get there, B cannot be told
from a singular matrix and solves give NaN.

Sources: row-wise elimination with a working row, T. A. Davis, Direct Methods for Sparse Linear Systems, SIAM 2006, chapter
6; growth, backward error and refinement, N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 9.3 and
chapter 12; replaced pivots, X. S. Li, J. W. Demmel, ACM Trans. Math. Software 29 (2003) 110-140 (static pivoting).
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    and_,
    any_,
    epsilon,
    fma,
    not_,
    or_,
    power,
    select,
    vabs,
    view,
    vmax,
    vsqrt,
)

ROWS, COLUMNS, PLACE, STARTS, DIAGONALS, PLACES, KEPT = 2, 3, 4, 5, 6, 7, 8
"""Where the description of the factors holds the beginning of each part; before them m and `shift`."""
HEAD = 9
"""The numbers of a description before its parts."""
JACOBIAN_STARTS, JACOBIAN_COLUMNS, JACOBIAN_PLACES = 2, 3, 4
"""Where a pattern holds the beginning of the parts on the Jacobian: by rows, columns and places in its storage."""
VECTORS = 5
"""Vectors of m elements that are kept with B: the shift of its diagonal, a right-hand side, a residual, its size, and one
to judge the factors by."""
REFINEMENTS = 12


def sparse_factor_size(pattern: Array, at: int) -> int:
    """The numbers that hold the factors, and what is kept to refine: whether a sample asks for it, B, and vectors."""
    m, kept = pattern[at], pattern[at + KEPT]
    factors = pattern[pattern[at + STARTS] + m] + m
    return factors + (1 + kept + VECTORS * m if kept > 0 else 0)


def sparse_lu(
    pattern: Array, at: int, mass: Array, gamma: float, h: Element, jacobian: Array, factors: Array
) -> Element:
    """The factors of M/gamma - h*J, as far as its rows and columns take part; 1, or NaN where they cannot be trusted.

    In a step of length 0 the rows without mass are those of -J."""
    m, kept = pattern[at], pattern[at + KEPT]
    rows, place = pattern[at + ROWS], pattern[at + PLACE]
    starts, diagonals, places = pattern[at + STARTS], pattern[at + DIAGONALS], pattern[at + PLACES]
    first, columns, storage = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS], pattern[JACOBIAN_PLACES]
    work = pattern[starts + m]
    told = work + m
    entries, shifts = told + 1, told + 1 + kept
    most = 0.1 / vsqrt(epsilon(jacobian))
    zero = select(h == h, 0.0, 0.0)
    # Several such pivots in a row still leave digits to refine by.
    least = power(zero + epsilon(jacobian), zero + 1.0 / 3.0) if kept > 0 else zero
    trusted = zero + 1.0
    doubtful = zero
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
                if kept > 0:
                    factors[entries + e] = factors[work + column]
        if mass[row] != 0.0:
            column = pattern[place + row]
            factors[work + column] = factors[work + column] + mass[row] / gamma
        if kept > 0:
            factors[shifts + i] = zero + mass[row] / gamma
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
        if kept > 0:
            small = vabs(pivot) <= least * largest
            pivot = select(small, select(pivot < 0.0, -least, least) * largest, pivot)
            doubtful = select(or_(small, grown), 1.0, doubtful)
            factors[middle] = 1.0 / pivot
        else:
            factors[middle] = select(grown, np.nan, 1.0 / pivot)
        trusted = select(not_(vabs(factors[middle]) < np.inf), np.nan, trusted)
    if kept > 0:
        factors[told] = doubtful
        if any_(doubtful > 0.0):
            trusted = judge_factors(pattern, at, factors, trusted)
    return trusted


def judge_factors(pattern: Array, at: int, factors: Array, trusted: Element) -> Element:
    """`trusted`, and NaN where a right-hand side that no singular matrix can be counted on to reach is not solved for."""
    m, kept = pattern[at], pattern[at + KEPT]
    told = pattern[pattern[at + STARTS] + m] + m
    right, size = view(factors, told + 1 + kept + m, m), view(factors, told + 1 + kept + 3 * m, m)
    probe = view(factors, told + 1 + kept + 4 * m, m)
    for j in range(m):
        right[j] = select(trusted == trusted, 0.0, 0.0)
        probe[j] = select(trusted == trusted, 1.0, 1.0)
    # Of the size that the rows give it.
    backward_error(pattern, at, factors, probe, 0)
    for j in range(m):
        probe[j] = size[j] * (1.0 + 0.5 * ((j * 7) % 11) / 11.0) * (1.0 - 2.0 * ((j * 5) % 3 % 2))
    refined_solve(pattern, at, factors, probe, 0)
    for j in range(m):
        trusted = select(and_(factors[told] > 0.0, not_(vabs(probe[j]) < np.inf)), np.nan, trusted)
    # What the last pivot is made of, every solve meets.
    last = pattern[pattern[at + DIAGONALS] + m - 1]
    factors[last] = select(trusted == trusted, factors[last], np.nan)
    return trusted


def sparse_lu_solve(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := B^-1 x."""
    refined_solve(pattern, at, factors, x, 0)


def sparse_lu_solve_transposed(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := B^-T x."""
    refined_solve(pattern, at, factors, x, 1)


def refined_solve(pattern: Array, at: int, factors: Array, x: Array, transposed: int) -> None:
    """x := B^-1 x or B^-T x: by the factors, and refined for the samples whose pivots were replaced."""
    m, kept = pattern[at], pattern[at + KEPT]
    told = pattern[pattern[at + STARTS] + m] + m
    if kept == 0:
        substitute(pattern, at, factors, x, transposed)
    else:
        doubtful = factors[told] > 0.0
        right = view(factors, told + 1 + kept + m, m)
        rest = view(factors, told + 1 + kept + 2 * m, m)
        for j in range(m):
            right[j] = x[j]
        substitute(pattern, at, factors, x, transposed)
        if any_(doubtful):
            eps = epsilon(x)
            error = backward_error(pattern, at, factors, x, transposed)
            before = error + np.inf
            active = and_(doubtful, error > 16.0 * eps)
            for _ in range(REFINEMENTS):
                if any_(active):
                    substitute(pattern, at, factors, rest, transposed)
                    for j in range(m):
                        x[j] = select(active, x[j] + rest[j], x[j])
                    before = select(active, error, before)
                    error = select(active, backward_error(pattern, at, factors, x, transposed), error)
                    active = and_(active, and_(error > 16.0 * eps, error < 0.5 * before))
            lost = and_(doubtful, not_(error <= 1e3 * eps))
            for j in range(m):
                x[j] = select(lost, np.nan, x[j])


def backward_error(pattern: Array, at: int, factors: Array, x: Array, transposed: int) -> Element:
    """What is left of the right-hand side kept, b - B x or b - B'x, into its room; gives its largest element beside
    |b| + |B||x|, infinite where it is not finite."""
    m, shift, kept = pattern[at], pattern[at + 1], pattern[at + KEPT]
    rows, place, starts = pattern[at + ROWS], pattern[at + PLACE], pattern[at + STARTS]
    first, columns = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS]
    entries = pattern[starts + m] + m + 1
    shifts = entries + kept
    right, rest, size = shifts + m, shifts + 2 * m, shifts + 3 * m
    for j in range(m):
        factors[rest + j] = factors[right + j]
        factors[size + j] = vabs(factors[right + j])
    for i in range(m):
        row = pattern[rows + i]
        r = row - shift
        own = factors[shifts + i]
        factors[rest + r] = fma(-own, x[r], factors[rest + r])
        factors[size + r] = fma(own, vabs(x[r]), factors[size + r])
        for e in range(pattern[first + row], pattern[first + row + 1]):
            column = pattern[columns + e]
            if pattern[place + column] >= 0:
                c = column - shift
                to, of = r, c
                if transposed == 1:
                    to, of = c, r
                value = factors[entries + e]
                factors[rest + to] = fma(-value, x[of], factors[rest + to])
                factors[size + to] = fma(vabs(value), vabs(x[of]), factors[size + to])
    worst = select(x[0] == x[0], 0.0, 0.0)
    for j in range(m):
        part = vabs(factors[rest + j])
        whole = factors[size + j]
        part = select(whole > 0.0, part / select(whole > 0.0, whole, 1.0), part)
        worst = select(part <= worst, worst, select(part < np.inf, part, np.inf))
    return worst


def substitute(pattern: Array, at: int, factors: Array, x: Array, transposed: int) -> None:
    """x := (L U)^-1 x, or with L U transposed."""
    if transposed == 1:
        substitute_transposed(pattern, at, factors, x)
    else:
        substitute_plain(pattern, at, factors, x)


def substitute_plain(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := (L U)^-1 x."""
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


def substitute_transposed(pattern: Array, at: int, factors: Array, x: Array) -> None:
    """x := (L U)^-T x."""
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
