"""The pullback of `ode` for a range of blocks by a thinned tape, for runs whose full tape is too large.

Beside `ode_blocks.py`: a block has `rows` marks in `marks` and a state for every `every`-th of them in `kept`; `grid`
and `states` are room for the full tape of `every` rows (`solvers/tape.py`).
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import (
    add_end_bars,
    bars_of_outputs,
    bars_of_start,
    begin_run,
    degree,
    end_of_run,
    instants,
    record_block,
    rhs_keeping,
    size_facts,
    stages,
)
from implicitdsl.solvers.explicit_rk_thinned import pullback_thinned
from implicitdsl.solvers.vocabulary import buffer, view

Array = Any

rhs_vjp_kept, size_kept = model["rhs_vjp_kept"], model["size_kept"]
states_of_model, size_p, size_q, size_out = (model[name] for name in ("states", "size_p", "size_q", "size_out"))
size_bar, save_times = model["size_bar"], model["save_times"]
tableau_a, tableau_c, tableau_dense = model["tableau_a"], model["tableau_c"], model["tableau_dense"]
rows_of = model["rows_of"]


def transpose_thinned(
    p: Array, interval: Array, times: Array, marks: Array, made: int, kept: Array, every: int, grid: Array,
    states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """Transpose a run whose thinned tape has `made` rows."""
    pullback_thinned(
        rhs_keeping, rhs_vjp_kept, states_of_model(), states_of_model() + size_kept(), p, interval, save_times(), times,
        stages(), degree(), tableau_a(p), tableau_c(p), tableau_dense(p), marks, made, kept, every, grid, states,
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
    )  # fmt: skip


def thin_block(
    p: Array, q: Array, cot: Array, p_bar: Array, q_bar: Array, facts: Array, left: Array, marks: Array, kept: Array,
    rows: int, every: int, grid: Array, states: Array, trial: Array, work: Array,
) -> int:  # fmt: skip
    """The gradients of one block, or 1 where the tape has too few rows; `left`: what the run leaves beside."""
    n, m = states_of_model(), save_times()
    y0, interval = buffer(p, n), buffer(p, 2)
    times, values, y_end = view(left, 0, m), view(left, m, m * n), view(left, m * (n + 1), n)
    times_bar, values_bar = view(work, 0, m), view(work, m, m * n)
    begin_run(p, q, y0, interval, times)
    record_block(p, y0, interval, times, values, y_end, facts, marks, kept, rows, every)
    made = rows_of(facts)
    if made > rows:
        return 1
    interval_bar, end_bar, y0_bar = buffer(p, 2), buffer(p, n), buffer(p, n)
    bars_of_outputs(p, end_of_run(interval, facts), left, cot, p_bar, interval_bar, end_bar, trial, work)
    add_end_bars(facts, end_bar, interval_bar)
    transpose_thinned(
        p, interval, times, marks, made, kept, every, grid, states, values_bar, end_bar, y0_bar, p_bar, interval_bar,
        times_bar,
    )  # fmt: skip
    bars_of_start(p, q, y0_bar, p_bar, q_bar, interval_bar, times_bar)
    return 0


def thin(
    first: int, last: int, p_all: Array, q_all: Array, q_step: int, cot_all: Array, p_bar_all: Array, q_bar_all: Array,
    facts_all: Array, left: Array, marks: Array, kept: Array, rows: int, every: int, grid: Array, states: Array,
    trial: Array, work: Array,
) -> int:  # fmt: skip
    """Blocks `first` … `last` - 1; 0, or 1 + the block that needs more rows than there are."""
    size = instants() * size_out()
    for block in range(first, last):
        stopped = thin_block(
            view(p_all, block * size_p(), size_p()), view(q_all, block * q_step, size_q()),
            view(cot_all, block * size, size), view(p_bar_all, block * size_bar(), size_bar()),
            view(q_bar_all, block * size_q(), size_q()), view(facts_all, block * size_facts(), size_facts()),
            left, marks, kept, rows, every, grid, states, trial, work,
        )  # fmt: skip
        if stopped == 1:
            return block + 1
    return 0
