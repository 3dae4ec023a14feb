"""The functions of the back end's own: within 2 units in the last place of mpmath, coefficients as fitted."""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import pytest

from implicitdsl.backends.lanes import elementary_polynomials as own
from implicitdsl.backends.lanes.elementary_formats import FORMATS
from implicitdsl.functions.expression import Arg, Const, apply
from implicitdsl.ir import build as b
from implicitdsl.ir.elementwise import mapped
from implicitdsl.problems.derived import Derived, group
from tests.lanes.jit import Compiled

POINTS = 400
X = b.leaf("input", "x", (POINTS // 16,))


@functools.cache
def compiled(dtype):
    functions = [Derived(name, (group("p", (X,)),), (group("out", (b.apply(name, X),)),)) for name in own.FUNCTIONS]
    return Compiled(functions, dtype, 16)


def points(name, dtype):
    """Arguments over the whole range of results, near 0, near what the reduction turns on, and in between."""
    rng = np.random.default_rng(0)
    u = rng.uniform(-1.0, 1.0, POINTS // 4)
    most = {"float64": 745.0, "float32": 103.0}[dtype]
    wide = np.exp(np.abs(u) * 700.0 - 350.0) if dtype == "float64" else np.exp(np.abs(u) * 170.0 - 85.0)
    match name:
        case "exp" | "expm1":
            found = [u * most, u, u * 1e-5, np.round(u * 8) * np.log(2.0) / 2.0 + u * 1e-3]
        case "log":
            found = [wide, 1.0 + u / 2.0, 1.0 + u * 1e-4, 2.0 ** np.round(u * 9) * np.sqrt(0.5) * (1.0 + u * 1e-3)]
        case "log1p":
            found = [wide, u * 0.99, u * 1e-5, np.sqrt([0.5, 2.0])[(u > 0) * 1] - 1.0 + u * 1e-3]
        case "tanh":
            found = [u * 20.0, u, u * 1e-5, FORMATS[dtype].tanh_far + u * 1e-2]
        case _:
            found = [u * 9e5, u * 4.0, u * 1e-5, np.round(u * 60) * np.pi / 2.0 + u * 1e-6]
    return np.concatenate(found).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", list(own.FUNCTIONS))
def test_errors_stay_below_two_units_in_the_last_place(name, dtype):
    given = points(name, dtype)
    got = compiled(dtype)(name, [given.reshape(16, -1)])[0].reshape(-1)
    facts = np.finfo(dtype)
    with mpmath.workprec(200):
        for x, value in zip(given, got, strict=True):
            truth = getattr(mpmath, name)(mpmath.mpf(float(x)))
            if abs(truth) > mpmath.mpf(float(facts.max)):
                assert np.isinf(value)
                continue
            exponent = max(mpmath.frexp(truth)[1] - 1, facts.minexp) if truth else facts.minexp
            unit = mpmath.ldexp(1, int(exponent) - facts.nmant)
            assert abs(mpmath.mpf(float(value)) - truth) < 2 * unit, (name, x, value)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_largest_arguments_of_sine_and_cosine_are_reduced_with_enough_of_pi(dtype):
    given = np.resize([1e6, -3e6, 1e15, -7e22, 3e38, 0.5, 2.0], POINTS).astype(dtype)
    for name in ("sin", "cos"):
        got = compiled(dtype)(name, [given.reshape(16, -1)])[0].reshape(-1)
        with mpmath.workprec(400):
            truth = np.array([float(getattr(mpmath, name)(mpmath.mpf(float(x)))) for x in given])
        np.testing.assert_allclose(got, truth, rtol=2 * np.finfo(dtype).eps)


def fitted(series, low, high, count, dtype):
    """Coefficients of the Chebyshev fit of a power series, lowest first."""

    def value(x):
        return mpmath.fsum(series(k) * x**k for k in range(90))

    found = mpmath.chebyfit(value, [mpmath.mpf(low), mpmath.mpf(high)], count)
    return tuple(float(np.dtype(dtype).type(float(c))) for c in reversed(found))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_coefficients_are_those_of_the_fits(dtype):
    f = FORMATS[dtype]
    with mpmath.workprec(300):
        wider = mpmath.mpf("1.0001")
        half, quarter = mpmath.log(2) / 2 * wider, (mpmath.pi / 4 * wider) ** 2
        most = ((mpmath.sqrt(2) - 1) / (mpmath.sqrt(2) + 1)) ** 2 * wider
        one = mpmath.mpf(1)
        assert f.expm1 == fitted(lambda k: one / mpmath.factorial(k + 2), -half, half, len(f.expm1), dtype)
        assert f.atanh == fitted(lambda k: 2 * one / (2 * k + 3), 0, most, len(f.atanh), dtype)
        sine = [(-1) ** (k + 1) * one / mpmath.factorial(2 * k + 3) for k in range(90)]
        cosine = [(-1) ** k * one / mpmath.factorial(2 * k + 4) for k in range(90)]
        assert f.sine == fitted(sine.__getitem__, 0, quarter, len(f.sine), dtype)
        assert f.cosine == fitted(cosine.__getitem__, 0, quarter, len(f.cosine), dtype)
        eps = mpmath.mpf(float(np.finfo(dtype).eps)) ** 2
        assert abs(sum(map(mpmath.mpf, f.log2_parts)) - mpmath.log(2)) < 4 * eps * 2**15
        assert abs(sum(map(mpmath.mpf, own.HALF_PI)) - mpmath.pi / 2) < mpmath.mpf(2) ** -150


def test_the_ratio_for_tanh_is_near_the_best():
    """Its own error is a sixth of a rounding where it is used for the argument, and for half of it, in the measure of
    tanh 2a, which loses (1 - t^2)/(1 + t^2) of what t = tanh a has lost."""
    f = FORMATS["float32"]
    above, below = ([1.0, *c] for c in f.tanh)
    with mpmath.workprec(100):
        for k in range(1, 2001):
            a = mpmath.mpf(k) / 2000 * (f.tanh_most / 2)
            ratio = a * mpmath.polyval(above[::-1], a * a) / mpmath.polyval(below[::-1], a * a)
            t = mpmath.tanh(a)
            weight = 1 if a <= f.tanh_far else (1 - t * t) / (1 + t * t)
            assert abs(ratio / t - 1) * weight < 0.18 * mpmath.mpf(2) ** -24
    ends = np.resize(np.float32([np.inf, -np.inf, 9.5, -200.0, np.nan]), POINTS)
    got = compiled("float32")("tanh", [ends.reshape(16, -1)])[0].reshape(-1)
    np.testing.assert_array_equal(got, np.where(np.isnan(ends), np.nan, np.sign(ends)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_zeros_keep_their_sign(dtype):
    zeros = np.resize([0.0, -0.0], POINTS).astype(dtype)
    for name in ("expm1", "log1p", "tanh", "sin"):
        got = compiled(dtype)(name, [zeros.reshape(16, -1)])[0].reshape(-1)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(zeros), err_msg=name)
        assert (got == 0.0).all()


def test_the_polynomial_for_the_logistic_density_is_near_the_best():
    """Its own error is half a rounding of float32 at most, wherever it is used."""
    f = FORMATS["float32"]
    with mpmath.workprec(100):
        for k in range(2001):
            z = (mpmath.mpf(k) / 2000 * f.density_far) ** 2
            value = 4 + z * mpmath.polyval(f.density[::-1], z)
            assert abs(value / (2 + 2 * mpmath.cosh(mpmath.sqrt(z))) - 1) < 0.5 * mpmath.mpf(2) ** -24


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_logistic_density_on_both_sides_of_where_it_needs_exp(dtype):
    far, most = 6.0, {"float64": 700.0, "float32": 87.0}[dtype]
    u = np.random.default_rng(1).uniform(-1.0, 1.0, POINTS // 4)
    given = np.concatenate([u * far, far + u * 1e-2, -far + u * 1e-2, u * most]).astype(dtype)
    # What a lane gets does not depend on its neighbours: near ones beside far ones, and among themselves.
    mixed = np.random.default_rng(2).permutation(given)
    function = Derived(
        "d", (group("p", (X,)),), (group("out", (mapped(apply("logistic", Arg(0), Const(0.0)), (X,)),)),)
    )
    run = Compiled([function], dtype, 16)
    for x in (given, mixed):
        got = run("d", [x.reshape(16, -1)])[0].reshape(-1)
        with mpmath.workprec(100):
            for point, value in zip(x, got, strict=True):
                truth = 1 / (2 + 2 * mpmath.cosh(mpmath.mpf(float(point))))
                assert abs(mpmath.mpf(float(value)) / truth - 1) < 3 * float(np.finfo(dtype).eps), point
    order = {float(x): v for x, v in zip(given, run("d", [given.reshape(16, -1)])[0].reshape(-1), strict=True)}
    np.testing.assert_array_equal(got, [order[float(x)] for x in mixed])
    ends = np.resize([np.inf, -np.inf, 1e4, np.nan, 0.0], POINTS).astype(dtype)
    got = run("d", [ends.reshape(16, -1)])[0].reshape(-1)
    np.testing.assert_array_equal(got, np.resize([0.0, 0.0, 0.0, np.nan, 0.25], POINTS))
