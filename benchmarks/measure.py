"""Times of several calls, taken in turns (A B C A B C …), so that what else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from implicitdsl.backends import aside

SLICE = 0.02
"""Seconds that a fast call is repeated for in its turn."""
ROUNDS = (3, 60)
SLOW = 5.0
"""Seconds from which on one call after the first is enough."""

Taken = tuple[float, float]


@dataclass(frozen=True)
class Times:
    """Milliseconds: the fastest call, the median of all, the median in each round; how many calls there were. `cpu` is
    the least processor time of a call, all threads together: what another process takes away is not in it."""

    best: float
    median: float
    cpu: float
    rounds: tuple[float, ...]
    runs: int


def take_turns(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Times of every call, after one call each that is not counted. All together take about `seconds` for each."""
    if not calls:
        return {}
    single = {name: _clock(run)[0] for name, run in calls.items()}
    repeats = {name: max(1, math.ceil(SLICE / max(t, 1e-6))) for name, t in single.items()}
    turn = sum(single[name] * repeats[name] for name in calls)
    rounds = int(min(max(seconds * len(calls) / turn, ROUNDS[0]), ROUNDS[1]))
    taken: dict[str, list[list[Taken]]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for name, run in calls.items():
                # What our layer has asked for besides is not to run in another's turn.
                aside.wait()
                if single[name] < SLOW or number == 0:
                    taken[name].append([_clock(run) for _ in range(repeats[name])])
            gc.collect()
    finally:
        gc.enable()
    return {name: _summary(found) for name, found in taken.items()}


def _clock(run: Callable[[], Any]) -> Taken:
    start, busy = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - busy


def _summary(rounds: list[list[Taken]]) -> Times:
    walls = [[1e3 * wall for wall, _ in found] for found in rounds]
    everything = [wall for found in walls for wall in found]
    medians = tuple(round(statistics.median(found), 5) for found in walls)
    cpu = 1e3 * min(busy for found in rounds for _, busy in found)
    return Times(
        round(min(everything), 5), round(statistics.median(everything), 5), round(cpu, 5), medians, len(everything)
    )
