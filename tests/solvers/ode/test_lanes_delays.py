"""Delayed samples side by side: each reads rows of its own from a tape that has rows in which it made no step.

As in `test_lanes_explicit.py`, elements are NumPy vectors, one float a sample; all bits are those of a sample alone.
"""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import delays, delays_adjoint, status, stepping
from implicitdsl.solvers.delay_breaks import break_counts
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.tableau import TSIT5
from tests.solvers.ode.test_lanes_explicit import in_lanes

ROWS = 400
COUNT = 2
N = 2


def rhs(t, yz, p, out):
    """x' = -p0*x(t - lag1) + y/10, y' = x - y(t - lag2)*y(t - lag2)."""
    out[0] = -p[0] * yz[2] + 0.1 * yz[1]
    out[1] = yz[0] - yz[5] * yz[5]


def rhs_vjp(t, yz, p, lam, t_bar, yz_bar, p_bar):
    p_bar[0] += -yz[2] * lam[0]
    yz_bar[0] += lam[1]
    yz_bar[1] += 0.1 * lam[0]
    yz_bar[2] += -p[0] * lam[0]
    yz_bar[5] += -2.0 * yz[5] * lam[1]


def history(t, p, out):
    """x = p1 + t/2, y = p1*t*t."""
    out[0] = p[1] + 0.5 * t
    out[1] = p[1] * t * t


def history_vjp(t, p, lam, t_bar, p_bar):
    t_bar[0] += 0.5 * lam[0] + 2.0 * p[1] * t * lam[1]
    p_bar[1] += lam[0] + t * t * lam[1]


def run(lags, y0, p, interval, times, values_bar, dt, *, lanes):
    """(status, values, end, steps, bars), samples last where `lanes`."""
    wrap = in_lanes if lanes else (lambda function: function)
    tail = lags.shape[1:]
    m, s, degree = len(times), TSIT5.stages, TSIT5.degree
    a, c, error, dense = TSIT5.arrays(float)
    control = PI_CONTROLLER.array(TSIT5, float)
    breaks = break_counts(COUNT, TSIT5.order, float)
    points = len(breaks) // COUNT
    size = N * (degree + 1)
    values, end, statistics = np.zeros((m * N, *tail)), np.zeros((N, *tail)), np.zeros((5, *tail))
    grid, tape = np.zeros((ROWS * (delays.WIDTH + COUNT), *tail)), np.zeros((ROWS * size, *tail))
    with np.errstate(all="ignore"):
        found = wrap(delays.integrate_with_delays)(
            rhs, history, N, COUNT, lags, points, breaks, y0, p, interval, m, times, s, degree, a, c, error, dense,
            control, 1e-6, 1e-8, np.float64(dt), 10_000, values, end, statistics, grid, tape, ROWS,
        )  # fmt: skip
        made = int(np.max(statistics[stepping.ROWS]))
        assert made < ROWS
        bars = [np.zeros((k, *tail)) for k in (N, COUNT, len(p), 2, m)]
        y0_bar, lags_bar, p_bar, interval_bar, times_bar = bars
        wrap(delays_adjoint.pullback_with_delays)(
            rhs, rhs_vjp, history, history_vjp, N, COUNT, lags, points, breaks, p, interval, m, times, s, degree, a, c,
            dense, grid, tape, made, np.zeros((made * size, *tail)), np.zeros((2 * made, *tail)), values_bar,
            np.zeros((N, *tail)), y0_bar, lags_bar, p_bar, interval_bar, times_bar,
        )  # fmt: skip
    return found, values, end, statistics[:3], bars


@pytest.mark.parametrize("dt", [0.0, 0.13])
def test_each_sample_has_its_own_lags_rows_and_bits(dt):
    lags = np.array([[0.7, 1.3, 0.21, -0.4, 0.0, 3.0], [1.9, 1.3, 0.42, -0.9, 1.0, 5.0]])
    y0 = np.array([[1.0, 0.4, -0.3, 1.0, 1.0, 0.5], [0.2, 0.1, 0.5, 0.3, 0.0, 0.1]])
    p = np.array([[0.9, 1.2, 0.5, 0.4, 1.0, 0.8], [0.8, 0.3, -0.2, 0.3, 1.0, 0.6]])
    interval = np.array([[0.0, 0.5, 0.0, 1.0, 0.0, 0.0], [3.0, 4.0, 1.5, 0.1, 2.0, 2.0]])
    times = np.linspace(interval[0], interval[1], 5)
    values_bar = np.random.default_rng(3).normal(size=(5 * N, 6))
    together = run(lags, y0, p, interval, times, values_bar, dt, lanes=True)
    assert together[0].tolist() == [0, 0, 0, 0, status.BAD_INPUT, 0]
    for lane in range(6):
        alone = run(*(x[:, lane].copy() for x in (lags, y0, p, interval, times, values_bar)), dt, lanes=False)
        assert together[0][lane] == alone[0]
        for found, wanted in zip(together[1:4], alone[1:4], strict=True):
            np.testing.assert_array_equal(found[:, lane], wanted)
        if alone[0] == status.SUCCESS:
            for found, wanted in zip(together[4], alone[4], strict=True):
                np.testing.assert_array_equal(found[:, lane], wanted)
