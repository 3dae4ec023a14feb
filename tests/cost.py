"""What a run of the tests makes the machine compile: told at its end, file by file where `--cost` asks for it.

A kernel is one object file with a solver in it: a part of an engine (its solve, its pullback …), linked with a model
or, as tests are told, compiled apart for all models; then a model is a small object file of its own, as is that of the
solvers of one sample. What is met was used; what is compiled was met by nobody before, as far as the cache knows. With
an empty cache everything distinct is compiled once, whatever the number of processes that share the cache. Object files
that no engine asks for, such as the functions of a few lines that tests of the compiler are about, are counted by
themselves, as probes.

What processes that a test starts compile is in neither count. What they leave in the cache of all tests is told beside
them, kernels and probes in one number; what they leave in a cache of their own, which a few tests give them, is not.
Tests that take a cache of their own count as all others.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import pytest

from implicitdsl.backends.lanes import cache, one_sample
from implicitdsl.backends.lanes.apart import LINK
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.pieces import MARK, pieces
from implicitdsl.backends.lanes.target import device

KEYS = (
    "seconds", "kernels", "kernel seconds", "probes", "probe seconds", "models", "model seconds", "solvers",
    "solver seconds",
)  # fmt: skip
"""What is counted of a file: seconds are the processor's, those of processes that a test starts counted in."""
KERNELS, SECONDS = 200, 1440
"""What the whole run is meant to compile, probes among them, and to take at most: 12 minutes on 2 cores, with an empty
cache."""
WHAT = {"o": "kernel", "model": "model", "bc": "solver"}
"""Entries of the cache by the endings of their names: kernels and models by LLVM, solvers by lowering them. What solvers
for sizes take is in the time of the kernels that they are made for."""


def _now() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Cost:
    """Counts per file in every process of a run, and prints the sums of all."""

    def __init__(self, config: pytest.Config) -> None:
        self._every_file = config.getoption("--cost")
        self._file = ""
        self._made: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(KEYS, 0.0))
        self._met: dict[str, set[str]] = defaultdict(set)
        self._names: set[str] = set()
        self._before = self._entries()
        self._asked = self._emitted = 0
        self._count_emitted()
        self._count_made()
        self._count_met()
        self._count_asked()

    def _count_emitted(self) -> None:
        usual = llvm.TargetMachine.emit_object

        def emit_object(machine: llvm.TargetMachine, module: llvm.ModuleRef) -> bytes:
            self._emitted += 1
            return usual(machine, module)

        llvm.TargetMachine.emit_object = emit_object

    def _count_made(self) -> None:
        usual = cache._kept

        def kept(name: str, make: Callable[[], bytes]) -> bytes:
            what = WHAT.get(name.rpartition(".")[2])
            if what is None:
                return usual(name, make)

            def counted() -> bytes:
                start, emitted = time.thread_time(), self._emitted
                made = make()
                if what == "kernel":
                    # A test of the cache makes entries of nothing.
                    if self._emitted == emitted:
                        return made
                    self._names.add(name)
                kind = "probe" if what == "kernel" and not self._asked else what
                self._made[self._file][f"{kind}s"] += 1
                self._made[self._file][f"{kind} seconds"] += time.thread_time() - start
                return made

            return usual(name, counted)

        cache._kept = kept

    def _count_met(self) -> None:
        usual, met = MachineCode.object, self._met

        def code(found: MachineCode, part: str, shared: tuple[int, ...]) -> bytes:
            made = usual(found, part, shared)
            if device() is not None:
                # Texts for a GPU are no machine code of ours.
                return made
            # Of what is compiled apart, the last piece is the model.
            found_pieces = pieces(made)
            kernels = found_pieces[:-1] if made.startswith(MARK) else found_pieces
            met[self._file] |= {hashlib.sha256(each).hexdigest()[:16] for each in kernels}
            return made

        MachineCode.object = code

    def _count_asked(self) -> None:
        """What engines have made, also for a package, and the solvers of one sample."""
        begin = MachineCode.__init__

        def begun(code: MachineCode, signatures: Any, make: Callable[..., bytes], *more: Any, **named: Any) -> None:
            begin(code, signatures, self._asking(make), *more, **named)

        MachineCode.__init__ = begun
        one_sample.one_sample_object = self._asking(one_sample.one_sample_object)

    def _asking(self, make: Callable[..., bytes]) -> Callable[..., bytes]:
        def asked(*given: Any) -> bytes:
            with self._engine():
                return make(*given)

        return asked

    @contextmanager
    def _engine(self) -> Iterator[None]:
        """An engine asks for what is made inside."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    @staticmethod
    def _entries() -> set[str]:
        folder = cache.cache_folder()
        return set() if folder is None else {entry.name for entry in folder.glob("*.o")}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._file = item.nodeid.partition("::")[0]
        start = _now()
        try:
            return (yield)
        finally:
            self._made[self._file]["seconds"] += _now() - start

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            met = {name: sorted(keys) for name, keys in self._met.items()}
            output["cost"] = [dict(self._made), met, sorted(self._names)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        made, met, names = getattr(node, "workeroutput", {}).get("cost", ({}, {}, ()))
        self._names |= set(names)
        for name, row in made.items():
            for key, value in row.items():
                self._made[name][key] += value
        for name, keys in met.items():
            self._met[name] |= set(keys)

    def _total(self) -> dict[str, float]:
        return {key: sum(row[key] for row in self._made.values()) for key in KEYS}

    def _is_too_much(self) -> bool:
        """Whether more was compiled than is meant. In one piece with each solver, every model is a kernel; without a
        cache every process compiles for itself."""
        is_shared = os.environ.get(LINK) == "apart" and cache.cache_folder() is not None
        total = self._total()
        return is_shared and total["kernels"] + total["probes"] > KERNELS

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        total = self._total()
        of_others = len(self._entries() - self._before - self._names)
        met = len(set().union(*self._met.values()))
        terminalreporter.section("cost")
        terminalreporter.line(
            f"kernels compiled: {total['kernels']:.0f} ({total['kernel seconds']:.0f} s), met: {met}; "
            f"probes compiled: {total['probes']:.0f} ({total['probe seconds']:.0f} s); "
            f"either by processes that tests start: {of_others}; models compiled: {total['models']:.0f} ({total['model seconds']:.0f} s); "
            f"solvers lowered: {total['solvers']:.0f} ({total['solver seconds']:.0f} s); "
            f"processor: {total['seconds']:.0f} s"
        )
        if self._is_too_much():
            terminalreporter.line(
                f"more than is meant: {KERNELS} kernels and probes; --cost tells of every file", yellow=True
            )
        if total["seconds"] > SECONDS:
            terminalreporter.line(f"more than is meant: {SECONDS} s of processor", yellow=True)
        if self._every_file:
            terminalreporter.line("seconds  kernels: met  made      s  probes      s  models      s  solvers      s")
            for name, row in sorted(self._made.items(), key=lambda pair: -pair[1]["seconds"]):
                terminalreporter.line(
                    f"{row['seconds']:7.1f} {len(self._met[name]):13d} {row['kernels']:5.0f} {row['kernel seconds']:6.1f}"
                    f" {row['probes']:7.0f} {row['probe seconds']:6.1f} {row['models']:7.0f} {row['model seconds']:6.1f} {row['solvers']:8.0f} {row['solver seconds']:6.1f}  {name}"
                )
