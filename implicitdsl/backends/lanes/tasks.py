"""Where the blocks of a run are cut into tasks.

A task costs some Python of its own, some 30 µs, for which threads wait for each other; a cut that gives one thread more
than its share costs all that the others wait for. So there is a task a thread while a run is short, of equal cost where
costs are known, and several where it is long enough to make up for a thread that is slower
(`docs/decisions/0037-tasks-are-waited-for-not-threads.md`).
"""

from __future__ import annotations

import numpy as np

from implicitdsl.backends.engine import Array

LEAST = 1e-3
"""Seconds of a task of a thread that has several."""
SEVERAL = 8
"""Tasks that a thread has at most, where memory asks for no more."""


def tasks_for(seconds: float, hands: int) -> int:
    """Into how many tasks a run of so many seconds of work is cut for so many threads."""
    return 1 if hands == 1 else hands * int(min(max(seconds / hands / LEAST, 1), SEVERAL))


def block_costs(costs: Array, width: int) -> Array:
    """What the blocks cost whose samples cost that much each, as they are placed: a block waits for its slowest."""
    # What a block costs beside its steps, as packing, is a step or so.
    return np.maximum.reduceat(costs, np.arange(0, len(costs), width)).astype(np.float64) + 1


def cut(blocks: int, pieces: int, *, most: int, whole: int, costs: Array | None = None) -> list[tuple[int, int]]:
    """The ranges (first, last) of `blocks` blocks cut into about so many pieces, of equal cost, each of at most `most`
    blocks, or `whole` if that is more, and beginning at a multiple of `whole`. `costs` are those of the blocks, equal
    ones if None."""
    wholes = -(-blocks // whole)
    pieces = min(pieces, wholes)
    if costs is None or pieces == 1:
        ends = [round(wholes * k / pieces) * whole for k in range(1, pieces)]
    else:
        total = np.cumsum(costs)
        # The end of a whole that is nearest to an equal share.
        at_ends = total[whole - 1 :: whole]
        shares = total[-1] * np.arange(1, pieces) / pieces
        middle = (at_ends[1:] + at_ends[:-1]) / 2
        ends = [(int(k) + 1) * whole for k in np.unique(np.searchsorted(middle, shares))]
    step = max(most - most % whole, whole)
    found: list[tuple[int, int]] = []
    first = 0
    for end in [*(e for e in ends if e < blocks), blocks]:
        found += [(at, min(at + step, end)) for at in range(first, end, step)]
        first = end
    return found
