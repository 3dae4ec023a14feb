"""What the detector calls stiff, on equations of both sorts; and that it changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.solvers import explicit_rk, stepping
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.stiffness import BOUNDARY, END, END_TIME, HANDED_OVER, REACHED, STEPS, integrate_until_stiff
from implicitdsl.solvers.tableau import TSIT5


def lotka(t, y, p, out):
    out[:] = 1.5 * y[0] - y[0] * y[1], -3 * y[1] + y[0] * y[1]


def lorenz(t, y, p, out):
    out[:] = 10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]


def kepler(t, y, p, out):
    r = (y[0] ** 2 + y[1] ** 2) ** 1.5
    out[:] = y[2], y[3], -y[0] / r, -y[1] / r


def arenstorf(t, y, p, out):
    m = 0.012277471
    near, far = ((y[0] + m) ** 2 + y[1] ** 2) ** 1.5, ((y[0] - 1 + m) ** 2 + y[1] ** 2) ** 1.5
    out[0], out[1] = y[2], y[3]
    out[2] = y[0] + 2 * y[3] - (1 - m) * (y[0] + m) / near - m * (y[0] - 1 + m) / far
    out[3] = y[1] - 2 * y[2] - (1 - m) * y[1] / near - m * y[1] / far


def spring(t, y, p, out):
    out[:] = y[1], -1e4 * y[0] - 5 * y[1]


def logistic(t, y, p, out):
    out[:] = y * (1 - y)


def blow_up(t, y, p, out):
    out[:] = y**2


def van_der_pol(t, y, p, out):
    out[:] = y[1], p[0] * (1 - y[0] ** 2) * y[1] - y[0]


def robertson(t, y, p, out):
    """y[0] is counted in units of 1/p[0]."""
    slow, back, fast = 0.04 * y[0] / p[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    out[:] = p[0] * (back - slow), slow - back - fast, fast


def oregonator(t, y, p, out):
    out[0] = 77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1]))
    out[1] = (y[2] - (1 + y[0]) * y[1]) / 77.27
    out[2] = 0.161 * (y[0] - y[2])


def hires(t, y, p, out):
    """Schaefer's reaction (E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, section IV.10)."""
    both = 280 * y[5] * y[7]
    out[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
    out[1] = 1.71 * y[0] - 8.75 * y[1]
    out[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
    out[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
    out[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
    out[5] = -both + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
    out[6] = both - 1.81 * y[6]
    out[7] = -both + 1.81 * y[6]


def follower(t, y, p, out):
    out[:] = -p[0] * (y - np.cos(t))


def run(f, y0, t1, p=(), tol=1e-6, times=(), max_steps=4000, t0=0.0):
    n, m, rows = len(y0), len(times), 4000
    values, end, statistics = np.empty(m * n), np.empty(n + END), np.empty(stepping.STATISTICS)
    grid, states = np.zeros(rows * stepping.GRID), np.zeros(rows * n)
    with np.errstate(all="ignore"):
        status = integrate_until_stiff(
            f, n, np.array(y0, float), np.array(p, float), np.array([t0, t1]), m, np.array(times, float), TSIT5.stages,
            TSIT5.degree, *TSIT5.arrays(float), PI_CONTROLLER.array(TSIT5, float), tol, 1e-3 * tol, 0.0, max_steps,
            values, end, statistics, grid, rows, states, rows, 1,
        )  # fmt: skip
    return int(status), end, statistics, values


EASY = [
    ("lotka", lotka, [1, 1], 100, ()),
    ("lorenz", lorenz, [1, 0, 0], 20, ()),
    ("kepler", kepler, [0.1, 0, 0, 19**0.5], 20, ()),
    ("arenstorf", arenstorf, [0.994, 0, 0, -2.00158510637908252], 17.07, ()),
    ("underdamped spring at rest", spring, [1, 0], 10, ()),
    ("a long rest, for too few steps", logistic, [0.1], 1000, ()),
    ("van der pol", van_der_pol, [2, 0], 20, (5.0,)),
    ("follower", follower, [0], 2, (50.0,)),
]
STIFF = [
    ("van der pol", van_der_pol, [2, 0], 2000, (1000.0,)),
    ("robertson", robertson, [1, 0, 0], 40, (1.0,)),
    ("robertson in other units", robertson, [1e6, 0, 0], 40, (1e6,)),
    ("oregonator", oregonator, [1, 2, 3], 360, ()),
    ("hires", hires, [1, 0, 0, 0, 0, 0, 0, 0.0057], 321.8122, ()),
    ("follower", follower, [0], 2, (1e5,)),
    ("backwards", lambda t, y, p, out: np.multiply(1e5, y - np.cos(t), out=out), [0], -2, ()),
]


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize(("name", "f", "y0", "t1", "p"), EASY, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_not_stiff_stays(name, f, y0, t1, p, tol):
    status, end, *_ = run(f, y0, t1, p, tol)
    assert (status, end[len(y0) + END_TIME]) == (0, t1)


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize(("name", "f", "y0", "t1", "p"), STIFF, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_stiff_leaves_soon(name, f, y0, t1, p, tol):
    status, end, statistics, _ = run(f, y0, t1, p, tol)
    assert status == HANDED_OVER
    assert 0 < end[len(y0) + END_TIME] / t1 < 0.1
    assert end[len(y0) + STEPS] == statistics[stepping.ACCEPTED] + statistics[stepping.REJECTED] < 800
    plain = run(f, y0, end[len(y0) + END_TIME], p, tol)
    np.testing.assert_allclose(plain[1][: len(y0)], end[: len(y0)], rtol=100 * tol, atol=tol)


def test_a_singularity_is_not_stiff():
    status, *_ = run(blow_up, [1.0], 2.0)
    assert status == stepping.DT_UNDERFLOW


def test_the_bits_are_those_of_the_method_alone():
    times = np.linspace(0, 10, 11)
    status, end, statistics, values = run(lotka, [1, 1], 10, times=times)
    plain, plain_end, plain_statistics = np.empty(22), np.empty(2), np.empty(stepping.STATISTICS)
    assert status == explicit_rk.integrate(
        lotka, 2, 2, np.ones(2), np.zeros(0), np.array([0.0, 10.0]), 11, times, TSIT5.stages, TSIT5.degree,
        *TSIT5.arrays(float), PI_CONTROLLER.array(TSIT5, float), 1e-6, 1e-9, 0.0, 4000, plain, plain_end,
        plain_statistics, np.zeros(0), 0, np.zeros(0), 0, 1, np.zeros(0), 0,
    )  # fmt: skip
    assert np.array_equal(values, plain)
    assert np.array_equal(end[:2], plain_end)
    assert np.array_equal(statistics, plain_statistics)
    assert end[2 + REACHED] == 11


def test_the_times_reached_are_counted():
    _, end, _, values = run(robertson, [1, 0, 0], 40, (1.0,), times=[0.0, 1e-4, 1e-3, 30, 40])
    assert end[3 + REACHED] == 3
    assert np.isfinite(values[:9]).all()
    assert np.isnan(values[9:]).all()


def test_the_boundary_is_inside_that_of_tsit5():
    s, a = TSIT5.stages, np.zeros((TSIT5.stages, TSIT5.stages))
    for i in range(s):
        a[i, : len(TSIT5.a[i])] = [float(x) for x in TSIT5.a[i]]
    b = np.array([float(x) for x in TSIT5.a[s]])

    def growth(z):
        return abs(1 + z * b @ np.linalg.solve(np.eye(s) - z * a, np.ones(s)))

    # The first zero of |R(z)| = 1 on the negative axis.
    assert growth(-3.5068) == pytest.approx(1, abs=1e-3)
    assert all(growth(-z) < 1 for z in np.linspace(0.1, 3.5, 100))
    assert BOUNDARY < 3.5068
