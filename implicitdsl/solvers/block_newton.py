"""Newton's method for a block of samples at once, and what it may be sure of.

The iteration of `damped_newton` with its line search, in the words of the vocabulary: every sample on its own, by mask.
It *settles* a sample where that solver ends in a success beyond doubt: the same stop test has been met, and the root is
a simple one by the measure of `root_quality` with room to spare. All other samples are left *open*, for the solver of
one sample, which knows rescues and reasons of failure. Sources: see `damped_newton`.

Arrays that a block needs are cut from `work`, `work_size(n)` elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.block_judge import is_simple
from implicitdsl.solvers.block_system import (
    factor_scaled,
    largest_of,
    own_residual,
    relative_step,
    scaled_norm,
    step_inside,
    system_step,
    work_size,
)
from implicitdsl.solvers.pivoted_lu import pivoted_lu_solve
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy_where,
    epsilon,
    not_,
    or_,
    select,
    vabs,
    view,
    vmax,
)

SETTLED = 0
NOTED = 1
OPEN = 2
"""What becomes of a sample: a simple root; an ill-conditioned one, which is noted as near_singular; left open."""
CUTS = 18
NATURAL = 40
POLISHES = 12

__all__ = ["NOTED", "OPEN", "SETTLED", "block_newton", "work_size"]


def block_newton(
    residual: Any, jacobian: Any, along: Any, n: int, z: Array, p: Array, lower: Array, upper: Array, tol: Element,
    most: Element, begun: Mask, start_size: Element, work: Array, steps: Array,
) -> Element:  # fmt: skip
    """Solves F(z, p) = 0 from the start in z for the samples of `begun`; gives SETTLED, NOTED or OPEN as elements.

    residual(z, p, out) writes F (n), jacobian(z, p, out) dF/dz (n*n, row-major), along(z, p, v, out) dF/dz v. z (n)
    holds the start, within the bounds, and receives the root of the samples not left open. `most` is the largest number
    of steps, steps[0] is raised by those taken, `start_size` the largest |z_i| where the search began.
    """
    eps = epsilon(z)
    zero = buffer(z, 1)[0]
    j = view(work, 0, n * n)
    matrix = view(work, n * n, n * n)
    rest = view(work, 2 * n * n, 9 * n)
    f, rows, columns, step = view(rest, 0, n), view(rest, n, n), view(rest, 2 * n, n), view(rest, 3 * n, n)
    trial, f_trial, pivots = view(rest, 4 * n, n), view(rest, 5 * n, n), view(rest, 6 * n, n)
    spare = view(rest, 7 * n, n)
    residual(z, p, f)
    going = and_(begun, and_(all_finite(n, z, 0), all_finite(n, f, 0)))
    met = and_(going, not_(going))
    ended = met
    size = zero
    scaled = zero
    before = zero
    rate = zero + np.inf
    earlier = rate
    iteration = 0
    while True:
        jacobian(z, p, j)
        spread = factor_scaled(n, j, z, rows, columns, matrix, pivots)
        scaled = own_residual(n, j, f, z)
        system_step(n, f, rows, columns, matrix, pivots, step)
        size = relative_step(n, step, z)
        exact = largest_of(n, f) == 0.0
        earlier = select(going, rate, earlier)
        rate = select(going, select(before > 0.0, size / select(before > 0.0, before, 1.0), np.inf), rate)
        before = select(going, size, before)
        small = scaled <= tol
        met = or_(met, and_(going, and_(small, or_(exact, size <= vmax(zero + tol, 4.0 * eps)))))
        # A root much smaller than 1 meets the test long before its own digits are right: it goes on.
        near = or_(exact, largest_of(n, step) <= 1e-3 * largest_of(n, z))
        sound = and_(spread > 64.0 * n * eps, largest_of(n, z) <= 1e150)
        now = and_(going, and_(sound, and_(met, near)))
        ended = or_(ended, now)
        # At rounding, and no root by the test: the solver of one sample tells why.
        lost = or_(not_(sound), and_(not_(met), size <= 8.0 * eps))
        going = and_(going, and_(not_(now), and_(not_(lost), most > iteration)))
        if not any_(going):
            break
        going = search_line(
            residual, n, z, p, lower, upper, f, rows, step, matrix, pivots, size, going, iteration < NATURAL, trial,
            f_trial, spare,
        )  # fmt: skip
        steps[0] = steps[0] + select(going, 1.0, 0.0)
        iteration += 1
    ended = polish(
        residual, n, z, p, lower, upper, j, f, rows, columns, matrix, pivots, step, scaled, size, ended, trial, f_trial
    )
    grown = largest_of(n, z) > 1e4 * (1.0 + start_size)
    return is_simple(
        residual, along, n, z, p, f, j, rows, columns, matrix, pivots, vmax(rate, earlier), ended, grown,
        view(work, 2 * n * n + 9 * n, 6 * n),
    )  # fmt: skip


def search_line(
    residual: Any, n: int, z: Array, p: Array, lower: Array, upper: Array, f: Array, rows: Array, step: Array,
    matrix: Array, pivots: Array, whole: Element, going: Mask, natural: bool, trial: Array, f_trial: Array,
    spare: Array,
) -> Mask:  # fmt: skip
    """Moves z and f of the samples `going` by the first of step, step/2, … that is better, as `descent.line_search`
    does; gives the samples for which there is one."""
    length = scaled_norm(n, f, rows)
    searching = and_(going, all_finite(n, step, 0))
    found = and_(going, not_(going))
    fraction = 1.0
    for cut in range(CUTS):
        if any_(searching):
            step_inside(n, z, step, fraction, lower, upper, trial)
            residual(trial, p, f_trial)
            good = and_(searching, scaled_norm(n, f_trial, rows) <= (1.0 - 1e-4 * fraction) * length)
            if natural and cut < 8 and any_(and_(searching, not_(good))):
                for i in range(n):
                    spare[i] = rows[i] * f_trial[i]
                pivoted_lu_solve(n, matrix, pivots, spare)
                shorter = and_(all_finite(n, f_trial, 0), largest_of(n, spare) <= (1.0 - 0.5 * fraction) * whole)
                good = or_(good, and_(searching, shorter))
            copy_where(good, n, trial, 0, z, 0)
            copy_where(good, n, f_trial, 0, f, 0)
            found = or_(found, good)
            searching = and_(searching, not_(good))
            fraction *= 0.5 if cut < 4 else 0.25
    return found


def polish(
    residual: Any, n: int, z: Array, p: Array, lower: Array, upper: Array, j: Array, f: Array, rows: Array,
    columns: Array, matrix: Array, pivots: Array, step: Array, scaled: Element, size: Element, ended: Mask,
    trial: Array, f_trial: Array,
) -> Mask:  # fmt: skip
    """Further steps with the last factors while they shrink and the residual does not grow; gives the samples of `ended`
    for which that came to an end."""
    eps = epsilon(z)
    active = and_(ended, own_step(n, step, z) > 4.0 * eps)
    for _ in range(POLISHES):
        if any_(active):
            step_inside(n, z, step, 1.0, lower, upper, trial)
            residual(trial, p, f_trial)
            after = own_residual(n, j, f_trial, trial)
            taken = and_(active, and_(all_finite(n, f_trial, 0), after <= vmax(scaled, 8.0 * eps)))
            copy_where(taken, n, trial, 0, z, 0)
            copy_where(taken, n, f_trial, 0, f, 0)
            scaled = select(taken, after, scaled)
            system_step(n, f, rows, columns, matrix, pivots, step)
            last = size
            size = select(taken, relative_step(n, step, z), size)
            active = and_(taken, and_(size < 0.6 * last, own_step(n, step, z) > 4.0 * eps))
    return and_(ended, not_(active))


def own_step(n: int, step: Array, z: Array) -> Element:
    """max_i |step_i| / |z_i|, as `damped_newton.own_size` measures it."""
    worst = buffer(z, 1)[0]
    for i in range(n):
        worst = vmax(select(step[i] == 0.0, 0.0, vabs(step[i]) / vmax(vabs(z[i]), 1e-300)), worst)
    return worst
