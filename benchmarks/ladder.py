"""`python -m benchmarks.ladder`: what each step towards the machine is worth, on the work `lv`.

The same solver source climbs the rungs: plain Python on floats (the back end `python`), machine code of one sample at a
time, vectors of samples, threads. Beside it, what making the code costs: the solver by lowering, a model by linking.
Writes ladder.json and the tables of docs/how-it-is-fast.md.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

from benchmarks import machine
from benchmarks.measure import take_turns
from benchmarks.page import LADDER, write_ladder
from benchmarks.work import Contender, Settings
from benchmarks.works import lv

BATCH = 1024
SLOW_BATCH = 4
"""Samples that the back end `python` is timed on: it is a loop over samples, so its times are scaled to the batch."""


@dataclass(frozen=True)
class Rung:
    """One way of running the same source; milliseconds for the batch, of the clock and of all threads' processors."""

    what: str
    about: str
    forward: float
    forward_cpu: float
    gradient: float
    gradient_cpu: float


@dataclass(frozen=True)
class Making:
    """One stage on the way to machine code, in seconds of the processor."""

    what: str
    seconds: float
    when: str


def contender(width: int, threads: int, *, written_out: bool = True, batch: int = BATCH) -> Contender:
    """The layer with blocks of that width, its machine code made."""
    from implicitdsl.backends.lanes import ode_build, ode_linking

    cache = os.environ.get("IMPLICITDSL_CACHE")
    with ExitStack() as changed, tempfile.TemporaryDirectory() as folder:
        changed.enter_context(mock.patch.dict(ode_build.WIDTH, {"float64": width}))
        if not written_out:
            # In one piece all the same, as the other rungs are.
            changed.enter_context(mock.patch.object(ode_linking, "WRITTEN_OUT", 0))
            changed.enter_context(mock.patch.object(ode_linking, "may_lie_apart", return_value=False))
        # A cache of its own: the one of the user holds this layer with the width that it is built with.
        os.environ["IMPLICITDSL_CACHE"] = folder
        try:
            made = lv.ours(Settings(threads=threads, backend="lanes"), batch)
            for call in made.calls.values():
                call.run()
        finally:
            _restore(cache)
    return made


def rungs(seconds: float, threads: int) -> list[Rung]:
    """All rungs, those of machine code timed in turns."""
    from implicitdsl.backends.lanes import ode_build

    width = ode_build.WIDTH["float64"]
    compiled = {
        "one sample at a time": (contender(1, 1), "machine code of the same source, one thread"),
        "4 samples a vector": (contender(4, 1), "half of the width"),
        f"{width} samples a vector, loops kept": (contender(width, 1, written_out=False), "stages in loops, in memory"),
        f"{width} samples a vector": (contender(width, 1), "stages written out, in registers"),
    }
    if threads > 1:
        name = f"{width} samples a vector, {threads} threads"
        compiled[name] = (contender(width, threads), "blocks handed to threads")
    forward = take_turns({name: c.calls["forward"].run for name, (c, _) in compiled.items()}, seconds)
    gradient = take_turns({name: c.calls["gradient"].run for name, (c, _) in compiled.items()}, seconds)
    slow = lv.ours(Settings(backend="python"), SLOW_BATCH)
    scale = BATCH / SLOW_BATCH
    python = [take_turns({mode: slow.calls[mode].run}, seconds)[mode] for mode in ("forward", "gradient")]
    about = f'backend="python", from {SLOW_BATCH} samples'
    return [
        Rung("Python", about, *(scale * t for times in python for t in (times.best, times.cpu))),
        *(
            Rung(name, about, forward[name].best, forward[name].cpu, gradient[name].best, gradient[name].cpu)
            for name, (_, about) in compiled.items()
        ),
    ]


def making() -> list[Making]:
    """The stages of making the machine code of `lv`, in a cache directory of their own."""
    import implicitdsl.backends.lanes.lower  # noqa: F401 - its import is no part of what is timed
    from implicitdsl.backends.lanes import ode_build, ode_solver

    width, found = ode_build.WIDTH["float64"], []
    before = os.environ.get("IMPLICITDSL_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMPLICITDSL_CACHE"] = folder
        ode_solver.solver.cache_clear()
        ode_solver._functions.cache_clear()
        for part, when in (("solve", "once a machine and method"), ("pull", "at the first gradient, likewise")):
            spent = _clock(
                lambda part=part: ode_solver.solver(part, "dopri5", "float64", width, written_out=True, far=False)
            )
            found.append(Making(f"lower the solver, `{part}`", spent, when))
        for whether in ("once a model and layout", "in every further process"):
            what = (
                "read, derive, emit, link, optimise, load"
                if "once" in whether
                else "read, find the object on disk, load"
            )
            layer = lv.ours(Settings(backend="lanes"), 8)
            forward = _clock(layer.calls["forward"].run)
            found.append(Making(f"{what}: values", forward, whether))
            found.append(Making(f"{what}: gradient", _clock(layer.calls["gradient"].run), whether))
    _restore(before)
    return found


def _restore(cache: str | None) -> None:
    if cache is None:
        os.environ.pop("IMPLICITDSL_CACHE", None)
    else:
        os.environ["IMPLICITDSL_CACHE"] = cache


def _clock(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """Measures, writes ladder.json and the page, prints the rungs."""
    import torch

    torch.set_num_threads(1)
    threads = len(machine.processors())
    facts = machine.describe()
    # The stages of making come first: later, a process has already read what they share.
    made = making()
    found = {
        "machine": facts,
        "making": [asdict(line) for line in made],
        "rungs": [asdict(rung) for rung in rungs(2.0, threads)],
    }
    LADDER.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write_ladder()
    for rung in found["rungs"]:
        print(rung)
    for line in found["making"]:
        print(line)


if __name__ == "__main__":
    main()
