"""Fixed points for a block of samples at once: Picard iteration while it pays, Newton's method for the rest.

The iteration of `picard` in the words of the vocabulary, every sample on its own, by mask; as there, the rate of
contraction is measured on the undamped residual, and Newton's method has the last word, unless power iteration proves
that it is not needed. Samples of that proof are CONTRACTED, those for Newton's method are left WAITING by `block_picard`,
and `finish_picard` settles them or leaves them open as `block_newton` says: two functions, so that code for the second is
made only where there are such samples.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_newton import OPEN, block_newton
from implicitdsl.solvers.block_system import largest_of
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    dot,
    epsilon,
    not_,
    or_,
    power,
    select,
    vabs,
    view,
    vmax,
)

CONTRACTED = 3
WAITING = 4
"""What becomes of a sample, beside those of `block_newton`: a simple root, where f contracts in every direction; one that
Newton's method has yet to see."""

KNOWN = 2
"""Numbers that tell what is known of the map."""
SLACK = 1.4
"""As in `picard`."""
# As in `picard`: a Newton step costs about as much as forming n columns of the Jacobian, and a solve takes about five.
NEWTON_STEPS = 5
FAST = 0.7
PROBES = 24
SHRINKING = 0.95
UNSEEN = 1e-3
"""The slowest measured rate that is tried for a proof; the products with df/dz that the proof may take, or 2n where that
is more (about what Newton's method takes) and each shrinks its vector by that; and how small a part of a direction it
may have missed: its own entries lie between 1/2 and 1."""
FEW = 20
"""As in `rescue`: below this limit of steps the descent has them all, else half."""


def certain_rate(n: int) -> float:
    """A bound of |df/dz| in the 2-norm below which the proof succeeds wherever it is tried: rounding of its products
    has 2 % to itself."""
    most = max(PROBES, 2 * n)
    return min(0.98 * SHRINKING, 0.98 * (UNSEEN / max(n, 1) ** 0.5) ** (1.0 / most))


def block_picard(
    first: Any, residual: Any, slope: Any, along_slope: Any, n: int, z: Array, p: Array,
    lower: Array, upper: Array, known: Array, tol: Element, max_steps: int, work: Array, steps: Array,
) -> Element:  # fmt: skip
    """Solves f(z, p) = z from the start in z; gives CONTRACTED, WAITING or OPEN as elements. Arguments are those of
    `block_newton`, with residual(z, p, out) writing f(z) - z. slope(z, p) prepares along_slope(z, p, v, out), which then is
    (df/dz - 1) v at this point. steps[0] receives the steps.

    `known` tells of the map, where it is not 0: [0] df/dz is bounded by `certain_rate` everywhere, so that the proof of
    contraction is taken as made; [1] first(z, p, out) gives what residual gives at the start, for less."""
    eps = epsilon(z)
    zero = buffer(z, 1)[0]
    vectors = view(work, 2 * n * n, 17 * n)
    f, v, image = view(vectors, 0, n), view(vectors, 4 * n, n), view(vectors, 5 * n, n)
    start = view(vectors, 15 * n, n)
    begin_within(n, z, lower, upper)
    copy(n, z, 0, start, 0)
    if any_(known[1] != 0.0):
        first(z, p, f)
    else:
        residual(z, p, f)
    begun = and_(all_finite(n, z, 0), all_finite(n, f, 0))
    going = begun
    met = and_(begun, not_(begun))
    size = step_size(n, f, z)
    rate = zero + 1.0
    worse = zero
    taken = zero
    limit = min(max_steps, 10 + NEWTON_STEPS * n)
    bounded = met
    for i in range(n):
        bounded = or_(bounded, or_(lower[i] - lower[i] == 0.0, upper[i] - upper[i] == 0.0))
    has_bounds = any_(bounded)
    count = 0
    while count < limit:
        here = and_(size <= SLACK * tol, size * rate <= tol * vmax(1.0 - rate, eps))
        met = or_(met, and_(going, here))
        going = and_(going, not_(here))
        if has_bounds:
            for i in range(n):
                goal = z[i] + f[i]
                going = and_(going, and_(goal >= lower[i], goal <= upper[i]))
        if not any_(going):
            break
        # Samples that have ended stay where they are, and find the residual that they had.
        advance(residual, n, z, p, f, going)
        count += 1
        taken = select(going, zero + count, taken)
        lost = and_(going, not_(all_finite(n, f, 0)))
        if any_(lost):
            # Seldom: they walk again to the last point that was good, which nobody kept.
            copy_where(lost, n, start, 0, z, 0)
            residual(z, p, f)
            for _ in range(count - 1):
                advance(residual, n, z, p, f, lost)
            going = and_(going, not_(lost))
        after = step_size(n, f, z)
        ratio = select(size > 0.0, after / select(size > 0.0, size, 1.0), 0.0)
        if count == 1:
            rate = select(going, ratio, rate)
        else:
            rate = select(going, vmax(ratio, 0.5 * (rate + ratio)), rate)
        size = select(going, after, size)
        worse = select(going, select(ratio >= 1.0, worse + 1.0, 0.0), worse)
        stop = worse >= 3.0
        if count >= 3:
            stop = or_(stop, too_slow(size, rate, tol, limit - count))
        going = and_(going, not_(stop))
    steps[0] = taken
    copy_where(not_(or_(met, rate < 1.0)), n, start, 0, z, 0)
    begun = and_(begun, or_(met, taken < max_steps))
    certain = contracts_everywhere(
        slope, along_slope, n, z, p, f, lower, upper, and_(met, rate <= FAST), known[0] != 0.0, v, image
    )  # fmt: skip
    return select(certain, zero + CONTRACTED, select(begun, zero + WAITING, zero + OPEN))


def finish_picard(
    residual: Any, jacobian: Any, along: Any, n: int, z: Array, p: Array, lower: Array, upper: Array, tol: Element,
    max_steps: int, verdict: Element, work: Array, steps: Array,
) -> Element:  # fmt: skip
    """Newton's method for the samples that `block_picard` has left WAITING, with its points and steps; gives the verdict
    with theirs in it. Arguments are those of `block_newton`; steps[0] is raised by the steps taken."""
    waiting = verdict == WAITING
    left = vmax(max_steps - steps[0], 1.0)
    # Only whether a step more is allowed matters, so that half of an odd number needs no rounding.
    most = select(left < FEW, left, 0.5 * left - 0.5)
    found = block_newton(
        residual, jacobian, along, n, z, p, lower, upper, tol, most, waiting, largest_of(n, z), work, steps
    )  # fmt: skip
    return select(waiting, found, verdict)


def advance(residual: Any, n: int, z: Array, p: Array, f: Array, going: Mask) -> None:
    """z := z + f for the samples that go on, and f := the residual there; one array is stored to at a time."""
    for i in range(n):
        z[i] = select(going, z[i] + f[i], z[i])
    residual(z, p, f)


def contracts_everywhere(
    slope: Any, along_slope: Any, n: int, z: Array, p: Array, f: Array, lower: Array, upper: Array, candidates: Mask,
    proved: Mask, v: Array, image: Array,
) -> Mask:  # fmt: skip
    """The candidates at which df/dz shrinks a vector with a part in every direction to far less than that part: it has
    then no eigenvalue near 1 (power iteration), the fixed point is simple, and what the rate says holds too in the
    directions that the iterates never took. They make the last Picard step, z := z + F. Those `proved` are known to."""
    zero = buffer(z, 1)[0]
    certain = and_(candidates, proved)
    waiting = and_(candidates, not_(proved))
    if any_(waiting):
        # A fixed sequence of sizes and signs that no model knows of (D. H. Lehmer's generator).
        seed = 20_011
        for i in range(n):
            seed = (seed * 48_271) % 2_147_483_647
            v[i] = zero + (0.5 + 0.5 * (seed / 2_147_483_647.0))
            seed = (seed * 48_271) % 2_147_483_647
            if seed % 4096 < 2048:
                v[i] = -v[i]
        small = zero + UNSEEN * UNSEEN
        least = zero + SHRINKING * SHRINKING
        before = dot(n, v, 0, v, 0)
        slope(z, p)
        for count in range(max(PROBES, 2 * n)):
            if not any_(waiting):
                break
            along_slope(z, p, v, image)
            for i in range(n):
                v[i] = v[i] + image[i]
            left = dot(n, v, 0, v, 0)
            done = and_(waiting, left <= small)
            certain = or_(certain, done)
            waiting = and_(waiting, not_(done))
            if count >= PROBES:
                waiting = and_(waiting, left <= least * before)
            before = left
    if any_(certain):
        for i in range(n):
            image[i] = z[i] + f[i]
            certain = and_(certain, and_(image[i] >= lower[i], image[i] <= upper[i]))
        copy_where(certain, n, image, 0, z, 0)
    return certain


def begin_within(n: int, z: Array, lower: Array, upper: Array) -> None:
    """z := the point of the region nearest to it."""
    for i in range(n):
        z[i] = select(z[i] < lower[i], lower[i], select(z[i] > upper[i], upper[i], z[i]))


def step_size(n: int, f: Array, z: Array) -> Element:
    """max_i |f_i| / (1 + |z_i|)."""
    worst = buffer(z, 1)[0]
    for i in range(n):
        worst = vmax(vabs(f[i]) / (1.0 + vabs(z[i])), worst)
    return worst


def too_slow(size: Element, rate: Element, tol: Element, left: int) -> Mask:
    """Whether more than `left` steps of this rate bring the residual from size to tol."""
    contracts = and_(rate > 0.0, rate < 1.0)
    far = tol < size * power(select(contracts, rate, 1.0), left)
    return or_(not_(rate < 1.0), and_(and_(size > tol, rate > 0.0), far))
