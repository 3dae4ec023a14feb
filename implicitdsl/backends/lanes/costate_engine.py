"""`ode` on the back end `lanes` with a gradient by the costate equation, or by tangents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.adjoints import no_second
from implicitdsl.backends.engine import Array, Gradient, RunOptions, Second, Solution
from implicitdsl.backends.forward_adjoint import ByTangents
from implicitdsl.backends.lanes.auto_engine import AutoEngine, WatchedEngine
from implicitdsl.backends.lanes.events_engine import EventsEngine
from implicitdsl.backends.lanes.layout import Rows, count_of, take_lanes
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.lanes.ode_sweeps import swept
from implicitdsl.solvers.status import APPROXIMATE


class CostateEngine(OdeEngine):
    """dx/dt = f(t, x, p), differentiated to tolerance by its costate."""

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        found = super().solve(args, batch, replace(run, keep=False))
        return replace(found, notes=np.full(batch, APPROXIMATE, np.int64))

    def tape_rows(self, saved: Sequence[Array], rows: Rows) -> int:
        return 0 if self.spec.numbers["carried"] else super().tape_rows(saved, rows)

    def statuses(self, facts: Array, rows: Rows, found: NDArray[np.int32]) -> None:
        found[rows] = take_lanes(facts[:, :1], count_of(rows))[:, 0].astype(np.int32)

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        if self._empty:
            return super().pullback(args, batch, saved, status, cotangents)
        return swept(self, "costate", args, batch, saved, status, cotangents)

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """Raises NotImplementedError."""
        raise no_second(self.spec.more["adjoint"])


class EventsCostateEngine(CostateEngine, EventsEngine):
    """One method and events."""


class WatchedCostateEngine(CostateEngine, WatchedEngine):
    """An explicit method that leaves stiff samples."""


class AutoCostateEngine(AutoEngine):
    """Two methods, each with the costate of its own steps."""

    watched, rest = WatchedCostateEngine, CostateEngine


class TangentOdeEngine(ByTangents, OdeEngine):
    """One method, with a gradient by tangents."""


class TangentEventsEngine(ByTangents, EventsEngine):
    """One method and events, with a gradient by tangents."""


class TangentAutoEngine(ByTangents, AutoEngine):
    """Two methods, with a gradient by tangents."""
