"""What kind of root a converged point is: simple, multiple, or one of a continuum (docs/decisions/0003-what-counts-as-a-root.md).

One sample at a time: a vector back end calls these per sample, and only at the end of a solve.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.linear_algebra import (
    absolute_row_sums,
    epsilon_of,
    lu_factor,
    lu_solve,
    lu_solve_transposed,
    magnitudes,
    matvec,
    row_scales,
    scale_rows_columns,
)
from implicitdsl.solvers.rank_revealing import null_vector, orthogonal_factor
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, vabs, vmax, vsqrt

SIMPLE = 0
UNCERTAIN = 1
MULTIPLE = 2
NOT_UNIQUE = 3


def equation_scales(n: int, j: Array, z: Array, out: Array) -> None:
    """out_i := 1 + sum_k |J_ik| |z_k|: the size that the residual of equation i is measured by."""
    absolute_row_sums(n, n, j, np.abs(z[:n]), out)
    out[:n] += 1.0


def judge_root(residual: Any, jacobian: Any, n: int, z: Array, p: Array, f: Array, j: Array, rate: Element) -> int:
    """SIMPLE, UNCERTAIN, MULTIPLE or NOT_UNIQUE for a point z with F(z) = f, dF/dz = j that passes the stop test.

    Multiple: moving z by no more than rounding in F allows (d = J^-1 (F ± noise)) changes J, in its weakest direction, by more
    than a tenth of itself, so J at the root cannot be told from a singular matrix (Newton–Kantorovich). Not unique: J is
    singular and F stays 0 to rounding along a null vector, a hundredth away on both sides.
    Uncertain: simple, but rounding in F moves z by more than eps^(2/3): the derivative exists and loses digits.
    rate is the larger ratio of the last two pairs of Newton steps: below a tenth convergence was faster than linear, which
    multiple roots do not allow, and saves the two Jacobians.
    """
    eps = epsilon_of(z)
    matrix = buffer(z, n * n)
    pivots = np.zeros(n, np.int64)
    scale = buffer(z, n)
    sizes = buffer(z, n)
    noise = buffer(z, n)
    magnitudes(n, z, sizes)
    row_scales(n, n, j, sizes, scale)
    scale_rows_columns(n, n, j, scale, sizes, matrix)
    spread = lu_factor(n, matrix, pivots)
    residual_noise(residual, n, z, p, f, j, noise)
    if not (spread > n * eps):
        return NOT_UNIQUE if continuum(residual, n, z, p, j, scale, noise) else MULTIPLE
    shift = buffer(z, n)
    moved = buffer(z, n)
    j_moved = buffer(z, n * n)
    weak = buffer(z, n)
    image = buffer(z, n)
    weakest_direction(n, matrix, pivots, weak)
    worst = eps * 0.0
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for i in range(n):
            shift[i] = -scale[i] * (f[i] + sign * noise[i])
        lu_solve(n, matrix, pivots, shift)
        for i in range(n):
            worst = vmax(vabs(shift[i]), worst)
            moved[i] = z[i] + shift[i] * (1.0 + vabs(z[i]))
        if rate < 0.1:
            continue
        jacobian(moved, p, j_moved)
        if not all_finite(n * n, j_moved, 0):
            return MULTIPLE
        j_moved -= j
        scale_rows_columns(n, n, j_moved, scale, sizes, j_moved)
        matvec(n, n, j_moved, weak, image)
        lu_solve(n, matrix, pivots, image)
        if not (vsqrt(np.sum(image * image)) <= 0.1):
            return MULTIPLE
    return SIMPLE if worst <= eps ** (2.0 / 3.0) else UNCERTAIN


def residual_noise(residual: Any, n: int, z: Array, p: Array, f: Array, j: Array, noise: Array) -> None:
    """noise_i := how far F_i strays from its tangent at relative distances from eps to its root: rounding, measured and not guessed."""
    eps = epsilon_of(z)
    moved = buffer(z, n)
    image = buffer(z, n)
    shift = buffer(z, n)
    noise[:n] = 0.0
    reach = 1.0
    for number in range(6):
        reach *= eps ** (-1.0 / 12.0)
        for k in range(n):
            moved[k] = z[k] * (1.0 + eps * reach * (1.0 if (number + k) % 2 == 0 else -1.0))
            shift[k] = moved[k] - z[k]
        residual(moved, p, image)
        if all_finite(n, image, 0):
            image -= f
            absolute = buffer(z, n)
            matvec(n, n, j, shift, absolute)
            image -= absolute
            for i in range(n):
                noise[i] = vmax(vabs(image[i]), noise[i])


def weakest_direction(n: int, lu: Array, pivots: Array, weak: Array) -> None:
    """weak := a unit vector that the factored matrix shrinks about as much as any, by two inverse iterations."""
    for i in range(n):
        weak[i] = 1.0 + i / (2.0 * n)
    for _ in range(2):
        lu_solve_transposed(n, lu, pivots, weak)
        weak[:n] /= vmax(vsqrt(np.sum(weak * weak)), 1e-300)
        lu_solve(n, lu, pivots, weak)
        weak[:n] /= vmax(vsqrt(np.sum(weak * weak)), 1e-300)


def continuum(residual: Any, n: int, z: Array, p: Array, j: Array, scale: Array, noise: Array) -> bool:
    """Whether F stays 0 to rounding along some null vector of J."""
    eps = epsilon_of(z)
    matrix = buffer(z, n * n)
    sizes = buffer(z, n)
    terms = buffer(z, n)
    magnitudes(n, z, sizes)
    scale_rows_columns(n, n, j, scale, sizes, matrix)
    tau = buffer(z, n)
    order = np.zeros(n, np.int64)
    right = buffer(z, n * n)
    right_tau = buffer(z, n)
    moved = buffer(z, n)
    f = buffer(z, n)
    direction = buffer(z, n)
    rank = orthogonal_factor(n, n, matrix, 8.0 * n * eps, tau, order, right, right_tau)
    for number in range(n - rank):
        null_vector(n, rank, right, right_tau, order, number, direction)
        flat = 0
        for side in range(2):
            copy(n, z, 0, moved, 0)
            for k in range(n):
                moved[k] += (1.0 - 2.0 * side) * 0.01 * direction[k] * (1.0 + vabs(z[k]))
            residual(moved, p, f)
            absolute_row_sums(n, n, j, np.abs(moved), terms)
            zero = all_finite(n, f, 0)
            for i in range(n):
                if not (vabs(f[i]) <= 64.0 * (noise[i] + n * eps * terms[i])):
                    zero = False
            if zero:
                flat += 1
        if flat == 2:
            return True
    return False
