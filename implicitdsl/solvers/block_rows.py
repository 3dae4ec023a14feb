"""Residuals of programs judged row by row, for many samples at once; what `row_terms` says of one sample.

The terms of a row are summed only where its datum alone, which costs nothing, does not tell already that the residual is small.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import (
    Array,
    Mask,
    and_,
    any_,
    epsilon,
    not_,
    or_,
    select,
    vabs,
    vmax,
    vmin,
)

SHARE = 100.0
GROWTH = 4.0
"""Last bits of its terms that a residual may have, and how many more for each term."""
VANISHING = 64.0
"""Last bits of the smallest datum that is not 0 that the residual of a row without one may have."""


def holds_by_rows(
    n: int, count: int, quadratic: Array, rows: Array, columns: Array, linear: Array, sides: Array, x: Array, multipliers: Array,
    rest: Array, gap: Array, asked: Mask,
) -> Mask:  # fmt: skip
    """Of the samples asked for, those where every entry of rest (n), the residual of Q x + q + C' multipliers = 0, and of gap (count),
    that of the rows held, is at most the rounding of its own terms."""
    share = epsilon(linear) * (SHARE + GROWTH * (n + count))
    least = linear[0] * 0.0 + 1.0
    for k in range(n):
        datum = vabs(linear[k])
        least = select(datum > 0.0, vmin(datum, least), least)
    for i in range(count):
        datum = vabs(sides[i])
        least = select(datum > 0.0, vmin(datum, least), least)
    floor = VANISHING * epsilon(linear) * least
    good = asked
    for k in range(n):
        good = and_(good, vabs(rest[k]) <= vmax(share * vabs(linear[k]), floor))
    for i in range(count):
        good = and_(good, vabs(gap[i]) <= vmax(share * vabs(sides[i]), floor))
    if any_(and_(asked, not_(good))):
        summed = asked
        for k in range(n):
            terms = vabs(linear[k])
            for j in range(n):
                terms = terms + vabs(quadratic[k * n + j] * x[j])
            for i in range(count):
                terms = terms + vabs(columns[k * count + i] * multipliers[i])
            summed = and_(summed, vabs(rest[k]) <= vmax(share * terms, floor))
        for i in range(count):
            terms = vabs(sides[i])
            for j in range(n):
                terms = terms + vabs(rows[i * n + j] * x[j])
            summed = and_(summed, vabs(gap[i]) <= vmax(share * terms, floor))
        good = or_(good, summed)
    return good
