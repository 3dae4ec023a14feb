"""Stages that only the dense output reads, made in steps in which a time is read, after these were accepted.

A method that has such stages (dop853) has them before its last one, with the kinds `SAME` and `READ` behind its table `a`, where
`split_stages.py` has those of other methods: a stage that is the last one once more, since those after it build on it, and
the others. So the kind of the last stage but one tells whether a method has any. They change no step, and a sample that
reads none of them is the same in every bit whether its neighbours made them or not.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of, lies_inside
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    add_to_rows,
    and_,
    any_,
    axpy,
    buffer,
    dot,
    fill,
    fma,
    not_,
    or_,
    scale,
    sum_rows,
    view,
)

Model = Callable[..., None]

READ = -1.0
SAME = -2.0
"""The kinds of these stages."""


def first_reading(s: int, a: Array) -> int:
    """The number of the first stage that only the dense output reads; s where there is none."""
    found = s
    for i in range(s - 1, -1, -1):
        if a[(s + 1) * s + i] < 0.0:
            found = i
    return found


def reading(
    live: Mask, m: int, times: Array, cursor: int, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element,
    interval: Array,
) -> Mask:  # fmt: skip
    """Which samples of the mask read a time in their step, from time number `cursor` on."""
    direction = direction_of(interval)
    found = and_(live, not_(live))
    j = cursor
    going = True
    while j < m and going:
        found = or_(found, and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction)))
        going = any_(and_(and_(live, not_(found)), direction * ((times[j] - end_hi) - end_lo) <= 0.0))
        j = j + 1
    return found


def reads_back(
    live: Mask, times: Array, cursor: int, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element,
    interval: Array,
) -> bool:  # fmt: skip
    """Whether a reverse sweep whose next time is number `cursor` - 1 reads any in the step."""
    direction = direction_of(interval)
    found = False
    j = cursor - 1
    going = True
    while j >= 0 and going:
        found = any_(and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction)))
        going = any_(direction * ((times[j] - t_hi) - t_lo) > 0.0) and not found
        j = j - 1
    return found


def transpose_reading(
    rhs_vjp: Model, n: int, wide: int, p: Array, s: int, a: Array, c: Array, t_hi: Element, t_lo: Element, h: Element,
    points: Array, k: Array, k_bar: Array, stage_t_bar: Array, t_bar: Element, h_bar: Element, y_bar: Array,
    p_bar: Array, timed: bool,
) -> tuple[Element, Element]:  # fmt: skip
    """(t_bar, h_bar), with what these stages add, before the others are transposed: `explicit_rk_adjoint.transpose_stages`."""
    stage_bar = buffer(stage_t_bar, n)
    slope = buffer(stage_t_bar, n)
    for i in range(s - 1, -1, -1):
        if a[(s + 1) * s + i] == READ:
            fill(n, 0.0, stage_bar, 0)
            fill(1, 0.0, stage_t_bar, 0)
            time = t_hi + (t_lo + c[i] * h)
            rhs_vjp(time, view(points, i * wide, wide), p, view(k_bar, i * n, n), stage_t_bar, stage_bar, p_bar)
            axpy(n, 1.0, stage_bar, 0, y_bar, 0)
            if timed:
                t_bar = t_bar + stage_t_bar[0]
                sum_rows(n, i, a, i * s, 1, k, 0, n, slope, 0)
                h_bar = fma(c[i], stage_t_bar[0], h_bar) + dot(n, stage_bar, 0, slope, 0)
            scale(n, h, stage_bar, 0)
            add_to_rows(n, i, 1.0, a, i * s, 1, stage_bar, 0, k_bar, 0, n)
        if a[(s + 1) * s + i] == SAME:
            axpy(n, 1.0, k_bar, i * n, k_bar, s * n)
    return t_bar, h_bar


def transpose_tangent_reading(
    rhs_tangent_vjp: Model, n: int, p2: Array, s: int, a: Array, c: Array, t_hi: Element, t_lo: Element, t_dot: Element,
    h: Element, h_dot: Element, points: Array, slopes: Array, k_bar: Array, stage_t_bar: Array, ends: Array,
    state_bar: Array, p2_bar: Array,
) -> None:  # fmt: skip
    """As `transpose_reading`, for `explicit_rk_tangent.transpose_tangent_stages`."""
    stage_bar = buffer(stage_t_bar, 2 * n)
    for i in range(s - 1, -1, -1):
        if a[(s + 1) * s + i] == READ:
            fill(2 * n, 0.0, stage_bar, 0)
            fill(2, 0.0, stage_t_bar, 0)
            rhs_tangent_vjp(
                t_hi + (t_lo + c[i] * h), fma(c[i], h_dot, t_dot), view(points, 2 * i * n, 2 * n), p2,
                view(k_bar, 2 * i * n, 2 * n), stage_t_bar, stage_bar, p2_bar,
            )  # fmt: skip
            axpy(2 * n, 1.0, stage_bar, 0, state_bar, 0)
            ends[0] = ends[0] + stage_t_bar[0]
            ends[1] = fma(c[i], stage_t_bar[0], ends[1]) + dot(2 * n, stage_bar, 0, slopes, 2 * i * n)
            ends[2] = ends[2] + stage_t_bar[1]
            ends[3] = fma(c[i], stage_t_bar[1], ends[3]) + dot(n, stage_bar, n, slopes, 2 * i * n)
            add_to_rows(2 * n, i, h, a, i * s, 1, stage_bar, 0, k_bar, 0, 2 * n)
            add_to_rows(n, i, h_dot, a, i * s, 1, stage_bar, n, k_bar, 0, 2 * n)
        if a[(s + 1) * s + i] == SAME:
            axpy(2 * n, 1.0, k_bar, 2 * i * n, k_bar, 2 * s * n)
