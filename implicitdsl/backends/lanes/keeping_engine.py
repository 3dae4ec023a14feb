"""An `ode` by an explicit method whose right-hand side is dear: the tape of a solve holds what its stages kept.

A pullback needs the hidden layers of every stage again. Making them costs as much as the solve did; reading them costs
less, as long as they lie in the processor's cache. So a solve that is told of its pullback keeps them, with machine
code of its own, where the tapes of the call take at most `BYTES`. Larger calls keep states alone (`ode_tape.py`), and
what keeps nothing runs again: all three with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping

from implicitdsl.backends.engine import Array, RunOptions, Solution
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.solvers.stepping import GRID

KEEPING = "keeping_"
"""How the names of the parts begin whose tape holds what stages kept."""
PARTS = ("solve", "pull")
BYTES = 1 << 24
"""Bytes of the tapes of one call: from memory, reading would cost what making again does."""
FIRST_ROWS = 8.0
"""Steps that a block is thought to take before any was seen."""


def signatures(plain: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the entries, from those of an engine without such a tape."""
    return {**plain, **{f"{KEEPING}{part}": plain[part] for part in PARTS}}


class _Keeping(OdeEngine):
    """The solve and the sweep with a tape of stages."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None) -> None:
        super().__init__(spec, code, threads)
        self.row_parts = (GRID, spec.more["stage_row"])
        self.end_size = spec.more["stage_point"]
        self.rows_expected = FIRST_ROWS
        self.most_bytes = BYTES

    def fits(self, batch: int) -> bool:
        """Whether the tapes of so many samples are thought to have room."""
        rows = self.blocks_of(batch) * self.rows_expected
        return rows * sum(self.row_parts) * self.width * self.dtype.itemsize <= self.most_bytes


class KeepingEngine(OdeEngine):
    """One explicit method, with machine code for tapes of stages beside that for tapes of states."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        plain = {part: code.signatures[part] for part in PARTS}
        self._keeping = _Keeping(spec, code.only(KEEPING, plain, spec.data), threads)

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        keeping = self._keeping
        if not (run.keep and keeping.fits(batch)):
            found = super().solve(args, batch, run)
            if found.tape is not None:
                # Little by little, so that calls near the bound do not try in vain every other time.
                keeping.rows_expected = max(self.rows_expected, 0.9 * keeping.rows_expected)
            return found
        keeping.cost = self.cost
        found = keeping.solve(args, batch, run)
        self.cost, self.ran = keeping.cost, keeping.ran
        if found.tape is None and not found.status.any():
            keeping.rows_expected *= 2.0
        return found
