"""The multipliers of a fixed point for a block of samples by their Neumann series, where the map contracts.

With J = df/dz, the multipliers of the pullback of z = f(z, p) are those of K' lam = -g, K = J - I, that is lam = g + J' lam:
the iteration of the fixed point itself, transposed, which converges at the rate of the forward one. It needs products with
J' alone, and ends at rounding. Source: Bai, Kolter, Koltun, Deep Equilibrium Models (2019), 3.1.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.solvers.block_system import largest_of
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    copy_where,
    epsilon,
    fill,
    not_,
    or_,
    select,
)

FEWEST = 16
"""Unknowns below which a factorisation is cheaper than a series."""
SLOWEST = 0.9
NEAR = 64.0
"""The least that a term must shrink by, and how many roundings of the largest multiplier the last terms may stay above
the first that do not shrink."""


def block_series(vjp: Any, n: int, g: Array, z: Array, p: Array, lam: Array, rest: Array) -> Element:
    """lam := the solution of K' lam = -g; gives 0 for samples that are settled and 2 for others, whose lam is 0.

    vjp(z, p, v, out) adds K' v to out (n). A sample is settled where what is left of its equation is at rounding, or has
    come near it and shrinks no more; `rest` is room for n elements. At most n terms are added: beyond that, solving with a
    factorisation is cheaper."""
    eps = epsilon(lam)
    zero = buffer(lam, 1)[0]
    copy(n, g, 0, lam, 0)
    going = zero == 0.0
    settled = not_(going)
    before = zero
    for count in range(n):
        if any_(going):
            copy(n, g, 0, rest, 0)
            vjp(z, p, lam, rest)
            size = largest_of(n, rest)
            whole = largest_of(n, lam)
            ended = size <= 2.0 * eps * whole
            if count > 0:
                slow = not_(size <= SLOWEST * before)
                ended = or_(ended, and_(slow, size <= NEAR * eps * whole))
                going = and_(going, or_(ended, not_(slow)))
            settled = or_(settled, and_(going, ended))
            going = and_(going, not_(ended))
            before = size
            for i in range(n):
                lam[i] = lam[i] + select(going, rest[i], 0.0)
    settled = and_(settled, all_finite(n, lam, 0))
    fill(n, 0.0, rest, 0)
    copy_where(not_(settled), n, rest, 0, lam, 0)
    return select(settled, zero, 2.0)
