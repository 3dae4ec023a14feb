"""Taking a step again so that it ends at an event, and how sharply the event is placed.

Model functions: `rhs(t, y, pm, out)`, `guards(t, y, pm, out)`, `guards_rate(t, y, pm, t_dot, y_dot, out)`, and
`guards_vjp_y(t, y, pm, lam, t_bar, y_bar)`, which adds.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.stepping import end_of_step
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    any_,
    fill,
    fma,
    is_finite,
    select,
    vabs,
)

Model = Callable[..., None]

LANDING = 12
"""Rounds of Newton's method at most; three or four are used."""


def land(
    cut: Mask, which: Element, theta: Element, rhs: Model, linearise: Model, take_step: Model, slope_at_end: Model,
    guards: Model, guards_rate: Model, n: int, mass: Array, pattern: Array, g: int, s: int, last_row: int, degree: int,
    gamma: float, a: Array, couple: Array, c: Array, drive: Array, dense: Array, t_hi: Element, t_lo: Element,
    h: Element, end_hi: Element, end_lo: Element, pm: Array, points: Array, y1: Array, slopes: Array, k: Array,
    room: Array, curve: Array, point: Array, slope: Array, values: Array, rates: Array,
) -> tuple[Element, Element, Element]:  # fmt: skip
    """(h, end): the step again, by `take_step` (`event_steps.py`), in samples to be `cut` with the length at which guard
    `which` is 0 at its end.

    Newton's method from theta*h, where the derivative by h is taken as the guard's rate along f at the end. It differs
    from the exact one by the order of the step's error, so each round gains that many digits.
    """
    guess = theta * h
    step = select(cut, guess, h)
    trying = cut
    rounds = 0
    running = True
    while running:
        hi, lo = end_of_step(t_hi, t_lo, step)
        end_hi = select(cut, hi, end_hi)
        end_lo = select(cut, lo, end_lo)
        take_step(
            rhs, linearise, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi, t_lo, step, end_hi, 1,
            points, slopes, k, room,
        )  # fmt: skip
        slope_at_end(n, s, degree, dense, step, points, k, curve, point, slope)
        guards(end_hi, y1, pm, values)
        guards_rate(end_hi, y1, pm, 1.0, slope, rates)
        change = 0.0 * h
        for i in range(g):
            change = select(which == i, values[i] / rates[i], change)
        new = step - change
        near = vabs(new - guess) <= 0.5 * vabs(guess)
        trying = and_(trying, and_(and_(is_finite(change), near), new != step))
        step = select(trying, new, step)
        rounds = rounds + 1
        running = any_(trying) and rounds <= LANDING
    if any_(trying):
        hi, lo = end_of_step(t_hi, t_lo, step)
        end_hi = select(cut, hi, end_hi)
        end_lo = select(cut, lo, end_lo)
        take_step(
            rhs, linearise, n, mass, pattern, pm, s, last_row, gamma, a, couple, c, drive, t_hi, t_lo, step, end_hi, 1,
            points, slopes, k, room,
        )  # fmt: skip
    return step, end_hi, end_lo


def blurred_time(
    which: Element, guards_vjp_y: Model, n: int, g: int, time: Element, y: Array, slope: Array, pm: Array, one: Array,
    t_bar: Array, y_bar: Array, eps: Element,
) -> Element:  # fmt: skip
    """The time within which guard `which` cannot be told from 0: the rounding of what it reads over its rate."""
    for i in range(g):
        one[i] = select(which == i, 1.0, 0.0)
    fill(1, 0.0, t_bar, 0)
    fill(n, 0.0, y_bar, 0)
    guards_vjp_y(time, y, pm, one, t_bar, y_bar)
    rate = t_bar[0]
    size = vabs(t_bar[0] * time)
    for j in range(n):
        rate = fma(y_bar[j], slope[j], rate)
        size = size + vabs(y_bar[j] * y[j])
    return select(rate == 0.0, 0.0, 8.0 * eps * size / select(rate == 0.0, 1.0, vabs(rate)))
