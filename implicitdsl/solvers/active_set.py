"""The exact solution of a quadratic program from a near one: guess the active rows, solve, certify, mend the guess.

With the active rows held as equations the KKT system is linear and its solution exact; it is taken only when every row holds, no
multiplier is negative and the residual is at rounding. A singular system is solved by the least-norm correction, which keeps
multipliers that are not unique next to the positive ones of the interior point. Source: Stellato et al., OSQP, Math. Prog.
Comp. 12 (2020), 4; the mending is a primal–dual active set step (Hintermüller, Ito, Kunisch, SIAM J. Optim. 13 (2002)).
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.linear_algebra import (
    epsilon_of,
    inverse_norm,
    largest,
    lu_factor,
    lu_solve,
    matvec,
    matvec_transposed,
    rounding,
)
from implicitdsl.solvers.rank_revealing import orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.row_terms import (
    is_stationary,
    measure_rows,
    share_of_terms,
    sum_terms,
    units_of_row,
    vanishing,
)
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, vabs

LEAKED = 8.0
"""Last bits of what unknowns are measured by that a row held at 0 may be off by where dependent rows share their rounding."""
USUAL = 3
SWEEPS = 6
"""Corrections that end at rounding by the largest entry, and at most, where rows of small terms need more."""


def polish(
    n: int,
    equations: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    x: Array,
    multipliers: Array,
    active: Array,
    singular: Array,
) -> bool:
    """Replaces x (n) and multipliers (count) by the exact ones if a guess is certified, and says whether.

    rows (count*n) holds the equations first, then the inequalities. active[i] receives 1 for a row held, 0 for one that is free;
    singular[0] 1 if the KKT matrix was singular, else 0.
    """
    guess = np.zeros(count, np.int64)
    slack = buffer(x, count)
    matvec(count, n, rows, x, slack)
    for i in range(count):
        guess[i] = 1 if i < equations or multipliers[i] > sides[i] - slack[i] else 0
    return certify(n, equations, count, quadratic, linear, rows, sides, guess, x, multipliers, active, singular)


def certify(
    n: int,
    equations: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    guess: Array,
    x: Array,
    multipliers: Array,
    active: Array,
    singular: Array,
) -> bool:
    """As `polish`, from the rows of guess = 1, which is mended."""
    eps = epsilon_of(x)
    slack = buffer(x, count)
    point = buffer(x, n)
    trial = buffer(x, count)
    forces = buffer(x, n)
    sizes = buffer(x, count)
    strains = buffer(x, count)
    units = buffer(x, n)
    share = share_of_terms(eps, n, count)
    for _ in range(12):
        copy(n, x, 0, point, 0)
        for i in range(count):
            trial[i] = multipliers[i] if guess[i] == 1 else 0.0 * eps
        rank_lost = held_rows_solution(n, count, quadratic, linear, rows, sides, guess, point, trial)
        if rank_lost < 0:
            return False
        matvec(count, n, rows, point, slack)
        measure_rows(n, count, quadratic, linear, rows, sides, point, trial, guess, forces, sizes, units, strains)
        floor = vanishing(x, 1.0 + largest(n, point))
        changed = 0
        for i in range(count):
            slack[i] = sides[i] - slack[i]
            room = share * sizes[i] + floor
            if i >= equations and guess[i] == 1 and trial[i] < -10.0 * share * strains[i]:
                guess[i] = 0
                changed += 1
            elif i >= equations and guess[i] == 0 and slack[i] < -room:
                guess[i] = 1
                changed += 1
            elif guess[i] == 1:
                # Rows of a narrow range held at both ends agree to rounding of no size but their own.
                if sides[i] == 0.0:
                    room = max(room, LEAKED * eps * units_of_row(n, i, rows, units))
                if not (vabs(slack[i]) <= room):
                    return False
        if changed == 0:
            if not is_stationary(n, count, quadratic, linear, rows, point, trial, forces, share):
                return False
            copy(n, point, 0, x, 0)
            for i in range(count):
                multipliers[i] = 0.0 * eps if i >= equations and trial[i] < 0.0 else trial[i]
                active[i] = guess[i]
            singular[0] = 1 if rank_lost > 0 else 0
            return True
    return False


def held_rows_matrix(n: int, count: int, quadratic: Array, rows: Array, guess: Array, kkt: Array) -> int:
    """kkt := [Q C'; C 0] with the rows held (guess 1); gives its size."""
    held = 0
    for i in range(count):
        held += guess[i]
    size = n + held
    kkt[: size * size] = 0.0
    for k in range(n):
        kkt[k * size : k * size + n] = quadratic[k * n : k * n + n]
    place = n
    for i in range(count):
        if guess[i] == 1:
            kkt[place * size : place * size + n] = rows[i * n : i * n + n]
            for k in range(n):
                kkt[k * size + place] = rows[i * n + k]
            place += 1
    return size


def held_rows_solution(
    n: int,
    count: int,
    quadratic: Array,
    linear: Array,
    rows: Array,
    sides: Array,
    guess: Array,
    x: Array,
    multipliers: Array,
) -> int:
    """x, multipliers := the KKT point with the rows of guess 1 held, by corrections; 0, the rank lost, or -1 if there is none."""
    eps = epsilon_of(x)
    kkt = buffer(x, (n + count) * (n + count))
    size = held_rows_matrix(n, count, quadratic, rows, guess, kkt)
    factors = buffer(x, size * size)
    copy(size * size, kkt, 0, factors, 0)
    pivots = np.zeros(size, np.int64)
    spread = lu_factor(size, factors, pivots)
    regular = spread > 0.0 and inverse_norm(size, factors, pivots) * size * eps < 1e-3
    tau = buffer(x, size)
    order = np.zeros(size, np.int64)
    right = buffer(x, size * size)
    right_tau = buffer(x, size)
    rank = size
    if not regular:
        copy(size * size, kkt, 0, factors, 0)
        rank = orthogonal_factor(size, size, factors, rounding(eps, 1e4 * size), tau, order, right, right_tau)
    rest = buffer(x, size)
    step = buffer(x, size)
    gradient = buffer(x, n)
    pull = buffer(x, n)
    image = buffer(x, count)
    forces = buffer(x, n)
    sizes = buffer(x, count)
    for sweep in range(SWEEPS):
        matvec(n, n, quadratic, x, gradient)
        matvec_transposed(count, n, rows, multipliers, pull)
        matvec(count, n, rows, x, image)
        for k in range(n):
            rest[k] = -(gradient[k] + pull[k] + linear[k])
        place = n
        for i in range(count):
            if guess[i] == 1:
                rest[place] = sides[i] - image[i]
                place += 1
        if sweep >= USUAL:
            sum_terms(n, count, quadratic, linear, rows, sides, x, multipliers, forces, sizes)
            if at_rounding(n, count, guess, rest, forces, sizes, share_of_terms(eps, n, count)):
                break
        if regular:
            copy(size, rest, 0, step, 0)
            lu_solve(size, factors, pivots, step)
        else:
            orthogonal_solve(size, size, rank, factors, tau, order, right, right_tau, rest, step)
        if not all_finite(size, step, 0):
            return -1
        x[:n] += step[:n]
        place = n
        for i in range(count):
            if guess[i] == 1:
                multipliers[i] += step[place]
                place += 1
    return size - rank


def at_rounding(n: int, count: int, guess: Array, rest: Array, forces: Array, sizes: Array, share: Element) -> bool:
    """Whether every row of the residual `rest` of the held system is at most that share of its terms."""
    for k in range(n):
        if not (vabs(rest[k]) <= share * forces[k]):
            return False
    place = n
    for i in range(count):
        if guess[i] == 1:
            if not (vabs(rest[place]) <= share * sizes[i]):
                return False
            place += 1
    return True
