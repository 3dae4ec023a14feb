"""The pullbacks of `ode` on lanes that need something else than a full tape: a thinned one, or the costate equation."""

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
    """The pullback of `engine` by a part that runs each block again: `pull` keeps a full tape, `thin` one with every
    `every`-th state, and `costate` a full one, or none where the solution is carried backwards."""
    n, facts = engine.spec.numbers["states"], engine.facts_size
    cot, asked = engine.asked_cotangent(cotangents, batch)
    values, shared = engine.values(args, batch), engine.layout(args, batch)
    p, q = engine.packing("p", shared), engine.packing("q", shared)
    common = engine.is_common("q", values)
    order = engine.lanes_of(saved[0], asked & (status == codes.SUCCESS))
    grads = Gradients(engine.arguments, args, (p, q), engine.blocks_of(len(order)), engine.width)
    found = np.zeros(batch, np.int32)
    entry = engine.code.entry(part, shared)

    def work(first: int, last: int) -> None:
        count, rows = last - first, engine.samples_of(order, first, last, len(order))
        tape = engine.tape_rows(saved, rows)
        rooms = room(tape, n, every) if every > 1 else (*(tape * k for k in engine.row_parts), 0, 0)
        arena = engine.arena(
            (count, p.size), (1 if common else count, q.size), (count, engine.read_size), (count, p.size),
            (count, q.size), (count, facts), (engine.kept_size,), *((k,) for k in rooms),
            (p.size,), (engine.bars_size,),
        )  # fmt: skip
        p.pack(values, rows, arena.array(0))
        q.pack(values, rows, arena.array(1))
        fill_lanes(arena.array(2), cot[:, : engine.read_size], rows, fill=0.0)
        engine.tell(arena.array(5), cot, rows)
        p_bar = arena.array(3)
        grads.set_addresses(p, p_bar, first)
        p_at, q_at, *bars = arena.addresses
        # What runs leave is kept apart for each block where tapes are, and here in one place for all.
        step = (0,) if part == "pull" else ()
        segment = (every, *bars[7:9]) if part == "thin" else ()
        timed = (1,) if part == "pull" else ()
        done = entry(
            0, count, p_at, q_at, 0 if common else q.size, *bars[:5], *step, *bars[5:7], tape, *segment, *bars[9:],
            *timed,
        )  # fmt: skip
        assert done == 0, "a run repeated took more steps"
        grads.gather(p, p_bar, first, rows)
        grads.gather(q, arena.array(4), first, rows)
        engine.statuses(arena.array(5), rows, found)

    engine.run_order(part, order, (2 * p.size + q.size + cot.shape[1]), work, grads.chunk)
    return Gradient(grads.result(failed(status, asked)), found)
