"""The pullback of `ode` for a range of blocks by the costate equation (`solvers/continuous_adjoint.py`).

Beside `ode_blocks.py`: the tape of one block lies in `grid` and `states`, room for `rows` rows (none where the solution
is carried backwards), and is used again for the next; the status in the facts of a sample is that of its gradient.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import (
    DEGREE,
    FACTS,
    S,
    bars_of_outputs,
    bars_of_start,
    begin_run,
    end_of_run,
    instants,
    run_block,
)
from implicitdsl.solvers.continuous_adjoint import backsolve_costate, sweep_costate
from implicitdsl.solvers.stepping import ACCEPTED
from implicitdsl.solvers.vocabulary import buffer, view

Array = Any

rhs, rhs_costate, rhs_gradient = model["rhs"], model["rhs_costate"], model["rhs_gradient"]
states_of_model, size_p, size_q, size_out = (model[name] for name in ("states", "size_p", "size_q", "size_out"))
size_bar, save_times, max_steps = model["size_bar"], model["save_times"], model["max_steps"]
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))
carried, nodes, gauss, rows_of = model["carried"], model["nodes"], model["gauss"], model["rows_of"]


def costate_block(
    p: Array, q: Array, cot: Array, p_bar: Array, q_bar: Array, facts: Array, left: Array, grid: Array, states: Array,
    rows: int, trial: Array, work: Array,
) -> int:  # fmt: skip
    """The gradients of one block, or 1 where the tape has too few rows; `left` is room for what the run leaves."""
    n, m = states_of_model(), save_times()
    y0, interval = buffer(p, n), buffer(p, 2)
    times, values, y_end = view(left, 0, m), view(left, m, m * n), view(left, m * (n + 1), n)
    times_bar, values_bar = view(work, 0, m), view(work, m, m * n)
    begin_run(p, q, y0, interval, times)
    run_block(p, y0, interval, times, values, y_end, facts, grid, states, rows)
    made = rows_of(facts)
    if carried() == 0 and made > rows:
        return 1
    interval_bar, end_bar, y0_bar = buffer(p, 2), buffer(p, n), buffer(p, n)
    bars_of_outputs(p, end_of_run(interval, facts), left, cot, p_bar, interval_bar, end_bar, trial, work)
    if carried() == 1:
        facts[0] = backsolve_costate(
            rhs, rhs_costate, rhs_gradient, n, y0, p, interval, m, times, S, DEGREE, tableau_a(p), tableau_c(p),
            tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p), max_steps(), values, y_end,
            facts[1 + ACCEPTED], values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
        )  # fmt: skip
    else:
        facts[0] = sweep_costate(
            rhs, rhs_costate, rhs_gradient, n, y0, p, interval, m, times, nodes(), gauss(p), S, DEGREE, tableau_a(p),
            tableau_c(p), tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p), max_steps(), values,
            y_end, grid, made, states, values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
        )  # fmt: skip
    bars_of_start(p, q, y0_bar, p_bar, q_bar, interval_bar, times_bar)
    return 0


def costate(
    first: int, last: int, p_all: Array, q_all: Array, q_step: int, cot_all: Array, p_bar_all: Array, q_bar_all: Array,
    facts_all: Array, left: Array, grid: Array, states: Array, rows: int, trial: Array, work: Array,
) -> int:  # fmt: skip
    """Blocks `first` … `last` - 1; 0, or 1 + the block that needs more rows than there are."""
    size = instants() * size_out()
    for block in range(first, last):
        stopped = costate_block(
            view(p_all, block * size_p(), size_p()), view(q_all, block * q_step, size_q()),
            view(cot_all, block * size, size), view(p_bar_all, block * size_bar(), size_bar()),
            view(q_bar_all, block * size_q(), size_q()), view(facts_all, block * FACTS, FACTS), left, grid, states,
            rows, trial, work,
        )  # fmt: skip
        if stopped == 1:
            return block + 1
    return 0
