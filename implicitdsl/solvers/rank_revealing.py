"""Linear systems that may be rank-deficient: complete orthogonal decomposition, minimum-norm solutions, null vectors.

A P = Q [R S; 0 0] by Householder reflections with column pivoting, then [R S] = [T 0] Z' by reflections from the right. The
rank is the number of diagonal entries above a threshold relative to the first. Source: Golub & Van Loan 5.4, 5.5.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.linear_algebra import epsilon_of, transpose
from implicitdsl.solvers.vocabulary import Array, Element, buffer, vabs, vsqrt


def qr_factor(m: int, n: int, a: Array, tau: Array, order: Array, pivoting: int) -> None:
    """A P = Q R in place: R on and above the diagonal, the reflections below it (first entry 1, not stored) and in tau.

    tau has min(m, n) elements; order[j] is the column of A that stands at place j (integers, n). With pivoting = 0 the columns
    stay where they are.
    """
    matrix = a[: m * n].reshape((m, n))
    for j in range(n):
        order[j] = j
    for k in range(min(m, n)):
        if pivoting == 1:
            best = k
            best_norm = np.sum(matrix[k:, k] * matrix[k:, k])
            for j in range(k + 1, n):
                norm = np.sum(matrix[k:, j] * matrix[k:, j])
                # The factor keeps columns of equal length in their order whatever the last bit says.
                if norm > best_norm * (1.0 + 1e-10):
                    best = j
                    best_norm = norm
            if best != k:
                column = matrix[:, k].copy()
                matrix[:, k] = matrix[:, best]
                matrix[:, best] = column
                order[k], order[best] = order[best], order[k]
        head = matrix[k, k]
        length = vsqrt(np.sum(matrix[k:, k] * matrix[k:, k]))
        if not (length > 0.0) or k == m - 1:
            tau[k] = 0.0
            continue
        beta = -length if head >= 0.0 else length
        tau[k] = (beta - head) / beta
        matrix[k + 1 :, k] /= head - beta
        matrix[k, k] = beta
        if k + 1 < n:
            tail = matrix[k + 1 :, k].copy()
            image = matrix[k, k + 1 :].copy()
            for i in range(k + 1, m):
                image += matrix[i, k] * matrix[i, k + 1 :]
            image *= tau[k]
            matrix[k, k + 1 :] -= image
            matrix[k + 1 :, k + 1 :] -= np.outer(tail, image)


def reflect(m: int, n: int, count: int, a: Array, tau: Array, transposed: int, x: Array) -> None:
    """x := Q x, or Q' x if transposed = 1, with the first `count` reflections of `qr_factor`; x has m elements."""
    matrix = a[: m * n].reshape((m, n))
    for step in range(count):
        k = step if transposed == 1 else count - 1 - step
        if k + 1 < m:
            tail = matrix[k + 1 :, k]
            weight = tau[k] * (x[k] + np.sum(tail * x[k + 1 : m]))
            x[k] -= weight
            x[k + 1 : m] -= weight * tail


def rank_of(m: int, n: int, a: Array, threshold: Element) -> int:
    """The number of diagonal entries of R above threshold times the first."""
    rank = 0
    if m * n > 0:
        top = vabs(a[0])
        for k in range(min(m, n)):
            if vabs(a[k * n + k]) > threshold * top:
                rank += 1
            else:
                break
    return rank


def orthogonal_factor(
    m: int, n: int, a: Array, threshold: Element, tau: Array, order: Array, right: Array, right_tau: Array
) -> int:
    """The complete orthogonal decomposition of A, and its rank.

    a (m*n) is overwritten by the QR factors; right (n*n) and right_tau (n) receive the QR factors of the transposed upper
    trapezoid; tau has min(m, n), order n elements.
    """
    qr_factor(m, n, a, tau, order, 1)
    rank = rank_of(m, n, a, threshold)
    for i in range(n):
        for j in range(rank):
            right[i * rank + j] = a[j * n + i] if i >= j else 0.0
    unused = np.zeros(n, np.int64)
    if rank > 0:
        qr_factor(n, rank, right, right_tau, unused, 0)
    return rank


def orthogonal_solve(
    m: int,
    n: int,
    rank: int,
    a: Array,
    tau: Array,
    order: Array,
    right: Array,
    right_tau: Array,
    rhs: Array,
    x: Array,
) -> Element:
    """x := the least-squares solution of A x = rhs of least norm; gives the norm of the residual. rhs (m) is overwritten."""
    reflect(m, n, min(m, n), a, tau, 1, rhs)
    rest = epsilon_of(a) * 0.0
    for i in range(rank, m):
        rest += rhs[i] * rhs[i]
    inner = buffer(a, n)
    # right = Z T with T upper triangular, so the trapezoid is T' Z' and T' is solved from the top.
    for i in range(rank):
        total = rhs[i]
        for j in range(i):
            total -= right[j * rank + i] * inner[j]
        inner[i] = total / right[i * rank + i]
    if rank > 0:
        reflect(n, rank, rank, right, right_tau, 0, inner)
    for j in range(n):
        x[order[j]] = inner[j]
    return vsqrt(rest)


def null_vector(n: int, rank: int, right: Array, right_tau: Array, order: Array, number: int, x: Array) -> None:
    """x := the null vector of that number (0 to n - rank - 1) of the decomposed matrix; they are orthonormal."""
    inner = buffer(right, n)
    inner[rank + number] = 1.0
    if rank > 0:
        reflect(n, rank, rank, right, right_tau, 0, inner)
    for j in range(n):
        x[order[j]] = inner[j]


def independent_rows(m: int, n: int, a: Array, threshold: Element, chosen: Array) -> int:
    """chosen[i] := 1 for the rows of A (m*n) that a pivoted QR of A' keeps, else 0; gives their number. A is left as it is."""
    columns = buffer(a, m * n)
    transpose(m, n, a, columns)
    tau = buffer(a, min(m, n))
    order = np.zeros(m, np.int64)
    qr_factor(n, m, columns, tau, order, 1)
    rank = rank_of(n, m, columns, threshold)
    for i in range(m):
        chosen[i] = 0
    for k in range(rank):
        chosen[order[k]] = 1
    return rank
