"""Smooth unconstrained minimisation by Newton's method with a line search that never rests on a saddle.

The direction solves (H + shift) d = -g, the shift 0 where the Hessian is positive definite and else raised until Cholesky
succeeds. A point where the gradient vanishes is left along negative curvature as long as there is any. Sources: Nocedal &
Wright, 2nd ed., 3.1 (Armijo), 3.4 (shifted Cholesky); Moré & Sorensen, Math. Prog. 16 (1979), for negative curvature.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.damped_newton import scaled_residual
from implicitdsl.solvers.descent import relative_size
from implicitdsl.solvers.linear_algebra import cholesky_factor, cholesky_solve, epsilon_of, largest, matvec
from implicitdsl.solvers.root_quality import SIMPLE, judge_root
from implicitdsl.solvers.status import MAX_STEPS, NEAR_SINGULAR, NO_ROOT, NONFINITE, STALLED, SUCCESS, UNBOUNDED
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, dot, is_finite, vabs, vmax, vsqrt


def minimise(
    objective: Any,
    gradient: Any,
    hessian: Any,
    n: int,
    z: Array,
    p: Array,
    tol: Element,
    max_steps: int,
    notes: Array,
    steps: Array,
) -> int:
    """Brings z (n) from its start to a local minimum of f(z, p) and gives a status number.

    objective(z, p, out) writes f into out[0], gradient(z, p, out) df/dz (n), hessian(z, p, out) its second derivative (n*n).
    Stop test: |g_i| <= tol (1 + sum_k |H_ik| |z_k|), the Newton step as small, the Hessian positive semidefinite. notes[0]
    receives near_singular where the Hessian at the answer is singular or cannot be told from a singular one: the minimiser is
    then not unique or has no derivative. Statuses: success; max_steps; nonfinite (at the start); unbounded; stalled; no_root (a
    saddle that no step leaves).
    """
    eps = epsilon_of(z)
    value = buffer(z, 1)
    value_trial = buffer(z, 1)
    g = buffer(z, n)
    g_trial = buffer(z, n)
    h = buffer(z, n * n)
    factor = buffer(z, n * n)
    step = buffer(z, n)
    trial = buffer(z, n)
    start_size = largest(n, z)
    notes[0] = 0
    steps[0] = 0
    shift = eps * 0.0
    before = eps * 0.0
    rate = np.inf + eps * 0.0
    earlier = rate
    objective(z, p, value)
    gradient(z, p, g)
    if not (all_finite(n, z, 0) and is_finite(value[0]) and all_finite(n, g, 0)):
        return NONFINITE
    for iteration in range(max_steps + 1):
        hessian(z, p, h)
        if not all_finite(n * n, h, 0):
            return NONFINITE
        top = largest(n * n, h)
        definite = shifted_step(n, h, g, eps * 0.0, factor, step)
        if definite:
            shift = eps * 0.0
        else:
            # A shift at rounding tells a semidefinite Hessian from an indefinite one.
            semidefinite = shifted_step(n, h, g, 1e2 * n * eps * top, factor, step)
            # Along a flat direction with a slope its step is of no use: it leaves for infinity.
            within = largest(n, step) <= 1e3 * (1.0 + largest(n, z))
            if semidefinite and top > 0.0 and within:
                shift = 1e2 * n * eps * top
            else:
                # A step of the size of the point stays near the start's own minimum.
                shift = vmax(0.1 * shift, vmax(1e-3 * top + 1e-10, largest(n, g) / (1.0 + largest(n, z))))
                while not shifted_step(n, h, g, shift, factor, step):
                    shift *= 4.0
                    if not (shift < np.inf):
                        return NONFINITE
        size = relative_size(n, step, z)
        earlier = rate
        rate = size / before if before > 0.0 else np.inf + 0.0 * eps
        before = size
        exact = largest(n, g) == 0.0
        if scaled_residual(n, h, g, z) <= tol and (exact or size <= vmax(tol, 4.0 * eps)):
            if definite or is_semidefinite(n, h, top):
                return settle(gradient, hessian, n, z, p, g, h, definite, step, vmax(rate, earlier), notes)
            if iteration == max_steps:
                break
            steps[0] = iteration + 1
            if not leave_saddle(objective, n, z, p, h, top, value, trial, value_trial):
                return NO_ROOT
            copy(n, trial, 0, z, 0)
            value[0] = value_trial[0]
            gradient(z, p, g)
            if not all_finite(n, g, 0):
                return NONFINITE
            continue
        if iteration == max_steps:
            break
        steps[0] = iteration + 1
        slope = dot(n, g, 0, step, 0)
        # The decrease of so short a step is lost in the rounding of terms that cancel in the objective; the gradient's is not.
        close = definite and size <= 64.0 * vsqrt(eps)
        fraction = 1.0 + 0.0 * eps
        taken = False
        for _ in range(60):
            for k in range(n):
                trial[k] = z[k] + fraction * step[k]
            objective(trial, p, value_trial)
            if value_trial[0] == -np.inf:
                return UNBOUNDED
            if is_finite(value_trial[0]):
                noise = 8.0 * eps * vabs(value[0])
                gradient(trial, p, g_trial)
                lower = value_trial[0] <= value[0] + 1e-4 * fraction * slope
                # Where the values agree to rounding, the gradient is the better judge.
                flat = value_trial[0] <= value[0] + noise and largest(n, g_trial) < (1.0 - 1e-4 * fraction) * largest(
                    n, g
                )
                steeply = close and largest(n, g_trial) <= 0.5 * largest(n, g)
                if (lower or flat or steeply) and all_finite(n, g_trial, 0):
                    taken = True
                    break
            fraction *= 0.5
        if not taken:
            return STALLED
        copy(n, trial, 0, z, 0)
        copy(n, g_trial, 0, g, 0)
        value[0] = value_trial[0]
        if largest(n, z) > 1e11 * (1.0 + start_size):
            return UNBOUNDED
    return MAX_STEPS


def shifted_step(n: int, h: Array, g: Array, shift: Element, factor: Array, step: Array) -> bool:
    """step := -(H + shift)^-1 g; whether H + shift is positive definite."""
    copy(n * n, h, 0, factor, 0)
    for k in range(n):
        factor[k * n + k] += shift
        step[k] = -g[k]
    if not cholesky_factor(n, factor):
        return False
    cholesky_solve(n, factor, step)
    return all_finite(n, step, 0)


def is_semidefinite(n: int, h: Array, top: Element) -> bool:
    """Whether H has no negative curvature beyond rounding (relative to its largest entry)."""
    if top == 0.0:
        return True
    shifted = buffer(h, n * n)
    copy(n * n, h, 0, shifted, 0)
    for k in range(n):
        shifted[k * n + k] += vsqrt(epsilon_of(h)) * top
    return cholesky_factor(n, shifted)


def settle(
    gradient: Any,
    hessian: Any,
    n: int,
    z: Array,
    p: Array,
    g: Array,
    h: Array,
    definite: bool,
    step: Array,
    rate: Element,
    notes: Array,
) -> int:
    """The last Newton step, then the note that the quality of the stationary point earns; gives success."""
    trial = buffer(z, n)
    g_trial = buffer(z, n)
    if definite:
        for k in range(n):
            trial[k] = z[k] + step[k]
        gradient(trial, p, g_trial)
        floor = 8.0 * epsilon_of(z)
        if all_finite(n, g_trial, 0) and scaled_residual(n, h, g_trial, z) <= vmax(scaled_residual(n, h, g, z), floor):
            copy(n, trial, 0, z, 0)
            copy(n, g_trial, 0, g, 0)
            hessian(z, p, h)
    if judge_root(gradient, hessian, n, z, p, g, h, rate) != SIMPLE:
        notes[0] = notes[0] | NEAR_SINGULAR
    return SUCCESS


def leave_saddle(
    objective: Any, n: int, z: Array, p: Array, h: Array, top: Element, value: Array, trial: Array, value_trial: Array
) -> bool:
    """trial, value_trial := a lower point along the direction of most negative curvature; whether there is one."""
    direction = buffer(z, n)
    image = buffer(z, n)
    for k in range(n):
        direction[k] = 1.0 + k / (2.0 * n)
    # Power iteration on (n top - H), whose largest eigenvalue belongs to the most negative one of H.
    for _ in range(200):
        matvec(n, n, h, direction, image)
        direction[:n] = n * top * direction[:n] - image[:n]
        direction[:n] /= vsqrt(np.sum(direction * direction))
    reach = 0.1 * (1.0 + largest(n, z))
    for _ in range(40):
        for side in range(2):
            for k in range(n):
                trial[k] = z[k] + (1.0 - 2.0 * side) * reach * direction[k]
            objective(trial, p, value_trial)
            if value_trial[0] < value[0] and is_finite(value_trial[0]):
                return True
        reach *= 0.5
    return False
