"""What the rows of a run say: the best peer of every (work, mode), our ratio to it, and which goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.row import Goal, Row
from benchmarks.work import OURS


@dataclass(frozen=True)
class Held:
    """A goal against what was measured: a ratio (how many times as fast) or a figure; `met` is None where either side
    has no figure."""

    goal: Goal
    measured: float | None
    met: bool | None


@dataclass(frozen=True)
class Verdict:
    """Our row, the fastest peer with right values, how many times as fast as it we are (by the best calls, as the
    median of the rounds, and in processor time), the ratio to the floor, and the goals."""

    ours: Row
    best: Row | None
    ratio: float | None
    ratio_of_rounds: float | None
    ratio_of_cpu: float | None
    above_floor: float | None
    goals: tuple[Held, ...]


def groups(rows: Iterable[Row]) -> dict[tuple[str, str, int], list[Row]]:
    """Rows by (work, mode, threads), in order."""
    found: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.work, row.mode, row.threads), []).append(row)
    return found


def time_of(row: Row) -> float:
    """The least time of a call: with one thread of the processor, where it was taken, else of the clock."""
    return (row.cpu if row.threads == 1 and row.cpu else row.best) or 0.0


def fastest(rows: Iterable[Row]) -> Row | None:
    """The row with the least time."""
    return min((row for row in rows if row.best is not None), key=time_of, default=None)


def ratio(ours: Row, other: Row | None) -> float | None:
    """How many times as fast our best call was."""
    if other is None or other.best is None or not ours.best:
        return None
    return other.best / ours.best


def judge(rows: Sequence[Row]) -> Verdict | None:
    """The verdict on one (work, mode, threads), None where no row is ours."""
    ours = next((row for row in rows if row.contender == OURS), None)
    if ours is None:
        return None
    peers = [row for row in rows if row.contender != OURS]
    best = fastest(peers)
    pairs = list(zip(ours.rounds, best.rounds, strict=False)) if best is not None else []
    paired = statistics.median(b / a for a, b in pairs) if pairs else None
    cpu = best.cpu / ours.cpu if best is not None and best.cpu and ours.cpu else None
    floor = time_of(ours) / ours.floor if ours.best and ours.floor else None
    goals = tuple(_held(goal, ours, best, peers) for goal in ours.goals)
    return Verdict(ours, best, ratio(ours, best), paired, cpu, floor, goals)


def _held(goal: Goal, ours: Row, best: Row | None, peers: Sequence[Row]) -> Held:
    if not goal.against:
        figure = (time_of(ours) or None) if goal.unit == "ms" else ours.facts.get(goal.unit)
        return Held(goal, figure, None if figure is None else figure <= goal.limit)
    other = best if goal.against == "best" else fastest(row for row in peers if row.contender.startswith(goal.against))
    found = time_of(other) / time_of(ours) if other is not None and time_of(ours) else None
    return Held(goal, found, None if found is None else found >= goal.factor)
