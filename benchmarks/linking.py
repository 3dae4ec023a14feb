"""`python -m benchmarks.linking`: what LLVM takes for every kernel of the works, solver and model linked into one.

Every work makes its layer's machine code in new processes that find the solvers' bitcode in the cache, and no object.
Each object is timed from its parts to its bytes: reading bitcode and texts, linking and passes, then machine code.
Twice: as the first model of its sizes, and as a further one, or one whose formulas were changed, which finds the solver
for these sizes where there is such (`sized.py`). The process that took least counts. Writes linking.json and the table
of docs/how-it-is-fast.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import machine
from benchmarks.machine import hold_to
from benchmarks.page import LINKING, write_ladder
from benchmarks.work import Comparison, Settings

WORKS = ("lv", "node", "deq", "qp10", "ball", "robertson", "brusselator")
PROCESSES = 3
SOLVERS, SIZED = (".bc",), ".sized"
"""How the names of what a further model finds in the cache end: solvers, and those for its sizes."""
ONCE = " (once a machine)"
"""How the names of objects end that know no model: they are one for all programs of a type."""


def times_of(name: str) -> dict[str, tuple[float, float]]:
    """Seconds of the processor, all and of them for machine code, for each object that the layer of a work makes for
    its values and its gradient, by the entries in it."""
    import llvmlite.binding as llvm

    from benchmarks.works import work
    from implicitdsl.backends.lanes import apart, link, serves_all

    found: dict[str, tuple[float, float]] = {}
    entered: list[str] = []
    emitted: list[float] = []
    joined, emit = link.joined, llvm.TargetMachine.emit_object

    def watched(modules: Sequence[str | bytes], entries: Sequence[str], context: Any) -> Any:
        named = [*entries] or re.findall(r'^define void @"(\w+)"', str(modules[0]), re.MULTILINE)
        entered.append(", ".join(name.removeprefix("imp_") for name in named))
        return joined(modules, entries, context)

    def emitting(machine: Any, module: Any) -> bytes:
        start = time.process_time()
        code = emit(machine, module)
        emitted.append(time.process_time() - start)
        return code

    def timed(kept: Callable[..., bytes], mark: str = "") -> Callable[..., bytes]:
        def timing(key: str, make: Callable[[], bytes]) -> bytes:
            def made() -> bytes:
                entered.clear()
                emitted.clear()
                start = time.process_time()
                code = make()
                spent = time.process_time() - start
                name = entered[0] + mark
                # A gradient's solve, which keeps what its pullback needs, is another object of the same entry.
                found[name if name not in found else f"{name}, for a gradient"] = (spent, sum(emitted))
                return code

            return kept(key, made)

        return timing

    chosen = work(name)
    assert isinstance(chosen, Comparison)
    with (
        mock.patch.object(link, "joined", watched),
        mock.patch.object(serves_all, "joined", watched),
        mock.patch.object(serves_all, "kept_object", timed(serves_all.kept_object, ONCE)),
        mock.patch.object(link, "kept_object", timed(link.kept_object)),
        mock.patch.object(apart, "kept_model", timed(apart.kept_model)),
        mock.patch.object(llvm.TargetMachine, "emit_object", emitting),
    ):
        for call in chosen.ours(Settings(backend="lanes")).calls.values():
            call.run()
    return found


def measure(names: Sequence[str] = WORKS, processes: int = PROCESSES) -> list[dict[str, Any]]:
    """The kernels of the works, least of some processes each. Raises CalledProcessError where one ends badly."""
    found: list[dict[str, Any]] = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            # The first one lowers the solvers besides, which is not in these times.
            first = [_run(name, folder, SOLVERS) for _ in range(processes)]
            further = [_run(name, folder, (*SOLVERS, SIZED)) for _ in range(processes)]
        for entry in first[0]:
            seconds, code = min(run[entry] for run in further)
            times = {"first": min(run[entry][0] for run in first), "further": seconds, "machine_code": code}
            found.append({"work": name, "kernel": entry, **times})
            print(name, entry, {what: round(taken, 3) for what, taken in times.items()}, flush=True)
    return found


def _run(name: str, folder: str, kept: Sequence[str]) -> dict[str, tuple[float, float]]:
    for made in Path(folder).iterdir():
        if made.suffix not in kept:
            made.unlink()
    command = [sys.executable, "-m", "benchmarks.linking", "--one", name]
    environment = {**os.environ, "IMPLICITDSL_CACHE": folder, "IMPLICITDSL_LINK": "whole", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures, writes linking.json and the page; with `--one`, prints the kernels of a work."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linking", description=__doc__)
    parser.add_argument("--one")
    given = parser.parse_args()
    if given.one:
        hold_to(1)
        print(json.dumps(times_of(given.one)))
        return
    facts = machine.describe()
    LINKING.write_text(json.dumps({"machine": facts, "kernels": measure()}, indent=1) + "\n", encoding="utf-8")
    write_ladder()


if __name__ == "__main__":
    main()
