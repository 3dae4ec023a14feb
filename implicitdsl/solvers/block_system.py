"""The scaled Newton system of a block of samples: J with rows and columns scaled, its factors, steps, and sizes."""

from __future__ import annotations

from implicitdsl.solvers.pivoted_lu import pivoted_lu, pivoted_lu_solve
from implicitdsl.solvers.vocabulary import Array, Element, buffer, fma, select, vabs, vmax, vsqrt


def work_size(n: int) -> int:
    """Elements that a block of `n` unknowns needs to be solved."""
    return 2 * n * n + 17 * n


def factor_scaled(
    n: int, j: Array, z: Array, rows: Array, columns: Array, matrix: Array, pivots: Array
) -> Element:  # fmt: skip
    """matrix, pivots := the factors of diag(rows) J diag(columns) with columns = 1 + |z| and rows that give each row a
    largest entry of 1; gives what `pivoted_lu` gives."""
    for i in range(n):
        columns[i] = 1.0 + vabs(z[i])
    for i in range(n):
        top = vabs(j[i * n]) * columns[0]
        for k in range(1, n):
            top = vmax(vabs(j[i * n + k]) * columns[k], top)
        row = select(top > 0.0, 1.0 / select(top > 0.0, top, 1.0), 1.0)
        rows[i] = row
        for k in range(n):
            matrix[i * n + k] = j[i * n + k] * columns[k] * row
    return pivoted_lu(n, matrix, pivots)


def system_step(n: int, f: Array, rows: Array, columns: Array, matrix: Array, pivots: Array, step: Array) -> None:
    """step := -J^-1 f from the factors of `factor_scaled`."""
    for i in range(n):
        step[i] = -rows[i] * f[i]
    pivoted_lu_solve(n, matrix, pivots, step)
    for i in range(n):
        step[i] = step[i] * columns[i]


def step_inside(
    n: int, z: Array, step: Array, fraction: float, lower: Array, upper: Array, trial: Array
) -> None:  # fmt: skip
    """trial := z + fraction*step; a component that would pass a bound goes nine tenths of the way to it."""
    for i in range(n):
        goal = z[i] + fraction * step[i]
        goal = select(goal < lower[i], z[i] + 0.9 * (lower[i] - z[i]), goal)
        trial[i] = select(goal > upper[i], z[i] + 0.9 * (upper[i] - z[i]), goal)


def scaled_norm(n: int, f: Array, rows: Array) -> Element:
    """The 2-norm of the residual with its rows scaled."""
    total = buffer(f, 1)[0]
    for i in range(n):
        term = rows[i] * f[i]
        total = fma(term, term, total)
    return vsqrt(total)


def own_residual(n: int, j: Array, f: Array, z: Array) -> Element:
    """max_i |F_i| / (1 + sum_k |J_ik| |z_k|); NaN where F_0 is."""
    worst = buffer(f, 1)[0]
    for i in range(n):
        scale = worst * 0.0 + 1.0
        for k in range(n):
            scale = fma(vabs(j[i * n + k]), vabs(z[k]), scale)
        worst = vmax(vabs(f[i]) / scale, worst)
    return worst


def relative_step(n: int, step: Array, z: Array) -> Element:
    """max_i |step_i| / (1 + |z_i|)."""
    worst = buffer(z, 1)[0]
    for i in range(n):
        worst = vmax(vabs(step[i]) / (1.0 + vabs(z[i])), worst)
    return worst


def largest_of(n: int, x: Array) -> Element:
    """The largest |x_i|."""
    worst = buffer(x, 1)[0]
    for i in range(n):
        worst = vmax(vabs(x[i]), worst)
    return worst
