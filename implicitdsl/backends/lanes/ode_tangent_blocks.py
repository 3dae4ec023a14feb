"""The tangent problem of `ode` for a range of blocks: the pushforward, and the pullback's pullback (forward over
reverse).

Beside `ode_blocks.py`: `p2_all` and `q2_all` hold the arguments of a block and then their directions.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.backends.lanes.ode_blocks import (
    add_end_bars,
    begin_run,
    degree,
    end_of_run,
    ends_to_times,
    instants,
    rhs_tangent_vjp,
    run_block,
    size_facts,
    stages,
)
from implicitdsl.solvers.explicit_rk_tangent import tangent_pullback, tangent_replay
from implicitdsl.solvers.vocabulary import any_, buffer, copy, fill, or_, select, view

Array = Any

rhs_tangent = model["rhs_tangent"]
output_jvp, output_jvp_vjp = model["output_jvp"], model["output_jvp_vjp"]
begin_vjp, begin_jvp, begin_jvp_vjp = model["begin_vjp"], model["begin_jvp"], model["begin_jvp_vjp"]
at_vjp, at_jvp, at_jvp_vjp = model["at_vjp"], model["at_jvp"], model["at_jvp_vjp"]
states_of_model, size_p, size_q, size_out = (model[name] for name in ("states", "size_p", "size_q", "size_out"))
size_bar, own_bar = model["size_bar"], model["own_bar"]
save_times, has_times, from_times = model["save_times"], model["has_times"], model["from_times"]
tableau_a, tableau_c, tableau_dense = model["tableau_a"], model["tableau_c"], model["tableau_dense"]
rows_of = model["rows_of"]


def add_output_jvp_vjp(
    t: Any, t_dot: Any, y: Array, y_dot: Array, p2: Array, cot: Array, t_bar: Array, t_dot_bar: Array, y_bar: Array,
    y_dot_bar: Array, p2_bar: Array, trial: Array,
) -> None:  # fmt: skip
    """The cotangents of the tangent of one instant; a sample whose cotangents are all 0 gets exactly nothing."""
    asked = cot[0] != 0.0
    for i in range(1, size_out()):
        asked = or_(asked, cot[i] != 0.0)
    if any_(asked):
        n, size, bar, own = states_of_model(), size_p(), size_bar(), own_bar()
        t_part, y_part = buffer(p2, 2), buffer(p2, 2 * n)
        for half in range(2):
            fill(own, 0.0, trial, half * bar)
            copy(bar - own, p2_bar, half * bar + own, trial, half * bar + own)
        output_jvp_vjp(
            t, y, p2, t_dot, y_dot, view(p2, size, size), cot, t_part, y_part, trial, view(t_part, 1, 1),
            view(y_part, n, n), view(trial, bar, bar),
        )  # fmt: skip
        t_bar[0] = t_bar[0] + select(asked, t_part[0], 0.0)
        t_dot_bar[0] = t_dot_bar[0] + select(asked, t_part[1], 0.0)
        for i in range(n):
            y_bar[i] = y_bar[i] + select(asked, y_part[i], 0.0)
            y_dot_bar[i] = y_dot_bar[i] + select(asked, y_part[n + i], 0.0)
        for half in range(2):
            for i in range(half * bar, half * bar + own):
                p2_bar[i] = p2_bar[i] + select(asked, trial[i], 0.0)


def replay_run(
    y2: Array, p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, values: Array, values_dot: Array, end2: Array, states2: Array, facts: Array,
) -> Any:  # fmt: skip
    """Run the steps of a tape of `made` rows with tangents; returns the tangent of the time at which the run ends."""
    tangent_replay(
        rhs_tangent, states_of_model(), y2, p2, interval, interval_dot, save_times(), times, times_dot, stages(),
        degree(), tableau_a(p2), tableau_c(p2), tableau_dense(p2), grid, made, values, values_dot, end2, states2,
    )  # fmt: skip
    return interval_dot[1]


def transpose_replay(
    p2: Array, interval: Array, interval_dot: Array, times: Array, times_dot: Array, grid: Array, made: int,
    states: Array, states2: Array, values_bar: Array, values_dot_bar: Array, end2_bar: Array, y2_bar: Array,
    p2_bar: Array, interval_bar: Array, interval_dot_bar: Array, times_bar: Array, times_dot_bar: Array, facts: Array,
) -> None:  # fmt: skip
    """Transpose `replay_run`; `facts` are those of the run, and may be given another status."""
    tangent_pullback(
        rhs_tangent, rhs_tangent_vjp, states_of_model(), p2, interval, interval_dot, save_times(), times, times_dot,
        stages(), degree(), tableau_a(p2), tableau_c(p2), tableau_dense(p2), grid, made, states2, values_bar,
        values_dot_bar, end2_bar, y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, times_dot_bar,
    )  # fmt: skip


def second_block(
    p2: Array, q2: Array, cot: Array, out_dot: Array, p2_bar: Array, q_bar: Array, grid: Array, states: Array, rows:
    int, states2: Array, trial: Array, facts: Array, work: Array, asked: int,
) -> int:  # fmt: skip
    """The tangents of the outputs of one block and, where `asked` is 1, the gradients of <cot, tangents>; 1 where the
    tape has too few rows."""
    n, m, k, size = states_of_model(), save_times(), size_out(), size_p()
    p_dot, q_dot = view(p2, size, size), view(q2, size_q(), size_q())
    y2, interval, interval_dot, end2 = buffer(p2, 2 * n), buffer(p2, 2), buffer(p2, 2), buffer(p2, 2 * n)
    times, values = view(work, 0, m), view(work, m, m * n)
    times_dot, values_dot = view(work, m * (n + 1), m), view(work, m * (n + 2), m * n)
    begin_run(p2, q2, y2, interval, times)
    run_block(p2, y2, interval, times, values, end2, facts, grid, states, rows)
    made = rows_of(facts)
    if made > rows:
        return 1
    begin_jvp(p2, p_dot, view(y2, n, n), interval_dot, view(interval_dot, 1, 1))
    if has_times() == 1:
        at_jvp(q2, q_dot, times_dot)
    if from_times() == 1:
        interval_dot[0] = times_dot[0]
        interval_dot[1] = times_dot[m - 1]
    end_dot = replay_run(
        y2, p2, interval, interval_dot, times, times_dot, grid, made, states, values, values_dot, end2, states2, facts
    )
    if has_times() == 1:
        for j in range(m):
            output_jvp(
                times[j], view(values, j * n, n), p2, times_dot[j], view(values_dot, j * n, n), p_dot,
                view(out_dot, j * k, k),
            )  # fmt: skip
    else:
        output_jvp(end_of_run(interval, facts), end2, p2, end_dot, view(end2, n, n), p_dot, out_dot)
    if asked == 1:
        transpose_block(
            p2, q2, cot, p2_bar, q_bar, grid, made, states, states2, trial, work, interval, interval_dot, end2, end_dot,
            facts,
        )  # fmt: skip
    return 0


def transpose_block(
    p2: Array, q2: Array, cot: Array, p2_bar: Array, q_bar: Array, grid: Array, made: int, states: Array,
    states2: Array, trial: Array, work: Array, interval: Array, interval_dot: Array, end2: Array, end_dot: Any,
    facts: Array,
) -> None:  # fmt: skip
    """The gradients of <cot, tangents> of one block, after its replay; in the first half of `p2_bar`."""
    n, m, k, size = states_of_model(), save_times(), size_out(), size_p()
    bar, own = size_bar(), own_bar()
    p_dot, q_dot = view(p2, size, size), view(q2, size_q(), size_q())
    times, values = view(work, 0, m), view(work, m, m * n)
    times_dot, values_dot = view(work, m * (n + 1), m), view(work, m * (n + 2), m * n)
    bars = view(work, 2 * m * (n + 1), 2 * m * (n + 1))
    times_bar, values_bar = view(bars, 0, m), view(bars, m, m * n)
    times_dot_bar, values_dot_bar = view(bars, m * (n + 1), m), view(bars, m * (n + 2), m * n)
    y2_bar, end2_bar = buffer(p2, 2 * n), buffer(p2, 2 * n)
    interval_bar, interval_dot_bar = buffer(p2, 2), buffer(p2, 2)
    fill(2 * m * (n + 1), 0.0, bars, 0)
    fill(own, 0.0, p2_bar, 0)
    fill(own, 0.0, p2_bar, bar)
    fill(size_q(), 0.0, q_bar, 0)
    if has_times() == 1:
        for j in range(m):
            add_output_jvp_vjp(
                times[j], times_dot[j], view(values, j * n, n), view(values_dot, j * n, n), p2, view(cot, j * k, k),
                view(times_bar, j, 1), view(times_dot_bar, j, 1), view(values_bar, j * n, n),
                view(values_dot_bar, j * n, n), p2_bar, trial,
            )  # fmt: skip
    else:
        add_output_jvp_vjp(
            end_of_run(interval, facts), end_dot, end2, view(end2, n, n), p2, cot, view(interval_bar, 1, 1),
            view(interval_dot_bar, 1, 1), end2_bar, view(end2_bar, n, n), p2_bar, trial,
        )  # fmt: skip
    add_end_bars(facts, view(end2_bar, n, n), interval_dot_bar)
    transpose_replay(
        p2, interval, interval_dot, times, times_dot, grid, made, states, states2, values_bar, values_dot_bar, end2_bar,
        y2_bar, p2_bar, interval_bar, interval_dot_bar, times_bar, times_dot_bar, facts,
    )  # fmt: skip
    ends_to_times(interval_bar, times_bar)
    ends_to_times(interval_dot_bar, times_dot_bar)
    # The gradient wanted is that of p alone: the cotangents of its tangent go nowhere.
    fill(own, 0.0, p2_bar, bar)
    begin_vjp(p2, y2_bar, interval_bar, view(interval_bar, 1, 1), p2_bar)
    begin_jvp_vjp(
        p2, p_dot, view(y2_bar, n, n), interval_dot_bar, view(interval_dot_bar, 1, 1), p2_bar, view(p2_bar, bar, bar)
    )
    if has_times() == 1:
        at_vjp(q2, times_bar, q_bar)
        fill(size_q(), 0.0, trial, 0)
        at_jvp_vjp(q2, q_dot, times_dot_bar, q_bar, trial)


def second(
    first: int, last: int, p2_all: Array, q2_all: Array, q_step: int, cot_all: Array, out_dot_all: Array,
    p2_bar_all: Array, q_bar_all: Array, facts_all: Array, grid: Array, states: Array, rows: int, states2: Array,
    trial: Array, work: Array, asked: int,
) -> int:  # fmt: skip
    """Blocks `first` … `last` - 1; 0, or 1 + the block that needs more rows than there are."""
    size = instants() * size_out()
    for block in range(first, last):
        place = block * asked
        stopped = second_block(
            view(p2_all, 2 * block * size_p(), 2 * size_p()), view(q2_all, block * q_step, 2 * size_q()),
            view(cot_all, place * size, size), view(out_dot_all, block * size, size),
            view(p2_bar_all, 2 * place * size_bar(), 2 * size_bar()), view(q_bar_all, place * size_q(), size_q()), grid,
            states, rows, states2, trial, view(facts_all, block * size_facts(), size_facts()), work, asked,
        )  # fmt: skip
        if stopped == 1:
            return block + 1
    return 0
