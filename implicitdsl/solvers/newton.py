"""Roots of F(z, p) = 0: Newton's method made to descend, and the flow of ±F from the start where descent ends at no root.

The flow (pseudo-transient continuation) may climb out of the local minima of |F| that stop every descent. Which sign makes a
root attract is not known, so both are tried. What counts as a root is in docs/decisions/0003-what-counts-as-a-root.md.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.damped_newton import damped_newton
from implicitdsl.solvers.linear_algebra import magnitudes, row_scales
from implicitdsl.solvers.rescue import descent_share, follow_flow, may_go_on, resume
from implicitdsl.solvers.status import SUCCESS
from implicitdsl.solvers.vocabulary import Array, Element, buffer, select


def newton(
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
    """Solves F(z, p) = 0 from the start in z and gives a status number.

    residual(z, p, out) writes F (n), jacobian(z, p, out) dF/dz (n*n, row-major). z (n) holds the start and receives the root, or
    the best finite iterate of the descent when there is a failure. lower and upper (n, infinite where there is none) close the
    region. notes[0] receives note bits, steps[0] the number of linear systems solved on the way, rescues included, at most
    max_steps: half of them are the descent's before a rescue begins, and again what that leaves.

    Statuses: success; max_steps; nonfinite (F or its Jacobian at the start); no_root (local minimum of the scaled residual, or a
    bound); diverged; stalled (rounding stops progress above tol); singular (the root is one of a continuum).
    """
    start = buffer(z, n)
    for i in range(n):
        start[i] = select(z[i] < lower[i], lower[i], select(z[i] > upper[i], upper[i], z[i]))
    share = descent_share(max_steps)
    status = damped_newton(residual, jacobian, n, z, p, lower, upper, tol, share, notes, steps)
    if not may_go_on(status):
        return status
    sizes = buffer(z, n)
    rates = buffer(z, n)
    j = buffer(z, n * n)
    jacobian(start, p, j)
    magnitudes(n, start, sizes)
    # Equations have no rate of their own: each is scaled by the largest entry of its row.
    row_scales(n, n, j, sizes, rates)
    for _ in range(2):
        if follow_flow(residual, jacobian, n, start, z, p, lower, upper, tol, max_steps, rates, notes, steps):
            return SUCCESS
        rates[:n] *= -1.0
    return resume(residual, jacobian, n, z, p, lower, upper, tol, max_steps, status, notes, steps)
