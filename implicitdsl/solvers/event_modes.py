"""Modes and algebraic unknowns at one instant: at the start of a run, and after whatever an event changes.

The modes are held against the guards as `event_location.py` says. In a `dae` the algebraic unknowns follow from the others
by its equations, which the modes steer, and guards may read them: both are found together, in turns, until no mode
changes. A step leaves the algebraic unknowns as accurate as its tolerance, no more; so a guard that making them consistent
moves by less than the tolerances leave open counts as unmoved, and keeps the mode that the crossing gave it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implicitdsl.solvers.event_location import settle
from implicitdsl.solvers.event_rows import MENDED, WIDTH, write_event_row
from implicitdsl.solvers.status import SUCCESS, ZENO
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    and_,
    any_,
    copy,
    fill,
    fma,
    not_,
    or_,
    select,
    vabs,
    view,
)

Model = Callable[..., None]

MARGIN = 100.0
"""Tolerances by which an algebraic unknown may move without changing a mode."""


def begin_modes(
    live: Mask, guards: Model, modes: Model, first: int, g: int, count: int, places: Array, time: Element, y: Array,
    pm: Array, base: Array, values: Array, raw: Array, slack: Array,
) -> None:  # fmt: skip
    """The modes at the start, by their formulas."""
    fill(count, 0.0, pm, first)
    fill(g, np.nan, base, 0)
    fill(g, 0.0, slack, 0)
    settle(live, guards, modes, first, g, count, places, time, y, pm, base, values, raw, slack)


def begin_moving(
    live: Mask, guards: Model, guards_rate: Model, first: int, g: int, places: Array, steps: Array, time: Element,
    direction: Element, y: Array, pm: Array, slope: Array, base: Array, values: Array,
) -> None:  # fmt: skip
    """A mode whose guard is 0 at the start becomes what it is right after the start, where the state has that slope."""
    guards(time, y, pm, base)
    guards_rate(time, y, pm, 1.0, slope, values)
    for i in range(g):
        at = first + places[i]
        rate = direction * values[i]
        zero = and_(live, base[i] == 0.0)
        if steps[i] == 0:
            pm[at] = select(and_(zero, rate > 0.0), 1.0, select(and_(zero, rate < 0.0), 0.0, pm[at]))
        else:
            pm[at] = select(and_(zero, rate < 0.0), pm[at] + steps[i], pm[at])


def open_widths(
    guards_vjp_y: Model, n: int, algebraic: int, g: int, time: Element, y: Array, pm: Array, rtol: Element,
    atol: Element, one: Array, t_bar: Array, y_bar: Array, slack: Array,
) -> None:  # fmt: skip
    """slack (g) := what the tolerances of the algebraic unknowns leave open of each guard."""
    for i in range(g):
        for j in range(g):
            one[j] = 0.0 * time + (1.0 if i == j else 0.0)
        fill(1, 0.0, t_bar, 0)
        fill(n, 0.0, y_bar, 0)
        guards_vjp_y(time, y, pm, one, t_bar, y_bar)
        wide = 0.0 * time
        for q in range(n - algebraic, n):
            wide = fma(vabs(y_bar[q]), fma(rtol, vabs(y[q]), atol), wide)
        slack[i] = MARGIN * wide


def restore(
    live: Mask, mend: Model, rhs: Model, linearise: Model, guards: Model, guards_vjp_y: Model, modes: Model, n: int,
    algebraic: int, mass: Array, pattern: Array, first: int, g: int, count: int, places: Array, time: Element, y: Array,
    pm: Array, rtol: Element, atol: Element, base: Array, values: Array, raw: Array, slack: Array, held: Array,
    t_bar: Array, y_bar: Array, t_lo: Element, row: int, grid: Array, grid_rows: int, states: Array, state_rows: int,
) -> tuple[Element, int]:  # fmt: skip
    """Make the algebraic unknowns of `y` consistent by `mend` (`event_steps.py`), and take modes anew whose guards that
    moves, in a row of the tape; returns a status number, as `consistent_start` and zeno where modes and unknowns find no rest,
    and the number of rows. From `base` on: room for the work, then time and tape."""
    status = 0.0 * time + SUCCESS
    turning = live
    rounds = 0
    while any_(turning) and rounds <= count + 1:
        guards(time, y, pm, base)
        open_widths(guards_vjp_y, n, algebraic, g, time, y, pm, rtol, atol, view(raw, 0, g), t_bar, y_bar, slack)
        copy(count, pm, first, held, 0)
        found = mend(turning, rhs, linearise, n, algebraic, mass, pattern, time, y, pm, atol)
        status = select(turning, found, status)
        turning = and_(turning, found == SUCCESS)
        settle(turning, guards, modes, first, g, count, places, time, y, pm, base, values, raw, slack)
        moved = and_(turning, not_(turning))
        for j in range(count):
            moved = or_(moved, pm[first + j] != held[j])
        turning = and_(turning, moved)
        rounds = rounds + 1
    zero = 0.0 * time
    row = write_event_row(
        row, WIDTH + count + algebraic, time, t_lo, zero, select(live, zero + MENDED, 0.0), zero,
        and_(live, not_(live)), zero, n, first, count, algebraic, y, pm, grid, grid_rows, states, state_rows,
    )  # fmt: skip
    return select(turning, ZENO, status), row
