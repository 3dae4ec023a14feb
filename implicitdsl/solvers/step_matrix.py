"""The Jacobian J = f_y of M y' = f, and the matrix A = M/gamma - h*J with which an implicit step solves.

`pattern`, an array of whole numbers, says how both are held: [DENSE] means J by rows, n*n numbers, and factors with
pivots that are each sample's own. Methods of implicit steps use these functions alone, so that they serve every pattern.
An array of a Jacobian has `jacobian_size` elements, one of factors `factor_size`, one of pivots n. `mass` (n) is the
diagonal of M, zeros and ones.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.pivoted_lu import pivoted_lu, pivoted_lu_solve, pivoted_lu_solve_transposed
from implicitdsl.solvers.vocabulary import Array, Element, axpy, dot, select

Model = Callable[..., None]

DENSE = 0
"""The first number of a pattern."""


def jacobian_size(n: int, pattern: Array) -> int:
    """The numbers that hold J."""
    return n * n


def factor_size(n: int, pattern: Array) -> int:
    """The numbers that hold the factors of A."""
    return n * n


def factor_step_matrix(
    n: int, mass: Array, pattern: Array, gamma: float, h: Element, jacobian: Array, factors: Array, pivots: Array
) -> None:
    """`factors`, `pivots` := the factors of A = M/gamma - h*J; where A is singular, solves give what is not finite.

    In a step of length 0 the rows without mass are divided by h: those of -J stand in their place.
    """
    for i in range(n):
        scale = h
        if mass[i] == 0.0:
            scale = select(h == 0.0, 1.0, h)
        for j in range(n):
            factors[i * n + j] = -scale * jacobian[i * n + j]
        if mass[i] != 0.0:
            factors[i * n + i] = factors[i * n + i] + mass[i] / gamma
    pivoted_lu(n, factors, pivots)


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
    pivoted_lu_solve(n, factors, pivots, x)


def solve_step_matrix_transposed(n: int, pattern: Array, factors: Array, pivots: Array, x: Array) -> None:
    """x := A^-T x."""
    pivoted_lu_solve_transposed(n, factors, pivots, x)


def multiply_jacobian(
    n: int, pattern: Array, jacobian: Array, at: int, x: Array, x_at: int, out: Array, out_at: int
) -> None:
    """out := J x, for the Jacobian that begins at element `at`; out must not overlap x."""
    for i in range(n):
        out[out_at + i] = dot(n, jacobian, at + i * n, x, x_at)


def add_jacobian_transposed(
    n: int, pattern: Array, jacobian: Array, at: int, alpha: Element, x: Array, x_at: int, out: Array, out_at: int
) -> None:
    """out := out + alpha*J'x; out must not overlap x."""
    for i in range(n):
        axpy(n, alpha * x[x_at + i], jacobian, at + i * n, out, out_at)


def add_outer_product(
    n: int, pattern: Array, alpha: Element, u: Array, u_at: int, v: Array, v_at: int, out: Array, out_at: int
) -> None:
    """out := out + alpha*u v', where J can be anything but 0: the transpose of (J) -> alpha*u'J v."""
    for i in range(n):
        axpy(n, alpha * u[u_at + i], v, v_at, out, out_at + i * n)
