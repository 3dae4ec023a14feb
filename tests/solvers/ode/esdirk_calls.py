"""Calls of the ESDIRK solver functions with arrays allocated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from implicitdsl.solvers import esdirk, esdirk_adjoint, esdirk_tangent, stepping
from implicitdsl.solvers.esdirk_tableau import KVAERNO5, EsdirkTableau
from implicitdsl.solvers.step_control import PI_CONTROLLER
from tests.solvers.ode.models import Model
from tests.solvers.ode.stiff import DENSE_PATTERN


@dataclass
class Run:
    """A finished run: what `integrate` wrote, and what it was asked."""

    model: Model
    mass: np.ndarray
    status: int
    values: np.ndarray
    end: np.ndarray
    statistics: np.ndarray
    grid: np.ndarray
    states: np.ndarray
    y0: np.ndarray
    p: np.ndarray
    interval: np.ndarray
    times: np.ndarray
    tableau: EsdirkTableau
    tolerances: tuple[np.float64, np.float64]

    @property
    def rows(self) -> int:
        return int(self.statistics[stepping.ROWS])

    @property
    def method(self):
        return numbers(self.tableau), *self.tolerances


def numbers(tableau: EsdirkTableau):
    """The numbers of the method as the solver functions take them."""
    t = tableau.tables(float)
    return (
        tableau.last, tableau.readers, tableau.degree, tableau.gamma, t["couple"], t["predict"], t["c"], t["dense"],
    )  # fmt: skip


def solve(
    model: Model, y0, p, interval, times=(), *, mass=None, rtol=1e-9, atol=1e-9, dt=0.0, max_steps=100_000,
    tableau: EsdirkTableau = KVAERNO5,
) -> Run:  # fmt: skip
    y0, p, interval, times = (np.array(x, float).ravel() for x in (y0, p, interval, times))
    n, m, rows = len(y0), len(times), 20_000
    mass = np.ones(n) if mass is None else np.array(mass, float)
    values, end, statistics = np.empty(m * n), np.empty(n), np.empty(stepping.STATISTICS)
    grid, states = np.zeros(rows * stepping.GRID), np.zeros(rows * n)
    tolerances = np.float64(rtol), np.float64(atol)
    with np.errstate(all="ignore"):
        status = esdirk.integrate(
            model.rhs, model.linearise, n, mass, DENSE_PATTERN, y0, p, interval, m, times, *numbers(tableau),
            PI_CONTROLLER.array(tableau, float), *tolerances, np.float64(dt), max_steps, values, end, statistics, grid,
            rows, states, rows, 1,
        )  # fmt: skip
    count = int(statistics[stepping.ROWS])
    return Run(
        model, mass, int(status), values.reshape(m, n), end, statistics, grid[: count * stepping.GRID],
        states[: count * n], y0, p, interval, times, tableau, tolerances,
    )  # fmt: skip


def pullback(run: Run, values_bar=None, end_bar=None):
    """(y0_bar, p_bar, interval_bar, times_bar) of a run."""
    n, m = len(run.y0), len(run.times)
    values_bar = np.zeros(m * n) if values_bar is None else np.array(values_bar, float).ravel()
    end_bar = np.zeros(n) if end_bar is None else np.array(end_bar, float)
    bars = np.zeros(n), np.zeros(len(run.p)), np.zeros(2), np.zeros(m)
    with np.errstate(all="ignore"):
        esdirk_adjoint.pullback(
            run.model.rhs, run.model.linearise, run.model.vjp, n, run.mass, DENSE_PATTERN, run.p, run.interval, m, run.times,
            *numbers(run.tableau), *run.tolerances, run.grid, run.rows, run.states, values_bar, end_bar, *bars,
        )  # fmt: skip
    return bars


def tangent(run: Run, y0_dot, p_dot, interval_dot, times_dot):
    """(values, values_dot, end2, states2) of a run along a direction."""
    n, m = len(run.y0), len(run.times)
    values, values_dot, end2, states2 = np.empty(m * n), np.empty(m * n), np.empty(2 * n), np.empty(run.rows * 2 * n)
    esdirk_tangent.tangent_replay(
        run.model.rhs, run.model.linearise, run.model.tangent, n, run.mass, DENSE_PATTERN, np.concatenate([run.y0, y0_dot]),
        np.concatenate([run.p, p_dot]), run.interval, np.array(interval_dot), m, run.times, np.array(times_dot),
        *numbers(run.tableau), *run.tolerances, run.grid, run.rows, values, values_dot, end2, states2,
    )  # fmt: skip
    return values.reshape(m, n), values_dot.reshape(m, n), end2, states2


def second(run: Run, y0_dot, p_dot, interval_dot, times_dot, values_bar, end_bar):
    """The second derivative of <bar, outputs> along a direction, and the gradient, each over (y0, p, t0, t1, times)."""
    n, m, q = len(run.y0), len(run.times), len(run.p)
    _, _, _, states2 = tangent(run, y0_dot, p_dot, interval_dot, times_dot)
    bars = np.zeros(2 * n), np.zeros(2 * q), np.zeros(2), np.zeros(2), np.zeros(m), np.zeros(m)
    esdirk_tangent.tangent_pullback(
        run.model.rhs, run.model.linearise, run.model.tangent, run.model.tangent_vjp, n, run.mass, DENSE_PATTERN,
        np.concatenate([run.p, p_dot]), run.interval, np.array(interval_dot), m, run.times, np.array(times_dot),
        *numbers(run.tableau), *run.tolerances, run.grid, run.rows, states2, np.zeros(m * n),
        np.array(values_bar, float).ravel(), np.concatenate([np.zeros(n), end_bar]), *bars,
    )  # fmt: skip
    y2, p2, interval, interval_dot_bar, times, times_dot_bar = bars
    return (
        np.concatenate([y2[:n], p2[:q], interval, times]),
        np.concatenate([y2[n:], p2[q:], interval_dot_bar, times_dot_bar]),
    )
