"""Newton's method for smooth minimisation, for a block of samples at once, and what it may be sure of.

The iteration of `minimise` in the words of the vocabulary: every sample on its own, by mask. It *settles* a sample where
that solver ends in a success beyond doubt: the same stop test at a point where the Hessian is positive definite, and the
stationary point a simple one by the measure of `root_quality` with room to spare. All other samples are left *open*, for
the solver of one sample, which leaves saddles and knows reasons of failure. Sources: see `minimise`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.solvers.block_cholesky import cholesky_solve, weighted_cholesky
from implicitdsl.solvers.block_judge import is_simple
from implicitdsl.solvers.block_system import factor_scaled, largest_of, own_residual, relative_step, work_size
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy_where,
    dot,
    epsilon,
    is_finite,
    not_,
    or_,
    select,
    vabs,
    view,
    vmax,
    vsqrt,
)

CUTS = 60
LIFTS = 60
SCALARS = 3
"""Elements beside vectors: the value of the objective here and at a trial point, and the shift of the Hessian."""


def room_of_minimise(n: int) -> int:
    """Elements that a block of `n` unknowns needs."""
    return work_size(n) + SCALARS


def block_minimise(
    objective: Any, gradient: Any, hessian: Any, along: Any, n: int, z: Array, p: Array, tol: Element, most: int,
    work: Array, steps: Array,
) -> Element:  # fmt: skip
    """Minimises f(z, p) from the start in z; gives for each sample 0 where it is settled, 1 where it is settled and
    ill-conditioned (near_singular), 2 where it is left open.

    objective(z, p, out) writes f into out[0], gradient(z, p, out) df/dz (n), hessian(z, p, out) its second derivative (n*n,
    row-major), along(z, p, v, out) the Hessian times v. z (n) receives the minimiser of the samples not left open,
    steps[0] the steps taken, at most `most`. `work` holds `room_of_minimise(n)` elements.
    """
    eps = epsilon(z)
    zero = buffer(z, 1)[0]
    h, factor = view(work, 0, n * n), view(work, n * n, n * n)
    rest = view(work, 2 * n * n, 9 * n)
    g, step, trial, g_trial = view(rest, 0, n), view(rest, n, n), view(rest, 2 * n, n), view(rest, 3 * n, n)
    rows, columns, pivots = view(rest, 4 * n, n), view(rest, 5 * n, n), view(rest, 6 * n, n)
    scalars = view(work, work_size(n), SCALARS)
    value, value_trial, shift = view(scalars, 0, 1), view(scalars, 1, 1), view(scalars, 2, 1)
    start_size = largest_of(n, z)
    shift[0] = zero
    steps[0] = zero
    objective(z, p, value)
    gradient(z, p, g)
    going = and_(and_(all_finite(n, z, 0), is_finite(value[0])), all_finite(n, g, 0))
    ended = and_(going, not_(going))
    scaled = zero
    before = zero
    rate = zero + np.inf
    earlier = rate
    iteration = 0
    while True:
        hessian(z, p, h)
        going = and_(going, all_finite(n * n, h, 0))
        definite = solve_shifted(n, h, zero, g, factor, step)
        if any_(and_(going, not_(definite))):
            going = lift(n, h, g, z, and_(going, not_(definite)), going, shift, factor, step)
        else:
            shift[0] = zero
        size = relative_step(n, step, z)
        earlier = select(going, rate, earlier)
        rate = select(going, select(before > 0.0, size / select(before > 0.0, before, 1.0), np.inf), rate)
        before = select(going, size, before)
        scaled = own_residual(n, h, g, z)
        exact = largest_of(n, g) == 0.0
        met = and_(scaled <= tol, or_(exact, size <= vmax(zero + tol, 4.0 * eps)))
        ended = or_(ended, and_(going, and_(met, definite)))
        # Stationary where the Hessian is not definite: a saddle, or a minimum that is not isolated.
        going = and_(going, not_(met))
        if iteration >= most or not any_(going):
            break
        steps[0] = steps[0] + select(going, 1.0, 0.0)
        # The decrease of so short a step is lost in the rounding of terms that cancel in the objective; the gradient's is not.
        close = and_(definite, size <= 64.0 * vsqrt(eps))
        going = search_down(objective, gradient, n, z, p, g, value, step, going, close, trial, g_trial, value_trial)
        going = and_(going, largest_of(n, z) <= 1e11 * (1.0 + start_size))
        iteration += 1
    last_step(gradient, n, z, p, h, g, step, scaled, ended, trial, g_trial)
    hessian(z, p, h)
    spread = factor_scaled(n, h, z, rows, columns, factor, pivots)
    sure = and_(ended, and_(spread > 64.0 * n * eps, largest_of(n, z) <= 1e150))
    grown = largest_of(n, z) > 1e4 * (1.0 + start_size)
    return is_simple(
        gradient, along, n, z, p, g, h, rows, columns, factor, pivots, vmax(rate, earlier), sure, grown,
        view(work, 2 * n * n + 9 * n, 6 * n),
    )  # fmt: skip


def solve_shifted(n: int, h: Array, shift: Element, g: Array, factor: Array, step: Array) -> Mask:
    """step := -(H + shift)^-1 g; the samples whose H + shift is positive definite."""
    # A Hessian that no constraint presses on: the programs' factor without rows.
    sound = weighted_cholesky(n, 0, h, shift, h, h, h, factor)
    for k in range(n):
        step[k] = -g[k]
    cholesky_solve(n, factor, step)
    return and_(sound, all_finite(n, step, 0))


def lift(
    n: int, h: Array, g: Array, z: Array, low: Mask, going: Mask, shift: Array, factor: Array, step: Array
) -> Mask:  # fmt: skip
    """Steps of the samples `low` with the Hessian shifted until it is positive definite, as `minimise` chooses the shift,
    which is kept for the next step; gives the samples of `going` that have a step."""
    zero = buffer(z, 1)[0]
    top = largest_of(n * n, h)
    tiny = 1e2 * n * epsilon(z) * top
    near, reach = largest_of(n, z), vmax(1e-3 * top + 1e-10, largest_of(n, g) / (1.0 + largest_of(n, z)))
    used = select(low, tiny, zero)
    sound = solve_shifted(n, h, used, g, factor, step)
    # Along a flat direction with a slope a step with rounding for a shift leaves for infinity.
    within = and_(top > 0.0, largest_of(n, step) <= 1e3 * (1.0 + near))
    rising = and_(low, not_(and_(sound, within)))
    used = select(rising, vmax(0.1 * shift[0], reach), used)
    for _ in range(LIFTS):
        if any_(rising):
            rising = and_(rising, not_(solve_shifted(n, h, used, g, factor, step)))
            used = select(rising, 4.0 * used, used)
    shift[0] = used
    return and_(going, not_(rising))


def search_down(
    objective: Any, gradient: Any, n: int, z: Array, p: Array, g: Array, value: Array, step: Array, going: Mask,
    close: Mask, trial: Array, g_trial: Array, value_trial: Array,
) -> Mask:  # fmt: skip
    """Moves z, g and the value of the samples `going` by the first of step, step/2, … that is lower (Armijo) or has a smaller
    gradient where values agree to rounding, half of it in the samples `close`; gives the samples for which there is one."""
    base, slope, top = value[0], dot(n, g, 0, step, 0), largest_of(n, g)
    noise = 8.0 * epsilon(z) * vabs(base)
    searching = and_(going, all_finite(n, step, 0))
    found = and_(going, not_(going))
    fraction = 1.0
    for _ in range(CUTS):
        if any_(searching):
            for k in range(n):
                trial[k] = z[k] + fraction * step[k]
            objective(trial, p, value_trial)
            gradient(trial, p, g_trial)
            reached = value_trial[0]
            finite = and_(is_finite(reached), all_finite(n, g_trial, 0))
            lower = reached <= base + 1e-4 * fraction * slope
            flat = and_(reached <= base + noise, largest_of(n, g_trial) < (1.0 - 1e-4 * fraction) * top)
            steeply = and_(close, largest_of(n, g_trial) <= 0.5 * top)
            good = and_(searching, and_(finite, or_(lower, or_(flat, steeply))))
            copy_where(good, n, trial, 0, z, 0)
            copy_where(good, n, g_trial, 0, g, 0)
            copy_where(good, 1, value_trial, 0, value, 0)
            found = or_(found, good)
            # A value of -inf: there is no minimum, which the solver of one sample says.
            searching = and_(searching, and_(not_(good), not_(reached == -np.inf)))
            fraction *= 0.5
    return found


def last_step(
    gradient: Any, n: int, z: Array, p: Array, h: Array, g: Array, step: Array, scaled: Element, ended: Mask,
    trial: Array, g_trial: Array,
) -> None:  # fmt: skip
    """The last Newton step of the samples `ended`, where it does not raise the gradient."""
    if any_(ended):
        for k in range(n):
            trial[k] = z[k] + step[k]
        gradient(trial, p, g_trial)
        after = own_residual(n, h, g_trial, z)
        taken = and_(ended, and_(all_finite(n, g_trial, 0), after <= vmax(scaled, 8.0 * epsilon(z))))
        copy_where(taken, n, trial, 0, z, 0)
        copy_where(taken, n, g_trial, 0, g, 0)
