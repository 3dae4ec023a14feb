"""Algebraic unknowns at events, as the solvers through events take them (`event_steps.py`): made consistent by
`consistent_start.py`, with its derivatives; and slopes of states that may have algebraic unknowns among them.

The slope at the end of a step of an implicit method is that of its dense output: a stage is no value of f, and the slope of
an unknown without mass is none of f's either.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.consistent_start import (
    algebraic_slope,
    make_consistent,
    start_tangent,
    transpose_consistent,
    transpose_consistent_tangent,
)
from implicitdsl.solvers.event_location import dense_point, step_curve
from implicitdsl.solvers.vocabulary import Array, Element, Mask

Model = Callable[..., None]


def slope_at_end(
    n: int, s: int, degree: int, dense: Array, h: Element, y: Array, k: Array, curve: Array, point: Array, out: Array
) -> None:
    """out := the slope of the dense output at the end of a step."""
    step_curve(n, s, degree, dense, k, curve)
    dense_point(n, degree, 0.0 * h + 1.0, h, y, curve, point, out)


def slope_at_start(
    rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element, y: Array,
    p: Array, slope: Array,
) -> None:  # fmt: skip
    """As `event_steps.slope_at_start`; that of algebraic unknowns is what keeps their equations."""
    rhs(time, y, p, slope)
    if algebraic > 0:
        algebraic_slope(linearise, n, algebraic, mass, pattern, time, y, p, slope)


def mend(
    live: Mask, rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, atol: Element,
) -> Element:  # fmt: skip
    """As `event_steps.mend`."""
    return make_consistent(live, rhs, linearise, n, algebraic, mass, pattern, time, y, p, atol)


def transpose_mend(
    live: Mask, rhs_vjp: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, y_bar: Array, t_bar: Array, p_bar: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_mend`."""
    transpose_consistent(live, rhs_vjp, linearise, n, algebraic, mass, pattern, time, y, p, y_bar, t_bar, p_bar)


def mend_dual(
    rhs_tangent: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    t_dot: Element, y2: Array, p2: Array,
) -> None:  # fmt: skip
    """As `event_steps.mend_dual`."""
    start_tangent(rhs_tangent, linearise, n, algebraic, mass, pattern, time, t_dot, y2, p2)


def transpose_mend_dual(
    live: Mask, rhs_tangent_vjp: Model, linearise_tangent: Model, n: int, algebraic: int, mass: Array, pattern: Array,
    time: Element, t_dot: Element, y2: Array, p2: Array, y2_bar: Array, t2_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """As `event_steps.transpose_mend_dual`."""
    transpose_consistent_tangent(
        live,
        rhs_tangent_vjp,
        linearise_tangent,
        n,
        algebraic,
        mass,
        pattern,
        time,
        t_dot,
        y2,
        p2,
        y2_bar,
        t2_bar,
        p2_bar,
    )
