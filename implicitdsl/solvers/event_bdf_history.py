"""The past of a BDF in a run with events, and how its order and steps follow; see `event_one_step.py`.

An event ends the past: the run goes on as at a start, at order 1, with the length that a first step would have. `room` holds
the past points and their tangents (PAST*n numbers each), their distances, NOTED; then what a step leaves to its transpose:
divided differences and their tangents, the weights, u and its tangent, the slope at the start, factors and pivots.

Model function: `rhs(t, y, p, out)`.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.bdf import choose, error_of
from implicitdsl.solvers.bdf_history import HIGHEST, PAST, WEIGHTS, remember
from implicitdsl.solvers.event_rows import CUT, FLAG, ORDER, makes_step
from implicitdsl.solvers.step_control import bounded_length, first_step
from implicitdsl.solvers.step_matrix import factor_size
from implicitdsl.solvers.stepping import AFTER_REJECTION, LENGTH, REACH, after_step
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    any_,
    copy,
    copy_where,
    fill,
    not_,
    select,
    view,
    vmax,
    vmin,
)

Model = Callable[..., None]

HAVE = 0
BEYOND = 1
ALIKE = 2
LOWER = 3
HIGHER = 4
ERROR = 5
SOLVED = 6
NOTED = 7
"""Places among the facts of a step and their number: how many points there are before the state, the order less 1, how many
steps of one order and length were made, the errors of the orders below, above and of this step, and 1 where its stage was
solved. All 0 is how a run begins."""


def window_size(n: int) -> int:
    """As `event_one_step.window_size`."""
    return PAST * n


def room_size(n: int, s: int, last_row: int, pattern: Array) -> int:
    """As `event_steps.room_size`."""
    return 4 * PAST * n + PAST + NOTED + WEIGHTS + factor_size(n, pattern) + 4 * n


def points_of(n: int, room: Array) -> Array:
    """The points of the past, then their tangents."""
    return view(room, 0, 2 * PAST * n)


def distances_of(n: int, room: Array) -> Array:
    """How long ago each point was."""
    return view(room, 2 * PAST * n, PAST)


def facts_of(n: int, room: Array) -> Array:
    """The facts of a step."""
    return view(room, 2 * PAST * n + PAST, NOTED)


def table_of(n: int, room: Array) -> Array:
    """The divided differences, then their tangents."""
    return view(room, 2 * PAST * n + PAST + NOTED, 2 * PAST * n)


def weights_of(n: int, room: Array) -> Array:
    """The weights of a step."""
    return view(room, 4 * PAST * n + PAST + NOTED, WEIGHTS)


def stage_of(n: int, room: Array) -> Array:
    """u of a step, its tangent, the slope at the start of the step, and the pivots of the factors."""
    return view(room, 4 * PAST * n + PAST + NOTED + WEIGHTS, 4 * n)


def factors_of(n: int, pattern: Array, room: Array) -> Array:
    """The factors of the matrix of a step."""
    return view(room, 4 * PAST * n + PAST + NOTED + WEIGHTS + 4 * n, factor_size(n, pattern))


def space_out(have: Element, h: Element, back: Array) -> None:
    """Points that there are not yet lie where they divide nothing by 0; no weight counts them."""
    step = select(h == 0.0, 1.0, h)
    for slot in range(1, PAST):
        back[slot] = select(have < slot, back[slot - 1] + step, back[slot])


def recall_points(
    row: int, width: int, grid: Array, states: Array, wide: int, n: int, past: Array, back: Array
) -> Element:
    """The points before the state of a row of the tape, back to the last event, from states of `wide` numbers of which n
    count; returns how many there are, at most HIGHEST."""
    distance = 0.0 * grid[row * width + 2]
    count = distance
    smooth = makes_step(grid[row * width + FLAG])
    j = row - 1
    going = any_(smooth)
    while j >= 0 and going:
        flag = grid[j * width + FLAG]
        smooth = and_(smooth, flag < CUT)
        live = and_(smooth, and_(flag > 0.0, count < HIGHEST))
        distance = distance + select(live, grid[j * width + 2], 0.0)
        count = count + select(live, 1.0, 0.0)
        for slot in range(1, PAST):
            here = and_(live, count == slot)
            copy_where(here, n, states, j * wide, past, slot * n)
            back[slot] = select(here, distance, back[slot])
        going = any_(and_(smooth, count < HIGHEST))
        j = j - 1
    return count


def look_back(row: int, width: int, grid: Array, states: Array, n: int, room: Array) -> None:
    """As `event_one_step.look_back`."""
    facts = facts_of(n, room)
    fill(2 * PAST * n, 0.0, points_of(n, room), 0)
    facts[HAVE] = recall_points(row, width, grid, states, n, n, points_of(n, room), distances_of(n, room))
    facts[BEYOND] = vmax(grid[row * width + ORDER] - 1.0, 0.0 * facts[HAVE])


def look_back_dual(row: int, width: int, grid: Array, states2: Array, n: int, at_rest: int, room: Array) -> None:
    """As `event_one_step.look_back_dual`."""
    facts, points, back = facts_of(n, room), points_of(n, room), distances_of(n, room)
    fill(2 * PAST * n, 0.0, points, 0)
    if at_rest == 0:
        dots = view(points, PAST * n, PAST * n)
        recall_points(row, width, grid, view(states2, n, (2 * row + 1) * n), 2 * n, n, dots, back)
    facts[HAVE] = recall_points(row, width, grid, states2, 2 * n, n, points, back)
    facts[BEYOND] = vmax(grid[row * width + ORDER] - 1.0, 0.0 * facts[HAVE])


def judge(
    n: int, s: int, mass: Array, error: Array, h: Element, k: Array, y: Array, y1: Array, rtol: Element, atol: Element,
    dt: Element, work: Array, room: Array,
) -> tuple[Element, Element]:  # fmt: skip
    """As `event_one_step.judge`."""
    facts, stage, table, weights = facts_of(n, room), stage_of(n, room), table_of(n, room), weights_of(n, room)
    slope = view(stage, 2 * n, n)
    order = facts[BEYOND] + 1.0
    have = facts[HAVE]
    square = 0.0 * h
    if not (dt > 0.0):
        facts[LOWER] = error_of(n, order - 1.0, have, mass, h, stage, y, y1, slope, weights, table, rtol, atol, work)
        facts[HIGHER] = error_of(n, order + 1.0, have, mass, h, stage, y, y1, slope, weights, table, rtol, atol, work)
        facts[ERROR] = error_of(n, order, have, mass, h, stage, y, y1, slope, weights, table, rtol, atol, work)
        square = facts[ERROR] * facts[ERROR]
    return square, order


def finish_step(
    status: Element, active: Mask, ok: Mask, cut: Mask, finite: Mask, last: Mask, square: Element, tried: Element,
    h: Element, t_hi: Element, interval: Array, control: Array, highest: int, dt: Element, max_steps: int,
    statistics: Array, course: Array, rhs: Model, n: int, y: Array, y1: Array, pm: Array, slope: Array, rtol: Element,
    atol: Element, work: Array, room: Array,
) -> tuple[Element, Mask]:  # fmt: skip
    """As `event_one_step.finish_step`, by the rule of `bdf.choose`."""
    facts = facts_of(n, room)
    again = course[AFTER_REJECTION] > 0.5
    failed = and_(active, not_(ok))
    status, active = after_step(
        status, active, ok, finite, last, square, tried, t_hi, interval, control, dt, max_steps, statistics, course, y
    )
    if dt > 0.0:
        facts[BEYOND] = select(ok, vmin(facts[BEYOND] + 1.0, 0.0 * h + (highest - 1.0)), facts[BEYOND])
    else:
        order, alike = choose(
            ok, failed, again, facts[SOLVED] > 0.5, tried, facts[BEYOND] + 1.0, facts[HAVE], facts[ALIKE], highest,
            facts[ERROR], facts[LOWER], facts[HIGHER], control, course,
        )  # fmt: skip
        facts[BEYOND] = order - 1.0
        facts[ALIKE] = alike
    remember(ok, n, h, y1, points_of(n, room), distances_of(n, room))
    facts[HAVE] = select(ok, vmin(facts[HAVE] + 1.0, 0.0 * h + HIGHEST), facts[HAVE])
    if any_(cut):
        for place in (HAVE, BEYOND, ALIKE):
            facts[place] = select(cut, 0.0, facts[place])
        if not (dt > 0.0):
            ahead = (interval[1] - t_hi) + 0.0 * h
            length = first_step(rhs, n, y, pm, t_hi, ahead, slope, control, rtol, atol, work, y1)
            course[LENGTH] = select(cut, bounded_length(length, control), course[LENGTH])
            course[REACH] = select(cut, bounded_length(1.01 * length, control), course[REACH])
    return status, active


def begin_step(n: int, h: Element, y: Array, room: Array) -> None:
    """Put the state that a step begins with before its past."""
    facts = facts_of(n, room)
    copy(n, y, 0, room, 0)
    space_out(facts[HAVE], h, distances_of(n, room))
