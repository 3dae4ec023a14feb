"""What a run leaves for its reverse sweep: a full tape, or one thinned to every s-th state.

A full tape has GRID numbers a row in `grid` (t_hi, t_lo, h, flag, as `stepping` says) and n in `states`. A thinned tape
(`every` = s > 1) has one number a row in `grid`, the *mark*: h, infinity for the step that ends at t1 (whose h follows
from where it begins), 0 for a row in which this sample made no step; and in `states` KEPT + n numbers, (t_hi, t_lo, y), for
every s-th row alone. From a kept row and the marks after it the s rows are computed again, in the same bits: the reverse
sweep does so segment by segment, at the cost of one forward run (A. Griewank, Optim. Methods Softw. 1 (1992) 35–54, with
two levels). The number of rows is known from the run before, so s is the one that takes the least memory.
"""

from __future__ import annotations

import math

from implicitdsl.solvers.stepping import GRID, KEPT


def spacing(rows: int, n: int, elements: float) -> int:
    """s for a tape of so many rows of n states in at most so many elements: 1 where the full tape fits, else the one that
    takes the least memory (about sqrt(rows)), whether it fits or not."""
    if rows * (GRID + n) <= elements:
        return 1
    return max(2, math.ceil(math.sqrt(rows * (KEPT + n) / (GRID + n))))


def room(rows: int, n: int, every: int) -> tuple[int, int, int, int]:
    """The elements of `grid` and `states`, and of the grid and states of the segment that is computed again."""
    if every == 1:
        return rows * GRID, rows * n, 0, 0
    return rows, -(-rows // every) * (KEPT + n), every * GRID, every * n
