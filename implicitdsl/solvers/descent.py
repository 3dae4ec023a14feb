"""Ways on from a point that is no root yet: cut Newton steps, damped least-squares steps, probes along the axes.

All lower the merit, the 2-norm of the residual with its rows scaled, and stay within [lower, upper].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.linear_algebra import (
    cholesky_factor,
    cholesky_solve,
    epsilon_of,
    gram,
    largest,
    lu_solve,
    magnitudes,
    matvec_transposed,
    scale_rows_columns,
)
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, select, vabs, vmax, vsqrt

CUTS = 18


def merit(n: int, f: Array, rows: Array) -> Element:
    """The 2-norm of the residual with its rows scaled."""
    total = epsilon_of(f) * 0.0
    for i in range(n):
        total += (rows[i] * f[i]) * (rows[i] * f[i])
    return vsqrt(total)


def inside(n: int, z: Array, step: Array, fraction: Element, lower: Array, upper: Array, trial: Array) -> None:
    """trial := z + fraction*step; a component that would pass a bound goes nine tenths of the way to it."""
    for i in range(n):
        goal = z[i] + fraction * step[i]
        goal = select(goal < lower[i], z[i] + 0.9 * (lower[i] - z[i]), goal)
        trial[i] = select(goal > upper[i], z[i] + 0.9 * (upper[i] - z[i]), goal)


def scaled_system(n: int, j: Array, z: Array, rows: Array, out: Array) -> None:
    """out := diag(rows) J diag(1 + |z|)."""
    columns = buffer(z, n)
    magnitudes(n, z, columns)
    scale_rows_columns(n, n, j, rows, columns, out)


def line_search(
    residual: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    rows: Array,
    length: Element,
    step: Array,
    matrix: Array,
    pivots: Array,
    natural: bool,
    trial: Array,
    f_trial: Array,
) -> bool:
    """trial, f_trial := the first of z + step, z + step/2, … that is finite and better; whether there is one.

    Better: a lower merit or, where `natural`, a shorter simplified Newton correction J^-1 F(trial), which follows curved valleys
    in which the residual must rise first (Deuflhard, Newton Methods for Nonlinear Problems, 3.3).
    """
    fraction = epsilon_of(z) * 0.0 + 1.0
    correction = buffer(z, n)
    if not all_finite(n, step, 0):
        return False
    whole = relative_size(n, step, z)
    for cut in range(CUTS):
        inside(n, z, step, fraction, lower, upper, trial)
        residual(trial, p, f_trial)
        if merit(n, f_trial, rows) <= (1.0 - 1e-4 * fraction) * length:
            return True
        if natural and cut < 8 and all_finite(n, f_trial, 0):
            for i in range(n):
                correction[i] = rows[i] * f_trial[i]
            lu_solve(n, matrix, pivots, correction)
            if largest(n, correction) <= (1.0 - 0.5 * fraction) * whole:
                return True
        fraction *= 0.5 if cut < 4 else 0.25
    return False


def levenberg_step(
    residual: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    j: Array,
    f: Array,
    rows: Array,
    length: Element,
    damping: Element,
    trial: Array,
    f_trial: Array,
) -> Element:
    """trial := a Levenberg–Marquardt step that lowers the merit; gives its damping, or -1 where no damping finds one."""
    eps = epsilon_of(z)
    matrix = buffer(z, n * n)
    normal = buffer(z, n * n)
    factor = buffer(z, n * n)
    slope = buffer(z, n)
    step = buffer(z, n)
    scaled = buffer(z, n)
    scaled_system(n, j, z, rows, matrix)
    for i in range(n):
        scaled[i] = rows[i] * f[i]
    gram(n, n, matrix, normal)
    matvec_transposed(n, n, matrix, scaled, slope)
    steepest = largest(n, slope)
    if not (steepest > 1e3 * eps * largest(n, scaled)):
        return -1.0 + 0.0 * eps
    damping = vmax(damping, 1e-6 + 0.0 * eps)
    for _ in range(30):
        copy(n * n, normal, 0, factor, 0)
        for i in range(n):
            factor[i * n + i] += damping
            step[i] = -slope[i]
        if cholesky_factor(n, factor):
            cholesky_solve(n, factor, step)
            # The promise of the model: any step that gains a ten-thousandth of it is progress, less is standing still.
            promise = eps * 0.0
            for i in range(n):
                promise -= step[i] * slope[i]
                step[i] *= 1.0 + vabs(z[i])
            inside(n, z, step, 1.0, lower, upper, trial)
            residual(trial, p, f_trial)
            after = merit(n, f_trial, rows)
            if length * length - after * after >= 1e-4 * promise and after < length * (1.0 - 1e-12):
                return damping
        damping *= 5.0
    return -1.0 + 0.0 * eps


def probe(
    residual: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    rows: Array,
    length: Element,
    trial: Array,
    f_trial: Array,
) -> bool:
    """trial := a point a short way along an axis where the merit is clearly lower: out of saddles and maxima of the residual."""
    step = buffer(z, n)
    for axis in range(n):
        for side in range(2):
            for reach in range(2):
                step[:n] = 0.0
                step[axis] = (1.0 - 2.0 * side) * (0.01 if reach == 0 else 0.3) * (1.0 + vabs(z[axis]))
                inside(n, z, step, 1.0, lower, upper, trial)
                residual(trial, p, f_trial)
                if merit(n, f_trial, rows) <= (1.0 - 1e-4) * length:
                    return True
    return False


def relative_size(n: int, step: Array, z: Array) -> Element:
    """max_i |step_i| / (1 + |z_i|), infinite if the step is not finite."""
    worst = epsilon_of(z) * 0.0
    for i in range(n):
        worst = vmax(vabs(step[i]) / (1.0 + vabs(z[i])), worst)
    return select(all_finite(n, step, 0), worst, np.inf)
