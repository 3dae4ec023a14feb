"""The rows of a tape with events, and which save times are read in each.

A row of `grid` has 7 numbers, then the modes, then room for the algebraic unknowns: t_hi, t_lo, h, flag, which, opens, order.
flag is 0, 1 or 2 as in `stepping.py`, 3 for a step that ends at a zero of guard `which`, 4 for block `which`, whose row in
`states` holds the state before it, 5 where the algebraic unknowns of a `dae` were made consistent: that row holds the state
after it, and its algebraic unknowns again behind the modes. `opens` is 1 where save times at the row's very start are
read in it: at the start of the run and after an event, because values at an event are those after it. `order` is that of the step, of a method
that has several.
"""

from __future__ import annotations

from implicitdsl.solvers.vocabulary import Array, Element, Mask, and_, copy, not_, or_, select

FLAG = 3
WHICH = 4
OPENS = 5
ORDER = 6
WIDTH = 7
"""Places in a row of the grid, and its length without the modes."""

CUT = 3.0
BLOCK = 4.0
MENDED = 5.0
"""Flags of rows that steps alone do not have."""


def write_event_row(
    row: int, width: int, t_hi: Element, t_lo: Element, h: Element, flag: Element, which: Element, opens: Mask,
    order: Element, n: int, first: int, count: int, algebraic: int, y: Array, pm: Array, grid: Array, grid_rows: int,
    states: Array, state_rows: int,
) -> int:  # fmt: skip
    """Write a row of the tape, as far as there is room for it; returns the number of rows there would be."""
    if row < grid_rows:
        at = row * width
        grid[at] = t_hi
        grid[at + 1] = t_lo
        grid[at + 2] = h
        grid[at + FLAG] = flag
        grid[at + WHICH] = which
        grid[at + OPENS] = select(opens, 1.0, 0.0)
        grid[at + ORDER] = order
        copy(count, pm, first, grid, at + WIDTH)
        if algebraic > 0:
            copy(algebraic, y, n - algebraic, grid, at + WIDTH + count)
    if row < state_rows:
        copy(n, y, 0, states, row * n)
    return row + 1


def read_event_row(
    row: int, width: int, first: int, count: int, grid: Array, pm: Array
) -> tuple[Element, Element, Element, Element, Element, Mask]:
    """(t_hi, t_lo, h, flag, which, opens) of a row; puts its modes into `pm`."""
    at = row * width
    copy(count, grid, at + WIDTH, pm, first)
    return grid[at], grid[at + 1], grid[at + 2], grid[at + FLAG], grid[at + WHICH], grid[at + OPENS] > 0.5


def makes_step(flag: Element) -> Mask:
    """Whether a row is a step."""
    return and_(flag > 0.0, flag <= CUT)


def belongs(
    time: Element, t_hi: Element, t_lo: Element, end_hi: Element, end_lo: Element, opens: Mask, cut: Mask,
    direction: Element,
) -> Mask:  # fmt: skip
    """Whether a save time is read in the step from t to end: t itself where the step opens, the end unless it is cut."""
    after = or_(direction * ((time - t_hi) - t_lo) > 0.0, and_(opens, direction * (time - t_hi) >= 0.0))
    return and_(after, comes(time, end_hi, end_lo, cut, direction))


def comes(time: Element, end_hi: Element, end_lo: Element, cut: Mask, direction: Element) -> Mask:
    """Whether a save time is at or before the end of a step, strictly before it where an event cuts it."""
    until = direction * ((time - end_hi) - end_lo) <= 0.0
    return or_(and_(cut, direction * (time - end_hi) < 0.0), and_(not_(cut), until))
