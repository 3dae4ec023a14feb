"""Proofs that a convex program has no solution, found as projections: the nearest Farkas certificate and the nearest ray.

For the rows C (the first `equations` of them with =, the others with <=) and sides s, the multipliers

    argmin 1/2 |v|^2 + s'v   subject to   C'v = 0,  v_i >= 0 for the inequalities

are 0 where the rows can be met and else a Farkas certificate, s'v = -|v|^2 < 0; -v is then the least change of the sides that
makes the program feasible. In the same way the steepest ray is the projection of -q on the cone {Q d = 0, C d = 0 or <= 0}. Both
are strictly convex programs with a feasible point, which the central path solves where the program itself leads nowhere. What is
found is a proof only if it is verified. Source: Boyd & Vandenberghe, Convex Optimization (2004), 5.8.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.central_path import central_path
from implicitdsl.solvers.linear_algebra import epsilon_of, largest
from implicitdsl.solvers.proofs import proves_infeasible, proves_unbounded
from implicitdsl.solvers.rank_revealing import independent_rows
from implicitdsl.solvers.status import INFEASIBLE, SUCCESS
from implicitdsl.solvers.vocabulary import Array, Element, buffer, copy


def find_farkas(
    n: int,
    equations: int,
    count: int,
    rows: Array,
    sides: Array,
    tol: Element,
    max_steps: int,
    multipliers: Array,
    steps: Array,
) -> bool:
    """multipliers (count) := a certificate that no x meets the rows (count*n), if there is one; whether it is verified.

    steps[0] grows by the iterations made.
    """
    inner = count - equations
    whole = n + inner
    top = largest(count, sides)
    if count == 0 or not (top > 0.0):
        return False
    identity = buffer(sides, count * count)
    cost = buffer(sides, count)
    cone = buffer(sides, whole * count)
    for i in range(count):
        identity[i * count + i] = 1.0
        # The certificate has no size: one for sides of size 1 serves.
        cost[i] = sides[i] / top
        for k in range(n):
            cone[k * count + i] = rows[i * n + k]
    for i in range(inner):
        cone[(n + i) * count + equations + i] = -1.0
    point = buffer(sides, count)
    nearest(count, n, whole, identity, cost, cone, tol, max_steps, point, steps)
    for i in range(equations, count):
        point[i] = max(point[i], 0.0)
    if not proves_infeasible(n, count, rows, sides, point):
        return False
    copy(count, point, 0, multipliers, 0)
    return True


def find_ray(
    n: int,
    equations: int,
    count: int,
    hessian: Array,
    cost: Array,
    rows: Array,
    tol: Element,
    max_steps: int,
    x: Array,
    steps: Array,
) -> bool:
    """x (n) := a direction along which the objective falls without end and every row goes on to hold; whether it is verified.

    steps[0] grows by the iterations made.
    """
    whole = n + count
    identity = buffer(cost, n * n)
    cone = buffer(cost, whole * n)
    for k in range(n):
        identity[k * n + k] = 1.0
    copy(n * n, hessian, 0, cone, 0)
    copy(count * n, rows, 0, cone, n * n)
    point = buffer(cost, n)
    nearest(n, n + equations, whole, identity, cost, cone, tol, max_steps, point, steps)
    if not proves_unbounded(n, equations, count, hessian, cost, rows, point):
        return False
    copy(n, point, 0, x, 0)
    return True


def is_empty(
    n: int,
    equations: int,
    count: int,
    rows: Array,
    sides: Array,
    tol: Element,
    max_steps: int,
    multipliers: Array,
    steps: Array,
) -> bool:
    """Whether no x meets the rows: multipliers (count) is then a certificate. Asked where one is unlikely: the point of least norm that
    meets them is sought first, a program of half the size of `find_farkas`.

    steps[0] grows by the iterations made.
    """
    if count == 0:
        return False
    identity = buffer(sides, n * n)
    for k in range(n):
        identity[k * n + k] = 1.0
    origin = buffer(sides, n)
    point = buffer(sides, n)
    held = np.zeros(count, np.int64)
    singular = np.zeros(1, np.int64)
    more = np.zeros(1, np.int64)
    status = central_path(
        n, equations, count, identity, origin, rows, sides, tol, max_steps, point, multipliers, held, singular, more
    )
    steps[0] += more[0]
    if status == SUCCESS or status == INFEASIBLE:
        return status == INFEASIBLE
    return find_farkas(n, equations, count, rows, sides, tol, max_steps, multipliers, steps)


def nearest(
    n: int,
    equations: int,
    count: int,
    identity: Array,
    cost: Array,
    rows: Array,
    tol: Element,
    max_steps: int,
    point: Array,
    steps: Array,
) -> None:
    """point := the projection of -cost on the cone rows point = 0 (the equations) or <= 0; whatever comes out has to be verified."""
    kept = np.ones(count, np.int64)
    independent_rows(equations, n, rows, 1e4 * n * epsilon_of(cost), kept)
    used = 0
    first = 0
    chosen = buffer(cost, count * n)
    for i in range(count):
        if kept[i] == 1:
            chosen[used * n : used * n + n] = rows[i * n : i * n + n]
            used += 1
            first += 1 if i < equations else 0
    zeros = buffer(cost, used)
    multipliers = buffer(cost, used)
    held = np.zeros(used, np.int64)
    singular = np.zeros(1, np.int64)
    more = np.zeros(1, np.int64)
    central_path(
        n, first, used, identity, cost, chosen, zeros, tol, max_steps, point, multipliers, held, singular, more
    )
    steps[0] += more[0]
