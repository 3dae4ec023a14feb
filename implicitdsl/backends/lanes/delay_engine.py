"""`ode` with delays on the back end `lanes`: the tape of a block is its past, so that every run has one."""

from __future__ import annotations

from typing import Any

from implicitdsl.backends.lanes.arena import Arena
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.solvers.delays import WIDTH

FIRST_ROOM = 128
"""Rows of a tape before a run has told how many it needs."""


class DelayEngine(OdeEngine):
    """dx/dt = f(t, x, x(t - lag), p), whose tape is its past."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        deep = spec.numbers["states"] * (spec.more["degree"] + 1)
        self.row_parts = (WIDTH + spec.numbers["delay_lags"], deep)
        self.dots = deep + 2 - 2 * spec.numbers["states"]
        self._room = FIRST_ROOM

    def run_blocks(self, entry: Any, count: int, *given: int) -> None:
        """As for any `ode`, with room for the tape of one block, which grows until the run fits."""
        at, room = 0, self._room
        while at < count:
            tape = Arena(self.places(*((room * k,) for k in self.row_parts)), lasting=True)
            stopped = entry(at, count, *given, 0, *tape.addresses, room)
            if stopped == 0:
                break
            at, room = stopped - 1, 2 * room
        self._room = max(self._room, room)
