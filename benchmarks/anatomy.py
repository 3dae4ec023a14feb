"""Where the time of one call of ours goes: machine code, the rest of the engine (packing, results), the torch side.

Measured by clocks around the engine's methods and around its compiled entries, in calls of their own: the times of the
tables are taken without them. With one thread the three parts add up to the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CALLS = 30
SECONDS = 1.0


def parts(run: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of the call that took the least, by part. `other` is everything outside our engine: torch's
    dispatch and autograd, checks of inputs, the bookkeeping of `layer.last`, and the loss of the work."""
    with _clocks() as (engine, code):
        run()
        best: dict[str, float] = {}
        end = time.perf_counter() + SECONDS
        for _ in range(CALLS):
            engine[0] = code[0] = 0.0
            start = time.perf_counter()
            run()
            total = time.perf_counter() - start
            if not best or total < best["total"]:
                best = {"total": total, "code": code[0], "engine": engine[0] - code[0], "other": total - engine[0]}
            if time.perf_counter() > end:
                break
    return {name: round(1e3 * seconds, 4) for name, seconds in best.items()}


@contextmanager
def _clocks() -> Iterator[tuple[list[float], list[float]]]:
    """Seconds inside engines, and inside compiled entries, as they add up."""
    from implicitdsl.backends.lanes.machine_code import MachineCode
    from implicitdsl.backends.lanes.ode_tape import OdeTape
    from implicitdsl.backends.lanes.program_tape import ProgramTape
    from implicitdsl.backends.lanes.root_tape import RootTape
    from implicitdsl.layers import registry

    engine, code = [0.0], [0.0]
    kinds = {type(entry.engine) for entry in list(registry._entries.values())}
    kept: list[tuple[type, str, Any]] = [(MachineCode, "entry", MachineCode.entry)]
    kept += [(kind, name, getattr(kind, name)) for kind in kinds for name in ("solve", "pullback")]
    kept += [(kind, "pullback", kind.pullback) for kind in (OdeTape, ProgramTape, RootTape)]
    entry = MachineCode.entry

    def clocked_entry(self: MachineCode, *args: Any) -> Any:
        return _clocked(entry(self, *args), code)

    MachineCode.entry = clocked_entry
    for kind, name, method in kept[1:]:
        setattr(kind, name, _clocked(method, engine))
    try:
        yield engine, code
    finally:
        for kind, name, method in kept:
            setattr(kind, name, method)


def _clocked(call: Callable[..., Any], total: list[float]) -> Callable[..., Any]:
    def clocked(*args: Any, **keywords: Any) -> Any:
        before, start = total[0], time.perf_counter()
        try:
            return call(*args, **keywords)
        finally:
            # An engine may ask the one that it is made of, whose time is in its own.
            total[0] = before + time.perf_counter() - start

    return clocked
