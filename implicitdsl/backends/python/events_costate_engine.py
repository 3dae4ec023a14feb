"""`ode` and `dae` with events on the back end `python` with a gradient by the costate equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from implicitdsl.backends.adjoints import STIFF
from implicitdsl.backends.engine import Array, Engine
from implicitdsl.backends.python.costate_engine import ByCostate, CostateEngine, StiffByCostate
from implicitdsl.backends.python.events_engine import EventsEngine
from implicitdsl.backends.python.ode_engine import Run, Start
from implicitdsl.solvers.events import STOPPED
from implicitdsl.solvers.events_costate import remake_event_step, sweep_costate_with_events
from implicitdsl.solvers.stepping import LAST_TIME


class EventsByCostate(ByCostate, EventsEngine):
    """What the costate of a method has beside that of a run without events."""

    def _polynomial(self) -> tuple[int, int, Array]:
        stages, _, degree, _, _, _, _, _ = self._method
        return stages, degree, self._dense

    def _remake(
        self, p: Array, t_hi: Any, t_lo: Any, h: Any, end_hi: Any, live: Any, row: int, grid: Array, states: Array,
        k: Array,
    ) -> Any:  # fmt: skip
        stages, last_row, _, gamma, a, couple, c, drive = self._method
        rhs, linearise = self._model("rhs", self._linear)
        return self.runs(remake_event_step)(
            self._steps.take_step, self._steps.look_back, self._steps.room_size, rhs, linearise, self._n, self._mass,
            self._pattern, p, stages, last_row, gamma, a, couple, c, drive, t_hi, t_lo, h, end_hi, live, row,
            self._width, grid, states, k,
        )  # fmt: skip

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar = bars
        pm = self._full(start)
        pm_bar = np.zeros_like(pm)
        end_time_bar = interval_bar[1].copy()
        interval_bar[1] = 0.0
        rhs, guards_rate, guards_vjp = self._model("rhs", "guards_rate", "guards_vjp")
        found = self.runs(sweep_costate_with_events)(
            self._remake, self._advance, self._slope_at, self._through_equations, rhs, guards_rate, guards_vjp,
            self._reset("_vjp"), self._n, self._algebraic, start.p.size, self._guards, self._modes, self._blocks, pm,
            start.interval, self._m, start.times, *self._polynomial(), self._costate_control(),
            self._dtype.type(self._settings.dt or 0.0), run.values, run.y_end, run.grid, run.rows, run.states,
            run.statistics[LAST_TIME], run.statistics[STOPPED], values_bar, end_bar, end_time_bar, y0_bar, pm_bar,
            interval_bar, times_bar,
        )  # fmt: skip
        p_bar += pm_bar[: p_bar.size]
        return int(found)


class ExplicitEventsCostateEngine(EventsByCostate, CostateEngine):
    """An explicit method, which runs the costate too."""


class StiffEventsCostateEngine(EventsByCostate, StiffByCostate):
    """A method that solves with the Jacobian."""


def by_costate_with_events(solver: str) -> Callable[..., Engine]:
    """The engine of that method."""
    return StiffEventsCostateEngine if solver in STIFF else ExplicitEventsCostateEngine
