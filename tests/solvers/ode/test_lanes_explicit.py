"""Samples side by side: with vectors for elements the same source accepts and rejects per sample, in each sample's own bits.

The vocabulary is replaced by one whose elements are NumPy vectors, one float a sample, and whose arrays have shape
(length, samples): what machine code for a block of samples does, without the machine code.
"""

from __future__ import annotations

import types
from functools import cache

import numpy as np
import pytest

from implicitdsl.solvers import explicit_rk, explicit_rk_adjoint, status, stepping, vocabulary
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.tableau import TSIT5
from tests.solvers.ode.explicit import pullback, solve
from tests.solvers.ode.models import LOTKA_VOLTERRA


class BlowUp:
    """y' = y², as a product: NumPy's scalar power and its vector power may round differently."""

    @staticmethod
    def rhs(t, y, p, out):
        out[0] = y[0] * y[0]

    @staticmethod
    def vjp(t, y, p, lam, t_bar, y_bar, p_bar):
        y_bar[0] += 2.0 * y[0] * lam[0]


def copy_where(mask, n, x, x_at, y, y_at):
    y[y_at : y_at + n] = np.where(mask, x[x_at : x_at + n], y[y_at : y_at + n])


def gather(n, row, step, x, y, y_at):
    for lane in range(x.shape[1]):
        vocabulary.gather(n, row[lane], step, x[:, lane], y[:, lane], y_at)


def scatter_add(mask, n, x, x_at, row, step, y):
    for lane in range(x.shape[1]):
        vocabulary.scatter_add(mask[lane], n, x[:, lane], x_at, row[lane], step, y[:, lane])


LANES = {
    "select": np.where,
    "and_": np.logical_and,
    "or_": np.logical_or,
    "not_": np.logical_not,
    "any_": lambda mask: bool(np.any(mask)),
    "all_": lambda mask: bool(np.all(mask)),
    "vmin": lambda a, b: np.where(a < b, a, b),
    "vmax": lambda a, b: np.where(a > b, a, b),
    # One sample's power goes through NumPy's scalar path, which may round otherwise than its vector path.
    "power": lambda a, x: np.array([v**x for v in np.atleast_1d(a)]),
    "all_finite": lambda n, x, at: np.isfinite(x[at : at + n]).all(axis=0),
    "buffer": lambda like, n: np.zeros((n, like.shape[1])),
    "copy_where": copy_where,
    "gather": gather,
    "scatter_add": scatter_add,
}


@cache
def in_lanes(function):
    """The function over vectors: its words of the vocabulary replaced, and those of every solver function it calls."""
    names = {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, types.FunctionType) and value.__module__.startswith("implicitdsl.solvers"):
            names[name] = LANES[name] if name in LANES else in_lanes(value)
    return types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)


def test_every_replaced_word_is_a_word():
    assert set(LANES) <= set(vars(vocabulary))


def side_by_side(model, y0, p, interval, times, values_bar, end_bar, rtol, dt):
    """(statuses, values, ends, statistics, y0_bar, p_bar, interval_bar, times_bar), samples last."""
    n, m, q, samples = len(y0), len(times), len(p), y0.shape[1]
    s, degree = TSIT5.stages, TSIT5.degree
    a, c, error, dense = TSIT5.arrays(float)
    control = PI_CONTROLLER.array(TSIT5, float)
    rows = 3000
    values, end, statistics = np.empty((m * n, samples)), np.empty((n, samples)), np.empty((5, samples))
    grid, states = np.zeros((rows * 4, samples)), np.zeros((rows * n, samples))
    bars = [np.zeros((size, samples)) for size in (n, q, 2, m)]
    with np.errstate(all="ignore"):
        statuses = in_lanes(explicit_rk.integrate)(
            model.rhs, n, n, y0, p, interval, m, times, s, degree, a, c, error, dense, control, rtol, rtol, np.float64(dt),
            10_000, values, end, statistics, grid, rows, states, rows, 1, states, 0,
        )  # fmt: skip
        count = int(statistics[stepping.ROWS, 0])
        assert count < rows
        in_lanes(explicit_rk_adjoint.pullback)(
            model.rhs, model.vjp, n, n, p, interval, m, times, s, degree, a, c, dense, grid, count, states, values_bar,
            end_bar, *bars,
        )  # fmt: skip
    return statuses, values, end, statistics, *bars


def compare(model, y0, p, interval, times, *, rtol=1e-7, dt=0.0):
    """Run side by side and alone; assert that all bits agree; return the statuses."""
    y0, p, interval, times = (np.array(x, float) for x in (y0, p, interval, times))
    n, m, samples = len(y0), len(times), y0.shape[1]
    generator = np.random.default_rng(11)
    values_bar, end_bar = generator.normal(size=(m * n, samples)), generator.normal(size=(n, samples))
    statuses, values, end, statistics, *bars = side_by_side(
        model, y0, p, interval, times, values_bar, end_bar, rtol, dt
    )
    for lane in range(samples):
        run = solve(
            model.rhs,
            y0[:, lane],
            p[:, lane],
            interval[:, lane],
            times[:, lane],
            rtol=rtol,
            atol=rtol,
            dt=dt,
            max_steps=10_000,
        )
        assert statuses[lane] == run.status
        np.testing.assert_array_equal(values[:, lane], run.values.ravel())
        np.testing.assert_array_equal(end[:, lane], run.end)
        np.testing.assert_array_equal(statistics[:3, lane], run.statistics[:3])
        alone = pullback(model.rhs, model.vjp, run, values_bar[:, lane], end_bar[:, lane])
        for found, expected in zip(bars, alone, strict=True):
            np.testing.assert_array_equal(found[:, lane], expected)
    return statuses


@pytest.mark.parametrize("dt", [0.0, 0.07])
def test_each_sample_has_its_own_steps_direction_and_bits(dt):
    p = [[1.5, 1.0, 2.5, 1.1], [1.0, 0.8, 1.0, 2.0], [3.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.5, 0.1]]
    interval = [[0.0, 1.0, 4.0, 2.0], [6.0, -1.0, 5.0, 2.0]]
    times = [[0.0, 1.0, 4.0, 2.0], [0.0, 0.4, 4.5, 2.0], [3.3, 0.4, 4.6, 2.0], [6.0, -1.0, 4.7, 2.0]]
    statuses = compare(LOTKA_VOLTERRA, [[1.0, 0.5, 2.0, 1.0], [1.0, 1.5, 0.3, 1.0]], p, interval, times, dt=dt)
    assert (statuses == status.SUCCESS).all()


def test_a_sample_that_blows_up_changes_no_bit_of_another():
    y0 = [[1.0, -1.0, 0.1, 0.3, np.nan, 0.2]]
    interval = [[0.0] * 6, [2.0] * 6]
    times = [[0.0] * 6, [0.6] * 6, [1.7] * 5 + [0.5], [2.0] * 6]
    statuses = compare(BlowUp, y0, np.zeros((0, 6)), interval, times)
    assert statuses.tolist() == [status.DT_UNDERFLOW, 0, 0, 0, status.NONFINITE, status.BAD_TIMES]
