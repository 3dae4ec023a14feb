"""Newton's method for the shooting equations, damped by the error-oriented strategy.

A step is accepted where the simplified correction K⁻¹F at the new point is smaller than the one that led there; the
next damping factor follows from how far the two differ (P. Deuflhard, Numer. Math. 22 (1974) 289–315; Newton Methods
for Nonlinear Problems, 2004, section 3.3.3, NLEQ-ERR). The test does not change when equations are combined or
scaled, which the defects of different segments, large and small, ask for. Every sample has its own factor and its own
end: convergence is judged by the defects at the point itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.shooting.matrix import Factors
from implicitdsl.backends.shooting.part import Given
from implicitdsl.backends.shooting.system import Rows, Sweep, System, Times
from implicitdsl.solvers import status as codes

RUNNING = -1
SHORTEST = 1e-5
"""The damping factor below which a search has failed."""


@dataclass(frozen=True)
class Found:
    """The last sweep of every sample, its status, and the number of matrices that were factored for it."""

    sweep: Sweep
    status: NDArray[np.int32]
    iterations: NDArray[np.int64]


@dataclass(frozen=True)
class Goals:
    """Defects in units of the integration's tolerance: `enough` is a solution; the iteration goes on towards `polish`
    as long as every step halves the defect."""

    enough: float
    polish: float

    @staticmethod
    def of(rtol: float, dtype: np.dtype) -> Goals:
        """What the precision of the type lets be reached."""
        rounding = float(np.finfo(dtype).eps) / rtol
        return Goals(max(1e-3, 64.0 * rounding), max(1e-6, 4.0 * rounding))


@dataclass
class _Pace:
    """The last step of every sample: its damping factor, the size of its correction, the simplified correction behind
    it, and whether there was one."""

    factor: Array
    size: Array
    simplified: Array
    known: NDArray[np.bool_]


def shoot(system: System, given: Given, times: Times, start: Array, goals: Goals, iterations: int) -> Found:
    """The states at the nodes that solve the equations, from a start (batch, N+1, n)."""
    batch = given.batch
    sweep = system.sweep(start.copy(), given, times)
    defect = system.defect(sweep)
    status = np.where(sweep.status == codes.SUCCESS, RUNNING, sweep.status).astype(np.int32)
    count = np.zeros(batch, np.int64)
    ones = np.ones(batch, start.dtype)
    pace = _Pace(ones.copy(), ones.copy(), np.zeros_like(start), np.zeros(batch, np.bool_))
    for _ in range(iterations):
        rows = np.flatnonzero(status == RUNNING)
        if not len(rows):
            break
        count[rows] += 1
        here, g, t = sweep.rows(rows), given.rows(rows, system.arguments), times.rows(rows)
        factors = system.matrix(system.columns(here, g, t), here.by, t)
        _step(system, _Here(rows, here, g, t, factors), sweep, defect, status, pace, goals)
    # Out of iterations: a sample that was only being polished is solved.
    left = status == RUNNING
    status[left & (defect <= goals.enough)] = codes.SUCCESS
    status[status == RUNNING] = codes.MAX_STEPS
    return Found(sweep, status, count)


@dataclass(frozen=True)
class _Here:
    """The samples at work, with their matrix."""

    rows: Rows
    sweep: Sweep
    given: Given
    times: Times
    factors: Factors


def _step(
    system: System, here: _Here, sweep: Sweep, defect: Array, status: NDArray[np.int32], pace: _Pace, goals: Goals
) -> None:
    """One damped step of every sample at work: moves `sweep`, `defect` and `pace`, and settles `status`."""
    rows, factors = here.rows, here.factors
    dx = -factors.solve(here.sweep.c, here.sweep.g)
    scale = system.scale(here.sweep.s)
    size = _norm(dx, scale)
    factor = _predicted(dx, scale, size, pace, rows)
    polishing = defect[rows] <= goals.enough
    factor[polishing] = 1.0
    lost = ~(np.isfinite(size) & factors.sound)
    status[rows[lost]] = codes.NONFINITE
    pending = np.flatnonzero(~lost)
    while len(pending):
        lam = factor[pending, None, None]
        given, times = here.given.rows(pending, system.arguments), here.times.rows(pending)
        trial = system.sweep(here.sweep.s[pending] + lam * dx[pending], given, times)
        reached = system.defect(trial)
        behind = -factors.rows(pending).solve(trial.c, trial.g)
        finite = trial.status == codes.SUCCESS
        contracts = _norm(behind, scale[pending]) < (1.0 - factor[pending] / 4.0) * size[pending]
        better = np.where(polishing[pending], reached < defect[rows[pending]], contracts | (reached <= goals.enough))
        accepted = finite & better

        taken = np.flatnonzero(accepted)
        whole = rows[pending[taken]]
        before = defect[whole]
        sweep.put(whole, trial.rows(taken))
        defect[whole] = reached[taken]
        pace.factor[whole], pace.size[whole] = factor[pending[taken]], size[pending[taken]]
        pace.simplified[whole], pace.known[whole] = behind[taken], True
        slow = polishing[pending[taken]] & ~(reached[taken] <= before / 2)
        status[whole[(reached[taken] <= goals.polish) | slow]] = codes.SUCCESS
        status[rows[pending[~accepted & polishing[pending]]]] = codes.SUCCESS

        refused = np.flatnonzero(~accepted & ~polishing[pending])
        again = pending[refused]
        away = behind[refused] - (1.0 - factor[again, None, None]) * dx[again]
        with np.errstate(all="ignore"):
            model = 0.5 * size[again] * factor[again] ** 2 / _norm(away, scale[again])
        smaller = np.where(model < factor[again] / 2, np.maximum(model, factor[again] / 10), factor[again] / 2)
        factor[again] = np.where(finite[refused], smaller, factor[again] / 4)
        over = factor[again] < SHORTEST
        ended, last = again[over], refused[over]
        status[rows[ended]] = np.where(
            ~finite[last],
            trial.status[last],
            np.where(
                factors.deficient[ended],
                codes.SINGULAR,
                np.where(size[ended] <= 64 * np.finfo(size.dtype).eps, codes.STALLED, codes.NO_ROOT),
            ),
        )
        pending = again[~over]


def _predicted(dx: Array, scale: Array, size: Array, pace: _Pace, rows: Rows) -> Array:
    """The first damping factor to try, from how well the last simplified correction foretold this one."""
    away = _norm(pace.simplified[rows] - dx, scale)
    behind = _norm(pace.simplified[rows], scale)
    with np.errstate(all="ignore"):
        told = pace.factor[rows] * pace.size[rows] * behind / (away * size)
    factor = np.where(pace.known[rows] & (told < 1.0), told, 1.0)
    return np.maximum(factor, 10 * SHORTEST).astype(dx.dtype)


def _norm(x: Array, scale: Array) -> Array:
    return np.abs(x / scale).max(axis=(1, 2))
