"""`ode` and `dae` with events on the back end `lanes`: samples of one block have events at times of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.layout import Rows, count_of, take_lanes
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.solvers.event_rows import WIDTH
from implicitdsl.solvers.events import FIRED, MENDS, STATISTICS, STOPPED


class EventsEngine(OdeEngine):
    """dx/dt = f(t, x, p) with located jumps of f, resets of x, ends of the run."""

    dots = 2

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        self.facts_size = 1 + STATISTICS
        numbers = spec.numbers
        self.row_parts = (WIDTH + numbers["event_modes"] + numbers["algebraic"], numbers["states"])

    def kept(self, steps: Array, facts: Array) -> list[Array]:
        """Steps, and the other rows of the tape: blocks fired, and algebraic unknowns made consistent."""
        return [steps, (facts[:, 1 + FIRED] + facts[:, 1 + MENDS]).astype(np.int64)]

    def spacing(self, steps: Array) -> int:
        """Tapes with events are never thinned."""
        return 1

    def tape_rows(self, saved: Sequence[Array], rows: Rows) -> int:
        """A block of lanes has a row for each step of its slowest lane, and one for every other row of any lane."""
        steps, others = saved[0][rows], saved[1][rows]
        starts = np.arange(0, len(steps), self.width)
        needed = np.maximum.reduceat(steps, starts) + np.add.reduceat(others, starts)
        return max(int(needed.max()), 1)

    def told(self, facts: Array) -> dict[str, Array]:
        """Whether a block stopped the run, and how many fired."""
        return {"stopped": facts[:, 1 + STOPPED] > 0.5, "fired": facts[:, 1 + FIRED].astype(np.int64)}

    def statuses(self, facts: Array, rows: Rows, found: NDArray[np.int32]) -> None:
        """Singular where an event time has no derivative."""
        found[rows] = take_lanes(facts[:, :1], count_of(rows))[:, 0].astype(np.int32)
