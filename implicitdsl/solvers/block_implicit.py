"""Derivatives through F(z, p) = 0 for a block of samples: K' lam = -g backward, K x = -r forward, K = dF/dz at z.

One factorisation by LU with pivots of each sample's own, one refinement, and a test of what is left. A sample is
*settled* where the solution has a small backward error and K is far from singular, else left *open* for the solver of
one sample (`implicit_adjoint`), which tells a derivative that does not exist. Source: Higham, Accuracy and Stability of
Numerical Algorithms, 12.1 (refinement).
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_system import factor_scaled, largest_of
from implicitdsl.solvers.pivoted_lu import pivoted_lu_solve, pivoted_lu_solve_transposed
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    all_finite,
    and_,
    epsilon,
    fma,
    select,
    view,
)

ROOM = 256.0
"""Times n eps: the least spread of pivots that is far from singular."""


def factor_at(jacobian: Any, n: int, z: Array, p: Array, work: Array) -> Element:
    """The factors of the scaled K at a point, into `work` (`block_system.work_size(n)` elements), for `block_adjoint` and
    `block_tangent`; gives their spread."""
    vectors = view(work, 2 * n * n, 17 * n)
    jacobian(z, p, work)
    return factor_scaled(
        n, work, z, view(vectors, n, n), view(vectors, 2 * n, n), view(work, n * n, n * n), view(vectors, 6 * n, n)
    )


def block_adjoint(n: int, g: Array, lam: Array, spread: Element, work: Array) -> Element:
    """lam := the solution of K' lam = -g from `factor_at`; gives 0 for samples that are settled and 2 for others."""
    vectors = view(work, 2 * n * n, 17 * n)
    rows, columns, pivots = view(vectors, n, n), view(vectors, 2 * n, n), view(vectors, 6 * n, n)
    matrix = view(work, n * n, n * n)
    rest, right = view(vectors, 3 * n, n), view(vectors, 4 * n, n)
    for k in range(n):
        right[k] = -columns[k] * g[k]
        lam[k] = right[k]
    pivoted_lu_solve_transposed(n, matrix, pivots, lam)
    rest_transposed(n, work, rows, columns, lam, right, rest)
    pivoted_lu_solve_transposed(n, matrix, pivots, rest)
    for k in range(n):
        lam[k] = lam[k] + rest[k]
    rest_transposed(n, work, rows, columns, lam, right, rest)
    verdict = judge(n, lam, right, rest, spread)
    for i in range(n):
        lam[i] = lam[i] * rows[i]
    return verdict


def block_tangent(n: int, r: Array, x: Array, spread: Element, work: Array) -> Element:
    """x := the solution of K x = -r; all else as in `block_adjoint`."""
    vectors = view(work, 2 * n * n, 17 * n)
    rows, columns, pivots = view(vectors, n, n), view(vectors, 2 * n, n), view(vectors, 6 * n, n)
    matrix = view(work, n * n, n * n)
    rest, right = view(vectors, 3 * n, n), view(vectors, 4 * n, n)
    for k in range(n):
        right[k] = -rows[k] * r[k]
        x[k] = right[k]
    pivoted_lu_solve(n, matrix, pivots, x)
    rest_plain(n, work, rows, columns, x, right, rest)
    pivoted_lu_solve(n, matrix, pivots, rest)
    for k in range(n):
        x[k] = x[k] + rest[k]
    rest_plain(n, work, rows, columns, x, right, rest)
    verdict = judge(n, x, right, rest, spread)
    for i in range(n):
        x[i] = x[i] * columns[i]
    return verdict


def judge(n: int, x: Array, right: Array, rest: Array, spread: Element) -> Element:
    """0 where the solution of the scaled system is settled, 2 where not."""
    eps = epsilon(x)
    allowed = 32.0 * n * eps * (largest_of(n, x) * n + largest_of(n, right))
    small = and_(largest_of(n, rest) <= allowed, all_finite(n, x, 0))
    return select(and_(small, spread > ROOM * n * eps), spread * 0.0, 2.0)


def rest_transposed(n: int, k: Array, rows: Array, columns: Array, y: Array, right: Array, rest: Array) -> None:
    """rest := right - (diag(rows) K diag(columns))' y."""
    for c in range(n):
        rest[c] = right[c] * 0.0
    for i in range(n):
        weight = rows[i] * y[i]
        for c in range(n):
            rest[c] = fma(k[i * n + c], weight, rest[c])
    for c in range(n):
        rest[c] = right[c] - columns[c] * rest[c]


def rest_plain(n: int, k: Array, rows: Array, columns: Array, x: Array, right: Array, rest: Array) -> None:
    """rest := right - diag(rows) K diag(columns) x."""
    for i in range(n):
        total = right[i] * 0.0
        for c in range(n):
            total = fma(k[i * n + c], columns[c] * x[c], total)
        rest[i] = right[i] - rows[i] * total
