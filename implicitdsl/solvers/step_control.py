"""Choosing step sizes: the controller as data, the error norm, and the first step.

The factor for the next step is safety * err^-alpha * previous_err^beta * earlier_err^-gamma, held between `shrink` and
`grow`; err is the root mean square of error/(atol + rtol*max(|y|, |y1|)), the previous and the earlier errors those of the
last two accepted steps. beta = gamma = 0 is the I controller, gamma = 0 the PI controller of K. Gustafsson (ACM TOMS 17
(1991) 533–554) with the constants of Hairer, Nørsett, Wanner, section IV.2 of volume II; the PID controller has the
constants of C. A. Kennedy, M. H. Carpenter, R. M. Lewis, Appl. Numer. Math. 35 (2000) 177–219.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    axpy,
    copy,
    fma,
    is_finite,
    not_,
    or_,
    power,
    select,
    vabs,
    vexp2,
    vlog2,
    vmax,
    vmin,
    vsqrt,
)

SAFETY = 0
ALPHA = 1
BETA = 2
SHRINK = 3
GROW = 4
FIRST_EXPONENT = 5
EARLIER = 6
DT0 = 7
MIN_STEP = 8
MAX_STEP = 9
"""Places in `control`; dt0, min_step and max_step are 0 where nothing was said."""

SMALLEST_ERROR = 1e-10
SMALLEST_PREVIOUS_ERROR = 1e-4
SMALLEST_PREVIOUS_SIZE = math.log2(SMALLEST_PREVIOUS_ERROR)
"""Bounds of the errors that a controller counts with; sizes of errors are logarithms to base 2."""


class Orders(Protocol):
    """What a controller asks of a method: the order of its step, and that of the cruder solution it is compared with."""

    @property
    def order(self) -> int: ...

    @property
    def error_order(self) -> int: ...


@dataclass(frozen=True)
class Controller:
    """A rule for the next step: exponents in units of 1/(error order + 1), and the bounds of the factor."""

    name: str
    alpha: float
    beta: float
    gamma: float = 0.0
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0

    def array(
        self, tableau: Orders, dtype: DTypeLike, *, dt0: float = 0.0, min_step: float = 0.0, max_step: float = 0.0
    ) -> NDArray[Any]:
        """The ten numbers that a run reads as `control`."""
        order = tableau.error_order + 1
        first = 1 / (tableau.order + 1)
        rule = [self.safety, self.alpha / order, self.beta / order, self.shrink, self.grow, first, self.gamma / order]
        return np.array([*rule, dt0, min_step, max_step], dtype)


I_CONTROLLER = Controller("i", alpha=1.0, beta=0.0)
PI_CONTROLLER = Controller("pi", alpha=0.85, beta=0.2)
PID_CONTROLLER = Controller("pid", alpha=0.49, beta=0.34, gamma=0.10)

CONTROLLERS: dict[str, Controller] = {rule.name: rule for rule in (I_CONTROLLER, PI_CONTROLLER, PID_CONTROLLER)}
"""The controllers by name; `pi` is the default."""


def scaled_rms(n: int, e: Array, y: Array, y1: Array, rtol: Element, atol: Element) -> Element:
    """The root of `scaled_square`."""
    return vsqrt(scaled_square(n, e, y, y1, rtol, atol))


def scaled_square(n: int, e: Array, y: Array, y1: Array, rtol: Element, atol: Element) -> Element:
    """The mean square of e/(atol + rtol*max(|y|, |y1|)), as `weighted_square` takes it."""
    return weighted_square(n, 1.0, e, y, y1, rtol, atol)


def weighted_square(n: int, h: Element, e: Array, y: Array, y1: Array, rtol: Element, atol: Element) -> Element:
    """The mean square of h*e/(atol + rtol*max(|y|, |y1|)); an exact 0 of `e` counts 0 even where the scale is 0.

    h is divided by the scale, which is known before the last slope in `e` is; a scale below the smallest normal float
    counts as 0."""
    ratio = scaled_part(0, h, e, y, y1, rtol, atol)
    total = ratio * ratio
    for i in range(1, n):
        ratio = scaled_part(i, h, e, y, y1, rtol, atol)
        total = fma(ratio, ratio, total)
    return total * (1.0 / n)


def scaled_part(i: int, h: Element, e: Array, y: Array, y1: Array, rtol: Element, atol: Element) -> Element:
    """h*e_i over its scale."""
    weight = h / fma(rtol, vmax(vabs(y[i]), vabs(y1[i])), atol)
    return select(e[i] == 0.0, e[i], e[i] * weight)


def first_step(
    rhs: Callable[..., None],
    n: int,
    y: Array,
    p: Array,
    t: Element,
    span: Element,
    slope: Array,
    control: Array,
    rtol: Element,
    atol: Element,
    work: Array,
    work_slope: Array,
) -> Element:
    """The length of the first step by Hairer, Nørsett, Wanner I, section II.4; `slope` is f(t, y), `span` = t1 - t.

    Where the source counts time in 1, this counts in |y|/|f|, or in |span| where that says nothing, so that the length
    does not depend on the unit of time. Non-finite trial values give a cautious length, never NaN.
    """
    length = vabs(span)
    d0 = scaled_rms(n, y, y, y, rtol, atol)
    d1 = scaled_rms(n, slope, y, y, rtol, atol)
    usable = and_(and_(d0 >= 1e-5, d1 * length >= 1e-5), is_finite(d1))
    h0 = vmin(length, select(usable, 0.01 * d0 / select(usable, d1, 1.0), 1e-6 * length))
    trial = select(span < 0.0, -h0, h0)
    copy(n, y, 0, work, 0)
    axpy(n, trial, slope, 0, work, 0)
    rhs(t + trial, work, p, work_slope)
    for i in range(n):
        work_slope[i] = work_slope[i] - slope[i]
    d2 = scaled_rms(n, work_slope, y, y, rtol, atol)
    unit = select(usable, 100.0 * h0, length)
    steepest = vmax(d1 * unit, d2 * unit * (unit / select(h0 == 0.0, 1.0, h0)))
    flat = not_(steepest > 1e-15)
    curved = unit * power(0.01 / select(flat, 1.0, steepest), control[FIRST_EXPONENT])
    h1 = select(flat, vmax(1e-6 * length, 1e-3 * h0), curved)
    blind = or_(not_(is_finite(d2)), not_(is_finite(steepest)))
    return vmin(length, select(blind, 1e-3 * h0, vmin(100.0 * h0, h1)))


def next_length(
    ok: Mask, finite: Mask, square: Element, previous: Element, earlier: Element, after_rejection: Mask, control: Array,
    h: Element,
) -> tuple[Element, Element]:  # fmt: skip
    """The length of the step after one of length h, accepted (`ok`) or not, between min_step and max_step; and the size
    of its error, at least that of SMALLEST_ERROR, which says something only where the error is known.

    `square` is the squared error, `previous` and `earlier` are the sizes of the errors of the last two accepted steps.
    The factor is at most 1 after a step that failed and in the one right after, and the strongest shrinking where the
    error is not finite. The three powers are one: 2 to the sum of their logarithms. The next step waits for nothing but
    what is between `square` and the length; so all else is taken together apart from it."""
    size = 0.5 * vlog2(vmax(square, SMALLEST_ERROR * SMALLEST_ERROR))
    drift = control[BETA] * previous
    if control[EARLIER] != 0.0:
        drift = drift - control[EARLIER] * earlier
    length = vabs(h)
    least = control[SHRINK] * length
    most = select(or_(after_rejection, not_(ok)), length, control[GROW] * length)
    raw = control[SAFETY] * length * vexp2(fma(-control[ALPHA], size, select(ok, drift, 0.0)))
    known = and_(finite, is_finite(square))
    return bounded_length(select(known, vmin(most, vmax(least, raw)), least), control), size


def bounded_length(length: Element, control: Array) -> Element:
    """A step length held between min_step and max_step, where they are given."""
    if control[MIN_STEP] > 0.0:
        length = vmax(control[MIN_STEP], length)
    if control[MAX_STEP] > 0.0:
        length = vmin(control[MAX_STEP], length)
    return length


def too_short(
    failed: Mask, h: Element, length: Element, eps: Element, t: Element, span: Element, control: Array
) -> Mask:
    """Whether a run cannot go on: steps of that length are no longer told apart, or a step of length h no longer than
    min_step has failed."""
    short = not_(length >= shortest_step(eps, t, span))
    if control[MIN_STEP] > 0.0:
        short = or_(short, and_(failed, vabs(h) <= control[MIN_STEP]))
    return short


def shortest_step(eps: Element, t: Element, span: Element) -> Element:
    """The length below which steps are no longer told apart at time t of an interval of that span.

    An interval far from 0, or of a few roundings of its ends, is measured by itself: times are sums of two floats."""
    return 4.0 * eps * vmax(vmin(vabs(t), vabs(span)), eps * vabs(span))
