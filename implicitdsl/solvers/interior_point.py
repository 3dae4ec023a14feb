"""Convex quadratic and linear programs by a primal–dual interior point, finished by an exact active-set solve.

    minimise 1/2 x'Q x + q'x   subject to   A x = b,  G x <= h,  l <= x <= u

Mehrotra's predictor–corrector on the quasi-definite KKT matrix [Q + d, A', G'; A, -d, 0; G, 0, -(S/Z + d)], factored as LDL'
without pivoting; d = 1e-8 is a proximal term around the iterate, which keeps every pivot away from 0 at a vertex and moves no
fixed point. Infeasible and unbounded programs are found by their certificates, on the diverging iterates. Sources: Mehrotra,
SIAM J. Optim. 2 (1992); Friedlander & Orban, Math. Prog. Comp. 4 (2012), for the proximal terms; Wright, Primal-Dual
Interior-Point Methods (1997).
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.active_set import held_rows_matrix
from implicitdsl.solvers.central_path import central_path
from implicitdsl.solvers.certificates import find_farkas, find_ray, is_empty
from implicitdsl.solvers.linear_algebra import (
    cholesky_factor,
    epsilon_of,
    largest,
    matvec,
    rounding,
)
from implicitdsl.solvers.presolve import close_up, drop_dependent, gather_rows, scale_program, scale_unknowns
from implicitdsl.solvers.rank_revealing import independent_rows, orthogonal_factor
from implicitdsl.solvers.row_terms import measure_rows, size_empty_rows
from implicitdsl.solvers.scale_levels import solve_by_levels
from implicitdsl.solvers.status import (
    DEPENDENT_ROWS,
    INFEASIBLE,
    MAX_STEPS,
    NEAR_SINGULAR,
    NONCONVEX,
    NONFINITE,
    STALLED,
    SUCCESS,
    UNBOUNDED,
    WEAK_ACTIVE,
)
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, vabs

INACTIVE = 0
ACTIVE = 1
WEAK = 2


def interior_point(
    n: int,
    p: int,
    m: int,
    quadratic: Array,
    linear: Array,
    a: Array,
    b: Array,
    g: Array,
    h: Array,
    lower: Array,
    upper: Array,
    tol: Element,
    max_steps: int,
    x: Array,
    y: Array,
    z: Array,
    active: Array,
    notes: Array,
    steps: Array,
) -> int:
    """Solves the program and gives a status number.

    quadratic (n*n; its symmetric part counts), linear (n), a (p*n), b (p), g (m*n), h (m; infinite: no row), lower and upper (n,
    infinite where there is none) are left as they are. With L = f + y'(A x - b) + z'(G x - h; l - x; x - u) receive: x (n) the
    solution, y (p), z (m + 2n, the rows of G, then lower, then upper bounds; z >= 0), active (m + 2n, integers: 0 inactive, 1
    strongly, 2 weakly active), notes[0], steps[0].

    Notes: weak_active; dependent_rows (active rows dependent: multipliers not unique); near_singular (x is not unique).
    Statuses: success; max_steps; stalled; nonfinite (data); nonconvex; infeasible, (y, z) then being a Farkas certificate:
    A'y + G'z = 0, z >= 0, b'y + h'z < 0; unbounded, x then being a ray: Q x = 0, A x = 0, G x <= 0, q'x < 0.
    """
    eps = epsilon_of(linear)
    rows = buffer(linear, (p + m + 3 * n) * n)
    sides = buffer(linear, p + m + 3 * n)
    origin = np.zeros(p + m + 3 * n, np.int64)
    counts = np.zeros(2, np.int64)
    notes[0] = 0
    steps[0] = 0
    x[:n] = 0.0
    y[:p] = 0.0
    z[: m + 2 * n] = 0.0
    active[: m + 2 * n] = INACTIVE
    finite = all_finite(n * n, quadratic, 0) and all_finite(n, linear, 0) and all_finite(p * n, a, 0)
    if not (finite and all_finite(p, b, 0) and all_finite(m * n, g, 0)):
        return NONFINITE
    if np.any(np.isnan(h[:m])) or np.any(np.isnan(lower[:n])) or np.any(np.isnan(upper[:n])):
        return NONFINITE
    impossible = gather_rows(n, p, m, a, b, g, h, lower, upper, rows, sides, origin, counts)
    if impossible >= 0:
        z[impossible] = 1.0
        if impossible >= m:
            z[impossible + n] = 1.0
        return INFEASIBLE
    total = counts[0] + counts[1]
    hessian = buffer(linear, n * n)
    for i in range(n):
        for k in range(n):
            hessian[i * n + k] = 0.5 * (quadratic[i * n + k] + quadratic[k * n + i])
    cost = linear[:n].copy()
    columns = buffer(linear, n)
    weights = buffer(linear, total)
    factor = scale_program(n, total, hessian, cost, rows, sides, columns, weights)
    if not is_convex(n, hessian):
        return NONCONVEX
    multipliers = buffer(linear, total)
    kept = np.ones(total, np.int64)
    dependent = drop_dependent(n, counts[0], rows, sides, kept, multipliers)
    if dependent < 0:
        for i in range(counts[0]):
            store_multiplier(p, n, origin[i], True, multipliers[i] * weights[i], y, z)
        return INFEASIBLE
    if dependent > 0:
        notes[0] = notes[0] | DEPENDENT_ROWS
        multipliers[:] = 0.0
    count, equations = close_up(n, total, counts[0], kept, rows, sides, weights, origin)
    size, strain = scale_unknowns(n, equations, count, hessian, cost, sides)
    strain /= factor
    held = np.zeros(count, np.int64)
    singular = np.zeros(1, np.int64)
    status = central_path(
        n, equations, count, hessian, cost, rows, sides, tol, max_steps, x, multipliers, held, singular, steps
    )
    if status == UNBOUNDED:
        # A ray is no answer where no point meets the rows.
        if is_empty(n, equations, count, rows, sides, tol, max_steps, multipliers, steps):
            status = INFEASIBLE
    elif status == STALLED or status == MAX_STEPS:
        # An empty set may lead the path anywhere.
        if find_farkas(n, equations, count, rows, sides, tol, max_steps, multipliers, steps):
            status = INFEASIBLE
        elif find_ray(n, equations, count, hessian, cost, rows, tol, max_steps, x, steps):
            status = UNBOUNDED
        elif status == STALLED and solve_by_levels(
            n, equations, count, hessian, cost, rows, sides, tol, max_steps, x, multipliers, held, singular, steps
        ):
            status = SUCCESS
    if status == SUCCESS:
        kinds = np.zeros(count, np.int64)
        notes[0] = notes[0] | classify(n, equations, count, hessian, cost, rows, sides, x, multipliers, held, kinds)
        for i in range(equations, count):
            active[origin[i] - p] = kinds[i]
    if status == INFEASIBLE:
        normalise(count, multipliers)
        strain = 1.0 + 0.0 * factor
    for i in range(count):
        at = store_multiplier(p, n, origin[i], i < equations, multipliers[i] * weights[i] * strain, y, z)
        if status == SUCCESS and i < equations and at >= 0:
            active[at] = ACTIVE
    x[:n] *= columns[:n] * size
    if status == UNBOUNDED:
        normalise(n, x)
    for k in range(n):
        # A variable at its bound is the bound, to the last bit.
        if status == SUCCESS and active[m + k] == ACTIVE:
            x[k] = lower[k]
        if status == SUCCESS and active[m + n + k] == ACTIVE:
            x[k] = upper[k]
    if status != SUCCESS and not all_finite(n, x, 0):
        x[:n] = 0.0 * eps
    return status


def store_multiplier(p: int, n: int, place: int, equation: bool, value: Element, y: Array, z: Array) -> int:
    """Writes a row's multiplier where the row came from, and gives its place in z (-1: in y).

    The equation of a fixed variable presses on the upper bound where its multiplier is positive, else on the lower one.
    """
    if place < p:
        y[place] = value
        return -1
    at = place - p
    if equation and value > 0.0:
        at += n
    z[at] = vabs(value) if equation else value
    return at


def normalise(n: int, x: Array) -> None:
    """x := x / max |x_i|, where that is finite and positive: a certificate has a direction and no size."""
    top = largest(n, x)
    if top > 0.0 and top < np.inf:
        x[:n] /= top


def is_convex(n: int, hessian: Array) -> bool:
    """Whether the matrix is positive semidefinite up to rounding: Cholesky after a shift of a few last bits of its size."""
    top = largest(n * n, hessian)
    if top == 0.0:
        return True
    shifted = buffer(hessian, n * n)
    copy(n * n, hessian, 0, shifted, 0)
    for k in range(n):
        shifted[k * n + k] += 1e2 * n * epsilon_of(hessian) * top
    return cholesky_factor(n, shifted)


def classify(
    n: int,
    equations: int,
    count: int,
    hessian: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    held: Array,
    kinds: Array,
) -> int:
    """kinds[i] := inactive, strongly or weakly active for every inequality; gives the notes that the active set earns."""
    eps = epsilon_of(x)
    slack = buffer(x, count)
    matvec(count, n, rows, x, slack)
    near = rounding(eps, 1e6)
    forces = buffer(x, n)
    sizes = buffer(x, count)
    units = buffer(x, n)
    strains = buffer(x, count)
    measure_rows(n, count, hessian, linear, rows, sides, x, multipliers, held, forces, sizes, units, strains)
    size_empty_rows(n, count, rows, sides, units, sizes)
    marks = np.zeros(count, np.int64)
    notes = 0
    total = 0
    for i in range(count):
        touching = held[i] == 1 or vabs(sides[i] - slack[i]) <= near * sizes[i]
        pressed = multipliers[i] > near * strains[i]
        if i >= equations and touching:
            kinds[i] = ACTIVE if pressed else WEAK
            if not pressed:
                notes = notes | WEAK_ACTIVE
        if i < equations or touching:
            marks[i] = 1
            total += 1
    active_rows = buffer(x, total * n)
    place = 0
    for i in range(count):
        if marks[i] == 1:
            active_rows[place * n : place * n + n] = rows[i * n : i * n + n]
            place += 1
    chosen = np.zeros(total, np.int64)
    rank = independent_rows(total, n, active_rows, rounding(eps, 1e4 * n), chosen) if total > 0 else 0
    if rank < total:
        notes = notes | DEPENDENT_ROWS
    kkt = buffer(x, (n + total) * (n + total))
    whole = held_rows_matrix(n, count, hessian, rows, marks, kkt)
    tau = buffer(x, whole)
    order = np.zeros(whole, np.int64)
    right = buffer(x, whole * whole)
    right_tau = buffer(x, whole)
    full = orthogonal_factor(whole, whole, kkt, rounding(eps, 1e4 * whole), tau, order, right, right_tau)
    if whole - full > total - rank:
        notes = notes | NEAR_SINGULAR
    return notes
