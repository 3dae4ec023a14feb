"""Non-stiff reference problems: values within 50*rtol, gradients of the pullback within 1e-5, against published digits.

The long digits come from Taylor integration at 1e-19, closed forms and the IVP test set, not from this project.
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm

from implicitdsl.solvers.tableau import DOP853, DOPRI5, PRINCE9, TSIT5
from tests.solvers.ode.explicit import pullback, solve
from tests.solvers.ode.models import (
    BESSEL,
    COMPLEX,
    CONSTANT_SOLUTION,
    DECAY,
    KEPLER,
    LOGISTIC,
    LORENZ,
    LOTKA_VOLTERRA,
    NEURAL,
    PROTHERO_ROBINSON,
    SINE,
    SPIRAL,
    VAN_DER_POL,
    pleiades,
)

RTOL = 1e-10
METHODS = pytest.mark.parametrize("tableau", [TSIT5, DOPRI5, DOP853, PRINCE9], ids=lambda x: x.name)


def check(rhs, y0, p, interval, expected, *, tableau=TSIT5, growth=1.0, rtol=RTOL, **options):
    """Solve and compare the end state; `growth` is how much the problem itself magnifies an error on its way."""
    run = solve(rhs, y0, p, interval, tableau=tableau, rtol=rtol, atol=rtol, **options)
    assert run.status == 0
    np.testing.assert_allclose(run.end, expected, rtol=0, atol=50 * rtol * growth * max(1.0, np.abs(expected).max()))
    return run


def gradient(model, run, end_bar, values_bar=None):
    return np.concatenate(pullback(model.rhs, model.vjp, run, values_bar, end_bar)[:2])


def close(found, expected, rel=1e-5):
    np.testing.assert_allclose(found, expected, rtol=rel, atol=rel * 1e-2 * np.abs(expected).max())


@METHODS
def test_decay(tableau):
    run = check(DECAY.rhs, [3.0], [2.0], (0, 1.5), [0.14936120510359183], tableau=tableau)
    y0_bar, p_bar, interval_bar, _ = pullback(DECAY.rhs, DECAY.vjp, run, None, [1.0])
    close(y0_bar, [0.14936120510359183 / 3])
    close(p_bar, [-0.22404180765538775])
    close(interval_bar, [2 * 0.14936120510359183, -2 * 0.14936120510359183])


@METHODS
@pytest.mark.parametrize(
    ("e", "expected", "growth"),
    [
        (0.1, (0.21988353520083965, 0.94270768463418131, -0.97876598410581765, 0.32879779909620360), 20),
        (0.5, (-0.57804329530353613, 0.86338400091941928, -0.95950837303807273, -0.065049151267120905), 100),
    ],
)
def test_kepler(e, expected, growth, tableau):
    start = [1 - e, 0, 0, math.sqrt((1 + e) / (1 - e))]
    # An orbit magnifies errors by the number of its turns; prince9 makes them smaller than it is asked to.
    if tableau is PRINCE9:
        growth = 0.01
    run = check(KEPLER.rhs, start, [], (0, 20), expected, tableau=tableau, growth=growth)
    x, y, u, v = run.end
    assert (u * u + v * v) / 2 - 1 / math.hypot(x, y) == pytest.approx(-0.5, abs=1e-8)
    assert x * v - y * u == pytest.approx(math.sqrt(1 - e * e), abs=1e-8)


@METHODS
def test_van_der_pol(tableau):
    expected = (2.0081497621749486, -0.042508875273202147)
    run = check(VAN_DER_POL.rhs, [2, 0], [1.0], (0, 20), expected, tableau=tableau)
    close(
        gradient(VAN_DER_POL, run, [1, 0]),
        [0.057643468257115478, 0.021254437636601074, 0.10581863701706616],
    )


def test_logistic():
    r, capacity, start, end = 1.3, 2.5, 0.4, 2.0
    closed = lambda r, k, y: k * y * mpmath.exp(r * end) / (k + y * (mpmath.exp(r * end) - 1))  # noqa: E731 - local
    run = check(LOGISTIC.rhs, [start], [r, capacity], (0, end), [float(closed(r, capacity, start))])
    expected = [float(mpmath.diff(closed, (r, capacity, start), n)) for n in ((0, 0, 1), (1, 0, 0), (0, 1, 0))]
    close(gradient(LOGISTIC, run, [1]), expected)


def test_bessel():
    start = [0.6713967071418030, 0.09540051444747446]
    run = solve(BESSEL.rhs, start, [], (0, 20), rtol=RTOL, atol=RTOL)
    assert run.end[0] == pytest.approx(0.14567236007282468, abs=50 * RTOL)


LV_X = (
    1.9659960547281691,
    0.18856877707805931,
    2.1605575235626180,
    0.18856877707805931,
    0.56318279416819772,
    0.93965128715307976,
)
LV_Y = (
    -2.7439791559201811,
    0.21171348914668314,
    -6.2567705172208160,
    -0.69797758898935848,
    -1.7090176805979348,
    -2.7439791559201811,
)
LV_P = (1.5, 1.0, 3.0, 1.0)


@METHODS
def test_lotka_volterra(tableau):
    run = check(LOTKA_VOLTERRA.rhs, [1, 1], LV_P, (0, 10), [1.0263447675750893, 0.90969107813604162], tableau=tableau)
    close(gradient(LOTKA_VOLTERRA, run, [1, 0]), LV_X)
    close(gradient(LOTKA_VOLTERRA, run, [0, 1]), LV_Y)


@METHODS
def test_lotka_volterra_loss_over_save_times(tableau):
    times = np.linspace(0, 10, 101)
    run = solve(LOTKA_VOLTERRA.rhs, [1, 1], LV_P, (0, 10), times, tableau=tableau, rtol=RTOL, atol=RTOL)
    assert run.values.sum() == pytest.approx(450.76406403953881, rel=50 * RTOL)
    found = gradient(LOTKA_VOLTERRA, run, [0, 0], np.ones((101, 2)))
    expected = (
        -39.12754122266809,
        -8.78778021899264,
        8.30536266231655,
        -159.48429271513864,
        75.20350821377277,
        -339.19509276606091,
    )
    close(found, expected)


def test_lorenz():
    start, p = [1, 0, 0], [10, 28, 8 / 3]
    expected = (-9.4084505670560362, -9.0961990711864790, 28.581627624392336)
    run = check(LORENZ.rhs, start, p, (0, 1), expected)
    close(gradient(LORENZ, run, [1, 0, 0])[3:], (-0.059964713298692077, 0.23383729165769114, -3.8878553648506891))
    other = (-6.4505791473189070, -8.8952114786677926, 14.649145866644606)
    check(LORENZ.rhs, start, [10, 21, 8 / 3], (0, 1), other)


@METHODS
def test_spiral(tableau):
    run = check(SPIRAL.rhs, [2, 0], [], (0, 1.5), (1.2919915629767864, 0.97258607443451643), tableau=tableau)
    assert run.status == 0
    far = (-0.44362348669863495, 0.27944064161893900)
    check(SPIRAL.rhs, [2, 0], [], (0, 25), far, tableau=tableau)


@pytest.mark.parametrize(
    ("tableau", "bound"), [(TSIT5, 2000), (DOP853, 2000), (PRINCE9, 20)], ids=lambda x: getattr(x, "name", "")
)
def test_pleiades(tableau, bound):
    start = [3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0]
    run = solve(pleiades, start, [], (0, 3), tableau=tableau, rtol=1e-9, atol=1e-9)
    x = (
        0.37061391439705116,
        3.2372840920572331,
        -3.2225590324183233,
        0.65970914557753081,
        0.34255817071565804,
        1.5621721014006310,
        -0.70030929222124957,
    )
    y = (
        -3.9434375855173925,
        -3.2713809739725499,
        5.2250818434565440,
        -2.5906124349774695,
        1.1982136933922747,
        -0.24296823449358235,
        1.0914492404289799,
    )
    assert run.status == 0
    # Two close encounters magnify an error by about 2000.
    np.testing.assert_allclose(run.end[:14], [*x, *y], rtol=0, atol=1e-9 * bound)


def test_neural():
    p = [1, -0.5, 0.3, 0.8, -0.7, 0.2, 0.1, -0.2, 0.05, -0.6, 0.4, 0.9, 0.5, -1, 0.3, 0.05, -0.1]
    run = check(NEURAL.rhs, [0.5, -0.25], p, (0, 2), (0.042089930622152926, 0.10439610086504382))
    assert run.end @ run.end / 2 == pytest.approx(0.0063350540678010247, rel=1e-8)
    expected = [
        0.00333862, 0.02378143,
        0.00388550587967, 0.00044518073129, -0.01104618479851, -0.00139284571566, 0.00642349694025, 0.00163653861374,
        0.03351232460342, -0.09540917019019, 0.0623441236346,
        0.00559256266131, -0.0046701217442, -0.00026375685291, 0.02199468978066, -0.01680541455891, -0.00291135107353,
        0.03276846983306, 0.11095010682255,
    ]  # fmt: skip
    found = gradient(NEURAL, run, run.end)
    np.testing.assert_allclose(found[:2], expected[:2], atol=1e-8)
    close(found[2:], expected[2:])


def test_complex_rotation():
    check(COMPLEX.rhs, [1, 0], [], (0, 1), (-0.4161468365471424, 0.9092974268256817))


def test_matrix_exponential():
    matrix = np.random.default_rng(5).normal(size=(10, 10)) / 3
    start = np.linspace(-1, 1, 10)

    def rhs(t, y, p, out):
        out[:] = matrix @ y

    check(rhs, start, [], (0, 2), expm(2 * matrix) @ start)


@METHODS
@pytest.mark.parametrize("reverse", [False, True])
def test_polynomial_and_sine_both_ways(tableau, reverse):
    exact = lambda t: (  # noqa: E731 - local
        -(t**4) * math.cos(2 * t) / 2
        + t**3 * math.sin(2 * t) / 2
        + t * t * math.cos(2 * t) / 4
        - t**3
        + 2 * t**4
        + (math.pi - 0.25) * t * t
    )
    a, b = 0.2, 3.0
    ends = (8.0, 1.0) if reverse else (1.0, 8.0)
    times = np.linspace(*ends, 8)
    run = solve(SINE.rhs, [exact(ends[0])], [], ends, times, tableau=tableau, rtol=1e-9, atol=1e-9)
    expected = np.array([exact(t) for t in times])
    np.testing.assert_allclose(run.values[:, 0], expected, rtol=0, atol=50e-9 * np.abs(expected).max())
    run = solve(CONSTANT_SOLUTION.rhs, [a * ends[0] + b], [a, b], ends, times, tableau=tableau)
    np.testing.assert_allclose(run.values[:, 0], a * times + b, rtol=1e-12)


def test_prothero_robinson():
    k, end = 5.0, 2.0
    exact = (k * k * math.cos(end) + k * math.sin(end) - k * k * math.exp(-k * end)) / (1 + k * k)
    run = check(PROTHERO_ROBINSON.rhs, [0.0], [k], (0, end), [exact])
    assert gradient(PROTHERO_ROBINSON, run, [1])[1] == pytest.approx(-0.03835213, rel=1e-6)
