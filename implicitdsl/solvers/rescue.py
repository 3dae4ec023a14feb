"""What root finders do when descent has ended at no root: other ways from the start, each finished and judged by Newton's method.

A rescue that does not end in a success leaves point, status and notes of the descent as they were. All steps count: max_steps
bounds their sum, a step being one linear system solved (or one Picard step).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.damped_newton import damped_newton
from implicitdsl.solvers.pseudo_transient import pseudo_transient
from implicitdsl.solvers.status import DIVERGED, MAX_STEPS, NO_ROOT, STALLED, SUCCESS
from implicitdsl.solvers.vocabulary import Array, Element, buffer, copy

# Below this limit of steps there is nothing to share out.
FEW = 20


def descent_share(max_steps: int) -> int:
    """The steps that descent may take before the rescue is tried; what the rescue leaves is its own again."""
    return max_steps if max_steps < FEW else max_steps // 2


def may_go_on(status: int) -> bool:
    """Whether a descent that ended with this status found no root, rather than an answer or a point without values."""
    return status == NO_ROOT or status == STALLED or status == DIVERGED or status == MAX_STEPS


def follow_flow(
    residual: Any,
    jacobian: Any,
    n: int,
    start: Array,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    tol: Element,
    max_steps: int,
    rates: Array,
    notes: Array,
    steps: Array,
) -> bool:
    """Whether dz_i/dt = rates_i F_i(z) leads from the start to a root, which z then holds."""
    point = buffer(z, n)
    copy(n, start, 0, point, 0)
    if not pseudo_transient(residual, jacobian, n, point, p, lower, upper, rates, max_steps - steps[0], steps):
        return False
    return finish(residual, jacobian, n, point, z, p, lower, upper, tol, max_steps, notes, steps)


def finish(
    residual: Any,
    jacobian: Any,
    n: int,
    point: Array,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    tol: Element,
    max_steps: int,
    notes: Array,
    steps: Array,
) -> bool:
    """Whether Newton's method from the point ends in a success; only then z and notes are written. Overwrites point."""
    found = np.zeros(1, np.int64)
    more = np.zeros(1, np.int64)
    left = max(max_steps - steps[0], 0)
    status = damped_newton(residual, jacobian, n, point, p, lower, upper, tol, left, found, more)
    steps[0] += more[0]
    if status != SUCCESS:
        return False
    copy(n, point, 0, z, 0)
    notes[0] = found[0]
    return True


def resume(
    residual: Any,
    jacobian: Any,
    n: int,
    z: Array,
    p: Array,
    lower: Array,
    upper: Array,
    tol: Element,
    max_steps: int,
    status: int,
    notes: Array,
    steps: Array,
) -> int:
    """The status of a descent that no rescue has helped, after the steps left to it if it had run out of its share."""
    left = max_steps - steps[0]
    if status != MAX_STEPS or left <= 0:
        return status
    used = steps[0]
    status = damped_newton(residual, jacobian, n, z, p, lower, upper, tol, left, notes, steps)
    steps[0] += used
    return status
