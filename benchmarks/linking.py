"""`python -m benchmarks.linking`: what LLVM takes for every kernel of the works, and of some models more.

Every work makes its layer's machine code in new processes that find the solvers' bitcode in the cache, and no object.
Each object is timed from its parts to its bytes: reading bitcode and texts, linking and passes, then machine code.
What follows from the solver and the sizes of the model alone, and is kept for other models of these sizes, is told
apart from what the model takes: it is an object of its own, or bitcode that the model is finished from.
Then an equation of the model is edited, and what is made anew is timed in processes that find all that was made before.
The process that took least counts. Writes linking.json and the table of docs/how-it-is-fast.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import machine
from benchmarks.linked_models import LINKED, Edit
from benchmarks.machine import hold_to
from benchmarks.page import LINKING, write_ladder
from benchmarks.work import Comparison, Settings


@dataclass(frozen=True)
class Work:
    """A work, by the module of `works` that loads its model, and how an equation of that is edited."""

    module: str
    edit: Edit


WORKS = {
    "lv": Work("lv", Edit("p[0]*x -", "p[0]*x*(1 - x/50) -")),
    "node": Work("node", Edit("tanh(W1 @ y + b1)", "tanh(W1 @ (y*y) + b1)")),
    "deq": Work("deq", Edit("tanh(W @ z + U @ x + b)", "tanh(W @ z + U @ x) + b")),
    "qp10": Work("qp", Edit("1/2*normsq(L.T @ z)", "1/2*normsq(L.T @ z) + normsq(z)")),
    "ball": Work("ball", Edit("dv/dt = -g", "dv/dt = -g - 0.01*v")),
    "robertson": Work("robertson", Edit("k[1]*b^2", "k[1]*b^2/(1 + b)")),
    "brusselator": Work("brusselator", Edit("u^2*v", "u^2*v/(1 + 0.01*u^2)")),
}
"""The works, by name."""
PROCESSES = 3
SOLVERS = ".bc"
"""How the names of solvers in the cache end."""
ONCE = " (once a machine)"
"""How the names of objects end that know no model: they are one for all programs of a type."""


def times_of(name: str, *, edited: Path | None = None) -> dict[str, tuple[float, float, float]]:
    """Seconds of the processor for each object that the layer of a work makes for its values and its gradient, by the
    entries in it: what is kept for all models of its sizes, what the model takes, and machine code, a part of either.
    In the folder `edited`, if given, the edited model is written and taken in place of the work's own."""
    import llvmlite.binding as llvm

    from implicitdsl.backends.lanes import apart, link, serves_all

    found: dict[str, tuple[float, float, float]] = {}
    entered: list[str] = []
    emitted: list[float] = []
    sized: list[float] = []
    alone: list[bool] = []
    joined, emit = link.joined, llvm.TargetMachine.emit_object
    solving, keeping = link.optimise_solver, link.kept_sized

    def watched(modules: Sequence[str | bytes], entries: Sequence[str], context: Any) -> Any:
        named = [*entries] or re.findall(r'^define void @"(\w+)"', str(modules[0]), re.MULTILINE)
        entered.append(", ".join(name.removeprefix("imp_") for name in named))
        return joined(modules, entries, context)

    def emitting(machine: Any, module: Any) -> bytes:
        start = time.process_time()
        code = emit(machine, module)
        emitted.append(time.process_time() - start)
        return code

    def noting(*given: Any, **options: Any) -> None:
        alone.append(True)
        solving(*given, **options)

    def sizing(key: str, make: Callable[[], bytes]) -> bytes:
        def made() -> bytes:
            start = time.process_time()
            code = make()
            sized.append(time.process_time() - start)
            return code

        return keeping(key, made)

    def timed(kept: Callable[..., bytes], mark: str = "") -> Callable[..., bytes]:
        def timing(key: str, make: Callable[[], bytes]) -> bytes:
            def made() -> bytes:
                for noted in (entered, emitted, sized, alone):
                    noted.clear()
                start = time.process_time()
                code = make()
                spent = time.process_time() - start
                once = spent if alone or mark else sum(sized)
                name = entered[0] + mark
                # A gradient's solve, which keeps what its pullback needs, is another object of the same entry.
                found[name if name not in found else f"{name}, for a gradient"] = (
                    once,
                    spent - once,
                    sum(emitted),
                )
                return code

            return kept(key, made)

        return timing

    with (
        mock.patch.object(link, "joined", watched),
        mock.patch.object(serves_all, "joined", watched),
        mock.patch.object(serves_all, "kept_object", timed(serves_all.kept_object, ONCE)),
        mock.patch.object(link, "kept_object", timed(link.kept_object)),
        mock.patch.object(link, "kept_sized", sizing),
        mock.patch.object(link, "optimise_solver", noting),
        mock.patch.object(apart, "kept_model", timed(apart.kept_model)),
        mock.patch.object(llvm.TargetMachine, "emit_object", emitting),
    ):
        for call in _calls(name, edited):
            call()
    return found


def _calls(name: str, edited: Path | None) -> list[Callable[[], Any]]:
    """The calls of a work or of a model, as it is or as it is written, edited, into a folder."""
    from benchmarks.works import work

    if name in LINKED:
        linked = LINKED[name]
        return linked.calls(linked.path if edited is None else edited_model(linked.path, linked.edit, edited))
    chosen = work(name)
    assert isinstance(chosen, Comparison)
    owner = import_module(f"benchmarks.works.{WORKS[name].module}")
    model = owner.MODEL if edited is None else edited_model(owner.MODEL, WORKS[name].edit, edited)
    with mock.patch.object(owner, "MODEL", model):
        return [call.run for call in chosen.ours(Settings(backend="lanes")).calls.values()]


def measure(names: Sequence[str] = (*WORKS, *LINKED), processes: int = PROCESSES) -> list[dict[str, Any]]:
    """The kernels of the works, least of some processes each: seconds for what is made once for sizes, for the model as
    it is, for machine code, and after the edit, None where there is nothing of the kind. Raises CalledProcessError
    where a process ends badly."""
    found: list[dict[str, Any]] = []
    for name in names:
        with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as edited:
            # The first one lowers the solvers besides, which is not in these times.
            first = [_run(name, _with_solvers(Path(made))) for _ in range(processes)]
            after = [_run(name, _copied(Path(made), Path(edited)), is_edited=True) for _ in range(processes)]
        for entry in dict.fromkeys([*first[0], *after[0]]):
            # With another equation a kernel may call other functions, and so be another object.
            runs = [run[entry] for run in first] if entry in first[0] else [(0.0, 0.0, 0.0)]
            least = min(runs, key=lambda run: run[0] + run[1])
            again = min(sum(run[entry][:2]) for run in after) if entry in after[0] else None
            once, seconds, code = (each or None for each in least)
            line = {"once": once, "seconds": seconds, "machine_code": code, "edited": again}
            found.append({"work": name, "kernel": entry, **line})
            told = (f"{key} {each:.3f}" for key, each in line.items() if each is not None)
            print(name, entry, *told, flush=True)
    return found


def edited_model(model: Path, edit: Edit, folder: Path) -> Path:
    """Where the edited text of a model lies in a folder."""
    text = model.read_text(encoding="utf-8")
    assert text.count(edit.old) == 1, f"{edit.old} is to stand once in {model}"
    place = folder / model.name
    place.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return place


def _with_solvers(cache: Path) -> Path:
    """The cache without anything but solvers."""
    for made in cache.iterdir():
        if made.suffix != SOLVERS:
            made.unlink()
    return cache


def _copied(cache: Path, folder: Path) -> Path:
    """A copy of the cache."""
    shutil.rmtree(folder)
    return Path(shutil.copytree(cache, folder))


def _run(name: str, cache: Path, *, is_edited: bool = False) -> dict[str, tuple[float, float, float]]:
    command = [sys.executable, "-m", "benchmarks.linking", "--edited" if is_edited else "--one", name]
    environment = {**os.environ, "IMPLICITDSL_CACHE": str(cache), "IMPLICITDSL_LINK": "whole", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures, writes linking.json and the page; with `--one` or `--edited`, prints the kernels of a work."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linking", description=__doc__)
    parser.add_argument("--one")
    parser.add_argument("--edited")
    given = parser.parse_args()
    if given.one or given.edited:
        hold_to(1)
        with tempfile.TemporaryDirectory() as folder:
            found = times_of(given.one) if given.one else times_of(given.edited, edited=Path(folder))
        print(json.dumps(found))
        return
    facts = machine.describe()
    LINKING.write_text(json.dumps({"machine": facts, "kernels": measure()}, indent=1) + "\n", encoding="utf-8")
    write_ladder()


if __name__ == "__main__":
    main()
