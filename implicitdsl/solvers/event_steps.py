"""The step of an explicit Runge–Kutta method as the solvers through events take it, with its derivatives.

Those solvers know a method by the functions of this file. `event_stiff_steps.py` has those of Rosenbrock–Wanner methods, with
the same parameters; what a method has no use for (here `linearise, mass, pattern, gamma, couple, drive` and `room`) it
leaves alone. Points and slopes of a step have a row for each stage, and y1 stands in the last row. Algebraic unknowns are for
stiff methods alone, so `mend`, which makes them consistent, and its derivatives do nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.event_one_step import finish_step as finish_step
from implicitdsl.solvers.event_one_step import judge as judge
from implicitdsl.solvers.event_one_step import look_back as look_back
from implicitdsl.solvers.event_one_step import look_back_dual as look_back_dual
from implicitdsl.solvers.event_one_step import window_size as window_size
from implicitdsl.solvers.explicit_rk import make_reading, run_stages
from implicitdsl.solvers.explicit_rk_adjoint import transpose_stages
from implicitdsl.solvers.explicit_rk_tangent import run_tangent_stages, transpose_tangent_stages
from implicitdsl.solvers.reading_stages import first_reading
from implicitdsl.solvers.status import SUCCESS
from implicitdsl.solvers.vocabulary import Array, Element, Mask, buffer, copy

Model = Callable[..., None]


def room_size(n: int, s: int, last_row: int, pattern: Array) -> int:
    """The numbers that a step leaves beside its stages, dual ones included, or its transpose makes."""
    return (s + 1) * n


def slope_at_start(
    rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element, y: Array,
    p: Array, slope: Array,
) -> None:  # fmt: skip
    """slope := the time derivative of the state."""
    rhs(time, y, p, slope)


def mend(
    live: Mask, rhs: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, atol: Element,
) -> Element:  # fmt: skip
    """Make the algebraic unknowns in `y` consistent for the samples of the mask; returns a status number."""
    return 0.0 * time + SUCCESS


def transpose_mend(
    live: Mask, rhs_vjp: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    y: Array, p: Array, y_bar: Array, t_bar: Array, p_bar: Array,
) -> None:  # fmt: skip
    """Transpose `mend`, y being consistent: from `y_bar`, overwritten, to additions to `t_bar` and `p_bar`."""


def mend_dual(
    rhs_tangent: Model, linearise: Model, n: int, algebraic: int, mass: Array, pattern: Array, time: Element,
    t_dot: Element, y2: Array, p2: Array,
) -> None:  # fmt: skip
    """The tangents of algebraic unknowns, whose values in `y2` are consistent already."""


def transpose_mend_dual(
    live: Mask, rhs_tangent_vjp: Model, linearise_tangent: Model, n: int, algebraic: int, mass: Array, pattern: Array,
    time: Element, t_dot: Element, y2: Array, p2: Array, y2_bar: Array, t2_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """Transpose `mend` and `mend_dual` together, as `transpose_mend`."""


def take_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, s: int, last_row: int, gamma: float,
    a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element, h: Element, end_hi: Element,
    first: int, points: Array, slopes: Array, k: Array, room: Array,
) -> None:  # fmt: skip
    """The step from row 0 of `points`; with first = 1 the slope there stands in row 0 of `k` already."""
    run_stages(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, first, s, False, points, k)
    if a[(s + 1) * s + s - 1] < 0.0:
        # Events are sought between the ends of every step.
        make_reading(rhs, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, h == h, points, k)


def slope_at_end(
    n: int, s: int, degree: int, dense: Array, h: Element, y: Array, k: Array, curve: Array, point: Array, out: Array
) -> None:
    """out := the slope at the end of a step: its last stage."""
    copy(n, k, s * n, out, 0)


def transpose_step(
    rhs_vjp: Model, linearise: Model, linearise_vjp: Model, n: int, mass: Array, pattern: Array, p: Array, s: int,
    last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element, t_lo: Element,
    h: Element, end_hi: Element, live: Mask, last_stage: bool, points: Array, slopes: Array, k: Array, k_bar: Array,
    point_bar: Array, y_bar: Array, p_bar: Array, ends: Array, room: Array,
) -> None:  # fmt: skip
    """Transpose (t, h, y, p) → (k, y1): from `k_bar` and the cotangent `point_bar` of y1, both used up, to additions to
    `y_bar`, `p_bar` and `ends` (those of t and h). `last_stage`: whether stage s has a cotangent."""
    moment_bar = buffer(ends, 1)
    copy(n, point_bar, 0, room, s * n)
    t_bar, h_bar = transpose_stages(
        rhs_vjp, n, n, p, s, a, c, t_hi, t_lo, h, end_hi, last_stage, points, k, k_bar, room, moment_bar, ends[0],
        ends[1], y_bar, p_bar, True, 0, False,
    )  # fmt: skip
    ends[0] = t_bar
    ends[1] = h_bar


def take_dual_step(
    rhs: Model, linearise: Model, rhs_tangent: Model, linearise_tangent: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, points: Array, slopes: Array, k: Array,
    room: Array,
) -> None:  # fmt: skip
    """The step of dual numbers, whose rows are (value, tangent)."""
    run_tangent_stages(rhs_tangent, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, 0, s, False, points, slopes, k)
    if a[(s + 1) * s + s - 1] < 0.0:
        first = first_reading(s, a)
        run_tangent_stages(
            rhs_tangent, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, first, s - 1, True, points, slopes, k
        )


def transpose_dual_step(
    rhs_tangent_vjp: Model, linearise: Model, linearise_tangent_vjp: Model, n: int, mass: Array, pattern: Array,
    p2: Array, s: int, last_row: int, gamma: float, a: Array, couple: Array, c: Array, drive: Array, t_hi: Element,
    t_lo: Element, t_dot: Element, h: Element, h_dot: Element, end_hi: Element, live: Mask, last_stage: bool,
    points: Array, slopes: Array, k: Array, k_bar: Array, point_bar: Array, state_bar: Array, p2_bar: Array,
    ends: Array, room: Array,
) -> None:  # fmt: skip
    """Transpose `take_dual_step`, as `transpose_step`; `ends` are the bars of t, h, ṫ, ḣ."""
    moment_bar = buffer(ends, 2)
    transpose_tangent_stages(
        rhs_tangent_vjp, n, p2, s, a, c, t_hi, t_lo, t_dot, h, h_dot, end_hi, last_stage, points, slopes, k_bar,
        point_bar, moment_bar, ends, state_bar, p2_bar,
    )  # fmt: skip
