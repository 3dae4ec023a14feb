"""Whole powers in every lane by products of pairs, close to correctly rounded and many times as fast as a call.

Squaring and multiplying (D. Knuth, The Art of Computer Programming 2, section 4.6.3) adds up the roundings of as many
products as the power has factors. So each product carries along what its own rounding lost, which a fused multiply-add
gives exactly (T. Ogita, S. Rump & S. Oishi, SIAM J. Sci. Comput. 26, 2005, algorithm 3.5), and the sum is taken last.
"""

from __future__ import annotations

import math
from typing import Any

from implicitdsl.backends.lanes.lane_code import LaneCode

LARGEST = 32
"""The largest power that is written in products."""

Pair = tuple[Any, Any]
"""A value, and what it lacks (None: nothing)."""


def is_whole(p: float) -> bool:
    """Whether x^p is written in products."""
    return 1.0 <= abs(p) <= LARGEST and p == round(p)


def whole_power(c: LaneCode, x: Any, p: float) -> Any:
    """x^p for `is_whole(p)`; the reciprocal of a negative power is taken first, so that no product overflows on the
    way."""
    power: Pair = (x, None)
    if p < 0.0:
        inverse = c.div(c.one, x)
        power = inverse, c.mul(inverse, c.fma(c.neg(inverse), x, c.one))
    left, found = round(abs(p)), None
    while True:
        if left % 2:
            found = power if found is None else _product(c, found, power)
        left //= 2
        if left == 0:
            break
        power = _product(c, power, power)
    assert found is not None
    head, tail = found
    if tail is None:
        return head
    total = c.add(head, tail)
    # Where a product overflows, or x is 0 or infinite, the tail is no number.
    sound = c.compare("<", c.intrinsic("llvm.fabs", total), c.number(math.inf))
    return c.select(sound, total, head)


def _product(c: LaneCode, a: Pair, b: Pair) -> Pair:
    head = c.mul(a[0], b[0])
    tail = c.fma(a[0], b[0], c.neg(head))
    for value, lacks in ((a[0], b[1]), (b[0], a[1])):
        if lacks is not None:
            tail = c.fma(value, lacks, tail)
    return head, tail
