"""Dense linear algebra as solver vocabulary: matrices are 1-D, row-major, starting at element 0 of their array.

Products, LU with partial pivoting, Cholesky, LDL' of quasi-definite matrices. The bodies work a row at a time, so that one
sample runs at NumPy's speed, and lie in what is lowered for one sample; a back end may overload them for vectors of samples,
pivoting each sample on its own. No BLAS: every sum has one fixed order, hence one fixed result. Factors overwrite their matrix.
Sources: Golub & Van Loan, Matrix Computations, 4th ed., 3.2, 3.4, 4.1, 4.2; Vanderbei, SIAM J. Optim. 5 (1995), quasi-definite
matrices.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, dot, epsilon, is_finite, vabs, vsqrt


def matvec(m: int, n: int, a: Array, x: Array, out: Array) -> None:
    """out := A x for A of m rows and n columns."""
    out[:m] = 0.0
    if m * n > 0:
        rows = a[: m * n].reshape((m, n))
        for j in range(n):
            out[:m] += x[j] * rows[:, j]


def matvec_transposed(m: int, n: int, a: Array, x: Array, out: Array) -> None:
    """out := A' x for A of m rows and n columns."""
    out[:n] = 0.0
    for i in range(m):
        out[:n] += x[i] * a[i * n : i * n + n]


def quadratic_form(n: int, a: Array, x: Array) -> Element:
    """x' A x."""
    image = buffer(a, n)
    matvec(n, n, a, x, image)
    return dot(n, x, 0, image, 0)


def transpose(m: int, n: int, a: Array, out: Array) -> None:
    """out := A' (n rows, m columns)."""
    for i in range(m):
        for j in range(n):
            out[j * m + i] = a[i * n + j]


def gram(m: int, n: int, a: Array, out: Array) -> None:
    """out := A' A (n*n)."""
    out[: n * n] = 0.0
    square = out[: n * n].reshape((n, n))
    for i in range(m):
        row = a[i * n : i * n + n]
        square += np.outer(row, row)


def largest(n: int, x: Array) -> Element:
    """The largest |x_i|, 0 for n = 0; whether a NaN shows is not promised, so test `all_finite` where one may occur."""
    if n == 0:
        return 0.0 * epsilon_of(x)
    return np.max(np.abs(x[:n]))


def epsilon_of(x: Array) -> Element:
    """The distance from 1 to the next float of the array's type, as an element of it."""
    return epsilon(x)


def rounding(eps: Element, multiple: float) -> Element:
    """multiple * eps, at most a twentieth of eps^(1/2): many last bits of a short type are no rounding but the answer."""
    return min(multiple * eps, 0.05 * eps**0.5)


def lu_factor(n: int, a: Array, pivots: Array) -> Element:
    """P A = L U in place; pivots[k] is the row exchanged with row k.

    Gives min |U_kk| / max |U_kk|, which is 0 for a matrix that is singular to the last bit and NaN for one that is not finite.
    """
    square = a[: n * n].reshape((n, n))
    low = epsilon_of(a) * 0.0 + np.inf
    high = epsilon_of(a) * 0.0
    broken = False
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if vabs(square[i, k]) > vabs(square[best, k]):
                best = i
        pivots[k] = best
        if best != k:
            row = square[k].copy()
            square[k] = square[best]
            square[best] = row
        pivot = square[k, k]
        if not is_finite(pivot):
            broken = True
        size = vabs(pivot)
        if size < low:
            low = size
        if size > high:
            high = size
        if size > 0.0 and k + 1 < n:
            square[k + 1 :, k] /= pivot
            square[k + 1 :, k + 1 :] -= np.outer(square[k + 1 :, k], square[k, k + 1 :])
    if broken:
        return high * np.nan
    if not (high > 0.0):
        return high
    return low / high


def lu_solve(n: int, lu: Array, pivots: Array, x: Array) -> None:
    """x := A^-1 x from `lu_factor`."""
    square = lu[: n * n].reshape((n, n))
    for k in range(n):
        other = pivots[k]
        if other != k:
            x[k], x[other] = x[other], x[k]
    for k in range(n - 1):
        x[k + 1 : n] -= x[k] * square[k + 1 :, k]
    for step in range(n):
        k = n - 1 - step
        x[k] /= square[k, k]
        if k > 0:
            x[:k] -= x[k] * square[:k, k]


def lu_solve_transposed(n: int, lu: Array, pivots: Array, x: Array) -> None:
    """x := A^-T x from `lu_factor`."""
    square = lu[: n * n].reshape((n, n))
    for k in range(n):
        x[k] /= square[k, k]
        if k + 1 < n:
            x[k + 1 : n] -= x[k] * square[k, k + 1 :]
    for step in range(n):
        k = n - 1 - step
        if k > 0:
            x[:k] -= x[k] * square[k, :k]
    for step in range(n):
        k = n - 1 - step
        other = pivots[k]
        if other != k:
            x[k], x[other] = x[other], x[k]


def cholesky_factor(n: int, a: Array) -> Mask:
    """A = L L' in place of the lower triangle; whether A is positive definite to working precision."""
    square = a[: n * n].reshape((n, n))
    floor = n * epsilon_of(a)
    for k in range(n):
        whole = vabs(a[k * n + k])
        if k > 0:
            row = square[k, :k]
            a[k * n + k] -= np.sum(row * row)
        if not (a[k * n + k] > floor * whole):
            return False
        root = vsqrt(a[k * n + k])
        if not is_finite(root):
            return False
        a[k * n + k] = root
        for j in range(k):
            square[k + 1 :, k] -= square[k, j] * square[k + 1 :, j]
        if k + 1 < n:
            square[k + 1 :, k] /= root
    return True


def cholesky_solve(n: int, a: Array, x: Array) -> None:
    """x := A^-1 x from `cholesky_factor`."""
    square = a[: n * n].reshape((n, n))
    for k in range(n):
        x[k] /= square[k, k]
        if k + 1 < n:
            x[k + 1 : n] -= x[k] * square[k + 1 :, k]
    for step in range(n):
        k = n - 1 - step
        x[k] /= square[k, k]
        if k > 0:
            x[:k] -= x[k] * square[k, :k]


def ldl_factor(n: int, positive: int, floor: Element, a: Array) -> Mask:
    """A = L D L' without pivoting, in place: L below the diagonal, D on it; whether every pivot is finite.

    For quasi-definite A: the first `positive` pivots are positive, the others negative. One that rounding has brought below
    `floor` in size, or to the wrong sign, is replaced by floor, so that refinement on A itself is wanted afterwards.
    """
    square = a[: n * n].reshape((n, n))
    for k in range(n):
        sign = 1.0 if k < positive else -1.0
        if not is_finite(square[k, k]):
            return False
        if not (sign * square[k, k] > floor):
            square[k, k] = sign * floor
        pivot = square[k, k]
        if k + 1 < n:
            column = square[k + 1 :, k].copy()
            square[k + 1 :, k] = column / pivot
            square[k + 1 :, k + 1 :] -= np.outer(square[k + 1 :, k], column)
    return True


def ldl_solve(n: int, a: Array, x: Array) -> None:
    """x := A^-1 x from `ldl_factor`."""
    square = a[: n * n].reshape((n, n))
    for k in range(n - 1):
        x[k + 1 : n] -= x[k] * square[k + 1 :, k]
    for k in range(n):
        x[k] /= square[k, k]
    for step in range(n):
        k = n - 1 - step
        if k > 0:
            x[:k] -= x[k] * square[k, :k]


def inverse_norm(n: int, lu: Array, pivots: Array) -> Element:
    """An estimate from below, rarely off by more than 3, of the 1-norm of A^-1 (Higham, ACM TOMS 14 (1988), algorithm 4.1)."""
    x = buffer(lu, n)
    x[:n] = 1.0 / n
    signs = buffer(lu, n)
    estimate = epsilon_of(lu) * 0.0
    for _ in range(5):
        lu_solve(n, lu, pivots, x)
        norm = np.sum(np.abs(x[:n]))
        if not (norm > estimate):
            break
        estimate = norm
        for i in range(n):
            signs[i] = -1.0 if x[i] < 0.0 else 1.0
        lu_solve_transposed(n, lu, pivots, signs)
        peak = 0
        for i in range(n):
            if vabs(signs[i]) > vabs(signs[peak]):
                peak = i
        x[:n] = 0.0
        x[peak] = 1.0
    # An alternating vector catches the matrices on which the iteration above stops too early.
    for i in range(n):
        x[i] = (1.0 + i / max(n - 1, 1)) * (1.0 if i % 2 == 0 else -1.0)
    lu_solve(n, lu, pivots, x)
    other = 2.0 * np.sum(np.abs(x[:n])) / (3.0 * n)
    return other if other > estimate else estimate


def absolute_row_sums(m: int, n: int, a: Array, weights: Array, out: Array) -> None:
    """out_i := sum_k |A_ik| weights_k."""
    for i in range(m):
        out[i] = np.sum(np.abs(a[i * n : i * n + n]) * weights[:n])


def scale_rows_columns(m: int, n: int, a: Array, rows: Array, columns: Array, out: Array) -> None:
    """out := diag(rows) A diag(columns)."""
    for i in range(m):
        out[i * n : i * n + n] = a[i * n : i * n + n] * columns[:n] * rows[i]


def row_scales(m: int, n: int, a: Array, columns: Array, rows: Array) -> None:
    """rows_i := 1 / max_k |A_ik| columns_k, which gives every row of the scaled matrix a largest entry of 1; 1 for a zero row."""
    for i in range(m):
        top = np.max(np.abs(a[i * n : i * n + n]) * columns[:n])
        rows[i] = 1.0 / top if top > 0.0 else 1.0


def magnitudes(n: int, x: Array, out: Array) -> None:
    """out_i := 1 + |x_i|: the size that a change of x_i is measured by."""
    out[:n] = 1.0 + np.abs(x[:n])
