"""`ode` with events on the back end `python`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.backends.python.ode_engine import OdeEngine, Run, Start
from implicitdsl.backends.python.sample_engine import Answer
from implicitdsl.backends.settings import Settings
from implicitdsl.diagnostics import Diagnostic, ImpError
from implicitdsl.problems.events import tables
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.events import FIRED, LAST_TIME, STATISTICS, STOPPED, WIDTH, integrate_with_events
from implicitdsl.solvers.events_adjoint import pullback_with_events


class EventsEngine(OdeEngine):
    """dx/dt = f(t, x, p) with events: located jumps of f, resets of x, ends of the run."""

    def __init__(self, problem: OdeProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        super().__init__(problem, settings, dtype)
        assert problem.events is not None
        self._tables = tables(problem.events, problem.states)
        self._blocks = len(problem.events.blocks)
        self._modes = len(self._tables.steers)
        self._guards = len(self._tables.places)

    def _full(self, start: Start) -> Array:
        """The flat arguments, and room for the modes."""
        return np.concatenate([start.p, self._zeros(self._modes)])

    def _model(self, *names: str) -> list[Any]:
        return [self._functions[name] for name in names]

    def _reset(self, suffix: str = "") -> Any:
        """The function of the blocks; None where there are none to call."""
        return self._functions.get(f"reset{suffix}")

    def _integrate(self, start: Start, rows: int) -> Run:
        s, t, n, real = self._settings, self._tableau, self._n, self._dtype.type
        run = self._new_run(rows)
        tables = self._tables
        model = self._model("rhs", "guards", "guards_rate", "guards_vjp", "modes", "conditions")
        rhs, guards, guards_rate, guards_vjp, modes, conditions = model
        run.status = int(
            integrate_with_events(
                rhs, guards, guards_rate, guards_vjp, modes, conditions, self._reset(), n, start.p.size, self._guards,
                self._modes, self._blocks, tables.places, tables.steps, tables.strict, tables.steers, tables.stops,
                tables.touches, start.y0, self._full(start), start.interval, self._m, start.times, t.stages, t.degree,
                self._a, self._c, self._error, self._dense, self._control, real(s.rtol), real(s.atol),
                real(s.dt or 0.0), s.max_steps, run.values, run.y_end, run.statistics, run.grid, rows, run.states, rows,
            )
        )  # fmt: skip
        return run

    def _new_run(self, rows: int) -> Run:
        n = self._n
        sizes = (self._m * n, n, STATISTICS, rows * (WIDTH + self._modes), rows * n)
        return Run(codes.SUCCESS, *(self._zeros(k) for k in sizes))

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        answer = super().solve_sample(values)
        if self._empty:
            answer.extras |= {"stopped": False, "fired": 0}
        return answer

    def _facts(self, run: Run) -> dict[str, Any]:
        return super()._facts(run) | {
            "stopped": bool(run.statistics[STOPPED]),
            "fired": int(run.statistics[FIRED]),
        }

    def _end(self, start: Start, run: Run) -> Any:
        return run.statistics[LAST_TIME] if run.statistics[STOPPED] else start.interval[1]

    def _transpose(self, start: Start, run: Run, *bars: Array) -> int:
        values_bar, end_bar, y0_bar, p_bar, interval_bar, times_bar = bars
        t, pm = self._tableau, self._full(start)
        pm_bar = np.zeros_like(pm)
        end_time_bar = interval_bar[1].copy()
        interval_bar[1] = 0.0
        rhs, rhs_vjp, guards_vjp = self._model("rhs", "rhs_vjp", "guards_vjp")
        found = pullback_with_events(
            rhs, rhs_vjp, guards_vjp, self._reset("_vjp"), self._n, start.p.size, self._guards, self._modes,
            self._blocks, pm, start.interval, self._m, start.times, t.stages, t.degree, self._a, self._c, self._dense,
            run.grid, run.rows, run.states, run.statistics[LAST_TIME], run.statistics[STOPPED], values_bar, end_bar,
            end_time_bar, y0_bar, pm_bar, interval_bar, times_bar,
        )  # fmt: skip
        p_bar += pm_bar[: p_bar.size]
        return int(found)

    def push_sample(
        self, values: Sequence[Array], saved: Sequence[Array], tangents: Sequence[Array]
    ) -> tuple[Array, int]:
        raise self._refusal()

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Array, list[Array | None], int]:
        raise self._refusal()

    def _refusal(self) -> ImpError:
        return ImpError(
            [
                Diagnostic(
                    "E609",
                    f"{self.layer_name} has events: its second derivative is not executable yet",
                    help="the first derivatives by `backward` are exact; differences of them give the second",
                )
            ]
        )
