"""The tangent of reading values between the steps (`dense_output.read_values`), and its transpose, one step at a time.

Rows of states and stages are (value, tangent), 2n numbers. The weight w of stage i is sigma*q_i(theta), its tangent
ẇ = (q + theta*q')*sigma_dot - theta²*q'*h_dot.
"""

from __future__ import annotations

from implicitdsl.solvers.dense_output import (
    begin_values,
    direction_of,
    fraction,
    has_begun,
    lies_inside,
    stage_polynomial,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    and_,
    any_,
    axpy,
    copy,
    dot,
    fma,
    not_,
    select,
)


def read_tangents(
    live: Mask,
    n: int,
    s: int,
    degree: int,
    dense: Array,
    t_hi: Element,
    t_lo: Element,
    t_dot: Element,
    h: Element,
    h_dot: Element,
    end_hi: Element,
    end_lo: Element,
    interval: Array,
    y2: Array,
    y1: Array,
    k: Array,
    m: int,
    times: Array,
    times_dot: Array,
    cursor: int,
    values: Array,
    values_dot: Array,
    found: Array,
) -> int:
    """Write the values and tangents of all times in a step, from time number `cursor` on; returns the cursor for the next
    step. `found` (2n) is scratch."""
    direction = direction_of(interval)
    j = cursor
    going = True
    while j < m and going:
        beyond = (times[j] - end_hi) - end_lo
        reached = and_(live, direction * beyond <= 0.0)
        if any_(reached):
            inside = and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction))
            read_tangent(
                inside, j, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, beyond == 0.0, y2, y1, k, times, times_dot,
                values, values_dot, found,
            )  # fmt: skip
            # A sample without a step in this row may not have come to the time yet: the cursor waits for it.
            if j == cursor and all_(direction * beyond <= 0.0):
                cursor = j + 1
            j = j + 1
        else:
            going = False
    return cursor


def begin_tangents(n: int, y2: Array, start: Element, m: int, times: Array, values: Array, values_dot: Array) -> None:
    """As `dense_output.begin_values`, with tangents; 0 at times not reached."""
    begin_values(n, y2, start, m, times, values)
    for j in range(m):
        for i in range(n):
            values_dot[j * n + i] = select(times[j] == start, y2[n + i], 0.0)


def hold_tangent_start(
    n: int, interval: Array, m: int, times: Array, values_bar: Array, values_dot_bar: Array, started: Mask, lam: Array,
    y2_bar: Array,
) -> None:  # fmt: skip
    """As `dense_output_adjoint.hold_start`, for the cotangents of y0 and its tangent."""
    for j in range(m):
        held = select(and_(times[j] == interval[0], not_(started)), 1.0, 0.0)
        axpy(n, held, values_bar, j * n, lam, 0)
        axpy(n, held, values_dot_bar, j * n, lam, n)
    axpy(2 * n, 1.0, lam, 0, y2_bar, 0)


def transpose_tangent_reads(
    live: Mask,
    n: int,
    s: int,
    degree: int,
    dense: Array,
    t_hi: Element,
    t_lo: Element,
    t_dot: Element,
    h: Element,
    h_dot: Element,
    end_hi: Element,
    end_lo: Element,
    interval: Array,
    k: Array,
    times: Array,
    times_dot: Array,
    cursor: int,
    values_bar: Array,
    values_dot_bar: Array,
    k_bar: Array,
    state_bar: Array,
    times_bar: Array,
    times_dot_bar: Array,
    ends: Array,
) -> tuple[int, bool]:
    """Transpose `read_tangents`, from time number `cursor` - 1 down; additions to `k_bar`, `state_bar`, the bars of the
    times and `ends` (those of t, h, ṫ, ḣ). Returns the cursor for the step before, and whether any time
    was read."""
    direction = direction_of(interval)
    read = False
    j = cursor - 1
    going = True
    while j >= 0 and going:
        inside = and_(live, lies_inside(times[j], t_hi, t_lo, end_hi, end_lo, interval[0], direction))
        if any_(inside):
            read = True
            transpose_tangent_read(
                inside, j, n, s, degree, dense, t_hi, t_lo, t_dot, h, h_dot, k, times, times_dot, values_bar,
                values_dot_bar, k_bar, state_bar, times_bar, times_dot_bar, ends,
            )  # fmt: skip
        begun = has_begun(times[j], t_hi, t_lo, interval[0], direction, inside)
        if j == cursor - 1 and all_(begun):
            cursor = j
        going = any_(begun)
        j = j - 1
    return cursor, read


def read_tangent(
    inside: Mask, j: int, n: int, s: int, degree: int, dense: Array, t_hi: Element, t_lo: Element, t_dot: Element,
    h: Element, h_dot: Element, ending: Mask, y2: Array, y1: Array, k: Array, times: Array, times_dot: Array,
    values: Array, values_dot: Array, found: Array,
) -> None:  # fmt: skip
    """Write the value and tangent of time number j, where it lies inside the step; `ending`: at its very end."""
    sigma = (times[j] - t_hi) - t_lo
    sigma_dot = times_dot[j] - t_dot
    theta = fraction(sigma, h)
    copy(2 * n, y2, 0, found, 0)
    for i in range(s + 1):
        q, dq, _ = stage_polynomial(i, degree, dense, theta)
        axpy(2 * n, sigma * q, k, 2 * i * n, found, 0)
        weight_dot = fma(fma(theta, dq, q), sigma_dot, -(theta * theta * dq) * h_dot)
        axpy(n, weight_dot, k, 2 * i * n, found, n)
    at_start = sigma == 0.0
    at_end = and_(ending, not_(at_start))
    for i in range(n):
        value = select(at_end, y1[i], found[i])
        values[j * n + i] = select(inside, value, values[j * n + i])
        values_dot[j * n + i] = select(inside, found[n + i], values_dot[j * n + i])


def transpose_tangent_read(
    inside: Mask, j: int, n: int, s: int, degree: int, dense: Array, t_hi: Element, t_lo: Element, t_dot: Element,
    h: Element, h_dot: Element, k: Array, times: Array, times_dot: Array, values_bar: Array, values_dot_bar: Array,
    k_bar: Array, state_bar: Array, times_bar: Array, times_dot_bar: Array, ends: Array,
) -> None:  # fmt: skip
    """Transpose `read_tangent`; additions as `transpose_tangent_reads` makes them."""
    sigma = (times[j] - t_hi) - t_lo
    sigma_dot = times_dot[j] - t_dot
    theta = fraction(sigma, h)
    inverse = select(h == 0.0, 0.0, 1.0 / select(h == 0.0, 1.0, h))
    sigma_bar = 0.0 * h
    sigma_dot_bar = 0.0 * h
    h_part = 0.0 * h
    h_dot_part = 0.0 * h
    for i in range(s + 1):
        q, dq, ddq = stage_polynomial(i, degree, dense, theta)
        by_sigma = fma(theta, dq, q)
        by_h = -(theta * theta * dq)
        bend = 2.0 * dq + theta * ddq
        weight = sigma * q
        weight_dot = fma(by_sigma, sigma_dot, by_h * h_dot)
        weight_bar = dot(n, values_bar, j * n, k, 2 * i * n) + dot(n, values_dot_bar, j * n, k, (2 * i + 1) * n)
        weight_dot_bar = dot(n, values_dot_bar, j * n, k, 2 * i * n)
        turn = weight_dot_bar * inverse * bend * (sigma_dot - theta * h_dot)
        sigma_bar = sigma_bar + (by_sigma * weight_bar + turn)
        h_part = h_part + (by_h * weight_bar - theta * turn)
        sigma_dot_bar = fma(by_sigma, weight_dot_bar, sigma_dot_bar)
        h_dot_part = fma(by_h, weight_dot_bar, h_dot_part)
        axpy(n, select(inside, weight, 0.0), values_bar, j * n, k_bar, 2 * i * n)
        axpy(n, select(inside, weight_dot, 0.0), values_dot_bar, j * n, k_bar, 2 * i * n)
        axpy(n, select(inside, weight, 0.0), values_dot_bar, j * n, k_bar, (2 * i + 1) * n)
    axpy(n, select(inside, 1.0, 0.0), values_bar, j * n, state_bar, 0)
    axpy(n, select(inside, 1.0, 0.0), values_dot_bar, j * n, state_bar, n)
    times_bar[j] = times_bar[j] + select(inside, sigma_bar, 0.0)
    times_dot_bar[j] = times_dot_bar[j] + select(inside, sigma_dot_bar, 0.0)
    ends[0] = ends[0] - select(inside, sigma_bar, 0.0)
    ends[1] = ends[1] + select(inside, h_part, 0.0)
    ends[2] = ends[2] - select(inside, sigma_dot_bar, 0.0)
    ends[3] = ends[3] + select(inside, h_dot_part, 0.0)
