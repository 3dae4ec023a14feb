"""The transpose of reading values between the steps (`dense_output.read_values`), one step of a reverse sweep."""

from __future__ import annotations

from implicitdsl.solvers.dense_output import direction_of, fraction, is_read, stage_polynomial, weight_polynomial
from implicitdsl.solvers.vocabulary import Array, Element, Mask, all_, and_, any_, axpy, dot, fma, not_, or_, select


def transpose_reads(
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
    live: Mask,
    k: Array,
    times: Array,
    cursor: int,
    values_bar: Array,
    k_bar: Array,
    y_bar: Array,
    times_bar: Array,
    ends: Array,
    timed: bool,
) -> tuple[int, bool]:
    """Transpose the reading of the times inside a step, from number `cursor` - 1 down; additions to `k_bar`, `y_bar`, and
    where `timed`, `times_bar` and `ends` (those of t and h). Returns the cursor for the step before, and whether any
    time was read."""
    direction = direction_of(interval)
    opening = and_(live, and_(t_hi == interval[0], t_lo == 0.0))
    read = False
    j = cursor - 1
    going = True
    while j >= 0 and going:
        sigma = (times[j] - t_hi) - t_lo
        # The start of the interval belongs to the first step.
        begun = or_(direction * sigma > 0.0, and_(opening, times[j] == interval[0]))
        inside = and_(live, and_(begun, direction * ((times[j] - end_hi) - end_lo) <= 0.0))
        if any_(inside):
            read = True
            transpose_read(
                inside, j, n, s, degree, dense, sigma, h, k, values_bar, k_bar, y_bar, times_bar, ends, timed
            )
        if j == cursor - 1 and all_(begun):
            cursor = j
        going = any_(begun)
        j = j - 1
    return cursor, read


def transpose_read(
    inside: Mask,
    j: int,
    n: int,
    s: int,
    degree: int,
    dense: Array,
    sigma: Element,
    h: Element,
    k: Array,
    values_bar: Array,
    k_bar: Array,
    y_bar: Array,
    times_bar: Array,
    ends: Array,
    timed: bool,
) -> None:
    """Transpose the reading of time number j at t + sigma, where it lies inside the step; additions as above."""
    theta = fraction(sigma, h)
    for i in range(s + 1):
        if is_read(i, degree, dense):
            weight = select(inside, sigma * weight_polynomial(i, degree, dense, theta), 0.0)
            axpy(n, weight, values_bar, j * n, k_bar, i * n)
    axpy(n, select(inside, 1.0, 0.0), values_bar, j * n, y_bar, 0)
    if timed:
        sigma_bar = 0.0 * h
        h_part = 0.0 * h
        for i in range(s + 1):
            if is_read(i, degree, dense):
                q, dq, _ = stage_polynomial(i, degree, dense, theta)
                along = dot(n, values_bar, j * n, k, i * n)
                sigma_bar = fma(fma(theta, dq, q), along, sigma_bar)
                h_part = fma(theta * theta * dq, along, h_part)
        times_bar[j] = times_bar[j] + select(inside, sigma_bar, 0.0)
        ends[0] = ends[0] - select(inside, sigma_bar, 0.0)
        ends[1] = ends[1] - select(inside, h_part, 0.0)


def hold_start(
    n: int, interval: Array, m: int, times: Array, values_bar: Array, started: Mask, lam: Array, y0_bar: Array
) -> None:
    """The end of a reverse sweep: the start value itself where a sample made no step, then the cotangent of y0."""
    for j in range(m):
        held = and_(times[j] == interval[0], not_(started))
        axpy(n, select(held, 1.0, 0.0), values_bar, j * n, lam, 0)
    axpy(n, 1.0, lam, 0, y0_bar, 0)
