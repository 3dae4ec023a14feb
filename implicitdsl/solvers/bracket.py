"""A root of one equation in one unknown by search for a change of sign: where descent ends in a local minimum of |F|.

Steps of doubling length go out from the point on both sides, within the bounds; a bracket is closed by bisection, which cannot
be misled by the slope. A change of sign at a pole is not taken for a root: there |F| grows as the bracket shrinks.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.linear_algebra import epsilon_of
from implicitdsl.solvers.vocabulary import Array, is_finite, vabs


def bracketed_root(residual: Any, z: Array, p: Array, lower: Array, upper: Array, trial: Array, f_trial: Array) -> bool:
    """trial, f_trial := a point at a change of sign of the one residual, its value there smaller than at z; whether there is one.

    z, lower, upper, trial and f_trial have one element.
    """
    residual(z, p, f_trial)
    origin = z[0]
    value = f_trial[0]
    reach = 0.125 * (1.0 + vabs(origin))
    left = origin
    right = origin
    left_value = value
    right_value = value
    left_open = True
    right_open = True
    for _ in range(40):
        if left_open:
            goal = origin - reach
            if goal <= lower[0]:
                goal = left + 0.9 * (lower[0] - left)
            trial[0] = goal
            residual(trial, p, f_trial)
            if not is_finite(f_trial[0]):
                left_open = False
            else:
                if f_trial[0] * value <= 0.0 and bisect(residual, p, trial[0], left, left_value, trial, f_trial, value):
                    return True
                left = goal
                left_value = f_trial[0]
        if right_open:
            goal = origin + reach
            if goal >= upper[0]:
                goal = right + 0.9 * (upper[0] - right)
            trial[0] = goal
            residual(trial, p, f_trial)
            if not is_finite(f_trial[0]):
                right_open = False
            else:
                if f_trial[0] * value <= 0.0 and bisect(
                    residual, p, trial[0], right, right_value, trial, f_trial, value
                ):
                    return True
                right = goal
                right_value = f_trial[0]
        reach *= 2.0
    return False


def bisect(
    residual: Any, p: Array, far: Any, near: Any, near_value: Any, trial: Array, f_trial: Array, value: Any
) -> bool:
    """trial := the middle of the last bracket between far and near; whether |F| there is below that of `value`."""
    eps = epsilon_of(trial)
    for _ in range(200):
        middle = 0.5 * (far + near)
        if middle == far or middle == near or vabs(far - near) <= 4.0 * eps * vabs(middle):
            break
        trial[0] = middle
        residual(trial, p, f_trial)
        if not is_finite(f_trial[0]):
            return False
        if f_trial[0] * near_value <= 0.0:
            far = middle
        else:
            near = middle
    trial[0] = 0.5 * (far + near)
    residual(trial, p, f_trial)
    return is_finite(f_trial[0]) and vabs(f_trial[0]) < 1e-3 * vabs(value)
