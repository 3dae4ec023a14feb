"""Where the derivatives of a delayed solution jump: the start of the run plus sums of lags.

At t0 the solution leaves its history with a kink at least; a lag later that kink enters the right-hand side, and so on,
one derivative higher after each lag (A. Bellen & M. Zennaro, Numerical Methods for Delay Differential Equations, 2003,
section 2.1). A step over such a point has the order of its lowest continuous derivative, so the points up to the order of
the method are ends of steps. They move with t0 and the lags.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.solvers.delay_reads import blur
from implicitdsl.solvers.vocabulary import Array, Element, Mask, all_finite, and_, fma, select, vabs, vmin

MOST = 300
"""Break points of one sample beyond which higher derivatives are left to the error estimate."""


def break_counts(lags: int, order: int, dtype: DTypeLike) -> NDArray[Any]:
    """How often each lag stands in each break point, (points*lags): all sums of 1 … order lags, fewer where they are
    more than `MOST`."""
    rows: list[list[int]] = []
    for terms in range(1, order + 1):
        level = [[chosen.count(j) for j in range(lags)] for chosen in combinations_with_replacement(range(lags), terms)]
        if terms > 1 and len(rows) + len(level) > MOST:
            break
        rows += level
    return np.array(rows, dtype).reshape(-1)


def judge_lags(count: int, lags: Array, direction: Element) -> tuple[Mask, Element]:
    """Whether all lags are finite and point to the past of the run, and the shortest."""
    proper = all_finite(count, lags, 0)
    shortest = vabs(lags[0])
    for j in range(count):
        proper = and_(proper, direction * lags[j] > 0.0)
        shortest = vmin(shortest, vabs(lags[j]))
    return proper, shortest


def next_break(
    points: int, count: int, breaks: Array, lags: Array, interval: Array, t: Element, direction: Element
) -> tuple[Element, Element]:
    """(the first break point after t, its number), or (t1, -1) where none comes before t1."""
    target = interval[1]
    which = -1.0 + 0.0 * t
    for b in range(points):
        at = interval[0]
        for j in range(count):
            at = fma(breaks[b * count + j], lags[j], at)
        near = blur(lags, t, at)
        nearer = and_(direction * (at - t) > near, direction * (target - at) > near)
        target = select(nearer, at, target)
        which = select(nearer, b + 0.0 * t, which)
    return target, which


def transpose_break(
    landed: Mask, which: Element, points: int, count: int, breaks: Array, time_bar: Element, lags_bar: Array
) -> None:
    """Add the cotangent of a break point's time to those of its lags."""
    for b in range(points):
        part = select(and_(landed, which == b), time_bar, 0.0)
        for j in range(count):
            lags_bar[j] = fma(breaks[b * count + j], part, lags_bar[j])


def break_time_dot(which: Element, points: int, count: int, breaks: Array, t0_dot: Element, lags_dot: Array) -> Element:
    """The tangent of the time of break point `which`."""
    time_dot = t0_dot
    for b in range(points):
        at = t0_dot
        for j in range(count):
            at = fma(breaks[b * count + j], lags_dot[j], at)
        time_dot = select(which == b, at, time_dot)
    return time_dot
