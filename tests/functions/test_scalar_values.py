"""Every elementwise record against mpmath: value, first and second derivatives, also where floats end."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest

from implicitdsl.functions.expression import Arg, Const, apply
from implicitdsl.functions.record import Scalar
from implicitdsl.functions.scalar import SCALAR, derivative, evaluate
from tests.functions.function_samples import (
    EXTREME,
    ORDINARY,
    constants,
    differentiated,
    expression,
    orders,
    points,
    true_value,
    value_at,
)

RECORDS = pytest.mark.parametrize("record", SCALAR.values(), ids=SCALAR.keys())
EPS = np.finfo(np.float64).eps
SMALLEST = 5e-324


def check(record: Scalar, depth: int, kind: tuple[float, ...], relative: float, absolute: float) -> int:
    compared = 0
    for fixed in constants(record):
        for by in orders(record, depth):
            expr = differentiated(expression(record, fixed), by)
            for point in points(record, kind):
                point = tuple(fixed.get(i, p) for i, p in enumerate(point))
                if depth and record.kink and on_kink(point):
                    continue
                wanted = true_value(record.name, fixed, by, point)
                if wanted is None or beyond_floats(record, depth, point):
                    continue
                compared += 1
                got = value_at(expr, point)
                where = f"{record.name}{point} by {by}: {got!r}, mpmath {wanted!r}"
                if math.isnan(wanted) or math.isinf(wanted):
                    assert got == wanted or (math.isnan(got) and math.isnan(wanted)), where
                else:
                    assert abs(got - wanted) <= relative * abs(wanted) + absolute + 4 * SMALLEST, where
    return compared


def beyond_floats(record: Scalar, depth: int, point: tuple[float, ...]) -> bool:
    """Finite numbers made of 1e600: p*(p - 1)*x^(p - 2) for tiny p and x, y^2 - x^2 over r^4 for tiny r."""
    return record.name in ("pow", "radial", "atan2") and depth > 0 and max(map(abs, point)) < 1e-200


def on_kink(point: tuple[float, ...]) -> bool:
    return 0.0 in point or len(set(point)) < len(point)


@RECORDS
def test_value_is_within_a_few_units_in_the_last_place(record):
    assert check(record, 0, ORDINARY, 4 * EPS, 0.0) >= 2


@RECORDS
def test_value_at_extremes(record):
    check(record, 0, EXTREME, 16 * EPS, 0.0)


@RECORDS
@pytest.mark.parametrize("depth", [1, 2])
def test_derivative(record, depth):
    compared = check(record, depth, ORDINARY, 200 * EPS, 8 * EPS)
    assert compared >= 2 or not orders(record, depth)


@RECORDS
@pytest.mark.parametrize("depth", [1, 2])
def test_derivative_at_extremes(record, depth):
    # no absolute tolerance: what vanishes must vanish at the right rate
    check(record, depth, EXTREME, 1e-11, 0.0)


@RECORDS
def test_derivative_agrees_with_finite_differences(record):
    step = 1e-5
    for fixed in constants(record):
        for (i,) in orders(record, 1):
            expr = expression(record, fixed)
            first = differentiated(expr, (i,))
            for point in points(record, ORDINARY, limit=20):
                point = tuple(fixed.get(k, p) for k, p in enumerate(point))
                ends = [tuple(p + s * step * (k == i) for k, p in enumerate(point)) for s in (-1, 1)]
                low, high = (value_at(expr, e) for e in ends)
                if (record.kink and on_kink(point)) or math.isnan(low + high):
                    continue
                slope = (high - low) / (2 * step)
                assert value_at(first, point) == pytest.approx(slope, rel=2e-6, abs=2e-6 * max(1.0, abs(low))), point


@RECORDS
def test_third_derivative_exists_and_agrees_with_finite_differences_of_the_second(record):
    for fixed in constants(record):
        moving = [i for i in range(record.arity) if i not in record.constants]
        for i in moving:
            second = differentiated(expression(record, fixed), (i, i))
            third = differentiated(second, (i,)) if second is not None else None
            for point in points(record, (-1.3, -0.6, 0.25, 0.9, 2.3), limit=8):
                point = tuple(fixed.get(k, p) for k, p in enumerate(point))
                if record.kink and on_kink(point):
                    continue
                low, high = (
                    value_at(second, tuple(p + s * 1e-5 * (k == i) for k, p in enumerate(point))) for s in (-1, 1)
                )
                slope = (high - low) / 2e-5
                assert value_at(third, point) == pytest.approx(slope, rel=1e-5, abs=1e-5 * max(1.0, abs(low))), point


@RECORDS
def test_float32_and_scalars_keep_their_type_and_nothing_warns(record):
    for fixed in constants(record):
        for depth in (0, 1, 2):
            for by in orders(record, depth):
                expr = differentiated(expression(record, fixed), by)
                if expr is None or isinstance(expr, Const):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    for dtype in (np.float32, np.float64):
                        line = np.array([0.3, 0.7, np.inf, -np.inf, np.nan, 0.0, 2.0], dtype=dtype)
                        assert evaluate(expr, *[line] * record.arity).dtype == dtype
                        assert isinstance(evaluate(expr, *[dtype(0.4)] * record.arity), dtype)


@RECORDS
def test_float32_values_are_float32_accurate(record):
    for fixed in constants(record):
        expr = expression(record, fixed)
        for point in points(record, ORDINARY, limit=20):
            single = tuple(float(np.float32(fixed.get(k, p))) for k, p in enumerate(point))
            wanted = true_value(record.name, fixed, (), single)
            if wanted is None or math.isnan(wanted):
                continue
            got = float(evaluate(expr, *map(np.float32, single)))
            assert abs(got - wanted) <= 12 * np.finfo(np.float32).eps * abs(wanted), single


@pytest.mark.parametrize(
    ("name", "low", "high", "units"),
    [
        ("erf", -6.0, 6.0, 4),
        ("normal_cdf", -37.0, 9.0, 8),
        ("gelu", -37.0, 9.0, 8),
        ("softplus", -700.0, 40.0, 2),
        ("sigmoid", -700.0, 40.0, 3),
    ],
)
def test_units_in_the_last_place_on_a_dense_line(name, low, high, units):
    line = np.concatenate([np.linspace(low, high, 250), np.linspace(-0.75, 0.75, 100)])
    wanted = np.array([true_value(name, {}, (), (x,)) for x in line])
    got = evaluate(apply(name, Arg(0)), line)
    assert np.max(np.abs(got - wanted) / np.spacing(np.abs(wanted))) <= units


UNORDERED = {"lt", "le", "gt", "ge", "eq", "and", "or", "not"}


@RECORDS
def test_nan_passes_through(record):
    """A condition on NaN is 0 (`not (r <= tol)` is then true); a choice passes on what it chooses."""
    moving = [i for i in range(record.arity) if i not in record.constants]
    for fixed in constants(record):
        for i in moving:
            point = tuple(math.nan if k == i else fixed.get(k, 0.5) for k in range(record.arity))
            got = value_at(expression(record, fixed), point)
            if (
                record.name in UNORDERED
                or (record.name == "select" and i != 1)
                or (record.name == "heaviside" and i == 1)
            ):
                assert not math.isnan(got)
            else:
                assert math.isnan(got), point


INF = math.inf
NAN = math.nan
# value, first and second derivative at +inf and at -inf, where the natural domain reaches them; NaN: there is no limit
LIMITS = {
    "neg": ((-INF, -1, 0), (INF, -1, 0)),
    "abs": ((INF, 1, 0), (INF, -1, 0)),
    "sign": ((1, 0, 0), (-1, 0, 0)),
    "floor": ((INF, 0, 0), (-INF, 0, 0)),
    "not": ((0, 0, 0), (0, 0, 0)),
    "exp": ((INF, INF, INF), (0, 0, 0)),
    "expm1": ((INF, INF, INF), (-1, 0, 0)),
    "log": ((INF, 0, 0),),
    "log1p": ((INF, 0, 0),),
    "sqrt": ((INF, 0, 0),),
    "norm_root": ((INF, 0, 0),),
    "entropy": ((-INF, -INF, 0),),
    "sinh": ((INF, INF, INF), (-INF, INF, -INF)),
    "cosh": ((INF, INF, INF), (INF, -INF, INF)),
    "tanh": ((1, 0, 0), (-1, 0, 0)),
    "logistic": ((0, 0, 0), (0, 0, 0)),
    "sin": ((NAN, NAN, NAN), (NAN, NAN, NAN)),
    "cos": ((NAN, NAN, NAN), (NAN, NAN, NAN)),
    "tan": ((NAN, NAN, NAN), (NAN, NAN, NAN)),
    "asin": (),
    "acos": (),
    "one_minus_square": ((-INF, -INF, -2), (-INF, INF, -2)),
    "atan": ((math.pi / 2, 0, 0), (-math.pi / 2, 0, 0)),
    "relu": ((INF, 1, 0), (0, 0, 0)),
    "softplus": ((INF, 1, 0), (0, 0, 0)),
    "sigmoid": ((1, 0, 0), (0, 0, 0)),
    "silu": ((INF, 1, 0), (0, 0, 0)),
    "gelu": ((INF, 1, 0), (0, 0, 0)),
    "elu": ((INF, 1, 0), (-1, 0, 0)),
    "erf": ((1, 0, 0), (-1, 0, 0)),
    "normal_cdf": ((1, 0, 0), (0, 0, 0)),
    "bell": ((0, 0, 0), (0, 0, 0)),
}


@pytest.mark.parametrize(
    "record", [r for r in SCALAR.values() if r.arity - len(r.constants) == 1], ids=lambda r: r.name
)
def test_limits_at_infinity(record):
    for fixed in constants(record):
        for end, limits in zip((INF, -INF), LIMITS[record.name], strict=False):
            for depth, limit in enumerate(limits):
                point = tuple(fixed.get(k, end) for k in range(record.arity))
                got = value_at(differentiated(expression(record, fixed), (0,) * depth), point)
                assert got == limit or (math.isnan(got) and math.isnan(limit)), (record.name, end, depth, got)


@pytest.mark.parametrize(
    ("name", "point", "value", "slopes"),
    [
        ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
        ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
        ("pow", (0.0, 0.0), 1.0, (0.0, 0.0)),
        ("pow", (INF, -1.0), 0.0, (0.0, 0.0)),
        ("pow", (2.0, 0.0), 1.0, (0.0, math.log(2.0))),
        ("pow", (0.0, -1.0), INF, (-INF, -INF)),
        ("atan2", (1.0, INF), 0.0, (0.0, 0.0)),
        ("atan2", (1e300, 1e300), math.pi / 4, (5e-301, -5e-301)),
        ("scaled", (0.0, INF), 0.0, (INF, 0.0)),
        ("scaled", (0.0, NAN), 0.0, (NAN, 0.0)),
        ("maximum", (-INF, INF), INF, (0.0, 1.0)),
        ("minimum", (-INF, INF), -INF, (1.0, 0.0)),
    ],
)
def test_two_arguments_at_the_ends(name, point, value, slopes):
    expr = apply(name, Arg(0), Arg(1))
    found = (value_at(expr, point), *(value_at(derivative(expr, i), point) for i in (0, 1)))
    np.testing.assert_allclose(found, (value, *slopes), rtol=1e-15)


@pytest.mark.parametrize("exponent", [-3, -2, -1, 0, 1, 2, 3, 4, 5])
def test_whole_powers_hold_for_negative_bases_and_at_zero(exponent):
    expr = apply("pow", Arg(0), Const(float(exponent)))
    for depth in (0, 1, 2, 3):
        found = differentiated(expr, (0,) * depth)
        factor = math.prod(exponent - k for k in range(depth))
        for x in (-2.5, -1e-3, 0.7, 3.0):
            assert value_at(found, (x,)) == pytest.approx(factor * x ** (exponent - depth), rel=1e-14), (depth, x)
        if exponent >= 0:
            at_zero = factor if exponent == depth else 0.0
            assert value_at(found, (0.0,)) == at_zero


def test_mixed_derivative_of_a_power_is_right_at_exponent_zero():
    expr = apply("pow", Arg(0), Arg(1))
    with mpmath.workdps(30):
        assert value_at(differentiated(expr, (0, 1)), (2.0, 0.0)) == pytest.approx(float(mpmath.mpf(1) / 2), rel=1e-15)
    assert value_at(differentiated(expr, (1, 0)), (2.0, 0.0)) == pytest.approx(0.5, rel=1e-15)
