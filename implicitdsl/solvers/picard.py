"""Fixed points z = f(z, p): Picard iteration while it pays, Newton's method on f(z) - z for the rest.

Both need only F(z) = f(z) - z: a Picard step adds F to z. The contraction rate is measured on the undamped residual; from it
follows how many steps are left and how far the fixed point is (a posteriori bound of Banach's theorem: |F| rate/(1 - rate)).
When the steps left cost more than Newton's method, or there is no contraction, Newton takes over. It also has the last word on a
converged point: one exact step brings it to full accuracy and tells whether it is isolated.

Where Newton's descent ends at no fixed point, the search begins again from the start: along the flow dz/dt = f(z) - z, the limit of a
damped Picard iteration, and last along the homotopy λ f(z) + (1 - λ) start = z, which reaches unstable fixed points too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.damped_newton import damped_newton
from implicitdsl.solvers.homotopy import homotopy
from implicitdsl.solvers.linear_algebra import epsilon_of
from implicitdsl.solvers.rescue import descent_share, finish, follow_flow, may_go_on, resume
from implicitdsl.solvers.status import MAX_STEPS, NONFINITE, SUCCESS
from implicitdsl.solvers.vocabulary import Array, Element, all_finite, buffer, copy, select, vabs, vmax

SLACK = 1.4
"""How much larger than the tolerance the last measured residual may be: the point that is returned is a step further,
and its residual within the tolerance if that step shrinks it to 0.7, slower than which no contraction is relied on."""
# A Newton step costs about as much as forming n columns of the Jacobian, and a solve takes about five.
NEWTON_STEPS = 5


def picard(
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
    """Solves f(z, p) = z from the start in z and gives a status number.

    residual(z, p, out) writes f(z) - z (n), jacobian(z, p, out) its derivative df/dz - I (n*n, row-major); everything else, the
    statuses included, as in `newton`. steps[0] counts the steps of every kind together.
    """
    eps = epsilon_of(z)
    notes[0] = 0
    steps[0] = 0
    start = buffer(z, n)
    f = buffer(z, n)
    trial = buffer(z, n)
    f_trial = buffer(z, n)
    for i in range(n):
        start[i] = select(z[i] < lower[i], lower[i], select(z[i] > upper[i], upper[i], z[i]))
    residual(z, p, f)
    if not (all_finite(n, z, 0) and all_finite(n, f, 0)):
        return NONFINITE
    size = picard_size(n, f, z)
    rate = eps * 0.0 + 1.0
    limit = min(max_steps, 10 + NEWTON_STEPS * n)
    worse = 0
    met = False
    count = 0
    while count < limit:
        if size <= SLACK * tol and size * rate <= tol * vmax(1.0 - rate, eps):
            met = True
            break
        outside = False
        for i in range(n):
            trial[i] = z[i] + f[i]
            if not (trial[i] >= lower[i] and trial[i] <= upper[i]):
                outside = True
        if outside:
            break
        residual(trial, p, f_trial)
        count += 1
        if not all_finite(n, f_trial, 0):
            break
        after = picard_size(n, f_trial, trial)
        # The slower of two measured rates guards against one lucky step.
        ratio = after / size if size > 0.0 else 0.0 * eps
        rate = ratio if count == 1 else vmax(ratio, 0.5 * (rate + ratio))
        copy(n, trial, 0, z, 0)
        copy(n, f_trial, 0, f, 0)
        size = after
        worse = worse + 1 if ratio >= 1.0 else 0
        if worse == 3 or (count >= 3 and steps_left(size, rate, tol) > limit - count):
            break
    steps[0] = count
    if count == max_steps and not met:
        return (
            MAX_STEPS
            if max_steps > 0
            else damped_newton(residual, jacobian, n, z, p, lower, upper, tol, 0, notes, steps)
        )
    if not met and not (rate < 1.0):
        # No contraction: the iterates have wandered, and the start is what chooses among several roots.
        copy(n, start, 0, z, 0)
    copy(n, z, 0, trial, 0)
    share = descent_share(max(max_steps - count, 1))
    status = damped_newton(residual, jacobian, n, z, p, lower, upper, tol, share, notes, steps)
    steps[0] += count
    if met and status != SUCCESS and (status == MAX_STEPS or status == NONFINITE):
        # The contraction itself is the proof where no Jacobian is at hand, as on a kink.
        copy(n, trial, 0, z, 0)
        notes[0] = 0
        return SUCCESS
    if not may_go_on(status):
        return status
    ones = buffer(z, n)
    ones[:n] = 1.0
    if follow_flow(residual, jacobian, n, start, z, p, lower, upper, tol, max_steps, ones, notes, steps):
        return SUCCESS
    if homotopy(residual, jacobian, n, start, p, lower, upper, max_steps - steps[0], steps) and finish(
        residual, jacobian, n, start, z, p, lower, upper, tol, max_steps, notes, steps
    ):
        return SUCCESS
    return resume(residual, jacobian, n, z, p, lower, upper, tol, max_steps, status, notes, steps)


def picard_size(n: int, f: Array, z: Array) -> Element:
    """max_i |f_i| / (1 + |z_i|)."""
    worst = epsilon_of(z) * 0.0
    for i in range(n):
        worst = vmax(vabs(f[i]) / (1.0 + vabs(z[i])), worst)
    return worst


def steps_left(size: Element, rate: Element, tol: Element) -> Element:
    """How many steps of this rate bring the residual from size to tol."""
    if not (rate < 1.0):
        return np.inf
    if not (size > tol) or not (rate > 0.0):
        return 0.0
    return np.log(tol / size) / np.log(rate)
