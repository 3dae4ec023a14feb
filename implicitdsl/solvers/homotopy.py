"""The path from any point to a fixed point: λ f(z) + (1 - λ) a = z, followed from z = a at λ = 0 to λ = 1.

For f whose values are bounded, as every f of tanh or sigmoid units is, and almost every a, the path is smooth, does not come
back to λ = 0, and ends at a fixed point of f, whatever its stability. It may turn in λ, so that its length is its parameter; each
step goes along the tangent and back to the path by Newton's method at right angles to it.
Sources: Chow, Mallet-Paret & Yorke, Math. Comp. 32 (1978); Allgower & Georg, Numerical Continuation Methods, 2.3, 6.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.linear_algebra import lu_factor, lu_solve
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, vabs, view, vmax, vsqrt

CORRECTIONS = 8
# How near to the path is on it: far below the steps, that a short one is not spent on the error of the last.
CLOSE = 1e-5


def homotopy(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    max_steps: int,
    steps: Array,
) -> bool:
    """Follows the path from the point in z to λ = 1, where z is near a root of the residual f(z) - z; whether it came there.

    z, whose end is for `newton` to judge, stays within [lower, upper]. steps[0] grows by the Jacobians taken, at most max_steps.
    """
    m = n + 1
    anchor = buffer(z, n)
    f = buffer(z, n)
    f_trial = buffer(z, n)
    j = buffer(z, n * n)
    matrix = buffer(z, m * m)
    pivots = np.zeros(m, np.int64)
    place = buffer(z, m)
    trial = buffer(z, m)
    tangent = buffer(z, m)
    turned = buffer(z, m)
    change = buffer(z, m)
    copy(n, z, 0, anchor, 0)
    copy(n, z, 0, place, 0)
    # At λ = 0 the path leaves along (f(a) - a, 1).
    residual(z, p, f)
    copy(n, f, 0, tangent, 0)
    tangent[n] = 1.0
    tangent /= length_of(m, tangent)
    reach = 0.0 * f[0] + 0.25
    for _ in range(max_steps):
        steps[0] += 1
        jacobian(view(place, 0, n), p, j)
        if not (all_finite(n * n, j, 0) and all_finite(m, tangent, 0)):
            return False
        bordered(n, j, f, place, anchor, tangent, matrix)
        lu_factor(m, matrix, pivots)
        turned[:m] = 0.0
        turned[n] = 1.0
        lu_solve(m, matrix, pivots, turned)
        turned /= length_of(m, turned)
        # Corrections stay at right angles to the old tangent, which is as good a border as the new one.
        reach *= vmax(np.sum(turned * tangent), 0.25)
        copy(m, turned, 0, tangent, 0)
        near = False
        while not near and reach > 100.0 * CLOSE:
            for i in range(m):
                trial[i] = place[i] + reach * tangent[i]
            near = correct(residual, n, p, anchor, matrix, pivots, reach, trial, f_trial, change)
            for i in range(n):
                if not (trial[i] >= lower[i] and trial[i] <= upper[i]):
                    near = False
            if not near:
                reach *= 0.5
        if not near or trial[n] < -0.01:
            return False
        if trial[n] >= 1.0:
            part = (1.0 - place[n]) / (trial[n] - place[n])
            for i in range(n):
                z[i] = place[i] + part * (trial[i] - place[i])
            return True
        copy(m, trial, 0, place, 0)
        copy(n, f_trial, 0, f, 0)
        reach *= 2.0
    return False


def bordered(n: int, j: Array, f: Array, point: Array, anchor: Array, tangent: Array, matrix: Array) -> None:
    """matrix (n+1 by n+1) := the derivative of λ F(z) - (1 - λ)(z - a) by (z, λ), above the tangent."""
    m = n + 1
    share = point[n]
    for i in range(n):
        for k in range(n):
            matrix[i * m + k] = share * j[i * n + k]
        matrix[i * m + i] -= 1.0 - share
        matrix[i * m + n] = f[i] + point[i] - anchor[i]
    copy(m, tangent, 0, matrix, n * m)


def correct(
    residual: Any,
    n: int,
    p: Array,
    anchor: Array,
    matrix: Array,
    pivots: Array,
    reach: Element,
    trial: Array,
    f: Array,
    change: Array,
) -> bool:
    """Brings trial back to the path with the factored derivative; whether the corrections were short beside the step and shrank."""
    m = n + 1
    last = reach
    residual(view(trial, 0, n), p, f)
    for _ in range(CORRECTIONS):
        if not all_finite(n, f, 0):
            return False
        for i in range(n):
            change[i] = (1.0 - trial[n]) * (trial[i] - anchor[i]) - trial[n] * f[i]
        change[n] = 0.0
        lu_solve(m, matrix, pivots, change)
        size = length_of(m, change)
        if not (size <= 0.5 * last):
            return False
        for i in range(m):
            trial[i] += change[i]
        residual(view(trial, 0, n), p, f)
        if size <= CLOSE:
            return all_finite(n, f, 0)
        last = size
    return False


def length_of(n: int, x: Array) -> Element:
    """The 2-norm, never 0."""
    total = 0.0 * vabs(x[0])
    for i in range(n):
        total += x[i] * x[i]
    return vmax(vsqrt(total), 1e-30)
