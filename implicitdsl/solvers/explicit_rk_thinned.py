"""The reverse sweep of `explicit_rk_adjoint` over a thinned tape (`tape.py`): the same bits from fewer of them.

Segment by segment, the last first: the steps of a segment are made again from its kept state with the lengths that the
marks hold, into a full tape of that segment alone, which is then transposed.
"""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.solvers.dense_output import direction_of
from implicitdsl.solvers.dense_output_adjoint import hold_start
from implicitdsl.solvers.explicit_rk import run_stages
from implicitdsl.solvers.explicit_rk_adjoint import sweep
from implicitdsl.solvers.stepping import KEPT
from implicitdsl.solvers.sweeps import remake_row, segment_of
from implicitdsl.solvers.vocabulary import Array, buffer, copy, copy_where, fill, interrupted, select, view

Model = Callable[..., None]


def retrace(
    rhs: Model, n: int, wide: int, p: Array, interval: Array, s: int, a: Array, c: Array, kept: Array, marks: Array,
    rows: int, grid: Array, states: Array,
) -> None:  # fmt: skip
    """Make `rows` steps again from a kept row, by their marks: writes the rows of a full tape in the bits of the run."""
    points = buffer(kept, (s + 1) * wide)
    k = buffer(kept, (s + 1) * n)
    t_hi = kept[0]
    t_lo = kept[1]
    copy(n, kept, KEPT, points, 0)
    rhs(t_hi, view(points, 0, wide), p, view(k, 0, n))
    for row in range(rows):
        live, h, end_hi, end_lo = remake_row(n, marks[row], row, interval, t_hi, t_lo, points, grid, states)
        # The state after the last row is nobody's.
        if row + 1 < rows:
            run_stages(rhs, n, wide, p, s, a, c, t_hi, t_lo, h, end_hi, 1, s, False, points, k)
            copy_where(live, n, points, s * wide, points, 0)
            copy_where(live, n, k, s * n, k, 0)
            t_hi = select(live, end_hi, t_hi)
            t_lo = select(live, end_lo, t_lo)


def pullback_thinned(
    rhs: Model, rhs_vjp: Model, n: int, wide: int, p: Array, interval: Array, m: int, times: Array, s: int, degree: int,
    a: Array, c: Array, dense: Array, marks: Array, rows: int, kept: Array, every: int, grid: Array, states: Array,
    values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array,
) -> None:  # fmt: skip
    """As `explicit_rk_adjoint.pullback`, from a tape of `rows` marks whose every `every`-th state is kept; `grid` and
    `states` are room for the full tape of `every` rows."""
    lam = buffer(kept, n)
    first_bar = buffer(kept, n)
    copy(n, end_bar, 0, lam, 0)
    fill(n, 0.0, first_bar, 0)
    direction = direction_of(interval)
    started = direction != direction
    cursor = m
    for back in range((rows + every - 1) // every):
        if interrupted():
            break
        segment, first, count = segment_of(back, rows, every)
        retrace(
            rhs, n, wide, p, interval, s, a, c, view(kept, segment * (KEPT + n), KEPT + n), view(marks, first, count),
            count, grid, states,
        )  # fmt: skip
        cursor, started = sweep(
            rhs, rhs_vjp, n, wide, p, interval, m, times, s, degree, a, c, dense, grid, count, states, values_bar, lam,
            first_bar, p_bar, interval_bar, times_bar, cursor, started, True, first == 0, back > 0, False,
        )  # fmt: skip
    hold_start(n, interval, m, times, values_bar, started, lam, y0_bar)
