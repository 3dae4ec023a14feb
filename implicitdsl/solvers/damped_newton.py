"""Newton's method for F(z, p) = 0, made to descend: damped, with Levenberg–Marquardt steps and a bracket search.

Each iteration solves the row- and column-scaled Newton system; a singular one is solved in the least-norm sense. The step is
cut until the scaled residual falls and is finite, and never leaves [lower, upper]. Where no fraction of the Newton step helps,
Levenberg–Marquardt steps of growing damping are tried; one unknown is last searched for a change of sign. Sources: Nocedal &
Wright, Numerical Optimization, 2nd ed., 10.3, 11.2; Dennis & Schnabel, 6.3.

What counts as a root is in docs/decisions/0003-what-counts-as-a-root.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.bracket import bracketed_root
from implicitdsl.solvers.descent import inside, levenberg_step, line_search, merit, probe, relative_size, scaled_system
from implicitdsl.solvers.linear_algebra import (
    epsilon_of,
    largest,
    lu_factor,
    lu_solve,
    magnitudes,
    row_scales,
)
from implicitdsl.solvers.rank_revealing import orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.root_quality import NOT_UNIQUE, SIMPLE, equation_scales, judge_root
from implicitdsl.solvers.status import (
    DIVERGED,
    MAX_STEPS,
    NEAR_SINGULAR,
    NO_ROOT,
    NONFINITE,
    SINGULAR,
    STALLED,
    SUCCESS,
)
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, any_, buffer, copy, select, vabs, vmax

# Iterations for which the natural test may accept a step; the residual alone decides after them, so that no cycle is endless.
NATURAL = 40


def damped_newton(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    tol: Element,
    max_steps: int,
    notes: Array,
    steps: Array,
) -> int:
    """Solves F(z, p) = 0 by descent from the start in z and gives a status number.

    residual(z, p, out) writes F (n), jacobian(z, p, out) dF/dz (n*n, row-major). z (n) holds the start and receives the root, or
    the best finite iterate when there is a failure. lower and upper (n, infinite where there is none) close the region. notes[0]
    receives note bits, steps[0] the number of iterations.

    Statuses: success; max_steps; nonfinite (F or its Jacobian at the start); no_root (local minimum of the scaled residual, or a
    bound); diverged; stalled (rounding stops progress above tol); singular (the root is one of a continuum).
    """
    eps = epsilon_of(z)
    f = buffer(z, n)
    j = buffer(z, n * n)
    rows = buffer(z, n)
    step = buffer(z, n)
    trial = buffer(z, n)
    f_trial = buffer(z, n)
    sizes = buffer(z, n)
    matrix = buffer(z, n * n)
    pivots = np.zeros(n, np.int64)
    start_size = largest(n, z)
    notes[0] = 0
    steps[0] = 0
    for i in range(n):
        z[i] = select(z[i] < lower[i], lower[i], select(z[i] > upper[i], upper[i], z[i]))
    damping = eps * 0.0
    searched = False
    still = 0
    rate = eps * 0.0 + np.inf
    earlier = rate
    before = eps * 0.0
    residual(z, p, f)
    if not (all_finite(n, z, 0) and all_finite(n, f, 0)):
        return NONFINITE
    for iteration in range(max_steps + 1):
        jacobian(z, p, j)
        if not all_finite(n * n, j, 0):
            return NONFINITE
        scaled = scaled_residual(n, j, f, z)
        magnitudes(n, z, sizes)
        row_scales(n, n, j, sizes, rows)
        deficient = newton_step(n, j, f, z, rows, matrix, pivots, step)
        size = relative_size(n, step, z)
        exact = largest(n, f) == 0.0
        earlier = rate
        rate = select(before > 0.0, size / select(before > 0.0, before, 1.0), np.inf)
        before = size
        small = scaled <= tol
        if small and (exact or size <= vmax(tol, 4.0 * eps)):
            return conclude(
                residual, jacobian, n, z, p, lower, upper, f, j, step, start_size, vmax(rate, earlier), notes
            )
        if not (largest(n, z) <= 1e150):
            return DIVERGED
        if iteration == max_steps:
            break
        still = still + 1 if size <= 8.0 * eps else 0
        if still == 3:
            return STALLED
        steps[0] = iteration + 1
        length = merit(n, f, rows)
        taken = False
        if not deficient or small or is_newton_direction(n, j, f, rows, step):
            natural = not deficient and iteration < NATURAL
            taken = line_search(
                residual, n, z, p, lower, upper, rows, length, step, matrix, pivots, natural, trial, f_trial
            )
        if taken:
            damping *= 0.25
        else:
            if not deficient and size <= 64.0 * eps:
                return STALLED
            damping = levenberg_step(residual, n, z, p, lower, upper, j, f, rows, length, damping, trial, f_trial)
            taken = damping >= 0.0
        if not taken and probe(residual, n, z, p, lower, upper, rows, length, trial, f_trial):
            taken = True
            damping = eps * 0.0
        if not taken and n == 1 and not searched:
            searched = True
            taken = bracketed_root(residual, z, p, lower, upper, trial, f_trial)
            damping = eps * 0.0
        if not taken:
            if largest(n, z) > 1e4 * (1.0 + start_size):
                return DIVERGED
            return select(scaled <= 1e4 * eps, STALLED, NO_ROOT)
        copy(n, trial, 0, z, 0)
        copy(n, f_trial, 0, f, 0)
    return select(largest(n, z) > 1e8 * (1.0 + start_size), DIVERGED, MAX_STEPS)


def conclude(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    f: Array,
    j: Array,
    step: Array,
    start_size: Element,
    rate: Element,
    notes: Array,
) -> int:
    """The status of a point that passes the stop test, after its last, accurate Newton step; sets the notes."""
    trial = buffer(z, n)
    f_trial = buffer(z, n)
    rows = buffer(z, n)
    sizes = buffer(z, n)
    matrix = buffer(z, n * n)
    pivots = np.zeros(n, np.int64)
    eps = epsilon_of(z)
    # The step that proved convergence is also the best correction known; later ones are taken while they go on shrinking,
    # which brings roots far smaller than 1 to full relative accuracy.
    size = relative_size(n, step, z)
    for _ in range(60):
        if not (own_size(n, step, z) > 4.0 * eps):
            break
        inside(n, z, step, 1.0, lower, upper, trial)
        residual(trial, p, f_trial)
        if not (
            all_finite(n, f_trial, 0)
            and scaled_residual(n, j, f_trial, trial) <= vmax(scaled_residual(n, j, f, z), 8.0 * eps)
        ):
            break
        copy(n, trial, 0, z, 0)
        copy(n, f_trial, 0, f, 0)
        jacobian(z, p, j)
        if not all_finite(n * n, j, 0):
            return NONFINITE
        magnitudes(n, z, sizes)
        row_scales(n, n, j, sizes, rows)
        newton_step(n, j, f, z, rows, matrix, pivots, step)
        last = size
        size = relative_size(n, step, z)
        if not (size < 0.6 * last):
            break
    quality = judge_root(residual, jacobian, n, z, p, f, j, rate)
    if quality == SIMPLE:
        return SUCCESS
    if largest(n, z) > 1e4 * (1.0 + start_size):
        return DIVERGED
    if quality == NOT_UNIQUE:
        return SINGULAR
    notes[0] = notes[0] | NEAR_SINGULAR
    return SUCCESS


def scaled_residual(n: int, j: Array, f: Array, z: Array) -> Element:
    """max_i |F_i| / (1 + sum_k |J_ik| |z_k|)."""
    scales = buffer(z, n)
    equation_scales(n, j, z, scales)
    worst = epsilon_of(z) * 0.0
    for i in range(n):
        worst = vmax(vabs(f[i]) / scales[i], worst)
    return worst


def own_size(n: int, step: Array, z: Array) -> Element:
    """max_i |step_i| / |z_i| over the steps that a float next to z_i could show, infinite if the step is not finite."""
    worst = epsilon_of(z) * 0.0
    for i in range(n):
        worst = vmax(select(step[i] == 0.0, 0.0, vabs(step[i]) / vmax(vabs(z[i]), 1e-300)), worst)
    return select(all_finite(n, step, 0), worst, np.inf)


def newton_step(n: int, j: Array, f: Array, z: Array, rows: Array, matrix: Array, pivots: Array, step: Array) -> bool:
    """step := -J^-1 F, or the least-norm least-squares solution if J is singular to working precision, which is what it gives.

    matrix (n*n) and pivots (n) keep the factors of the scaled Jacobian.
    """
    scaled_system(n, j, z, rows, matrix)
    for i in range(n):
        step[i] = -rows[i] * f[i]
    spread = lu_factor(n, matrix, pivots)
    deficient = not (spread > n * epsilon_of(z))
    if any_(deficient):
        scaled_system(n, j, z, rows, matrix)
        tau = buffer(z, n)
        order = np.zeros(n, np.int64)
        right = buffer(z, n * n)
        right_tau = buffer(z, n)
        rhs = buffer(z, n)
        copy(n, step, 0, rhs, 0)
        rank = orthogonal_factor(n, n, matrix, 8.0 * n * epsilon_of(z), tau, order, right, right_tau)
        orthogonal_solve(n, n, rank, matrix, tau, order, right, right_tau, rhs, step)
    else:
        lu_solve(n, matrix, pivots, step)
    for i in range(n):
        step[i] *= 1.0 + vabs(z[i])
    return deficient


def is_newton_direction(n: int, j: Array, f: Array, rows: Array, step: Array) -> bool:
    """Whether the step solves J step = -F closely enough to promise descent, as it does in a consistent singular system."""
    error = epsilon_of(f) * 0.0
    whole = epsilon_of(f) * 0.0
    for i in range(n):
        total = f[i]
        for k in range(n):
            total += j[i * n + k] * step[k]
        error = vmax(vabs(rows[i] * total), error)
        whole = vmax(vabs(rows[i] * f[i]), whole)
    return error <= 0.5 * whole
