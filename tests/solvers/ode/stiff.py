"""Calls of the solver functions of the stiff one-step methods with arrays allocated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitdsl.solvers import esdirk, esdirk_adjoint, esdirk_tangent, stepping

from implicitdsl.solvers import rosenbrock, rosenbrock_adjoint, rosenbrock_tangent  # isort: skip
from implicitdsl.solvers.esdirk_tableau import EsdirkTableau
from implicitdsl.solvers.rosenbrock_tableau import RODAS5P, RosenbrockTableau
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.step_matrix import DENSE
from tests.solvers.ode import explicit
from tests.solvers.ode.models import Model

DENSE_PATTERN = np.array([DENSE], np.int32)


@dataclass(frozen=True)
class Functions:
    """The functions of a family of methods, each with the functions of the model that it takes."""

    integrate: Callable[..., Any]
    pullback: Callable[..., None]
    replay: Callable[..., None]
    replay_pullback: Callable[..., None]
    pulled: tuple[str, ...]
    replayed: tuple[str, ...]
    replay_pulled: tuple[str, ...]


ROSENBROCK = Functions(
    rosenbrock.integrate, rosenbrock_adjoint.pullback, rosenbrock_tangent.tangent_replay,
    rosenbrock_tangent.tangent_pullback, ("rhs", "linearise", "vjp", "linearise_vjp"), ("tangent", "linearise_tangent"),
    ("tangent", "linearise_tangent", "tangent_vjp", "linearise_tangent_vjp"),
)  # fmt: skip
ESDIRK = Functions(
    esdirk.integrate, esdirk_adjoint.pullback, esdirk_tangent.tangent_replay, esdirk_tangent.tangent_pullback,
    ("rhs", "linearise", "vjp"), ("rhs", "linearise", "tangent"), ("rhs", "linearise", "tangent", "tangent_vjp"),
)  # fmt: skip


@dataclass
class Run(explicit.Run):
    """With the model, the diagonal of M and the tolerances."""

    model: Model
    mass: np.ndarray
    tolerances: tuple[np.float64, np.float64]

    @property
    def functions(self) -> Functions:
        return ROSENBROCK if isinstance(self.tableau, RosenbrockTableau) else ESDIRK

    @property
    def method(self):
        """The numbers of the method but those of the estimate, as the solver functions take them."""
        before, dense = numbers(self.tableau)
        return *before, dense, *(self.tolerances if self.functions is ESDIRK else ())

    def given(self, names: tuple[str, ...]):
        """What every function takes first: those of the model, and what the matrix of a step asks for."""
        return *(getattr(self.model, name) for name in names), len(self.y0), self.mass, DENSE_PATTERN


def numbers(tableau):
    """(all that stands before the tables of the error and the dense output, that of the dense output)."""
    t = tableau.tables(float)
    if isinstance(tableau, EsdirkTableau):
        before = tableau.last, tableau.readers, tableau.degree, tableau.gamma, t["couple"], t["predict"], t["c"]
    else:
        before = tableau.stages, tableau.degree, tableau.gamma, t["a"], t["couple"], t["c"], t["drive"]
    return before, t["dense"]


def solve(
    model: Model, y0, p, interval, times=(), *, mass=None, rtol=1e-9, atol=1e-9, dt=0.0, max_steps=100_000,
    tableau: RosenbrockTableau | EsdirkTableau = RODAS5P,
) -> Run:  # fmt: skip
    y0, p, interval, times = (np.array(x, float).ravel() for x in (y0, p, interval, times))
    n, m, rows = len(y0), len(times), 20_000
    mass = np.ones(n) if mass is None else np.array(mass, float)
    values, end, statistics = np.empty(m * n), np.empty(n), np.empty(stepping.STATISTICS)
    grid, states = np.zeros(rows * stepping.GRID), np.zeros(rows * n)
    tolerances = np.float64(rtol), np.float64(atol)
    run = Run(
        0, values.reshape(m, n), end, statistics, grid, states, y0, p, interval, times, tableau, model, mass, tolerances
    )
    before, dense = numbers(tableau)
    error = (tableau.tables(float)["error"],) if isinstance(tableau, RosenbrockTableau) else ()
    with np.errstate(all="ignore"):
        run.status = int(
            run.functions.integrate(
                *run.given(("rhs", "linearise")), y0, p, interval, m, times, *before, *error, dense,
                PI_CONTROLLER.array(tableau, float), *tolerances, np.float64(dt), max_steps, values, end, statistics,
                grid, rows, states, rows, 1,
            )
        )  # fmt: skip
    run.grid, run.states = grid[: run.rows * stepping.GRID], states[: run.rows * n]
    return run


def pullback(run: Run, values_bar=None, end_bar=None):
    """(y0_bar, p_bar, interval_bar, times_bar) of a run."""
    n, m = len(run.y0), len(run.times)
    values_bar = np.zeros(m * n) if values_bar is None else np.array(values_bar, float).ravel()
    end_bar = np.zeros(n) if end_bar is None else np.array(end_bar, float)
    bars = np.zeros(n), np.zeros(len(run.p)), np.zeros(2), np.zeros(m)
    with np.errstate(all="ignore"):
        run.functions.pullback(
            *run.given(run.functions.pulled), run.p, run.interval, m, run.times, *run.method, run.grid, run.rows,
            run.states, values_bar, end_bar, *bars,
        )  # fmt: skip
    return bars


def tangent(run: Run, y0_dot, p_dot, interval_dot, times_dot):
    """(values, values_dot, end2, states2) of a run along a direction."""
    n, m = len(run.y0), len(run.times)
    values, values_dot, end2, states2 = np.empty(m * n), np.empty(m * n), np.empty(2 * n), np.empty(run.rows * 2 * n)
    run.functions.replay(
        *run.given(run.functions.replayed), np.concatenate([run.y0, y0_dot]), np.concatenate([run.p, p_dot]),
        run.interval, np.array(interval_dot), m, run.times, np.array(times_dot), *run.method, run.grid, run.rows, values,
        values_dot, end2, states2,
    )  # fmt: skip
    return values.reshape(m, n), values_dot.reshape(m, n), end2, states2


def second(run: Run, y0_dot, p_dot, interval_dot, times_dot, values_bar, end_bar):
    """The second derivative of <bar, outputs> along a direction, and the gradient, each over (y0, p, t0, t1, times)."""
    n, m, q = len(run.y0), len(run.times), len(run.p)
    _, _, _, states2 = tangent(run, y0_dot, p_dot, interval_dot, times_dot)
    bars = np.zeros(2 * n), np.zeros(2 * q), np.zeros(2), np.zeros(2), np.zeros(m), np.zeros(m)
    run.functions.replay_pullback(
        *run.given(run.functions.replay_pulled), np.concatenate([run.p, p_dot]), run.interval, np.array(interval_dot), m,
        run.times, np.array(times_dot), *run.method, run.grid, run.rows, states2, np.zeros(m * n),
        np.array(values_bar, float).ravel(), np.concatenate([np.zeros(n), end_bar]), *bars,
    )  # fmt: skip
    return explicit.halves(n, q, bars)
