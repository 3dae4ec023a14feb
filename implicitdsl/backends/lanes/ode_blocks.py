"""`ode` for a range of blocks of samples: what `backends/python/ode_engine.py` does for one sample.

Arrays hold one element a number, one block after another: `p_all` and `q_all` are the flat arguments (`q_step` is the
distance of two blocks in q_all, 0 where all have the same), `out_all` and `cot_all` the outputs of every instant
(`size_out` numbers each). In p_bar the first `own_bar` elements are gradients of the lanes, the rest are addresses of
gradients that are added up over all lanes. The tape of a block lies in `grid` and `states`, what else its run leaves in
`kept`; there is room for `rows` rows. With `kept_step` > 0, the distance of two blocks in `kept`, the tapes of all
blocks lie one after another, for a pullback to find; with 0 nothing is left for the next block. A function that finds
the room for a tape that is wanted too small stops and returns 1 + the number of the block; it returns 0 when all blocks
are done. `work` and
`trial` are room for what one block needs, by the number of save times and by the size of p_bar.
"""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.model_functions import model
from implicitdsl.solvers.explicit_rk import integrate
from implicitdsl.solvers.explicit_rk_adjoint import REMADE, transpose_steps
from implicitdsl.solvers.stepping import GRID, STATISTICS
from implicitdsl.solvers.vocabulary import any_, buffer, copy, fill, or_, select, view

Array = Any

rhs, rhs_tangent = model["rhs"], model["rhs_tangent"]
split_rhs_keeping, rhs_vjp_kept, size_kept = model["rhs_keeping"], model["rhs_vjp_kept"], model["size_kept"]
split_rhs_tangent_vjp = model["rhs_tangent_vjp"]
output, output_vjp, output_jvp = model["output"], model["output_vjp"], model["output_jvp"]
output_jvp_vjp = model["output_jvp_vjp"]
begin, begin_vjp, begin_jvp, begin_jvp_vjp = (model[f"begin{end}"] for end in ("", "_vjp", "_jvp", "_jvp_vjp"))
at, at_vjp, at_jvp, at_jvp_vjp = (model[f"at{end}"] for end in ("", "_vjp", "_jvp", "_jvp_vjp"))
states_of_model, size_p, size_q, size_out = (model[name] for name in ("states", "size_p", "size_q", "size_out"))
size_bar, own_bar = model["size_bar"], model["own_bar"]
save_times, has_times, from_times, max_steps = (
    model[name] for name in ("save_times", "has_times", "from_times", "max_steps")
)
rtol, atol, dt = model["rtol"], model["atol"], model["dt"]
tableau_a, tableau_c, tableau_error, tableau_dense = (model[f"tableau_{part}"] for part in ("a", "c", "error", "dense"))
stages, degree = model["stages"], model["degree"]
control, rows_of = model["control"], model["rows_of"]

FACTS = 1 + STATISTICS
"""Numbers that a block reports of each sample: the status, then the statistics of `stepping.py`."""
FEW = 16
"""Numbers of p_bar up to which a sweep adds in registers."""


def rhs_keeping(t: Any, y: Array, p: Array, out: Array) -> None:
    """The right-hand side, which leaves behind y what `rhs_vjp_kept` needs."""
    split_rhs_keeping(t, y, p, out, view(y, states_of_model(), size_kept()))


def rhs_tangent_vjp(
    t: Any, t_dot: Any, y2: Array, p2: Array, lam2: Array, t2_bar: Array, y2_bar: Array, p2_bar: Array
) -> None:
    """The function of the model, which has t_bar and t_dot_bar apart."""
    split_rhs_tangent_vjp(t, t_dot, y2, p2, lam2, t2_bar, view(t2_bar, 1, 1), y2_bar, p2_bar)


def size_facts() -> int:
    """Numbers that a block reports of each sample, and is told beside its arguments."""
    return FACTS


def instants() -> int:
    """The number of instants at which outputs are read."""
    if has_times() == 1:
        return save_times()
    return 1


def kept_size() -> int:
    """What a run leaves beside its tape: the save times, the states there, and the state at the end."""
    return save_times() * (states_of_model() + 1) + states_of_model()


def begin_run(p: Array, q: Array, y0: Array, interval: Array, times: Array) -> None:
    """The start of a run from its arguments."""
    begin(p, y0, interval, view(interval, 1, 1))
    if has_times() == 1:
        at(q, times)
    if from_times() == 1:
        interval[0] = times[0]
        interval[1] = times[save_times() - 1]


def run_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int,
) -> None:  # fmt: skip
    """Integrate, keeping `rows` rows of the tape; writes the facts."""
    record_block(p, y0, interval, times, values, y_end, facts, grid, states, rows, 1)


def record_block(
    p: Array, y0: Array, interval: Array, times: Array, values: Array, y_end: Array, facts: Array, grid: Array,
    states: Array, rows: int, every: int,
) -> None:  # fmt: skip
    """As `run_block`; the tape is thinned where `every` > 1."""
    facts[0] = integrate(
        rhs, states_of_model(), states_of_model(), y0, p, interval, save_times(), times, stages(), degree(),
        tableau_a(p), tableau_c(p), tableau_error(p), tableau_dense(p), control(p), rtol(p), atol(p), dt(p),
        max_steps(), values, y_end, view(facts, 1, STATISTICS), grid, rows, states, rows, every, states, 0,
    )  # fmt: skip


def transpose_run(
    p: Array, interval: Array, times: Array, grid: Array, made: int, states: Array, values_bar: Array, end_bar: Array,
    y0_bar: Array, p_bar: Array, interval_bar: Array, times_bar: Array, facts: Array, timed: int,
) -> None:  # fmt: skip
    """Transpose a run whose tape has `made` rows; `facts` are those of the run, and may be given another status. Unless
    `timed`, nobody wants the bars of the interval and the times: a method may leave them at 0."""
    transpose_steps(
        rhs_keeping, rhs_vjp_kept, states_of_model(), states_of_model() + size_kept(), p, interval, save_times(), times,
        stages(), degree(), tableau_a(p), tableau_c(p), tableau_dense(p), grid, made, states, values_bar, end_bar,
        y0_bar, p_bar, interval_bar, times_bar, timed, REMADE,
    )  # fmt: skip


def row_size() -> int:
    """Numbers in a row of the grid."""
    return GRID


def state_size() -> int:
    """Numbers in a row of the states."""
    return states_of_model()


def end_size() -> int:
    """Numbers behind the last row of the states of a block."""
    return 0


def needs_tape() -> bool:
    """Whether a run cannot do without its tape."""
    return False


def end_of_run(interval: Array, facts: Array) -> Any:
    """The time at which the run ends."""
    return interval[1]


def add_end_bars(facts: Array, state_bar: Array, time_bar: Array) -> None:
    """Adds what the facts of a block are told of the cotangents of the end of its run: nothing."""


def solve_block(
    p: Array, q: Array, out: Array, facts: Array, kept: Array, grid: Array, states: Array, rows: int
) -> None:
    """The outputs and facts of one block."""
    n, m, k = states_of_model(), save_times(), size_out()
    y0, interval = buffer(p, n), buffer(p, 2)
    times, values, y_end = view(kept, 0, m), view(kept, m, m * n), view(kept, m * (n + 1), n)
    begin_run(p, q, y0, interval, times)
    run_block(p, y0, interval, times, values, y_end, facts, grid, states, rows)
    if has_times() == 1:
        for j in range(m):
            output(times[j], view(values, j * n, n), p, view(out, j * k, k))
    else:
        output(end_of_run(interval, facts), y_end, p, out)


def solve(
    first: int, last: int, p_all: Array, q_all: Array, q_step: int, out_all: Array, facts_all: Array, kept_all: Array,
    kept_step: int, grid: Array, states: Array, rows: int,
) -> int:  # fmt: skip
    """Blocks `first` … `last` - 1; 0, or 1 + the block for whose tape there is no room."""
    size = instants() * size_out()
    made = 0
    for block in range(first, last):
        if needs_tape() and made >= rows:
            return block + 1
        facts = view(facts_all, block * size_facts(), size_facts())
        solve_block(
            view(p_all, block * size_p(), size_p()), view(q_all, block * q_step, size_q()),
            view(out_all, block * size, size), facts, view(kept_all, block * kept_step, kept_size()),
            view(grid, made * row_size(), (rows - made) * row_size()),
            view(states, made * state_size() + (block - first) * end_size(), (rows - made) * state_size() + end_size()),
            rows - made,
        )  # fmt: skip
        if kept_step > 0 or needs_tape():
            wanted = made + rows_of(facts)
            if wanted > rows:
                return block + 1
            if kept_step > 0:
                made = wanted
    return 0


def add_output_vjp(
    t: Any, y: Array, p: Array, cot: Array, t_bar: Array, y_bar: Array, p_bar: Array, trial: Array
) -> None:
    """The cotangents of one instant; a sample whose cotangents are all 0 gets exactly nothing. `trial` is room for
    p_bar."""
    asked = cot[0] != 0.0
    for i in range(1, size_out()):
        asked = or_(asked, cot[i] != 0.0)
    if any_(asked):
        n = states_of_model()
        t_part, y_part = buffer(p, 1), buffer(p, n)
        fill(own_bar(), 0.0, trial, 0)
        copy(size_bar() - own_bar(), p_bar, own_bar(), trial, own_bar())
        output_vjp(t, y, p, cot, t_part, y_part, trial)
        t_bar[0] = t_bar[0] + select(asked, t_part[0], 0.0)
        for i in range(n):
            y_bar[i] = y_bar[i] + select(asked, y_part[i], 0.0)
        for i in range(own_bar()):
            p_bar[i] = p_bar[i] + select(asked, trial[i], 0.0)


def pull_block(
    p: Array, q: Array, cot: Array, p_bar: Array, q_bar: Array, facts: Array, kept: Array, grid: Array, states: Array,
    made: int, trial: Array, work: Array, timed: int,
) -> None:  # fmt: skip
    """The gradients of one block, whose run left `kept` and `made` rows of the tape."""
    n, m = states_of_model(), save_times()
    y0, interval = buffer(p, n), buffer(p, 2)
    times = view(kept, 0, m)
    begin_run(p, q, y0, interval, times)
    times_bar, values_bar = view(work, 0, m), view(work, m, m * n)
    interval_bar, end_bar, y0_bar = buffer(p, 2), buffer(p, n), buffer(p, n)
    bars_of_outputs(p, end_of_run(interval, facts), kept, cot, p_bar, interval_bar, end_bar, trial, work)
    add_end_bars(facts, end_bar, interval_bar)
    # Few sums are held where nothing else can lie, so that they stay in registers from step to step.
    few = buffer(p, FEW)
    sums = p_bar
    if size_bar() <= FEW:
        sums = few
        copy(size_bar(), p_bar, 0, sums, 0)
    transpose_run(
        p, interval, times, grid, made, states, values_bar, end_bar, y0_bar, sums, interval_bar, times_bar, facts,
        timed,
    )  # fmt: skip
    if size_bar() <= FEW:
        copy(own_bar(), sums, 0, p_bar, 0)
    bars_of_start(p, q, y0_bar, p_bar, q_bar, interval_bar, times_bar)


def bars_of_outputs(
    p: Array, t_end: Any, kept: Array, cot: Array, p_bar: Array, interval_bar: Array, end_bar: Array, trial: Array,
    work: Array,
) -> None:  # fmt: skip
    """The cotangents of the times and states at the instants of a run, in `work`; clears them and p_bar before."""
    n, m, k = states_of_model(), save_times(), size_out()
    times, values, y_end = view(kept, 0, m), view(kept, m, m * n), view(kept, m * (n + 1), n)
    times_bar, values_bar = view(work, 0, m), view(work, m, m * n)
    fill(m * (n + 1), 0.0, times_bar, 0)
    fill(own_bar(), 0.0, p_bar, 0)
    if has_times() == 1:
        for j in range(m):
            add_output_vjp(
                times[j], view(values, j * n, n), p, view(cot, j * k, k), view(times_bar, j, 1),
                view(values_bar, j * n, n), p_bar, trial,
            )  # fmt: skip
    else:
        add_output_vjp(t_end, y_end, p, cot, view(interval_bar, 1, 1), end_bar, p_bar, trial)


def bars_of_start(
    p: Array, q: Array, y0_bar: Array, p_bar: Array, q_bar: Array, interval_bar: Array, times_bar: Array
) -> None:
    """From the cotangents of what a run begins with to those of the arguments."""
    fill(size_q(), 0.0, q_bar, 0)
    ends_to_times(interval_bar, times_bar)
    begin_vjp(p, y0_bar, interval_bar, view(interval_bar, 1, 1), p_bar)
    if has_times() == 1:
        at_vjp(q, times_bar, q_bar)


def ends_to_times(interval_bar: Array, times_bar: Array) -> None:
    """Where the times define the interval, its cotangents are theirs."""
    if from_times() == 1:
        last = save_times() - 1
        times_bar[0] = times_bar[0] + interval_bar[0]
        times_bar[last] = times_bar[last] + interval_bar[1]
        fill(2, 0.0, interval_bar, 0)


def pull(
    first: int, last: int, p_all: Array, q_all: Array, q_step: int, cot_all: Array, p_bar_all: Array, q_bar_all: Array,
    facts_all: Array, kept_all: Array, kept_step: int, grid: Array, states: Array, rows: int, trial: Array,
    work: Array, timed: int,
) -> int:  # fmt: skip
    """Blocks `first` … `last` - 1 after a `solve` that left `kept` and tapes (`kept_step` > 0); 0, or 1 + the block
    that needs more rows than there are. `timed` is 0 where nobody wants gradients of times."""
    size = instants() * size_out()
    begin_at = 0
    for block in range(first, last):
        facts = view(facts_all, block * size_facts(), size_facts())
        p, q = view(p_all, block * size_p(), size_p()), view(q_all, block * q_step, size_q())
        kept = view(kept_all, block * kept_step, kept_size())
        made = rows_of(facts)
        if begin_at + made > rows:
            return block + 1
        pull_block(
            p, q, view(cot_all, block * size, size), view(p_bar_all, block * size_bar(), size_bar()),
            view(q_bar_all, block * size_q(), size_q()), facts, kept,
            view(grid, begin_at * row_size(), made * row_size()),
            view(states, begin_at * state_size() + (block - first) * end_size(), made * state_size() + end_size()),
            made, trial, work, timed,
        )  # fmt: skip
        begin_at = begin_at + made
    return 0
