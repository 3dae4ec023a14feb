"""Pseudo-transient continuation: to a point where dz/dt = F(z) rests, by implicit Euler steps that grow as |F| falls.

Where Newton's method ends in a local minimum of |F|, the flow goes on: |F| may rise along it. For z = f(z), F = f(z) - z, its
rest points are those that a Picard iteration with enough damping finds. Early steps follow the flow, late ones are Newton's.
Source: Kelley & Keyes, Convergence analysis of pseudo-transient continuation, SIAM J. Numer. Anal. 35 (1998), with the switched
evolution relaxation of Mulder & van Leer, J. Comput. Phys. 59 (1985).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.descent import inside, merit, relative_size
from implicitdsl.solvers.linear_algebra import largest, lu_factor, lu_solve
from implicitdsl.solvers.vocabulary import Array, all_finite, buffer, copy, vmax, vmin

# The first steps resolve a turn of a radian of the flow; one that gains nothing for long circles and will never rest.
FIRST_STEP = 0.5
PATIENCE = 25


def pseudo_transient(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    rates: Array,
    max_steps: int,
    steps: Array,
) -> bool:
    """Moves z along dz_i/dt = rates_i F_i(z) until Newton's method may finish; whether the flow came to rest.

    The rest is not judged: that is for `damped_newton`. steps[0] grows by the linear systems solved, at most max_steps; z stays
    within [lower, upper] and finite. rates (n) may be of either sign.
    """
    f = buffer(z, n)
    j = buffer(z, n * n)
    matrix = buffer(z, n * n)
    step = buffer(z, n)
    trial = buffer(z, n)
    f_trial = buffer(z, n)
    pivots = np.zeros(n, np.int64)
    residual(z, p, f)
    jacobian(z, p, j)
    if not (all_finite(n, f, 0) and all_finite(n * n, j, 0)):
        return False
    length = merit(n, f, rates)
    first = length
    best = length
    waited = 0
    time_step = 0.0 * length + FIRST_STEP
    for _ in range(max_steps):
        steps[0] += 1
        for i in range(n):
            step[i] = rates[i] * f[i]
            for k in range(n):
                matrix[i * n + k] = -rates[i] * j[i * n + k]
            matrix[i * n + i] += 1.0 / time_step
        lu_factor(n, matrix, pivots)
        lu_solve(n, matrix, pivots, step)
        taken = False
        after = length
        if all_finite(n, step, 0):
            inside(n, z, step, 1.0, lower, upper, trial)
            residual(trial, p, f_trial)
            after = merit(n, f_trial, rates)
            if all_finite(n, f_trial, 0) and after <= 10.0 * vmax(length, first):
                jacobian(trial, p, j)
                taken = all_finite(n * n, j, 0)
        if not taken:
            jacobian(z, p, j)
            time_step *= 0.25
            if time_step < 1e-6:
                return False
            continue
        copy(n, trial, 0, z, 0)
        copy(n, f_trial, 0, f, 0)
        if largest(n, z) > 1e8:
            return False
        if relative_size(n, step, z) <= 1e-4 and time_step >= FIRST_STEP:
            return True
        waited = waited + 1 if after > 0.9 * best else 0
        best = vmin(best, after)
        if waited > PATIENCE:
            return False
        # A step is at most doubled: one lucky fall of |F| would end the resolution of a turning flow.
        if after > 0.0:
            time_step *= vmin(vmax(length / after, 0.5), 2.0)
        length = after
    return False
