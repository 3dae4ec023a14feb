"""Derivatives through a solved system F(z, p) = 0: K' lam = -g backward, K x = r forward, with the residual checked.

The implicit function theorem at the returned point: dL/dp = lam' dF/dp with K = dF/dz. K is factored once for all right-hand
sides, at the point itself. Every solution is refined and its residual tested, so a derivative is right or refused.

A singular K: the least-norm solution if the system is consistent, as with dependent active constraints, whose multipliers are
not unique while the answer's derivative is; else there is no derivative. Sources: Krantz & Parks, The Implicit Function
Theorem; Higham, Accuracy and Stability of Numerical Algorithms, 12.1 (refinement).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.linear_algebra import (
    epsilon_of,
    inverse_norm,
    largest,
    lu_factor,
    lu_solve,
    matvec,
    rounding,
    row_scales,
    scale_rows_columns,
    transpose,
)
from implicitdsl.solvers.rank_revealing import orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.root_quality import MULTIPLE, judge_root
from implicitdsl.solvers.status import DEPENDENT_ROWS, NEAR_SINGULAR, NONFINITE, SINGULAR, SUCCESS
from implicitdsl.solvers.vocabulary import Array, all_finite, buffer, copy, vabs


def implicit_adjoint(n: int, k: Array, count: int, g: Array, lam: Array, notes: Array) -> int:
    """lam := the solution of K' lam = -g for each of `count` right-hand sides; gives a status number.

    k (n*n, row-major) is dF/dz at the returned point, left as it is; g and lam hold count vectors of n, one after another.
    notes[0] receives dependent_rows (K singular, the systems consistent: lam is the solution of least norm in the scaled system)
    or near_singular (condition above 1e12, or its like for the type). Status: success; singular (some system has no solution:
    the derivative does not exist); nonfinite (K or g holds NaN or infinity). A g of zeros gives lam = 0 whatever K is.
    """
    turned = buffer(k, n * n)
    transpose(n, n, k, turned)
    for i in range(count * n):
        lam[i] = -g[i]
    return checked_solve(n, turned, count, lam, notes)


def implicit_tangent(n: int, k: Array, count: int, r: Array, x: Array, notes: Array) -> int:
    """x := the solution of K x = r for each of `count` right-hand sides; all else as in `implicit_adjoint`."""
    copy(count * n, r, 0, x, 0)
    return checked_solve(n, k, count, x, notes)


def root_adjoint(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    forward_notes: int,
    count: int,
    g: Array,
    lam: Array,
    notes: Array,
) -> int:
    """lam := the solution of K' lam = -g at the root z of F(z, p) = 0; `implicit_adjoint`, but refused at a multiple root.

    forward_notes are the notes of the solve: where they say near_singular the root is judged again, because K close to a
    multiple root has an inverse, and a meaningless one.
    """
    f = buffer(z, n)
    k = buffer(z, n * n)
    jacobian(z, p, k)
    notes[0] = 0
    if largest(count * n, g) == 0.0 and all_finite(count * n, g, 0):
        lam[: count * n] = 0.0
        return SUCCESS
    if not all_finite(n * n, k, 0):
        return NONFINITE
    if forward_notes & NEAR_SINGULAR:
        residual(z, p, f)
        if judge_root(residual, jacobian, n, z, p, f, k, np.inf) >= MULTIPLE:
            return SINGULAR
    status = implicit_adjoint(n, k, count, g, lam, notes)
    # A root of a singular square system is isolated or not; in neither case has it a derivative.
    if status == SUCCESS and notes[0] & DEPENDENT_ROWS:
        return SINGULAR
    return status


def checked_solve(n: int, a: Array, count: int, x: Array, notes: Array) -> int:
    """x := A^-1 x for each of `count` vectors of n in x, refined and checked; notes and status as in `implicit_adjoint`."""
    eps = epsilon_of(x)
    notes[0] = 0
    if largest(count * n, x) == 0.0 and all_finite(count * n, x, 0):
        return SUCCESS
    if not (all_finite(n * n, a, 0) and all_finite(count * n, x, 0)):
        return NONFINITE
    scaled = buffer(x, n * n)
    rows = buffer(x, n)
    columns = buffer(x, n)
    equilibrate(n, a, rows, columns)
    scale_rows_columns(n, n, a, rows, columns, scaled)
    lu = buffer(x, n * n)
    copy(n * n, scaled, 0, lu, 0)
    pivots = np.zeros(n, np.int64)
    spread = lu_factor(n, lu, pivots)
    condition = inverse_norm(n, lu, pivots) if spread > 0.0 else np.inf
    # Entries are at most 1, so 1/inverse_norm is about the distance to a singular matrix.
    if not (condition * n * eps <= 0.25):
        return least_norm_solve(n, scaled, rows, columns, count, x, notes)
    if condition * eps > 2e-4:
        notes[0] = notes[0] | NEAR_SINGULAR
    rhs = buffer(x, n)
    rest = buffer(x, n)
    trial = buffer(x, n)
    step = buffer(x, n)
    for number in range(count):
        for i in range(n):
            rhs[i] = rows[i] * x[number * n + i]
            step[i] = rhs[i]
        trial[:n] = 0.0
        error = largest(n, rhs)
        for _ in range(4):
            lu_solve(n, lu, pivots, step)
            step += trial
            matvec(n, n, scaled, step, rest)
            for i in range(n):
                rest[i] = rhs[i] - rest[i]
            after = largest(n, rest)
            if not (all_finite(n, step, 0) and after < error):
                break
            error = after
            copy(n, step, 0, trial, 0)
            copy(n, rest, 0, step, 0)
        # Backward error: a system within 64 n eps of the one given is solved exactly.
        if not (error <= 64.0 * n * eps * (largest(n, trial) * n + largest(n, rhs))):
            return SINGULAR
        for i in range(n):
            x[number * n + i] = columns[i] * trial[i]
    return SUCCESS


def least_norm_solve(n: int, scaled: Array, rows: Array, columns: Array, count: int, x: Array, notes: Array) -> int:
    """`checked_solve` for a singular scaled matrix: solutions of least norm of consistent systems, else singular."""
    eps = epsilon_of(x)
    factors = buffer(x, n * n)
    copy(n * n, scaled, 0, factors, 0)
    tau = buffer(x, n)
    order = np.zeros(n, np.int64)
    right = buffer(x, n * n)
    right_tau = buffer(x, n)
    rhs = buffer(x, n)
    solution = buffer(x, n)
    tolerance = np.sqrt(eps) * 0.1
    # Noise in a computed K leaves singular values of a few thousand eps; what counts as zero lies above it.
    rank = orthogonal_factor(n, n, factors, rounding(eps, 1e4 * n), tau, order, right, right_tau)
    notes[0] = notes[0] | DEPENDENT_ROWS
    for number in range(count):
        for i in range(n):
            rhs[i] = rows[i] * x[number * n + i]
        whole = largest(n, rhs)
        rest = orthogonal_solve(n, n, rank, factors, tau, order, right, right_tau, rhs, solution)
        if not (rest <= tolerance * whole) or not all_finite(n, solution, 0):
            return SINGULAR
        for i in range(n):
            x[number * n + i] = columns[i] * solution[i]
    return SUCCESS


def equilibrate(n: int, a: Array, rows: Array, columns: Array) -> None:
    """Powers of 2 that bring the largest entry of every row, then of every column of diag(rows) A diag(columns) to about 1."""
    ones = buffer(a, n)
    ones[:n] = 1.0
    row_scales(n, n, a, ones, rows)
    for i in range(n):
        rows[i] = power_of_two(rows[i])
    columns[:n] = 0.0
    for i in range(n):
        columns[:n] = np.maximum(columns[:n], rows[i] * np.abs(a[i * n : i * n + n]))
    for j in range(n):
        columns[j] = power_of_two(1.0 / columns[j]) if columns[j] > 0.0 else 1.0


def power_of_two(x: float) -> float:
    """The power of 2 next to a positive number: scaling by it rounds nothing."""
    return 2.0 ** np.round(np.log2(vabs(x)))
