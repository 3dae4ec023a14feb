"""What a one-step method does for the solvers through events beside its step (`event_steps.py`): next to nothing.

A method of many steps (`event_bdf_steps.py`) has more to say here: a step of it begins with a window of points, the state
first, and the cotangent of a step's beginning is as wide; it chooses its order; and after an event it begins anew.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.stepping import after_step, paired_error
from implicitdsl.solvers.vocabulary import Array, Element, Mask

Model = Callable[..., None]


def window_size(n: int) -> int:
    """The numbers that a step begins with, the state being the first n."""
    return n


def look_back(row: int, width: int, grid: Array, states: Array, n: int, room: Array) -> None:
    """Put into `room` what the step of this row of a tape (`event_rows.py`, `width` numbers a row) began with beside its
    state."""


def look_back_dual(row: int, width: int, grid: Array, states2: Array, n: int, at_rest: int, room: Array) -> None:
    """As `look_back`, with tangents, from rows of (value, tangent); where `at_rest` is 1 all of these are 0."""


def judge(
    n: int, s: int, mass: Array, error: Array, h: Element, k: Array, y: Array, y1: Array, rtol: Element, atol: Element,
    dt: Element, work: Array, room: Array,
) -> tuple[Element, Element]:  # fmt: skip
    """(square, order) of a step: its squared error, at most 1 where it fits; and the order that its row of the tape notes."""
    return paired_error(n, s, error, h, k, y, y1, rtol, atol, dt, work), 0.0 * h


def finish_step(
    status: Element, active: Mask, ok: Mask, cut: Mask, finite: Mask, last: Mask, square: Element, tried: Element,
    h: Element, t_hi: Element, interval: Array, control: Array, highest: int, dt: Element, max_steps: int,
    statistics: Array, course: Array, rhs: Model, n: int, y: Array, y1: Array, pm: Array, slope: Array, rtol: Element,
    atol: Element, work: Array, room: Array,
) -> tuple[Element, Mask]:  # fmt: skip
    """(status, active) after a step and the events at its end, as `after_step`, and in `course` what the next begins with.

    `tried` is the length that was judged, h that of the step, which the samples of `cut` ended at an event; `slope` is f at
    the state y after it. `highest`: the highest order allowed. y1 and `work` may be written to."""
    return after_step(
        status, active, ok, finite, last, square, tried, t_hi, interval, control, dt, max_steps, statistics, course, y
    )
