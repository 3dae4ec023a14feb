"""A stiff `ode` of many states on the back end `lanes`: one sample alone is no vector of copies.

A block of lanes filled with copies of one sample costs no time where the numbers of a step are in the cache: a vector
of eight is added as fast as one number. With a thousand states they are not, and the copies are carried to and from
memory. So a call with one sample has machine code of its own, of the same sources with one lane: the same bits, for
nothing that a lane computes depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numpy import int32
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Gradient, RunOptions, Second, Solution, Tangents
from implicitdsl.backends.lanes.block_engine import LATER, Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.ode_engine import OdeEngine

ALONE = "narrow_"
"""How the names of the parts for one sample begin."""


def narrow(spec: Spec) -> Spec:
    """The engine for one sample."""
    return replace(spec, width=1)


def signatures(plain: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the entries for many samples and for one, from those of one of the two."""
    return {**plain, **{f"{ALONE}{part}": letters for part, letters in plain.items()}}


class NarrowEngine(OdeEngine):
    """One method, with machine code for one sample beside that for many."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        plain = {part: letters for part, letters in code.signatures.items() if not part.startswith(ALONE)}
        self._alone = OdeEngine(narrow(spec), code.only(ALONE, plain, spec.data), threads)
        self._was_alone = False

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        self._was_alone = batch == 1
        return self._alone.solve(args, batch, run) if self._was_alone else super().solve(args, batch, run)

    def waiting(self) -> tuple[int, int]:
        """See `OdeEngine`."""
        return self._alone.waiting() if self._was_alone else super().waiting()

    def prepare(self, *, batch: bool) -> None:
        """See `BlockEngine`: for one sample and for many."""
        first = self.layouts(every=False)[0]
        for part, shared in self.entries(every=False):
            if not LATER.match(part.removeprefix(ALONE)) and (batch or shared in ((), first)):
                self.code.load(part, shared)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        found = self._alone.pullback if batch == 1 else super().pullback
        return found(args, batch, saved, status, cotangents)

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """See `Engine`."""
        found = self._alone.pullback_pullback if batch == 1 else super().pullback_pullback
        return found(args, batch, saved, status, cotangents, directions)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        found = self._alone.pushforward if batch == 1 else super().pushforward
        return found(args, batch, saved, status, tangents)
