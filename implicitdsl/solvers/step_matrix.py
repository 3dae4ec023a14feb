"""The Jacobian J = f_y of M y' = f, and the matrix A = M/gamma - h*J with which an implicit step solves.

`pattern`, an array of whole numbers, says how both are held. [DENSE]: J by rows, n*n numbers, and factors with pivots that
are each sample's own. A pattern that begins with SPARSE holds the entries of J that can be anything but 0, and all places
of the factors (`sparse_lu`; `problems/step_pattern.py` makes it):

    SPARSE, numbers that hold J, starts of its rows (n + 1), columns and places in storage of its entries, by rows,
    the description of the factors of A, that of the factors of g_z (0 without algebraic unknowns)

Methods of implicit steps use these functions alone, so that they serve every pattern. An array of a Jacobian has
`jacobian_size` elements, one of factors `factor_size`, one of pivots n. `mass` (n) is the diagonal of M, zeros and ones;
the last `algebraic` ones are 0.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.pivoted_lu import pivoted_lu, pivoted_lu_solve, pivoted_lu_solve_transposed
from implicitdsl.solvers.sparse_lu import (
    JACOBIAN_COLUMNS,
    JACOBIAN_PLACES,
    JACOBIAN_STARTS,
    sparse_factor_size,
    sparse_lu,
    sparse_lu_solve,
    sparse_lu_solve_transposed,
)
from implicitdsl.solvers.vocabulary import Array, Element, axpy, copy, dot, fma, select

Model = Callable[..., None]

DENSE, SPARSE = 0, 1
"""The first number of a pattern."""
WHOLE, ALGEBRAIC = 5, 6
"""Where a sparse pattern holds the beginning of the descriptions of factors."""


def jacobian_size(n: int, pattern: Array) -> int:
    """The numbers that hold J."""
    if pattern[0] == DENSE:
        return n * n
    return pattern[1] + 0 * n


def factor_size(n: int, pattern: Array) -> int:
    """The numbers that hold the factors of A."""
    if pattern[0] == DENSE:
        return n * n
    return sparse_factor_size(pattern, pattern[WHOLE]) + 0 * n


def factor_step_matrix(
    n: int, mass: Array, pattern: Array, gamma: float, h: Element, jacobian: Array, factors: Array, pivots: Array
) -> None:
    """`factors`, `pivots` := the factors of A = M/gamma - h*J; where A is singular, and where factors without a choice of
    pivots are not to be trusted, solves give what is not finite.

    In a step of length 0 the rows without mass are divided by h: those of -J stand in their place.
    """
    if pattern[0] == DENSE:
        for i in range(n):
            scale = h
            if mass[i] == 0.0:
                scale = select(h == 0.0, 1.0, h)
            for j in range(n):
                factors[i * n + j] = -scale * jacobian[i * n + j]
            if mass[i] != 0.0:
                factors[i * n + i] = factors[i * n + i] + mass[i] / gamma
        pivoted_lu(n, factors, pivots)
    else:
        sparse_lu(pattern, pattern[WHOLE], mass, gamma, h, jacobian, factors)


def factor_step(
    linearise: Model,
    n: int,
    mass: Array,
    pattern: Array,
    gamma: float,
    t: Element,
    h: Element,
    y: Array,
    p: Array,
    matrix: Array,
    drift: Array,
    lu: Array,
    pivots: Array,
) -> None:
    """`matrix` := f_y, `drift` := f_t at the start of a step, and the factors of A = M/gamma - h*f_y.

    In a step of length 0 the rows without mass are divided by h, as `run_stages` does with their right-hand sides.
    """
    linearise(t, y, p, matrix, drift)
    factor_step_matrix(n, mass, pattern, gamma, h, matrix, lu, pivots)


def solve_step_matrix(n: int, pattern: Array, factors: Array, pivots: Array, x: Array) -> None:
    """x := A^-1 x."""
    if pattern[0] == DENSE:
        pivoted_lu_solve(n, factors, pivots, x)
    else:
        sparse_lu_solve(pattern, pattern[WHOLE], factors, x)


def solve_step_matrix_transposed(n: int, pattern: Array, factors: Array, pivots: Array, x: Array) -> None:
    """x := A^-T x."""
    if pattern[0] == DENSE:
        pivoted_lu_solve_transposed(n, factors, pivots, x)
    else:
        sparse_lu_solve_transposed(pattern, pattern[WHOLE], factors, x)


# ---------------------------------------------------------------- the algebraic block


def algebraic_factor_size(algebraic: int, pattern: Array) -> int:
    """The numbers that hold the factors of g_z, the last block of J."""
    if pattern[0] == DENSE:
        return algebraic * algebraic
    return sparse_factor_size(pattern, pattern[ALGEBRAIC]) + 0 * algebraic


def factor_algebraic(
    n: int, algebraic: int, mass: Array, pattern: Array, jacobian: Array, factors: Array, pivots: Array
) -> Element:
    """The factors of g_z; gives a number above 0, or 0 or NaN where g_z is singular (or its factors not to be trusted)."""
    if pattern[0] == DENSE:
        first = n - algebraic
        for i in range(algebraic):
            copy(algebraic, jacobian, (first + i) * n + first, factors, i * algebraic)
        return pivoted_lu(algebraic, factors, pivots)
    return sparse_lu(pattern, pattern[ALGEBRAIC], mass, 1.0, select(jacobian[0] == 0.0, -1.0, -1.0), jacobian, factors)


def solve_algebraic(algebraic: int, pattern: Array, factors: Array, pivots: Array, x: Array) -> None:
    """x := g_z^-1 x."""
    if pattern[0] == DENSE:
        pivoted_lu_solve(algebraic, factors, pivots, x)
    else:
        sparse_lu_solve(pattern, pattern[ALGEBRAIC], factors, x)


def solve_algebraic_transposed(algebraic: int, pattern: Array, factors: Array, pivots: Array, x: Array) -> None:
    """x := g_z^-T x."""
    if pattern[0] == DENSE:
        pivoted_lu_solve_transposed(algebraic, factors, pivots, x)
    else:
        sparse_lu_solve_transposed(pattern, pattern[ALGEBRAIC], factors, x)


# ---------------------------------------------------------------- products


def multiply_jacobian(
    n: int, pattern: Array, jacobian: Array, at: int, x: Array, x_at: int, out: Array, out_at: int
) -> None:
    """out := J x, for the Jacobian that begins at element `at`; out must not overlap x."""
    if pattern[0] == DENSE:
        for i in range(n):
            out[out_at + i] = dot(n, jacobian, at + i * n, x, x_at)
    else:
        starts, columns, places = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS], pattern[JACOBIAN_PLACES]
        for i in range(n):
            # 0 whatever x holds.
            total = select(x[x_at] == x[x_at], 0.0, 0.0)
            for e in range(pattern[starts + i], pattern[starts + i + 1]):
                total = fma(jacobian[at + pattern[places + e]], x[x_at + pattern[columns + e]], total)
            out[out_at + i] = total


def add_jacobian_transposed(
    n: int, pattern: Array, jacobian: Array, at: int, alpha: Element, x: Array, x_at: int, out: Array, out_at: int
) -> None:
    """out := out + alpha*J'x; out must not overlap x."""
    if pattern[0] == DENSE:
        for i in range(n):
            axpy(n, alpha * x[x_at + i], jacobian, at + i * n, out, out_at)
    else:
        starts, columns, places = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS], pattern[JACOBIAN_PLACES]
        for i in range(n):
            weight = alpha * x[x_at + i]
            for e in range(pattern[starts + i], pattern[starts + i + 1]):
                j = out_at + pattern[columns + e]
                out[j] = fma(weight, jacobian[at + pattern[places + e]], out[j])


def add_outer_product(
    n: int, pattern: Array, alpha: Element, u: Array, u_at: int, v: Array, v_at: int, out: Array, out_at: int
) -> None:
    """out := out + alpha*u v', where J can be anything but 0: the transpose of (J) -> alpha*u'J v."""
    if pattern[0] == DENSE:
        for i in range(n):
            axpy(n, alpha * u[u_at + i], v, v_at, out, out_at + i * n)
    else:
        starts, columns, places = pattern[JACOBIAN_STARTS], pattern[JACOBIAN_COLUMNS], pattern[JACOBIAN_PLACES]
        for i in range(n):
            weight = alpha * u[u_at + i]
            for e in range(pattern[starts + i], pattern[starts + i + 1]):
                j = out_at + pattern[places + e]
                out[j] = fma(weight, v[v_at + pattern[columns + e]], out[j])
