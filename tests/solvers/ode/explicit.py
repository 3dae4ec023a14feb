"""Calls of the explicit Runge–Kutta solver functions with arrays allocated, in Python or compiled by Numba."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

from implicitdsl.solvers import explicit_rk, explicit_rk_adjoint, explicit_rk_tangent, stepping
from implicitdsl.solvers.step_control import PI_CONTROLLER, Controller
from implicitdsl.solvers.tableau import TSIT5, Tableau


@cache
def compiled(function):
    """The function compiled by Numba together with every function of the solvers that it calls."""
    names = {
        name: compiled(value)
        for name, value in function.__globals__.items()
        if name in function.__code__.co_names
        and isinstance(value, types.FunctionType)
        and value.__module__.startswith("implicitdsl.solvers")
    }
    twin = types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    return numba.njit(twin, error_model="numpy")


def chosen(function, jit):
    return compiled(function) if jit else function


@dataclass
class Run:
    """A finished run: what `integrate` wrote, and what it was asked."""

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
    tableau: Any

    @property
    def rows(self) -> int:
        return int(self.statistics[stepping.ROWS])

    @property
    def accepted(self) -> int:
        return int(self.statistics[stepping.ACCEPTED])

    @property
    def rejected(self) -> int:
        return int(self.statistics[stepping.REJECTED])


def solve(
    rhs,
    y0,
    p,
    interval,
    times=(),
    *,
    tableau: Tableau = TSIT5,
    rtol=1e-9,
    atol=1e-9,
    dt=0.0,
    max_steps=100_000,
    controller: Controller = PI_CONTROLLER,
    dtype=np.float64,
    tape=True,
    jit=False,
) -> Run:
    y0, p, interval, times = (np.array(x, dtype).ravel() for x in (y0, p, interval, times))
    n, m = len(y0), len(times)
    tableau = tableau.eager
    a, c, error, dense = tableau.arrays(dtype)
    control = controller.array(tableau, dtype)
    rows = 20_000 if tape else 0
    values, end, statistics = np.empty(m * n, dtype), np.empty(n, dtype), np.empty(stepping.STATISTICS, dtype)
    grid, states = np.zeros(rows * stepping.GRID, dtype), np.zeros(rows * n, dtype)
    with np.errstate(all="ignore"):
        status = chosen(explicit_rk.integrate, jit)(
            rhs, n, n, y0, p, interval, m, times, tableau.stages, tableau.degree, a, c, error, dense, control,
            dtype(rtol), dtype(atol), dtype(dt), max_steps, values, end, statistics, grid, rows, states, rows, 1, states, 0,
        )  # fmt: skip
    count = int(statistics[stepping.ROWS]) if tape else 0
    return Run(
        int(status), values.reshape(m, n), end, statistics, grid[: count * stepping.GRID], states[: count * n],
        y0, p, interval, times, tableau,
    )  # fmt: skip


def replay(rhs, run: Run, *, y0=None, p=None, interval=None, times=None):
    """The frozen map of a run at other arguments: (values, end, states)."""
    y0, p, interval, times = (
        old if new is None else np.array(new, float)
        for new, old in ((y0, run.y0), (p, run.p), (interval, run.interval), (times, run.times))
    )
    n, m = len(y0), len(times)
    a, c, _, dense = run.tableau.arrays(y0.dtype)
    values, end, states = np.empty(m * n, y0.dtype), np.empty(n, y0.dtype), np.empty(run.rows * n, y0.dtype)
    explicit_rk.replay(
        rhs, n, y0, p, interval, m, times, run.tableau.stages, run.tableau.degree, a, c, dense, run.grid.copy(),
        run.rows, values, end, states,
    )  # fmt: skip
    return values.reshape(m, n), end, states


def pullback(rhs, rhs_vjp, run: Run, values_bar=None, end_bar=None, *, jit=False):
    """(y0_bar, p_bar, interval_bar, times_bar) of a run."""
    n, m = len(run.y0), len(run.times)
    a, c, _, dense = run.tableau.arrays(float)
    values_bar = np.zeros(m * n) if values_bar is None else np.array(values_bar, float).ravel()
    end_bar = np.zeros(n) if end_bar is None else np.array(end_bar, float)
    bars = np.zeros(n), np.zeros(len(run.p)), np.zeros(2), np.zeros(m)
    with np.errstate(all="ignore"):
        chosen(explicit_rk_adjoint.pullback, jit)(
            rhs, rhs_vjp, n, n, run.p, run.interval, m, run.times, run.tableau.stages, run.tableau.degree, a, c, dense,
            run.grid, run.rows, run.states, values_bar, end_bar, *bars,
        )  # fmt: skip
    return bars


def tangent(rhs_tangent, run: Run, y0_dot, p_dot, interval_dot, times_dot):
    """(values, values_dot, end2, states2) of a run along a direction."""
    n, m = len(run.y0), len(run.times)
    a, c, _, dense = run.tableau.arrays(float)
    values, values_dot, end2, states2 = np.empty(m * n), np.empty(m * n), np.empty(2 * n), np.empty(run.rows * 2 * n)
    explicit_rk_tangent.tangent_replay(
        rhs_tangent, n, np.concatenate([run.y0, y0_dot]), np.concatenate([run.p, p_dot]), run.interval,
        np.array(interval_dot), m, run.times, np.array(times_dot), run.tableau.stages, run.tableau.degree, a, c, dense,
        run.grid, run.rows, values, values_dot, end2, states2,
    )  # fmt: skip
    return values.reshape(m, n), values_dot.reshape(m, n), end2, states2


def second(rhs_tangent, rhs_tangent_vjp, run: Run, y0_dot, p_dot, interval_dot, times_dot, values_bar, end_bar):
    """The second derivative of <bar, outputs> along a direction, and the gradient, each over (y0, p, t0, t1, times)."""
    n, m, q = len(run.y0), len(run.times), len(run.p)
    a, c, _, dense = run.tableau.arrays(float)
    _, _, _, states2 = tangent(rhs_tangent, run, y0_dot, p_dot, interval_dot, times_dot)
    bars = np.zeros(2 * n), np.zeros(2 * q), np.zeros(2), np.zeros(2), np.zeros(m), np.zeros(m)
    explicit_rk_tangent.tangent_pullback(
        rhs_tangent, rhs_tangent_vjp, n, np.concatenate([run.p, p_dot]), run.interval, np.array(interval_dot), m,
        run.times, np.array(times_dot), run.tableau.stages, run.tableau.degree, a, c, dense, run.grid, run.rows, states2,
        np.zeros(m * n), np.array(values_bar, float).ravel(), np.concatenate([np.zeros(n), end_bar]), *bars,
    )  # fmt: skip
    return halves(n, q, bars)


def halves(n, q, bars):
    """The bars of a transposed tangent run by (y0, p, t0, t1, times): those of the values, and those of the tangents."""
    y2, p2, interval, interval_dot, times, times_dot = bars
    return np.concatenate([y2[:n], p2[:q], interval, times]), np.concatenate([y2[n:], p2[q:], interval_dot, times_dot])
