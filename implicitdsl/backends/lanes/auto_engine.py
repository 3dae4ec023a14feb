"""`auto` on the back end `lanes`: `tsit5` until a sample is found stiff, `rodas5p` for such samples from there.

Each of the two has machine code of its own, made at its first use, and its own order of samples by their last cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Engine
from implicitdsl.backends.handover import HandoverEngine
from implicitdsl.backends.lanes.block_engine import BlockEngine, Spec
from implicitdsl.backends.lanes.layout import Rows, fill_lanes
from implicitdsl.backends.lanes.machine_code import Key, MachineCode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.solvers.stepping import STATISTICS
from implicitdsl.solvers.stiffness import END

FACTS = 1 + STATISTICS
"""Numbers that a block of any method reports of each sample."""
LATER = "stiff_"
"""How the names of the parts of the second method begin."""


def signatures(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the entries of both methods, from those of each."""
    return {**first, **{f"{LATER}{part}": letters for part, letters in second.items()}}


def spec_of(first: Spec, second: Spec) -> Spec:
    """The engine of both; the end of the first is its last output, and the first argument of the second."""
    end = first.outputs[-1]
    saved = (*first.saved, ((), "int64"), (end, first.dtype))
    room = max(first.more["room"], second.more["room"])
    return replace(
        first,
        outputs=first.outputs[:-1],
        saved=saved,
        more={**first.more, "first": first, "second": second, "room": room},
    )


class WatchedEngine(OdeEngine):
    """An explicit method that leaves stiff samples; the last output is the end of the run."""

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        self.facts_size = FACTS + 2 * self._n + END + 1
        self.read_shapes = spec.outputs[:-1]

    def _answers(self, flat: Array, facts: Array) -> list[Array]:
        return [*self._split(flat), np.ascontiguousarray(facts[:, FACTS : FACTS + self._n + END])]

    def asked_cotangent(self, cotangents: Sequence[Array], batch: int) -> tuple[Array, NDArray[np.bool_]]:
        *read, end = cotangents
        flat, asked = super().asked_cotangent(read, batch)
        return np.concatenate([flat, end[:, : self._n + 1]], axis=1), asked | end.any(axis=1)

    def tell(self, facts: Array, cot: Array, rows: Rows) -> None:
        fill_lanes(facts[:, FACTS + self._n + END :], cot[:, self.read_size :], rows, fill=0.0)


class AutoEngine(HandoverEngine, BlockEngine):
    """The two together."""

    watched: type[WatchedEngine] = WatchedEngine
    rest: type[OdeEngine] = OdeEngine

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        BlockEngine.__init__(self, spec, code, threads)
        first, second = (
            {part.removeprefix(LATER): k for part, k in code.signatures.items() if part.startswith(LATER) == is_later}
            for is_later in (False, True)
        )
        self.first = self.watched(spec.more["first"], code.only("", first, spec.more["first"].data), threads)
        self._rest = self.rest(spec.more["second"], code.only(LATER, second, spec.more["second"].data), threads)
        self.reads_times = bool(spec.numbers["has_times"])

    @property
    def second(self) -> Engine:
        return self._rest

    def waiting(self) -> tuple[int, int]:
        """As `OdeEngine.waiting`, of both."""
        lanes, own = self.first.waiting()
        if self.handed_over:
            later_lanes, later_own = self._rest.waiting()
            lanes, own = lanes + later_lanes, own + later_own
        return lanes, own

    def entries(self, *, every: bool = True) -> list[Key]:
        """The parts of both, each with its layouts."""
        later = self._rest.entries(every=every)
        return [*self.first.entries(every=every), *((f"{LATER}{part}", shared) for part, shared in later)]

    def prepare(self, *, batch: bool) -> None:
        """Machine code of the first: whether a sample is stiff is known when it has run."""
        self.first.prepare(batch=batch)
