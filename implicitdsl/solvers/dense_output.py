"""Values between the steps: which save times lie in a step, and the polynomial that gives the value there.

With sigma = time - t and theta = sigma/h the weight of stage i is w_i = h*b_i(theta) = sigma*q_i(theta), where
q_i(theta) = sum_k dense[i][k-1]*theta^(k-1). This form has no division by h but theta itself, so an interval of length 0
has a value and derivatives: dw/dsigma = q + theta*q' and dw/dh = -theta²*q'.
"""

from __future__ import annotations

import numpy as np

from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_,
    and_,
    any_,
    axpy,
    copy,
    copy_where,
    fill,
    fma,
    is_finite,
    not_,
    or_,
    select,
)

FEW = 4
"""Numbers of a state up to which it is written for no sample rather than asked whether there is one."""


def direction_of(interval: Array) -> Element:
    """-1 where the interval (t0, t1) runs backwards, else 1."""
    return select(interval[1] < interval[0], -1.0, 1.0)


def times_in_order(interval: Array, m: int, times: Array) -> Mask:
    """Whether the interval is finite and the m times are finite, lie in it, and never turn back (ties allowed)."""
    direction = direction_of(interval)
    good = and_(is_finite(interval[0]), is_finite(interval[1]))
    before = interval[0]
    for k in range(m):
        good = and_(good, and_(is_finite(times[k]), direction * (times[k] - before) >= 0.0))
        before = times[k]
    return and_(good, direction * (interval[1] - before) >= 0.0)


def lies_inside(
    time: Element, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element, start: Element, direction: Element
) -> Mask:
    """Whether a time belongs to the step from t to end: t < time <= end, and the start of the interval to the first step."""
    after = (time - t_hi) - t_lo
    beyond = (time - end_hi) - end_lo
    first = and_(and_(time == start, t_hi == start), t_lo == 0.0)
    return and_(direction * beyond <= 0.0, or_(direction * after > 0.0, first))


def has_begun(time: Element, t_hi: Element, t_lo: Element, start: Element, direction: Element, inside: Mask) -> Mask:
    """Whether a save time lies after the start of a step (or is the start of the interval and belongs to this step)."""
    return or_(direction * ((time - t_hi) - t_lo) > 0.0, and_(time == start, inside))


def fraction(sigma: Element, h: Element) -> Element:
    """theta = sigma/h, and 0 in a step of length 0, or so short that 1/h is infinite."""
    # The reciprocal is that of the step, whatever times are read in it.
    inverse = 1.0 / select(h == 0.0, 1.0, h)
    return select(and_(h != 0.0, is_finite(inverse)), sigma * inverse, 0.0)


def is_read(i: int, degree: int, dense: Array) -> bool:
    """Whether the polynomial of a step has any of stage i."""
    found = False
    for j in range(degree):
        if dense[i * degree + j] != 0.0:
            found = True
    return found


def weight_polynomial(i: int, degree: int, dense: Array, theta: Element) -> Element:
    """q_i at theta."""
    q = dense[i * degree + degree - 1]
    for back in range(1, degree):
        if dense[i * degree + degree - 1 - back] != 0.0:
            q = fma(q, theta, dense[i * degree + degree - 1 - back])
        else:
            q = q * theta
    return q


def stage_polynomial(i: int, degree: int, dense: Array, theta: Element) -> tuple[Element, Element, Element]:
    """(q_i, q_i', q_i'') at theta."""
    q = dense[i * degree + degree - 1] + 0.0 * theta
    dq = 0.0 * theta
    half_ddq = 0.0 * theta
    for back in range(1, degree):
        if back > 2:
            half_ddq = fma(half_ddq, theta, dq)
        else:
            half_ddq = dq
        if back > 1:
            dq = fma(dq, theta, q)
        else:
            dq = q
        if dense[i * degree + degree - 1 - back] != 0.0:
            q = fma(q, theta, dense[i * degree + degree - 1 - back])
        else:
            q = q * theta
    return q, dq, 2.0 * half_ddq


def begin_values(n: int, y0: Array, start: Element, m: int, times: Array, values: Array) -> None:
    """values := y0 at the times equal to the start, NaN at the others, which the steps then fill."""
    for k in range(m):
        at_start = times[k] == start
        for i in range(n):
            values[k * n + i] = select(at_start, y0[i], np.nan)


def step_value(
    n: int, s: int, degree: int, dense: Array, sigma: Element, h: Element, y: Array, k: Array, out: Array
) -> None:
    """out := the value of the step's polynomial at t + sigma, from y and the s + 1 stages `k`."""
    theta = fraction(sigma, h)
    copy(n, y, 0, out, 0)
    for i in range(s + 1):
        if is_read(i, degree, dense):
            axpy(n, sigma * weight_polynomial(i, degree, dense, theta), k, i * n, out, 0)


def step_slope(n: int, s: int, degree: int, dense: Array, sigma: Element, h: Element, k: Array, out: Array) -> None:
    """out := the slope of the step's polynomial at t + sigma."""
    theta = fraction(sigma, h)
    fill(n, 0.0, out, 0)
    for i in range(s + 1):
        q, dq, _ = stage_polynomial(i, degree, dense, theta)
        axpy(n, fma(theta, dq, q), k, i * n, out, 0)


def read_values(
    live: Mask,
    waiting: Mask,
    n: int,
    s: int,
    degree: int,
    dense: Array,
    t_hi: Element,
    t_lo: Element,
    h: Element,
    end_hi: Element,
    end_lo: Element,
    interval: Array,
    y: Array,
    y1: Array,
    k: Array,
    m: int,
    times: Array,
    cursor: int,
    values: Array,
    work: Array,
) -> int:
    """Write the values of all times in an accepted step, from time number `cursor` on; returns the cursor for the next step.

    `live` marks the samples whose step was accepted, `waiting` those still under way, for which the cursor must not pass a
    time that they have not reached. At the end of the step the value is y1 itself.
    """
    direction = direction_of(interval)
    j = cursor
    going = True
    crowded = False
    while j < m and going:
        beyond = (times[j] - end_hi) - end_lo
        reached = and_(live, direction * beyond <= 0.0)
        if any_(reached):
            # Where samples are at different times, those ahead have read this one already.
            sigma = (times[j] - t_hi) - t_lo
            which = select(and_(reached, direction * sigma > 0.0), 0.0, -1.0)
            left = beyond
            first = j
            if j == cursor and all_(or_(not_(waiting), reached)):
                cursor = j + 1
            j = j + 1
            # Each sample reads at a time of its own, which costs no more than one time for all; from where one has two
            # times in its step on, they are taken one by one.
            fits = not crowded
            while j < m and fits:
                beyond = (times[j] - end_hi) - end_lo
                reached = and_(live, direction * beyond <= 0.0)
                if any_(reached):
                    after = (times[j] - t_hi) - t_lo
                    inside = and_(reached, direction * after > 0.0)
                    if any_(and_(inside, which >= 0.0)):
                        fits = False
                        crowded = True
                    else:
                        # Without a branch, which nothing could foretell.
                        sigma = select(inside, after, sigma)
                        which = select(inside, 1.0 * (j - first), which)
                        left = select(inside, beyond, left)
                        if j == cursor and all_(or_(not_(waiting), reached)):
                            cursor = j + 1
                        j = j + 1
                else:
                    fits = False
                    going = False
            if any_(which >= 0.0):
                step_value(n, s, degree, dense, sigma, h, y, k, work)
                for i in range(n):
                    work[i] = select(left == 0.0, y1[i], work[i])
                for place in range(first, j):
                    here = which == 1.0 * (place - first)
                    if n <= FEW or any_(here):
                        copy_where(here, n, work, 0, values, place * n)
        else:
            going = False
    return cursor
