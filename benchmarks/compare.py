"""Runs a comparison: builds the contenders, compares their values with the reference, then takes their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from benchmarks import machine
from benchmarks.anatomy import parts
from benchmarks.measure import take_turns
from benchmarks.row import Row
from benchmarks.work import OURS, Comparison, Contender, Mode, Settings, worst_error

MODES: tuple[Mode, ...] = ("forward", "gradient")


def compare(work: Comparison, settings: Settings) -> Iterator[Row]:
    """A row for every contender and mode. A contender that is not installed, fails or is wrong has a row that says so
    and no times."""
    built: dict[str, Contender] = {}
    peers = {name: make for name, make in work.peers.items() if settings.takes(name)}
    makers: dict[str, Callable[[Settings], Contender]] = {OURS: work.ours, **peers}
    for name, make in makers.items():
        try:
            built[name] = make(settings)
        except ImportError as error:
            yield Row(work.name, "forward", name, settings.threads, status="missing", note=_sentence(error))
        except Exception as error:
            # A peer (or a layer of ours) that cannot do the work is a fact worth a row.
            yield Row(work.name, "forward", name, settings.threads, status="failed", note=_sentence(error))
    reference = work.reference()
    for mode in MODES:
        if mode in reference:
            yield from _mode(work, mode, built, reference[mode], settings)


def _mode(
    work: Comparison, mode: Mode, built: dict[str, Contender], expected: Any, settings: Settings
) -> Iterator[Row]:
    rows: dict[str, Row] = {}
    for name, contender in built.items():
        if mode not in contender.calls:
            continue
        row = Row(work.name, mode, name, settings.threads, about=contender.about, bound=work.bounds[mode])
        rows[name] = _judged(row, contender, mode, expected)
    sound = {name: built[name].calls[mode].run for name, row in rows.items() if row.status == "ok"}
    times = take_turns(sound, settings.seconds)
    for name, row in rows.items():
        if name in times:
            found = times[name]
            row = replace(
                row, best=found.best, median=found.median, cpu=found.cpu, rounds=found.rounds, runs=found.runs
            )
        if name == OURS:
            row = replace(row, goals=work.goals.get(mode, ()), floor=_floor(work, mode, row.facts))
            if row.status == "ok":
                row = replace(row, facts={**row.facts, "parts": parts(built[name].calls[mode].run)})
        yield row


def _judged(row: Row, contender: Contender, mode: Mode, expected: Any) -> Row:
    """The row with its error; the first call is timed by itself, because it compiles."""
    call = contender.calls[mode]
    try:
        start = time.perf_counter()
        found = call.run()
        first = 1e3 * (time.perf_counter() - start)
        error = worst_error(call.read(found), expected)
    except Exception as problem:
        return replace(row, status="failed", note=_sentence(problem))
    assert row.bound is not None
    status = "ok" if error <= row.bound else "wrong"
    return replace(row, status=status, error=error, first=round(first, 3), facts=contender.facts())


def _floor(work: Comparison, mode: Mode, facts: dict[str, Any]) -> float | None:
    """Milliseconds that the operations need at the peak of the matrix product, or the bytes at that of a copy,
    whichever is longer."""
    least = work.floor(mode, facts) if facts else None
    if least is None:
        return None
    return 1e3 * max(least.operations / machine.peak(work.dtype), least.bytes / machine.bandwidth())


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]
