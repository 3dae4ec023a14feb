"""The pullback of `ode` for a range of blocks by the costate equation (`solvers/continuous_adjoint.py`).

Beside `ode_blocks.py`: the tape of one block lies in `grid` and `states`, room for `rows` rows (none where the solution
is carried backwards), and is used again for the next; the status in the facts of a sample is that of its gradient.
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
    run_block,
    size_facts,
    stages,
)
from implicitdsl.solvers.continuous_adjoint import backsolve_costate, sweep_costate
from implicitdsl.solvers.costate import integrate_costate
from implicitdsl.solvers.explicit_rk_row import remake_step
from implicitdsl.solvers.stepping import ACCEPTED
from implicitdsl.solvers.vocabulary import buffer, view

Array = Any

rhs, rhs_costate, rhs_gradient = model["rhs"], model["rhs_costate"], model["rhs_gradient"]
states_of_model, size_p, size_q, size_out = (model[name] for name in ("states", "size_p", "size_q", "size_out"))
size_bar, save_times, max_steps = model["size_bar"], model["save_times"], model["max_steps"]
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))
carried, nodes, gauss, rows_of = model["carried"], model["nodes"], model["gauss"], model["rows_of"]
FINAL_FLAG = 2.0
"""The smallest flag of a step that ends at t1."""


def remake(
    p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array, k: Array
) -> Any:
    """See `sweep_costate`, as the next four."""
    return remake_step(
        rhs, states_of_model(), p, stages(), tableau_a(p), tableau_c(p), t_hi, t_lo, h, end_hi, live, row, states, k
    )


def advance(
    p: Array, unit: Any, status: Any, wanted: Any, t_hi: Any, t_lo: Any, span: Array, h: Any, y: Array, k: Array,
    lam: Array, p_bar: Array, statistics: Array, course: Array,
) -> Any:  # fmt: skip
    return integrate_costate(
        rhs, rhs_costate, rhs_gradient, states_of_model(), p, 0, nodes(), gauss(p), stages(), degree(), tableau_a(p),
        tableau_c(p), tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), unit, dt(p), max_steps(),
        status, wanted, t_hi, t_lo, span, h, y, k, lam, p_bar, statistics, course,
    )  # fmt: skip


def slope_at(p: Array, t: Any, value: Array, sigma: Any, h: Any, k: Array, out: Array) -> None:
    rhs(t, value, p, out)


def through_equations(live: Any, t: Any, y: Array, p: Array, bar: Array, t_bar: Array, p_bar: Array) -> None:
    """See `sweep_costate`."""


def control_of_costate(p: Array) -> Array:
    """What the steps of the costate are chosen by."""
    return control(p)


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
    # The instant at which a run is left is held.
    add_end_bars(facts, end_bar, buffer(p, 1))
    go_back(
        p, y0, interval, times, values, y_end, facts, grid, made, states, values_bar, end_bar, y0_bar, p_bar,
        interval_bar, times_bar,
    )  # fmt: skip
    bars_of_start(p, q, y0_bar, p_bar, q_bar, interval_bar, times_bar)
    return 0


def go_back(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    made: int, states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """Integrate the costate of a run whose tape has `made` rows; writes the status of the gradient."""
    if carried() == 1:
        facts[0] = backsolve_costate(
            rhs, rhs_costate, rhs_gradient, states_of_model(), y0, p, interval, save_times(), times, stages(), degree(),
            tableau_a(p), tableau_c(p), tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p),
            max_steps(), values, y_end, facts[1 + ACCEPTED], values_bar, end_bar, y0_bar, p_bar, interval_bar,
            times_bar,
        )  # fmt: skip
    else:
        sweep_back(
            p, y0, interval, times, values, y_end, facts, grid, made, states, values_bar, end_bar, y0_bar, p_bar,
            interval_bar, times_bar,
        )  # fmt: skip


def sweep_back(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    made: int, states: Array, values_bar: Array, end_bar: Array, y0_bar: Array, p_bar: Array, interval_bar: Array,
    times_bar: Array,
) -> None:  # fmt: skip
    """As `go_back`, where the tape has the solution."""
    facts[0] = sweep_costate(
        remake, advance, slope_at, through_equations, rhs, states_of_model(), y0, p, interval, save_times(), times,
        (stages() + 1) * states_of_model(), FINAL_FLAG, control_of_costate(p), dt(p), values, y_end, grid, made, states,
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar,
    )  # fmt: skip


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
            view(q_bar_all, block * size_q(), size_q()), view(facts_all, block * size_facts(), size_facts()), left,
            grid, states, rows, trial, work,
        )  # fmt: skip
        if stopped == 1:
            return block + 1
    return 0
