"""Backward differentiation formulas of order 1 to 5, with the coefficients of the steps that were taken, for
M y' = f(t, y, p) with a diagonal M of zeros and ones.

Model functions, times, tape, statistics and statuses as in `esdirk`; a row of the tape has in place of its flag the order
of the step, and LAST more for the one that ends at t1. Each step is one implicit stage, solved to rounding as in `esdirk`,
from a Jacobian at the predicted point. Orders and step lengths are chosen as in L. F. Shampine and M. W. Reichelt, The
MATLAB ODE suite, SIAM J. Sci. Comput. 18 (1997) 1–22: the error of order k is h*(u - predicted)/(k + 1), steps grow and
orders change after k + 1 steps alike, and a run begins at order 1. Where dt is given, the order rises by one a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.solvers.bdf_history import (
    HIGHEST,
    INVERSE,
    LEAD,
    PAST,
    PRODUCT,
    SLOPE,
    WEIGHTS,
    combine,
    divide,
    expand,
    remember,
    weigh,
)
from implicitdsl.solvers.dense_output import begin_values, read_values
from implicitdsl.solvers.esdirk import UNSOLVED, solve_stage
from implicitdsl.solvers.status import DIVERGED, NONFINITE
from implicitdsl.solvers.step_control import GROW, SHRINK, SMALLEST_ERROR, bounded_length, scaled_rms
from implicitdsl.solvers.step_matrix import factor_size, factor_step, jacobian_size
from implicitdsl.solvers.stepping import (
    AFTER_REJECTION,
    COURSE,
    GRID,
    LAST_TIME,
    LENGTH,
    REACH,
    ROWS,
    after_step,
    begin_course,
    judge_start,
    keep_row,
    next_step,
    no_low_part,
)
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    all_finite,
    and_,
    any_,
    buffer,
    copy,
    fill,
    fma,
    interrupted,
    not_,
    or_,
    power,
    scale,
    select,
    vabs,
    view,
    vmax,
    vmin,
)

Model = Callable[..., None]

LAST = 8.0
"""Added to the order of the step that ends at t1."""


@dataclass(frozen=True)
class Bdf:
    """The family as one method: `order` and `error_order` are those of its first step, `highest` the highest order, `degree`
    that of its polynomials in theta."""

    name: str = "bdf"
    order: int = 1
    error_order: int = 1
    highest: int = HIGHEST
    degree: int = HIGHEST

    def tables(self, dtype: DTypeLike) -> dict[str, NDArray[Any]]:
        """What the solver functions read, 1-D and row-major: `dense` takes the coefficients of a polynomial as they are."""
        return {"dense": np.eye(self.degree, dtype=dtype).ravel()}

    def event_tables(self, dtype: DTypeLike) -> dict[str, NDArray[Any]]:
        """As `tables`, with the other names that the solvers through events have; they stand for nothing here."""
        return self.tables(dtype) | {name: np.zeros(1, dtype) for name in ("a", "c", "error")}


BDF = Bdf()


def predict(n: int, have: Element, order: Element, mass: Array, slope: Array, weights: Array, table: Array, out: Array) -> None:  # fmt: skip
    """out := the u of the polynomial through as many points as the order asks for and there are, or the slope at a start."""
    fill(n, 0.0, out, 0)
    combine(n, PRODUCT, 0, vmin(have, order), weights, table, 0, out)
    for q in range(n):
        if mass[q] != 0.0:
            out[q] = select(have == 0.0, slope[q], out[q])


def make_step(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, p: Array, have: Element, order: Element,
    t: Element, h: Element, end: Element, active: Mask, past: Array, back: Array, table: Array, weights: Array,
    u: Array, y1: Array, held: Array, slope: Array, matrix: Array, drift: Array, lu: Array, pivots: Array,
    fresh: Array, rtol: Element, atol: Element,
) -> Mask:  # fmt: skip
    """Solve a step of the samples of the mask: `u` and `y1` from `past`; gives which were solved."""
    divide(n, past, back, table)
    weigh(h, order, back, weights)
    rhs(t, past, p, slope)
    predict(n, have, order, mass, slope, weights, table, u)
    for q in range(n):
        y1[q] = fma(h, u[q], past[q])
    gamma = 1.0 / weights[3 * LEAD]
    factor_step(linearise, n, mass, pattern, gamma, end, h, y1, p, matrix, drift, lu, pivots)
    fill(n, 0.0, held, 0)
    combine(n, SLOPE, 0, order - 1.0, weights, table, 0, held)
    return solve_stage(
        rhs, linearise, n, mass, pattern, p, gamma, 1.0, end, h, active, matrix, drift, lu, pivots, past, held, u, y1,
        rtol, atol, fresh,
    )  # fmt: skip


def polynomial(n: int, order: Element, back: Array, weights: Array, table: Array, u: Array, rows: Array) -> None:
    """Rows 1 … HIGHEST of `rows` := the N_k of the step."""
    newest = view(rows, 0, n)
    fill(n, 0.0, newest, 0)
    combine(n, PRODUCT, 0, order - 1.0, weights, table, 0, newest)
    for q in range(n):
        newest[q] = (u[q] - newest[q]) * weights[3 * INVERSE]
    for k in range(1, PAST):
        for q in range(n):
            rows[k * n + q] = select(order > k, table[k * n + q], select(order == k, newest[q], 0.0))


def scale_rows(n: int, h: Element, rows: Array) -> None:
    """Row k times h^(k-1): from powers of x to powers of theta, and back in the transpose."""
    factor = 0.0 * h + 1.0
    for k in range(1, PAST):
        scale(n, factor, rows, k * n)
        factor = factor * h


def error_of(
    n: int, k: Element, have: Element, mass: Array, h: Element, u: Array, y: Array, y1: Array, slope: Array,
    weights: Array, table: Array, rtol: Element, atol: Element, work: Array,
) -> Element:  # fmt: skip
    """The scaled error of order k; where there is no past, algebraic unknowns do not count."""
    predict(n, have, k, mass, slope, weights, table, work)
    for q in range(n):
        work[q] = h * (u[q] - work[q]) / (k + 1.0)
        if mass[q] == 0.0:
            work[q] = select(have == 0.0, 0.0, work[q])
    return scaled_rms(n, work, y, y1, rtol, atol)


def factor_of(margin: float, err: Element, order: Element) -> Element:
    """The factor of the step length that this error allows at this order."""
    return 1.0 / (margin * power(vmax(err, SMALLEST_ERROR), 1.0 / (order + 1.0)))


def integrate(
    rhs: Model, linearise: Model, n: int, mass: Array, pattern: Array, y0: Array, p: Array, interval: Array, m: int,
    times: Array, highest: int, dense: Array, control: Array, rtol: Element, atol: Element, dt: Element,
    max_steps: int, values: Array, y_end: Array, statistics: Array, grid: Array, grid_rows: int, states: Array,
    state_rows: int,
) -> Element:  # fmt: skip
    """Solve from t0 to t1 and read the solution at `times`; everything as `explicit_rk.integrate` says. `highest` is the
    highest order, `dense` the identity of HIGHEST rows.

    Where M is singular, y0 is taken to be consistent (`consistent_start` makes it so).
    """
    adaptive = not (dt > 0.0)
    past = buffer(y0, PAST * n)
    back = buffer(y0, PAST)
    table = buffer(y0, PAST * n)
    rows = buffer(y0, PAST * n)
    weights = buffer(y0, WEIGHTS)
    u = buffer(y0, n)
    y1 = buffer(y0, n)
    held = buffer(y0, n)
    slope = buffer(y0, n)
    matrix = buffer(y0, jacobian_size(n, pattern))
    drift = buffer(y0, n)
    lu = buffer(y0, factor_size(n, pattern))
    pivots = buffer(y0, n)
    fresh = buffer(y0, jacobian_size(n, pattern) + factor_size(n, pattern) + 4 * n)
    work = buffer(y0, n)
    course = buffer(y0, COURSE)
    begin_values(n, y0, interval[0], m, times, values)
    rhs(interval[0], y0, p, slope)
    status, active = judge_start(n, y0, slope, interval, m, times)
    begin_course(rhs, n, y0, p, interval, slope, control, rtol, atol, dt, y1, work, statistics, course)
    for i in range(PAST):
        copy(n, y0, 0, past, i * n)
        back[i] = i * select(interval[1] < interval[0], -1.0, 1.0)

    t_hi = interval[0]
    t_lo = no_low_part(active)
    none = back[0]
    order = none + 1.0
    have = none
    alike = none
    cursor = 0
    row = 0
    while any_(active) and not interrupted():
        last, h, end_hi, end_lo = next_step(interval, t_hi, t_lo, dt, course)
        solved = make_step(
            rhs, linearise, n, mass, pattern, p, have, order, t_hi, h, end_hi, active, past, back, table, weights, u, y1,
            held, slope, matrix, drift, lu, pivots, fresh, rtol, atol,
        )  # fmt: skip
        finite = and_(all_finite(n, y1, 0), all_finite(n, slope, 0))
        err = none
        lower = none
        higher = none
        if adaptive:
            lower = error_of(n, order - 1.0, have, mass, h, u, past, y1, slope, weights, table, rtol, atol, work)
            higher = error_of(n, order + 1.0, have, mass, h, u, past, y1, slope, weights, table, rtol, atol, work)
            err = error_of(n, order, have, mass, h, u, past, y1, slope, weights, table, rtol, atol, work)
            err = select(solved, err, UNSOLVED)
        ok = and_(and_(active, solved), and_(finite, err <= 1.0))
        if any_(ok):
            if row < grid_rows:
                keep_row(ok, last, n, t_hi, t_lo, h, past, row, grid, grid_rows, states, state_rows, 1)
                grid[row * GRID + 3] = select(ok, order + select(last, LAST, 0.0), 0.0)
            row = row + 1
            if m > 0:
                polynomial(n, order, back, weights, table, u, rows)
                expand(n, back, rows)
                scale_rows(n, h, rows)
                cursor = read_values(
                    ok, active, n, HIGHEST - 1, HIGHEST, dense, t_hi, t_lo, h, end_hi, end_lo, interval, past, y1,
                    view(rows, n, HIGHEST * n), m, times, cursor, values, work,
                )  # fmt: skip
            remember(ok, n, h, y1, past, back)
            t_hi = select(ok, end_hi, t_hi)
            t_lo = select(ok, end_lo, t_lo)
        again = course[AFTER_REJECTION] > 0.5
        tried = active
        status, active = after_step(
            status, active, ok, finite, last, err * err, h, t_hi, interval, control, dt, max_steps, statistics,
            course, y0,
        )  # fmt: skip
        if adaptive:
            order, alike = choose(
                ok, and_(tried, not_(ok)), again, solved, h, order, have, alike, highest, err, lower, higher, control,
                course,
            )  # fmt: skip
        else:
            order = select(ok, vmin(order + 1.0, none + highest), order)
            unsolved = and_(and_(tried, not_(solved)), and_(finite, status == NONFINITE))
            status = select(unsolved, DIVERGED, status)
        have = select(ok, vmin(have + 1.0, none + HIGHEST), have)
    copy(n, past, 0, y_end, 0)
    statistics[LAST_TIME] = t_hi
    statistics[ROWS] = row
    return status


def choose(
    ok: Mask, failed: Mask, again: Mask, solved: Mask, h: Element, order: Element, have: Element, alike: Element,
    highest: int, err: Element, lower: Element, higher: Element, control: Array, course: Array,
) -> tuple[Element, Element]:  # fmt: skip
    """(order, alike) of the next step, and its length in `course`: `alike` counts the steps of one order and length."""
    alike = select(ok, alike + 1.0, 0.0)
    factor = factor_of(1.2, err, order)
    down = select(order > 1.0, factor_of(1.3, lower, order - 1.0), 0.0)
    up = select(and_(order < highest, have > order), factor_of(1.4, higher, order + 1.0), 0.0)
    best = vmax(factor, vmax(down, up))
    change = and_(and_(ok, alike > order), best > 1.0)
    chosen = select(best == factor, order, select(best == down, order - 1.0, order + 1.0))
    shorter = vmax(control[SHRINK], vmin(1.0, select(solved, factor, control[SHRINK])))
    shorter = select(again, vmin(0.5, shorter), vmin(0.9, shorter))
    drop = and_(and_(failed, solved), and_(down > factor, not_(again)))
    length = select(failed, shorter, select(change, vmin(best, control[GROW]), 1.0)) * vabs(h)
    course[LENGTH] = bounded_length(length, control)
    course[REACH] = bounded_length(1.01 * length, control)
    return (
        select(drop, order - 1.0, select(change, chosen, order)),
        select(or_(change, failed), 0.0, alike),
    )
