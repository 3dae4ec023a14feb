"""The pullbacks of `ode` on lanes whose solve kept no tape: each block is run again, with a full tape or a thinned one,
or differentiated by the costate equation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends import threads
from implicitdsl.backends.engine import Array, Gradient
from implicitdsl.backends.lanes.block_engine import failed
from implicitdsl.backends.lanes.gradients import Gradients
from implicitdsl.backends.lanes.layout import fill_lanes
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.tape import room, spacing

if TYPE_CHECKING:
    from implicitdsl.backends.lanes.ode_engine import OdeEngine

TOGETHER = 1 << 18
"""Bytes of the tapes of the blocks that run again in one go: they are read back while they lie in the cache."""
REPEATED = "a run repeated took more steps"


def spacing_of(engine: OdeEngine, steps: Array) -> int:
    """s for the tapes of samples that took so many steps: every thread at work has one, and all together have the
    memory that the layer was given. 1 for a method that cannot make a row again."""
    if not engine.spec.more["thins"]:
        return 1
    hands = min(threads.default() if engine.threads is None else engine.threads, engine.blocks_of(len(steps)))
    elements = engine.spec.more["tape_bytes"] / (engine.width * engine.dtype.itemsize) / max(hands, 1)
    return spacing(int(steps.max(initial=1)), engine.spec.numbers["states"], elements)


def swept(
    engine: OdeEngine, part: Literal["pull", "thin", "costate"], args: list[Array], batch: int, saved: list[Array],
    status: NDArray[np.int32], cotangents: list[Array], every: int = 1,
) -> Gradient:  # fmt: skip
    """The pullback of `engine` by a part: `pull` with full tapes, which `solve` makes once more, `thin` with one that
    has every `every`-th state, and `costate` with a full one, or none where the solution is carried backwards."""
    n, facts, read = engine.spec.numbers["states"], engine.facts_size, engine.read_size
    cot, asked = engine.asked_cotangent(cotangents, batch)
    values, shared = engine.values(args, batch), engine.layout(args, batch)
    p, q = engine.packing("p", shared), engine.packing("q", shared)
    common = engine.is_common("q", values)
    order = engine.lanes_of(saved[0], asked & (status == codes.SUCCESS))
    grads = Gradients(engine.arguments, args, (p, q), engine.blocks_of(len(order)), engine.width)
    found = np.zeros(batch, np.int32)
    solve, entry = engine.code.entry("solve", shared), engine.code.entry(part, shared)
    element = engine.width * engine.dtype.itemsize

    def work(first: int, last: int) -> None:
        count, rows = last - first, engine.samples_of(order, first, last, len(order))
        tape = engine.tape_rows(saved, rows)
        at_once = 1
        if part == "pull":
            at_once = min(max(TOGETHER // (tape * sum(engine.row_parts) * element), 1), count)
        rooms = room(tape, n, every) if every > 1 else (*(at_once * tape * k for k in engine.row_parts), 0, 0)
        arena = engine.arena(
            (count, p.size), (1 if common else count, q.size), (count, read), (count, p.size), (count, q.size),
            (count, facts), (at_once, engine.kept_size), *((k,) for k in rooms), (p.size,), (engine.bars_size,),
            (at_once if part == "pull" else 0, read),
        )  # fmt: skip
        p.pack(values, rows, arena.array(0))
        q.pack(values, rows, arena.array(1))
        fill_lanes(arena.array(2), cot[:, :read], rows, fill=0.0)
        engine.tell(arena.array(5), cot, rows)
        p_bar = arena.array(3)
        grads.set_addresses(p, p_bar, first)
        q_step = 0 if common else q.size
        if part == "pull":
            *blocks, kept_at, grid, states, _, _, trial, bars, out_at = arena.addresses
            for at in range(0, count, at_once):
                some = min(at_once, count - at)
                steps = (p.size, q_step, read, p.size, q.size, facts)
                p_at, q_at, c_at, p_bar_at, q_bar_at, facts_at = (
                    place + at * step * element for place, step in zip(blocks, steps, strict=True)
                )  # fmt: skip
                tapes = facts_at, kept_at, engine.kept_size, grid, states, at_once * tape
                done = solve(0, some, p_at, q_at, q_step, out_at, *tapes)
                assert done == 0, REPEATED
                done = entry(0, some, p_at, q_at, q_step, c_at, p_bar_at, q_bar_at, *tapes, trial, bars, 1)
                assert done == 0, REPEATED
        else:
            p_at, q_at, *others = arena.addresses
            segment = (every, *others[7:9]) if part == "thin" else ()
            done = entry(0, count, p_at, q_at, q_step, *others[:7], tape, *segment, *others[9:11])
            assert done == 0, REPEATED
        grads.gather(p, p_bar, first, rows)
        grads.gather(q, arena.array(4), first, rows)
        engine.statuses(arena.array(5), rows, found)

    engine.run_order(part, order, saved[0], 2 * p.size + q.size + cot.shape[1], work, grads.chunk)
    return Gradient(grads.result(failed(status, asked)), found)
