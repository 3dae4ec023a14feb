"""The interior-point iteration on a scaled program, and its certificates; `interior_point` is the door to it.

minimise 1/2 x'Q x + q'x   subject to   rows 0…equations-1 with =, rows equations…count-1 with <=
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.active_set import held_rows_matrix, polish
from implicitdsl.solvers.linear_algebra import (
    epsilon_of,
    largest,
    ldl_factor,
    ldl_solve,
    matvec,
    matvec_transposed,
)
from implicitdsl.solvers.proofs import (
    NEAR,
    close_enough,
    farkas_miss,
    project_farkas,
    project_ray,
    proves_unbounded,
    ray_miss,
)
from implicitdsl.solvers.row_terms import holds_by_rows
from implicitdsl.solvers.status import INFEASIBLE, MAX_STEPS, STALLED, SUCCESS, UNBOUNDED
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, vabs

PATIENCE = 2
"""Iterations without progress after which there is no second-order corrector: with it Mehrotra's steps may run in a circle (Cartis,
Appl. Numer. Math. 59 (2009))."""
VAIN = 8
"""Iterations after which rows that do not hold where the largest do are left to others."""
CENTRE = 0.5
"""Of the mean complementarity, how much such a step aims at."""


def central_path(
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
) -> int:
    """Follows the central path from a cold start until the active-set solve certifies an exact solution; gives a status number.

    x (n) and multipliers (count) receive the solution, a Farkas certificate (multipliers) or a ray (x); held and singular as in
    `polish`.
    """
    eps = epsilon_of(x)
    delta = max(1e-8 + 0.0 * eps, 0.1 * eps**0.5)
    size = n + count
    base = buffer(x, size * size)
    everything = np.ones(count, np.int64)
    held_rows_matrix(n, count, hessian, rows, everything, base)
    matrix = buffer(x, size * size)
    factors = buffer(x, size * size)
    slack = buffer(x, count)
    rest = buffer(x, size)
    rhs = buffer(x, size)
    step = buffer(x, size)
    slack_step = buffer(x, count)
    complement = buffer(x, count)
    if not starting_point(n, equations, count, base, cost, sides, delta, matrix, factors, x, multipliers, slack):
        return STALLED
    inner = count - equations
    best = np.inf + 0.0 * eps
    stuck = 0
    vain = 0
    proximal = delta
    empty = NEAR + 0.0 * eps
    endless = NEAR + 0.0 * eps
    drifting = NEAR + 0.0 * eps
    proof = buffer(x, size)
    along = np.zeros(count, np.int64)
    for iteration in range(max_steps + 1):
        worst = residuals(n, equations, count, hessian, cost, rows, sides, x, multipliers, slack, rest)
        mu = mean_product(equations, count, slack, multipliers)
        if not (all_finite(size, rest, 0) and mu < np.inf):
            return STALLED
        near = max(worst, mu)
        if near <= max(1e-6, 10.0 * tol) and polish(
            n, equations, count, hessian, cost, rows, sides, x, multipliers, held, singular
        ):
            return SUCCESS
        if near <= 1e-3 * tol or (near <= tol and stuck >= 6):
            if holds_by_rows(n, equations, count, hessian, cost, rows, sides, x, multipliers, slack, rest, tol):
                for i in range(count):
                    held[i] = 1 if i < equations or multipliers[i] > slack[i] else 0
                return SUCCESS
            # The largest rows are settled: a few steps more may settle small ones, many only take products to where they vanish.
            vain += 1
            if vain > VAIN:
                return STALLED
        miss = farkas_miss(n, count, rows, sides, multipliers)
        drift = ray_miss(n, equations, count, hessian, cost, rows, x)
        if miss <= close_enough(rows):
            return INFEASIBLE
        if drift <= close_enough(rows):
            return UNBOUNDED
        if miss <= empty:
            empty = 0.5 * miss
            if project_farkas(n, equations, count, rows, sides, multipliers, proof):
                copy(count, proof, 0, multipliers, 0)
                return INFEASIBLE
        if drift <= endless:
            endless = 0.5 * drift
            for i in range(count):
                along[i] = 1 if i < equations or multipliers[i] > slack[i] else 0
            if project_ray(n, equations, count, hessian, cost, rows, along, x, proof):
                copy(n, proof, 0, x, 0)
                return UNBOUNDED
        # Far out, or where nothing is gained, the last change is a cleaner proof than the iterate, which still carries the data of the
        # objective.
        if iteration > 0 and (largest(count, multipliers) > 1e4 or stuck >= PATIENCE):
            for i in range(count):
                rhs[i] = step[n + i] if i < equations else max(step[n + i], 0.0)
            miss = farkas_miss(n, count, rows, sides, rhs)
            if miss <= close_enough(rows):
                copy(count, rhs, 0, multipliers, 0)
                return INFEASIBLE
            if miss <= drifting:
                drifting = 0.5 * miss
                if project_farkas(n, equations, count, rows, sides, rhs, proof):
                    copy(count, proof, 0, multipliers, 0)
                    return INFEASIBLE
        if iteration > 0 and largest(n, x) > 1e4 and proves_unbounded(n, equations, count, hessian, cost, rows, step):
            copy(n, step, 0, x, 0)
            return UNBOUNDED
        stuck = 0 if near < 0.9 * best else stuck + 1
        best = min(best, near)
        if stuck >= 40:
            return STALLED
        if iteration == max_steps:
            break
        steps[0] = iteration + 1
        for i in range(equations, count):
            complement[i] = slack[i] * multipliers[i]
        # Predictor, then corrector, on one factorisation; where rounding spoils it a larger proximal term does not.
        newton_side(n, equations, count, rest, complement, multipliers, rhs)
        proximal = max(delta, 1e-2 * proximal)
        solved = False
        while not solved:
            kkt_matrix(n, equations, count, base, slack, multipliers, proximal, matrix)
            copy(size * size, matrix, 0, factors, 0)
            if ldl_factor(size, n, 0.5 * proximal, factors):
                solved = refined_solve(size, matrix, factors, rhs, step) <= 0.1
            if not solved:
                proximal *= 1e2
                if not (proximal < 1.0):
                    return STALLED
        for stage in range(2):
            if stage == 1:
                newton_side(n, equations, count, rest, complement, multipliers, rhs)
                refined_solve(size, matrix, factors, rhs, step)
            for i in range(equations, count):
                slack_step[i] = -(complement[i] + slack[i] * step[n + i]) / multipliers[i]
            if stage == 0 and inner > 0:
                reach = longest_step(n, equations, count, slack, multipliers, slack_step, step, 1.0 + 0.0 * eps)
                after = 0.0 * eps
                for i in range(equations, count):
                    after += (slack[i] + reach * slack_step[i]) * (multipliers[i] + reach * step[n + i])
                after /= inner
                target = mu * (after / mu) ** 3
                for i in range(equations, count):
                    # A corrector that overshoots may come back to where it was: then the step is Newton's to a centre.
                    if stuck < PATIENCE:
                        complement[i] += slack_step[i] * step[n + i] - target
                    else:
                        complement[i] -= max(target, CENTRE * mu)
        reach = longest_step(n, equations, count, slack, multipliers, slack_step, step, 0.99 + 0.0 * eps)
        x[:n] += reach * step[:n]
        multipliers[:count] += reach * step[n : n + count]
        slack[equations:count] += reach * slack_step[equations:count]
    return MAX_STEPS


def starting_point(
    n: int,
    equations: int,
    count: int,
    base: Array,
    cost: Array,
    sides: Array,
    delta: Element,
    matrix: Array,
    factors: Array,
    x: Array,
    multipliers: Array,
    slack: Array,
) -> bool:
    """The least-squares point of primal and dual feasibility, its slacks and multipliers pushed inside; whether it is finite."""
    size = n + count
    rhs = buffer(x, size)
    step = buffer(x, size)
    slack[:count] = 1.0
    multipliers[:count] = 1.0
    kkt_matrix(n, equations, count, base, slack, multipliers, delta, matrix)
    copy(size * size, matrix, 0, factors, 0)
    if not ldl_factor(size, n, 0.5 * delta, factors):
        return False
    for k in range(n):
        rhs[k] = -cost[k]
    rhs[n:size] = sides[:count]
    refined_solve(size, matrix, factors, rhs, step)
    # A free direction without curvature sends the point 1/delta away, which says nothing; the origin is as good a start.
    if not (largest(size, step) <= 1e6):
        step[:size] = 0.0
    x[:n] = step[:n]
    multipliers[:equations] = step[n : n + equations]
    low_slack = epsilon_of(x) * 0.0
    low_force = epsilon_of(x) * 0.0
    for i in range(equations, count):
        slack[i] = -step[n + i]
        multipliers[i] = step[n + i]
        low_slack = max(low_slack, -1.5 * slack[i])
        low_force = max(low_force, -1.5 * multipliers[i])
    for i in range(equations, count):
        slack[i] += low_slack + 1.0
        multipliers[i] += low_force + 1.0
    return all_finite(size, step, 0)


def kkt_matrix(
    n: int, equations: int, count: int, base: Array, slack: Array, multipliers: Array, delta: Element, matrix: Array
) -> None:
    """matrix := [Q + delta, C'; C, -(S/Z + delta)], the equations having no S/Z."""
    size = n + count
    copy(size * size, base, 0, matrix, 0)
    for k in range(n):
        matrix[k * size + k] += delta
    for i in range(count):
        place = n + i
        ratio = slack[i] / multipliers[i] if i >= equations else 0.0 * delta
        matrix[place * size + place] = -ratio - delta


def newton_side(
    n: int, equations: int, count: int, rest: Array, complement: Array, multipliers: Array, rhs: Array
) -> None:
    """rhs := -rest, with the slacks' steps eliminated, of which `complement` is what slack times multiplier has to lose."""
    rhs[: n + count] = -rest[: n + count]
    for i in range(equations, count):
        rhs[n + i] += complement[i] / multipliers[i]


def refined_solve(size: int, matrix: Array, factors: Array, rhs: Array, step: Array) -> Element:
    """step := matrix^-1 rhs by the LDL' factors and one refinement, which a matrix of such a range of sizes needs.

    Gives the largest residual before the refinement, relative to the largest of rhs; infinite where the step is not finite.
    """
    rest = buffer(rhs, size)
    copy(size, rhs, 0, step, 0)
    ldl_solve(size, factors, step)
    matvec(size, size, matrix, step, rest)
    for k in range(size):
        rest[k] = rhs[k] - rest[k]
    top = largest(size, rhs)
    quality = largest(size, rest) / top if top > 0.0 else 0.0 * top
    ldl_solve(size, factors, rest)
    step[:size] += rest[:size]
    return quality if all_finite(size, step, 0) else np.inf + 0.0 * epsilon_of(rhs)


def residuals(
    n: int,
    equations: int,
    count: int,
    hessian: Array,
    cost: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    slack: Array,
    rest: Array,
) -> Element:
    """rest := (Q x + q + C' multipliers, C x + slack - sides), and its largest entry relative to the sizes of its terms."""
    curve = buffer(x, n)
    pull = buffer(x, n)
    image = buffer(x, count)
    matvec(n, n, hessian, x, curve)
    matvec_transposed(count, n, rows, multipliers, pull)
    matvec(count, n, rows, x, image)
    worst = epsilon_of(x) * 0.0
    force = 1.0 + max(largest(n, curve), largest(n, pull), largest(n, cost))
    size = 1.0 + max(largest(count, image), largest(count, sides))
    for k in range(n):
        rest[k] = curve[k] + cost[k] + pull[k]
        worst = max(worst, vabs(rest[k]) / force)
    for i in range(count):
        rest[n + i] = image[i] - sides[i] + (slack[i] if i >= equations else 0.0)
        worst = max(worst, vabs(rest[n + i]) / size)
    return worst


def mean_product(equations: int, count: int, slack: Array, multipliers: Array) -> Element:
    """The mean of slack times multiplier over the inequalities, 0 without any."""
    total = epsilon_of(slack) * 0.0
    for i in range(equations, count):
        total += slack[i] * multipliers[i]
    return total / max(count - equations, 1)


def longest_step(
    n: int,
    equations: int,
    count: int,
    slack: Array,
    multipliers: Array,
    slack_step: Array,
    step: Array,
    fraction: Element,
) -> Element:
    """The largest step up to 1 that keeps slacks and multipliers positive, times fraction where they limit it."""
    reach = 1.0 + 0.0 * fraction
    for i in range(equations, count):
        if slack_step[i] < 0.0:
            reach = min(reach, -fraction * slack[i] / slack_step[i])
        if step[n + i] < 0.0:
            reach = min(reach, -fraction * multipliers[i] / step[n + i])
    return reach
