"""What the sweeps over a tape have in common, forwards with tangents and in reverse: how a row is read, made again from
its mark, and what of a transposed row goes to the row before it and to the ends of the interval.

The transposed row gives the cotangents `ends` of the time t at which it begins and of its length h (in the tangent problem
those of t, h, ṫ, ḣ). t is t0 plus lengths that are held, and the row that ends at t1 has h = t1 - t.
"""

from __future__ import annotations

from implicitdsl.solvers.stepping import GRID, end_of_row
from implicitdsl.solvers.vocabulary import (
    Array,
    Element,
    Mask,
    copy,
    copy_where,
    fill,
    is_finite,
    not_,
    or_,
    select,
)


def tape_row(row: int, interval: Array, grid: Array) -> tuple[Element, Element, Element, Mask, Mask, Element, Element]:
    """(t_hi, t_lo, h, live, last, end_hi, end_lo) of a row of a full tape: `live` where the sample made a step, `last` where
    it ends at t1."""
    t_hi = grid[row * GRID]
    t_lo = grid[row * GRID + 1]
    h = grid[row * GRID + 2]
    live = grid[row * GRID + 3] > 0.0
    last = grid[row * GRID + 3] == 2.0
    end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
    return t_hi, t_lo, h, live, last, end_hi, end_lo


def remake_row(
    n: int, mark: Element, row: int, interval: Array, t_hi: Element, t_lo: Element, y: Array, grid: Array, states: Array
) -> tuple[Mask, Element, Element, Element]:
    """(live, h, end_hi, end_lo) of the row that a mark (`tape.py`) stands for; writes it into a full tape, with the state `y`
    and time at which it begins."""
    live = not_(mark == 0.0)
    last = not_(is_finite(mark))
    h = select(last, (interval[1] - t_hi) - t_lo, mark)
    grid[row * GRID] = t_hi
    grid[row * GRID + 1] = t_lo
    grid[row * GRID + 2] = h
    grid[row * GRID + 3] = select(last, 2.0, select(live, 1.0, 0.0))
    copy(n, y, 0, states, row * n)
    end_hi, end_lo = end_of_row(last, interval[1], t_hi, t_lo, h)
    return live, h, end_hi, end_lo


def begin_transpose(
    live: Mask, size: int, width: int, lam: Array, held: Array, k_bar: Array, y_bar: Array, places: int, ends: Array
) -> None:
    """`held` (width) := the cotangent of the state after the row, 0 where no step was made; the other bars := 0: `k_bar`
    (size), `y_bar` (width), `ends` (places)."""
    for i in range(width):
        held[i] = select(live, lam[i], 0.0)
    fill(size, 0.0, k_bar, 0)
    fill(width, 0.0, y_bar, 0)
    fill(places, 0.0, ends, 0)


def end_transpose(
    live: Mask, last: Mask, width: int, y_bar: Array, lam: Array, ends: Array, interval_bar: Array, started: Mask
) -> Mask:
    """`lam` (width) := the cotangent of the state before the row; adds to those of t0 and t1, and returns which samples made
    a step in this row or a later one."""
    copy_where(live, width, y_bar, 0, lam, 0)
    add_ends(live, last, ends[0], ends[1], interval_bar)
    return or_(started, live)


def add_ends(live: Mask, last: Mask, t_bar: Element, h_bar: Element, interval_bar: Array) -> None:
    """Add the cotangents of t and h of a row to those of t0 and t1."""
    interval_bar[0] = interval_bar[0] + select(live, t_bar - select(last, h_bar, 0.0), 0.0)
    interval_bar[1] = interval_bar[1] + select(last, h_bar, 0.0)


def segment_of(back: int, rows: int, every: int) -> tuple[int, int, int]:
    """(number, first row, rows) of a segment of a thinned tape, number `back` from its end."""
    number = (rows + every - 1) // every - 1 - back
    return number, number * every, min(every, rows - number * every)
