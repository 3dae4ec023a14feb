"""Programs whose costs or sides span more decades than an element has digits, solved from the largest scale to the smallest.

An interior point sees a cost of 1 beside one of 1e12 as rounding: it ends where the large ones are settled, anywhere among the points that
they leave. There the rows that are pressed clearly are held as equations, and the program of the change that is left,

    minimise 1/2 d'Q d + (Q x + q + C_s' z_s)'d   subject to   C_s d = 0,  C_w d <= slack,

has costs of the next scale, by which it is measured; its multipliers are the changes of z_s and all of z_w. Unknowns are measured by the
sides that bound them, so that a narrow range is one, too. What is found counts only where the whole program certifies it row by row.
This is the lexicographic order that weights of ever other scale stand for; Sherali & Soyster, J. Optim. Theory Appl. 39 (1983) 173.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.active_set import certify
from implicitdsl.solvers.central_path import central_path
from implicitdsl.solvers.linear_algebra import epsilon_of, largest, matvec, matvec_transposed
from implicitdsl.solvers.presolve import close_up, drop_dependent, power_of_two_root, scale_program
from implicitdsl.solvers.row_terms import measure_strains, sum_terms
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, vabs

LEVELS = 6
CLEAR = 1e-5
"""Of the largest multiplier of a level, how much presses clearly."""
NOISE = 64.0
"""Last bits of its terms that are no slope."""


def solve_by_levels(
    n: int,
    equations: int,
    count: int,
    hessian: Array,
    cost: Array,
    rows: Array,
    sides: Array,
    tol: Element,
    max_steps: int,
    x: Array,
    multipliers: Array,
    held: Array,
    singular: Array,
    steps: Array,
) -> bool:
    """Whether the program could be solved so: x (n), multipliers (count), held and singular are then as `polish` leaves them, else as
    they were. The equations are independent; steps[0] grows by the iterations made."""
    units = buffer(x, n)
    weights = buffer(x, count)
    quadratic = hessian[: n * n].copy()
    table = rows[: count * n].copy()
    measure_by_sides(n, count, hessian, cost, rows, sides, units)
    for k in range(n):
        quadratic[k * n : k * n + n] *= units[k] * units[:n]
    for i in range(count):
        table[i * n : i * n + n] *= units[:n]
        weights[i] = power_of_two_root(largest(n, table[i * n : i * n + n])) ** 2.0
        table[i * n : i * n + n] *= weights[i]
    linear = cost[:n] * units[:n]
    limits = sides[:count] * weights[:count]
    point = buffer(x, n)
    force = buffer(x, count)
    strong = np.zeros(count, np.int64)
    strong[:equations] = 1
    for _ in range(LEVELS):
        if not solve_level(n, count, quadratic, linear, table, limits, tol, max_steps, point, force, strong, steps):
            return False
        trial = point * units
        pressure = force * weights
        guess = guess_by_rows(n, equations, count, quadratic, linear, table, limits, point, force)
        if certify(n, equations, count, hessian, cost, rows, sides, guess, trial, pressure, held, singular):
            x[:n] = trial
            multipliers[:count] = pressure
            return True
        slack = buffer(x, count)
        matvec(count, n, table, point, slack)
        slack = limits - slack
        clear = CLEAR * largest(count, force)
        for i in range(equations, count):
            if force[i] > clear and force[i] > vabs(slack[i]):
                strong[i] = 1
    return False


def measure_by_sides(n: int, count: int, hessian: Array, cost: Array, rows: Array, sides: Array, units: Array) -> None:
    """units (n) := the smallest value of each unknown at which a row meets its side alone, without one that at which its own cost is
    least, else 1; powers of 2."""
    for k in range(n):
        unit = epsilon_of(cost) * 0.0 + np.inf
        for i in range(count):
            if rows[i * n + k] != 0.0 and sides[i] != 0.0:
                unit = min(unit, vabs(sides[i] / rows[i * n + k]))
        if not (unit < np.inf) and hessian[k * n + k] > 0.0 and cost[k] != 0.0:
            unit = vabs(cost[k]) / hessian[k * n + k]
        units[k] = 1.0 / power_of_two_root(unit) ** 2.0 if unit > 0.0 and unit < np.inf else 1.0


def guess_by_rows(
    n: int,
    equations: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
) -> Array:
    """1 for equations and for inequalities whose multiplier is more of its terms than the slack is of its own, else 0."""
    guess = np.zeros(count, np.int64)
    forces = buffer(x, n)
    sizes = buffer(x, count)
    strains = buffer(x, count)
    slack = buffer(x, count)
    sum_terms(n, count, quadratic, linear, rows, sides, x, multipliers, forces, sizes)
    measure_strains(n, count, rows, multipliers, forces, strains)
    matvec(count, n, rows, x, slack)
    for i in range(count):
        gap = vabs(sides[i] - slack[i])
        guess[i] = 1 if i < equations or multipliers[i] * max(sizes[i], 1.0) > gap * strains[i] else 0
    return guess


def solve_level(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    tol: Element,
    max_steps: int,
    point: Array,
    force: Array,
    strong: Array,
    steps: Array,
) -> bool:
    """Moves point (n) and force (count) to the solution of the program of the change, rows of strong = 1 held as they are; whether
    there is one."""
    eps = epsilon_of(linear)
    forces = buffer(linear, n)
    sizes = buffer(linear, count)
    slope = buffer(linear, n)
    pull = buffer(linear, n)
    image = buffer(linear, count)
    for i in range(count):
        if strong[i] == 0:
            force[i] = 0.0
    sum_terms(n, count, quadratic, linear, rows, sides, point, force, forces, sizes)
    matvec(n, n, quadratic, point, slope)
    matvec_transposed(count, n, rows, force, pull)
    slope += linear + pull
    matvec(count, n, rows, point, image)
    fixed = find_fixed(n, count, rows, strong)
    top = eps * 0.0
    for k in range(n):
        if fixed[k] == 0 and vabs(slope[k]) > NOISE * eps * forces[k]:
            top = max(top, vabs(slope[k]))
    if not (top > 0.0):
        return False
    scale = power_of_two_root(top) ** 2.0
    hessian = quadratic * scale
    cost = slope * scale
    # An unknown that does not move must not set the scale of those that do.
    for k in range(n):
        if fixed[k] == 1:
            cost[k] = 0.0
            hessian[k * n : k * n + n] = 0.0
            for i in range(n):
                hessian[i * n + k] = 0.0
    table = buffer(linear, count * n)
    limits = buffer(linear, count)
    origin = np.zeros(count, np.int64)
    used = 0
    first = 0
    for part in range(2):
        for i in range(count):
            if strong[i] == 1 - part:
                table[used * n : used * n + n] = rows[i * n : i * n + n]
                if part == 1:
                    for k in range(n):
                        if fixed[k] == 1:
                            table[used * n + k] = 0.0
                    if largest(n, table[used * n : used * n + n]) == 0.0:
                        continue
                # What rounding left beyond a side is no room to the other one.
                limits[used] = sides[i] - image[i] if part == 0 else max(sides[i] - image[i], 0.0)
                origin[used] = i
                used += 1
        if part == 0:
            first = used
    kept = np.ones(count, np.int64)
    weights = buffer(linear, count)
    unused = buffer(linear, count)
    if drop_dependent(n, first, table, limits * 0.0, kept, unused) != 0:
        used, first = close_up(n, used, first, kept, table, limits, weights, origin)
    columns = buffer(linear, n)
    factor = scale_program(n, used, hessian, cost, table, limits, columns, weights)
    change = buffer(linear, n)
    press = buffer(linear, count)
    held = np.zeros(count, np.int64)
    singular = np.zeros(1, np.int64)
    more = np.zeros(1, np.int64)
    central_path(n, first, used, hessian, cost, table, limits, tol, max_steps, change, press, held, singular, more)
    steps[0] += more[0]
    if not (all_finite(n, change, 0) and all_finite(used, press, 0)):
        return False
    point += change * columns
    for i in range(used):
        force[origin[i]] += press[i] * weights[i] / (factor * scale)
    return True


def find_fixed(n: int, count: int, rows: Array, strong: Array) -> Array:
    """1 for the unknowns that a row of strong = 1 holds alone, else 0."""
    fixed = np.zeros(n, np.int64)
    for i in range(count):
        if strong[i] == 1:
            place = -1
            entries = 0
            for k in range(n):
                if rows[i * n + k] != 0.0:
                    place = k
                    entries += 1
            if entries == 1:
                fixed[place] = 1
    return fixed
