"""A quadratic program in the form the interior point works on: finite rows only, scaled, equalities independent.

Rows of the program are, in this order, the inequalities G x <= h, the lower bounds -x <= -l, the upper bounds x <= u; a row
whose right-hand side is infinite is left out, a variable with l = u becomes an equation. One sample at a time: what is left out
depends on its data. Scaling by powers of 2, as in Ruiz, RAL-TR-2001-034, on the whole KKT matrix.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.linear_algebra import epsilon_of, largest, rounding
from implicitdsl.solvers.rank_revealing import independent_rows, orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.vocabulary import Array, Element, buffer, vabs

ORDINARY = 64.0
"""The size of unknowns, or one over it, up to which a program is not scaled by it."""


def gather_rows(
    n: int,
    p: int,
    m: int,
    a: Array,
    b: Array,
    g: Array,
    h: Array,
    lower: Array,
    upper: Array,
    rows: Array,
    sides: Array,
    origin: Array,
    counts: Array,
) -> int:
    """Writes the equations, then the finite inequalities, into rows ((p + m + 3n)*n) and sides; gives -1, or the row no x meets.

    origin holds where each comes from: 0…p-1 equations, then p + place of the row in the program; a fixed variable is an equation
    whose origin is its lower bound. counts[0], counts[1] receive the numbers of equations and of inequalities. An impossible row
    is a lower bound above its upper one, a row of zeros with a negative side, or a side of -inf.
    """
    count = 0
    rows[:] = 0.0
    for i in range(p):
        rows[count * n : count * n + n] = a[i * n : i * n + n]
        sides[count] = b[i]
        origin[count] = i
        count += 1
    for k in range(n):
        if lower[k] == upper[k]:
            rows[count * n + k] = 1.0
            sides[count] = lower[k]
            origin[count] = p + m + k
            count += 1
    counts[0] = count
    for i in range(m):
        if h[i] == -np.inf or (h[i] < 0.0 and largest(n, g[i * n : i * n + n]) == 0.0):
            return i
        if h[i] < np.inf and largest(n, g[i * n : i * n + n]) > 0.0:
            rows[count * n : count * n + n] = g[i * n : i * n + n]
            sides[count] = h[i]
            origin[count] = p + i
            count += 1
    for k in range(n):
        if lower[k] > upper[k] or lower[k] == np.inf or upper[k] == -np.inf:
            return m + k
        if lower[k] > -np.inf and lower[k] < upper[k]:
            rows[count * n + k] = -1.0
            sides[count] = -lower[k]
            origin[count] = p + m + k
            count += 1
    for k in range(n):
        if upper[k] < np.inf and lower[k] < upper[k]:
            rows[count * n + k] = 1.0
            sides[count] = upper[k]
            origin[count] = p + m + n + k
            count += 1
    counts[1] = count - counts[0]
    return -1


def scale_program(
    n: int, count: int, quadratic: Array, linear: Array, rows: Array, sides: Array, columns: Array, weights: Array
) -> Element:
    """Scales the program in place: x = columns * x', row i times weights_i, objective times the factor that it gives."""
    columns[:n] = 1.0
    weights[:count] = 1.0
    square = quadratic[: n * n].reshape((n, n))
    table = rows[: count * n].reshape((count, n))
    step = buffer(linear, n)
    for _ in range(3):
        for k in range(n):
            top = np.max(np.abs(square[:, k]))
            if count > 0:
                top = max(top, np.max(np.abs(table[:, k])))
            step[k] = power_of_two_root(top)
            columns[k] *= step[k]
            square[:, k] *= step[k]
        for k in range(n):
            square[k] *= step[k]
        for i in range(count):
            table[i] *= step
            weight = power_of_two_root(np.max(np.abs(table[i])))
            weights[i] *= weight
            table[i] *= weight
    linear[:n] *= columns[:n]
    sides[:count] *= weights[:count]
    top = max(largest(n, linear), largest(n * n, quadratic))
    factor = power_of_two_root(top) ** 2.0
    quadratic[: n * n] *= factor
    linear[:n] *= factor
    return factor


def scale_unknowns(
    n: int, equations: int, count: int, quadratic: Array, linear: Array, sides: Array
) -> tuple[Element, Element]:
    """Scales a program that `scale_program` has left in place once more, by one size of all unknowns: x = size * x'. Gives that size,
    and what multipliers are to be multiplied by.

    The size is that of the sides of equations, or of the slopes beside the curvature or the sides of inequalities, whichever of these
    two is less; a linear program has sides alone. Where it is within ORDINARY of 1 the program is left as it is.
    """
    one = 1.0 + 0.0 * epsilon_of(linear)
    curvature = largest(n * n, quadratic)
    held = mean_binade(equations, sides)
    size = mean_binade(count - equations, sides[equations:count])
    if curvature > 0.0:
        slope = mean_binade(n, linear) / power_of_two(curvature)
        if slope > 0.0:
            size = min(slope, size) if size > 0.0 else slope
    size = max(held, size)
    if size == 0.0 or (size <= ORDINARY and size * ORDINARY >= 1.0):
        return one, one
    sides[:count] /= size
    if curvature == 0.0:
        return size, one
    linear[:n] /= size
    factor = power_of_two_root(max(largest(n, linear), curvature)) ** 2.0
    quadratic[: n * n] *= factor
    linear[:n] *= factor
    return size, size / factor


def power_of_two(x: Element) -> Element:
    """The power of 2 nearest to a positive number, on a scale of ratios."""
    return 2.0 ** np.round(np.log2(x))


def mean_binade(n: int, x: Array) -> Element:
    """The power of 2 nearest to the geometric mean of the |x_i| that are not 0; 0 without any."""
    total = 0.0 * epsilon_of(x)
    count = 0
    for i in range(n):
        if x[i] != 0.0:
            total += np.log2(vabs(x[i]))
            count += 1
    return 2.0 ** np.round(total / count) if count > 0 else total


def power_of_two_root(top: Element) -> Element:
    """About 1/sqrt(top) as a power of 2; 1 for 0."""
    if not (top > 0.0):
        return 1.0 + 0.0 * top
    return 2.0 ** np.round(-0.5 * np.log2(top))


def drop_dependent(n: int, count: int, rows: Array, sides: Array, kept: Array, certificate: Array) -> int:
    """kept[i] := 1 for a largest independent set of the equations, else 0; gives 0, 1 if some depend, -1 if some contradict.

    A contradiction writes into certificate the weights c with c' rows = 0 and c' sides < 0.
    """
    eps = epsilon_of(rows)
    if count == 0:
        return 0
    rank = independent_rows(count, n, rows, rounding(eps, 1e4 * n), kept)
    if rank == count:
        return 0
    size = max(rank, 1)
    basis = buffer(rows, n * size)
    place = 0
    for i in range(count):
        if kept[i] == 1:
            for k in range(n):
                basis[k * size + place] = rows[i * n + k]
            place += 1
    tau = buffer(rows, min(n, size))
    order = np.zeros(size, np.int64)
    right = buffer(rows, size * size)
    right_tau = buffer(rows, size)
    weights = buffer(rows, size)
    column = buffer(rows, n)
    orthogonal_factor(n, size, basis, rounding(eps, 1e2 * n), tau, order, right, right_tau)
    for i in range(count):
        if kept[i] == 0:
            column[:n] = rows[i * n : i * n + n]
            weights[:size] = 0.0
            if rank > 0:
                orthogonal_solve(n, size, rank, basis, tau, order, right, right_tau, column, weights)
            # A weight that is rounding alone would make a contradiction of any side that it meets.
            noise = rounding(eps, 1e2 * n) * max(1.0, largest(size, weights))
            for k in range(size):
                if vabs(weights[k]) <= noise:
                    weights[k] = 0.0
            gap = sides[i]
            whole = vabs(sides[i])
            place = 0
            for k in range(count):
                if kept[k] == 1:
                    gap -= weights[place] * sides[k]
                    whole += vabs(weights[place] * sides[k])
                    place += 1
            if not (vabs(gap) <= rounding(eps, 1e6 * n) * whole):
                sign = -1.0 if gap > 0.0 else 1.0
                certificate[:count] = 0.0
                certificate[i] = sign
                place = 0
                for k in range(count):
                    if kept[k] == 1:
                        certificate[k] = -sign * weights[place]
                        place += 1
                return -1
    return 1


def close_up(
    n: int, count: int, equations: int, kept: Array, rows: Array, sides: Array, weights: Array, origin: Array
) -> tuple[int, int]:
    """Moves the rows of kept = 1, with their sides, weights and origins, to the beginning; gives their number, and that of the
    equations among them."""
    place = 0
    first = 0
    for i in range(count):
        if kept[i] == 1:
            rows[place * n : place * n + n] = rows[i * n : i * n + n]
            sides[place] = sides[i]
            weights[place] = weights[i]
            origin[place] = origin[i]
            place += 1
            first += 1 if i < equations else 0
    return place, first
