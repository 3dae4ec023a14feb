"""Functions of `ode_blocks.py` for an explicit method whose tape holds what its stages kept: compiled in their place.

A row of the tape has no state alone but the points of all its stages: the state of a stage, what `rhs_vjp_kept` needs
there, and the value of the right-hand side. The sweep back reads them, where others make the stages again.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import degree, stages
from implicitdsl.solvers.explicit_rk import integrate
from implicitdsl.solvers.explicit_rk_adjoint import STORED, transpose_steps
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.vocabulary import copy, view

Array = Any

split_rhs_keeping, rhs_vjp_kept, size_kept = model["rhs_keeping"], model["rhs_vjp_kept"], model["size_kept"]
states_of_model, save_times, max_steps = model["states"], model["save_times"], model["max_steps"]
rtol, atol, dt, control = model["rtol"], model["atol"], model["dt"], model["control"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))


def point_size() -> int:
    """Numbers from one stage of a row to the next."""
    return 2 * states_of_model() + size_kept()


def state_size() -> int:
    """Numbers from one row of the stages to the next, whose first stage is the last of this one."""
    return stages() * point_size()


def end_size() -> int:
    """Numbers behind the rows of a block: its last stage."""
    return point_size()


def rhs_kept(t: Any, y: Array, p: Array, out: Array) -> None:
    """The right-hand side, which leaves behind y what its transpose needs, then its value."""
    n = states_of_model()
    split_rhs_keeping(t, y, p, out, view(y, n, size_kept()))
    copy(n, out, 0, y, n + size_kept())


def rhs_read(t: Any, y: Array, p: Array, out: Array) -> None:
    """The value that `rhs_kept` has left behind y."""
    copy(states_of_model(), y, states_of_model() + size_kept(), out, 0)


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape; writes the facts."""
    facts[0] = integrate(
        rhs_kept, states_of_model(), point_size(), y0, p, interval, save_times(), times, stages(), degree(),
        tableau_a(p), tableau_c(p), tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p),
        max_steps(), values, y_end, view(facts, 1, STATISTICS), grid, rows, states, 0, every, states, rows,
    )  # fmt: skip


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows."""
    transpose_steps(
        rhs_read, rhs_vjp_kept, states_of_model(), point_size(), p, interval, save_times(), times, stages(), degree(),
        tableau_a(p), tableau_c(p), tableau_dense(p), grid, made, states, values_bar, end_bar, y0_bar, p_bar,
        interval_bar, times_bar, timed, STORED,
    )  # fmt: skip
