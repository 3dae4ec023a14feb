"""The past of a multistep method: divided differences over unequal steps, and what a step of any order takes from them.

`past` holds y_n, y_(n-1), …, y_(n-5) (PAST rows of n), `back` how long ago each was, t_n - t_(n-i), with the sign of the
steps. With x counted from t_n and the divided differences D_k of y_n, …, y_(n-k), the polynomial through the past and a
new point y_n + h*u is y_n + x*sum_k N_k*prod_(0<j<k) (x + back_j), N_k = D_k for k < order, N_order = (u - p)/w_order,
where w_k = prod_(0<j<k) (h + back_j) and p = sum_(k<order) w_k*D_k. Its slope at the new point is f there:

    M (lead*u - sum_(k<order) slope_k*D_k) = f,  lead = 1 + R_1,  slope_k = w_k*R_k,  R_k = sum_(k<=j<order) h/(h + back_j),

the BDF of that order with the coefficients of the steps that were taken (C. W. Gear; K. R. Jackson and R. Sacks-Davis,
ACM TOMS 6 (1980) 295–318). `back` is held fixed in every derivative; `weights` has those by h.
"""

from __future__ import annotations

from implicitdsl.solvers.stepping import GRID
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    and_,
    any_,
    axpy,
    copy,
    copy_where,
    fma,
    not_,
    scale,
    select,
)

PAST = 6
"""Rows of `past`."""
HIGHEST = 5
"""The highest order; the divided differences kept are as many, in rows 1 … HIGHEST of their table."""

PRODUCT = 0
SLOPE = PAST
LEAD = 2 * PAST
INVERSE = 2 * PAST + 1
WEIGHTS = 3 * (2 * PAST + 2)
"""Places in `weights`, in numbers with their first and second derivatives by h: w_k, slope_k, lead and 1/w_order; and its
length."""


def divide(n: int, past: Array, back: Array, table: Array) -> None:
    """Rows 1 … HIGHEST of `table` (PAST*n) := D_1 …"""
    for i in range(1, PAST):
        copy(n, past, i * n, table, i * n)
        axpy(n, -1.0, past, 0, table, i * n)
        scale(n, -1.0 / back[i], table, i * n)
    for k in range(1, HIGHEST):
        for i in range(k + 1, PAST):
            axpy(n, -1.0, table, k * n, table, i * n)
            scale(n, 1.0 / (back[k] - back[i]), table, i * n)


def transpose_divide(n: int, back: Array, table_bar: Array, past_bar: Array) -> None:
    """Transpose `divide`: additions to `past_bar`; `table_bar` is overwritten."""
    for step in range(1, HIGHEST):
        k = HIGHEST - step
        for i in range(k + 1, PAST):
            scale(n, 1.0 / (back[k] - back[i]), table_bar, i * n)
            axpy(n, -1.0, table_bar, i * n, table_bar, k * n)
    for i in range(1, PAST):
        axpy(n, -1.0 / back[i], table_bar, i * n, past_bar, i * n)
        axpy(n, 1.0 / back[i], table_bar, i * n, past_bar, 0)


def weigh(h: Element, order: Element, back: Array, weights: Array) -> None:
    """`weights` of a step of length h, with their derivatives."""
    product, first, second = 0.0 * h + 1.0, 0.0 * h, 0.0 * h
    inverse, inverse_first, inverse_second = product, first, second
    for k in range(1, PAST):
        at = 3 * (PRODUCT + k)
        weights[at] = product
        weights[at + 1] = first
        weights[at + 2] = second
        here = order == k
        inverse = select(here, 1.0 / product, inverse)
        inverse_first = select(here, -first / (product * product), inverse_first)
        bend = (2.0 * first * first / product - second) / (product * product)
        inverse_second = select(here, bend, inverse_second)
        gap = h + back[k]
        second = fma(second, gap, 2.0 * first)
        first = fma(first, gap, product)
        product = product * gap
    weights[3 * INVERSE] = inverse
    weights[3 * INVERSE + 1] = inverse_first
    weights[3 * INVERSE + 2] = inverse_second
    total, total_first, total_second = 0.0 * h, 0.0 * h, 0.0 * h
    for step in range(1, HIGHEST):
        k = HIGHEST - step
        gap = h + back[k]
        used = order > k
        total = total + select(used, h / gap, 0.0)
        total_first = total_first + select(used, back[k] / (gap * gap), 0.0)
        total_second = total_second - select(used, 2.0 * back[k] / (gap * gap * gap), 0.0)
        w, dw, ddw = weights[3 * (PRODUCT + k)], weights[3 * (PRODUCT + k) + 1], weights[3 * (PRODUCT + k) + 2]
        at = 3 * (SLOPE + k)
        weights[at] = w * total
        weights[at + 1] = dw * total + w * total_first
        weights[at + 2] = ddw * total + 2.0 * dw * total_first + w * total_second
    weights[3 * (SLOPE + HIGHEST)] = 0.0 * h
    weights[3 * (SLOPE + HIGHEST) + 1] = 0.0 * h
    weights[3 * (SLOPE + HIGHEST) + 2] = 0.0 * h
    weights[3 * LEAD] = 1.0 + total
    weights[3 * LEAD + 1] = total_first
    weights[3 * LEAD + 2] = total_second


def combine(
    n: int, kind: int, derivative: int, most: Element, weights: Array, table: Array, table_at: int, out: Array
) -> None:
    """out := out + sum_(0<k<=most) weight_k*D_k, with a derivative of the weights by h."""
    for k in range(1, PAST):
        w = select(most >= k, weights[3 * (kind + k) + derivative], 0.0)
        axpy(n, w, table, table_at + k * n, out, 0)


def expand(n: int, back: Array, rows: Array) -> None:
    """Rows 1 … HIGHEST: from the N_k to the coefficients of the powers of x."""
    for step in range(1, HIGHEST):
        k = HIGHEST - step
        for i in range(k, HIGHEST):
            axpy(n, back[k], rows, (i + 1) * n, rows, i * n)


def transpose_expand(n: int, back: Array, rows_bar: Array) -> None:
    """Transpose `expand`."""
    for k in range(1, HIGHEST):
        for step in range(k, HIGHEST):
            i = HIGHEST - 1 + k - step
            axpy(n, back[k], rows_bar, i * n, rows_bar, (i + 1) * n)


def remember(mask: Element, n: int, h: Element, y1: Array, past: Array, back: Array) -> None:
    """Put y1, which lies h ahead, before the past, for the samples of the mask."""
    for step in range(1, PAST):
        i = PAST - step
        copy_where(mask, n, past, (i - 1) * n, past, i * n)
        back[i] = select(mask, back[i - 1] + h, back[i])
    copy_where(mask, n, y1, 0, past, 0)


def recall(n: int, row: int, grid: Array, states: Array, width: int, past: Array, back: Array) -> Element:
    """The past of a row of a tape with `width` numbers a state, of which the first n count, as `remember` made it; returns
    how many points before the row's own there are, at most HIGHEST."""
    copy(n, states, row * width, past, 0)
    distance = 0.0 * grid[row * GRID + 2]
    count = distance
    back[0] = distance
    step = select(grid[row * GRID + 2] == 0.0, 1.0, grid[row * GRID + 2])
    for slot in range(1, PAST):
        copy(n, past, 0, past, slot * n)
        back[slot] = slot * step
    j = row - 1
    going = True
    while j >= 0 and going:
        live = and_(grid[j * GRID + 3] > 0.0, count < HIGHEST)
        distance = distance + select(live, grid[j * GRID + 2], 0.0)
        count = count + select(live, 1.0, 0.0)
        for slot in range(1, PAST):
            here = and_(live, count == slot)
            copy_where(here, n, states, j * width, past, slot * n)
            back[slot] = select(here, distance, back[slot])
        going = any_(not_(count >= HIGHEST))
        j = j - 1
    for slot in range(1, PAST):
        # Points that there are not yet lie where they divide nothing by 0; no weight counts them.
        back[slot] = select(count < slot, back[slot - 1] + step, back[slot])
    return count
