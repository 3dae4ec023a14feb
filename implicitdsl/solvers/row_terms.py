"""The rows of a program's optimality conditions judged one by one, each relative to the terms that it is a sum of.

A residual that is eps times the sum of |terms| of its row is that of data changed in the last bit: the componentwise backward error
of Oettli & Prager, Numer. Math. 6 (1964) 405, which no scaling of unknowns, rows or objective changes. So a row whose terms are small
beside those of others counts as much as they do. Where all terms of a row vanish with the answer there is nothing to be relative to;
what refinement (Skeel, Math. Comp. 35 (1980) 817) leaves of it is then near the square of eps.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.block_rows import GROWTH, SHARE
from implicitdsl.solvers.linear_algebra import epsilon_of, largest, matvec, matvec_transposed, rounding
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, vabs


def sum_terms(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    forces: Array,
    sizes: Array,
) -> None:
    """forces (n) := |Q| |x| + |q| + |C'| |multipliers|, sizes (count) := |C| |x| + |sides|."""
    pull = buffer(x, n)
    point = np.abs(x[:n])
    table = np.abs(rows[: count * n])
    matvec(n, n, np.abs(quadratic[: n * n]), point, forces)
    matvec_transposed(count, n, table, np.abs(multipliers[:count]), pull)
    forces[:n] += np.abs(linear[:n]) + pull[:n]
    matvec(count, n, table, point, sizes)
    sizes[:count] += np.abs(sides[:count])


def share_of_terms(eps: Element, n: int, count: int) -> Element:
    """How much of the terms of a row its residual may be, for n unknowns and `count` rows."""
    return rounding(eps, SHARE + GROWTH * (n + count))


def vanishing(x: Array, size: Element) -> Element:
    """What is left of a row whose terms all vanish, beside terms of that size in others."""
    return epsilon_of(x) ** 2.0 * size


def is_stationary(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    x: Array,
    multipliers: Array,
    forces: Array,
    share: Element,
) -> bool:
    """Whether every entry of Q x + q + C' multipliers is at most that share of its terms."""
    gradient = buffer(x, n)
    pull = buffer(x, n)
    matvec(n, n, quadratic, x, gradient)
    matvec_transposed(count, n, rows, multipliers, pull)
    gradient += linear[:n]
    gradient += pull
    floor = vanishing(x, 1.0 + largest(n, forces))
    if not all_finite(n, gradient, 0):
        return False
    for k in range(n):
        if not (vabs(gradient[k]) <= share * forces[k] + floor):
            return False
    return True


def measure_units(
    n: int, count: int, quadratic: Array, linear: Array, rows: Array, x: Array, sizes: Array, held: Array, units: Array
) -> None:
    """units (n) := what |x_k| is to be compared with, also where x_k is 0: the change that the terms of its own row of the gradient,
    or those of a row held, amount to; at most 1 + max |x|. Multipliers are left out: two that press against each other have any size."""
    top = 1.0 + largest(n, x)
    matvec(n, n, np.abs(quadratic[: n * n]), np.abs(x[:n]), units)
    for k in range(n):
        curvature = quadratic[k * n + k]
        units[k] = (units[k] + vabs(linear[k])) / curvature if curvature > 0.0 else vabs(x[k])
    for i in range(count):
        if held[i] == 1:
            row = np.abs(rows[i * n : i * n + n])
            entries = np.sign(row)
            units[:n] = np.maximum(units[:n], sizes[i] * entries / (row + (1.0 - entries)))
    units[:n] = np.minimum(units[:n], top)


def measure_strains(n: int, count: int, rows: Array, multipliers: Array, forces: Array, strains: Array) -> None:
    """strains (count) := what a multiplier is to be compared with: the one that the terms of a row of the gradient that it stands in
    amount to; at most 1 + max |multipliers|."""
    top = 1.0 + largest(count, multipliers)
    for i in range(count):
        row = np.abs(rows[i * n : i * n + n])
        entries = np.sign(row)
        strains[i] = min(np.max(forces[:n] * entries / (row + (1.0 - entries))), top)


def measure_rows(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    held: Array,
    forces: Array,
    sizes: Array,
    units: Array,
    strains: Array,
) -> None:
    """All that rows are measured by: `sum_terms`, `measure_units` and `measure_strains`."""
    sum_terms(n, count, quadratic, linear, rows, sides, x, multipliers, forces, sizes)
    measure_units(n, count, quadratic, linear, rows, x, sizes, held, units)
    measure_strains(n, count, rows, multipliers, forces, strains)


def size_empty_rows(n: int, count: int, rows: Array, sides: Array, units: Array, sizes: Array) -> None:
    """sizes_i := at least the sum of |C_ik| units_k where the side is 0, so that all terms may vanish."""
    for i in range(count):
        if sides[i] == 0.0:
            sizes[i] = max(sizes[i], units_of_row(n, i, rows, units))


def units_of_row(n: int, i: int, rows: Array, units: Array) -> Element:
    """The sum of |C_ik| units_k."""
    return np.sum(np.abs(rows[i * n : i * n + n]) * units[:n])


def holds_by_rows(
    n: int,
    equations: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    slack: Array,
    rest: Array,
    tol: Element,
) -> bool:
    """Whether every row of `rest`, as `central_path.residuals` leaves it, and every product of slack and multiplier is at most tol
    times what its own row gives to compare with."""
    forces = buffer(x, n)
    sizes = buffer(x, count)
    units = buffer(x, n)
    strains = buffer(x, count)
    held = np.zeros(count, np.int64)
    for i in range(count):
        held[i] = 1 if i < equations or multipliers[i] > slack[i] else 0
    measure_rows(n, count, quadratic, linear, rows, sides, x, multipliers, held, forces, sizes, units, strains)
    size_empty_rows(n, count, rows, sides, units, sizes)
    floor = vanishing(x, 1.0 + largest(n, forces))
    for k in range(n):
        if not (vabs(rest[k]) <= tol * forces[k] + floor):
            return False
    for i in range(count):
        if not (vabs(rest[n + i]) <= tol * sizes[i] + floor):
            return False
        if i >= equations and not (slack[i] * multipliers[i] <= tol * sizes[i] * strains[i] + floor):
            return False
    return True
