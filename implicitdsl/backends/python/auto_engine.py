"""`auto` on the back end `python`: `tsit5` until a sample is found stiff, `rodas5p` from there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from implicitdsl.backends.auto import PLAIN, of_rest
from implicitdsl.backends.engine import Array, Engine
from implicitdsl.backends.handover import HandoverEngine
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Slope, Start, TangentRun
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.backends.settings import Settings
from implicitdsl.problems.handover import rest_of
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers.stiffness import END, STEPS, integrate_until_stiff


@dataclass
class WatchedRun(Run):
    """With what is handed over."""

    end: Array = field(default_factory=lambda: np.zeros(0))


class WatchedEngine(OdeEngine):
    """An explicit method that leaves stiff samples; the last output is the end of the run."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        super().__init__(problem, settings, dtype)
        self._outputs = (*self._read_shapes, (self._n + END,))

    def _new_run(self, rows: int, every: int = 1) -> WatchedRun:
        return WatchedRun(**vars(super()._new_run(rows, every)), end=self._zeros(self._n + END))

    def _integrate(self, start: Start, rows: int, every: int = 1) -> Run:
        s, real = self._settings, self._dtype.type
        run = self._new_run(rows, every)
        run.status = int(
            self.runs(integrate_until_stiff)(
                self._functions["rhs"], self._n, start.y0, start.p, start.interval, self._m, start.times,
                self._tableau.stages, self._tableau.degree, self._a, self._c, self._error, self._dense, self._control,
                real(s.rtol), real(s.atol), real(0.0), s.max_steps, run.values, run.end, run.statistics, run.grid, rows,
                run.states, rows, run.every,
            )
        )  # fmt: skip
        run.y_end = run.end[: self._n]
        return run

    def _read(self, start: Start, run: Run) -> list[Array]:
        assert isinstance(run, WatchedRun)
        return [*super()._read(start, run), run.end]

    def _add_end(self, cotangent: Array, end_bar: Array, interval_bar: Array) -> None:
        state, time = np.split(cotangent[-(self._n + END) :][: self._n + 1], [self._n])
        end_bar += state
        # The steps are held, so the time moves with that of the start.
        interval_bar[:1] += time

    def _output_dot(self, start: Start, slope: Slope, tangent: TangentRun) -> Array:
        end = self._zeros(self._n + END)
        end[: self._n], end[self._n] = tangent.end2[self._n :], slope.interval_dot[0]
        return np.concatenate([super()._output_dot(start, slope, tangent), end])


class RestEngine(StiffEngine):
    """A stiff method for what was handed over; steps made before count."""

    def _limit(self, start: Start) -> int:
        return self._settings.max_steps - int(start.p[self._n + STEPS])


class AutoEngine(HandoverEngine):
    """The two together."""

    watched: type[WatchedEngine] = WatchedEngine
    rest: type[RestEngine] = RestEngine

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        self._problem, self._settings, self.dtype = problem, settings, dtype
        self.first = self.watched(problem, replace(settings, solver=PLAIN), dtype)
        self.arguments, self.layer_name = self.first.arguments, self.first.layer_name
        *read, end = self.first.outputs
        self.outputs = tuple(read)
        self.saved = (*self.first.saved, ((), np.dtype(np.int64)), (end, dtype))
        self.reads_times = problem.at is not None

    @property
    def second(self) -> Engine:
        return self._rest

    @cached_property
    def _rest(self) -> RestEngine:
        """Made when it is needed."""
        return self.rest(rest_of(self._problem), of_rest(self._settings), self.dtype)
