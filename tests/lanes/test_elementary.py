"""Every elementwise function on lanes: against NumPy's text and mpmath, at every width with the same bits."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from implicitdsl.backends.lanes import elementary
from implicitdsl.backends.lanes.emit import emit_functions
from implicitdsl.functions.expression import Arg, Const, apply
from implicitdsl.functions.scalar import SCALAR, evaluate
from implicitdsl.ir import build as b
from implicitdsl.ir.elementwise import mapped
from implicitdsl.problems.derived import Derived, group
from tests.functions.function_samples import EXTREME, ORDINARY, constants, expression, true_value
from tests.lanes.jit import Compiled

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-320)
X, Y, Z = (b.leaf("input", name, ()) for name in "xyz")


@functools.cache
def cases():
    """One function a record and choice of its constants."""
    found = []
    for name, record in SCALAR.items():
        for k, fixed in enumerate(constants(record)):
            found.append((f"{name}_{k}", record, fixed, expression(record, fixed)))
    for k, p in enumerate(
        (2.0, 3.0, 4.0, -1.0, -2.0, -3.0, 0.5, 2.5, -4.0, 7.0, 10.0, 15.0, 31.0, -6.0, -12.0, -32.0, 33.0)
    ):
        found.append((f"pow_fixed_{k}", SCALAR["pow"], {1: p}, apply("pow", Arg(0), Const(p))))
    return found


@functools.cache
def compiled(dtype, width):
    functions = [
        Derived(name, (group("p", (X, Y, Z)),), (group("out", (mapped(expr, (X, Y, Z)),)),))
        for name, _, _, expr in cases()
    ]
    return Compiled(functions, dtype, width)


@functools.cache
def samples(dtype):
    """Points in which every argument meets ordinary, extreme and special values; a whole number of blocks."""
    pool = np.array([*ORDINARY, *EXTREME, *SPECIAL])
    if dtype == "float32":
        pool = np.clip(pool, -1e38, 1e38, where=np.isfinite(pool), out=pool.copy())
    rng = np.random.default_rng(0)
    grid = np.stack([np.resize(pool, 512), *(pool[rng.integers(len(pool), size=512)] for _ in range(2))], axis=1)
    return grid.astype(dtype)


def test_every_record_of_the_table_has_one_on_lanes():
    assert set(elementary.RECORDS) == set(SCALAR)


def test_a_function_without_a_record_is_refused_by_name(monkeypatch):
    monkeypatch.delitem(elementary.RECORDS, "tanh")
    function = Derived("f", (group("p", (X,)),), (group("out", (b.apply("tanh", X),)),))
    with pytest.raises(
        elementary.NotEmittedError, match=r'`tanh` is not executable on lanes yet, use backend="python"'
    ):
        Compiled([function])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_are_those_of_the_table(dtype):
    points = samples(dtype)
    run = compiled(dtype, 8)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    wrong = []
    for name, _, _, expr in cases():
        got = run(name, [points])[0][:, 0]
        want = np.broadcast_to(np.asarray(evaluate(expr, *points.T), dtype), got.shape)
        with np.errstate(all="ignore"):
            fits = np.abs(got - want) <= 16 * eps * np.abs(want) + 8 * tiny
        fits |= (got == want) | (np.isnan(got) & np.isnan(want))
        wrong += [(name, p, g, w) for p, g, w in zip(points[~fits], got[~fits], want[~fits], strict=True)]
    assert not wrong, (len(wrong), wrong[:10])


def test_values_are_those_of_mpmath():
    """Where the table's formula has a real value; NumPy plays no part."""
    rng = np.random.default_rng(1)
    run = compiled("float64", 8)
    for name, record, fixed, _ in cases():
        low, high = np.array([np.clip(d, -6.0, 6.0) for d in record.domain]).T
        points = np.zeros((8, 3))
        points[:, : len(low)] = rng.uniform(low, high, size=(8, len(low)))
        for k, v in fixed.items():
            points[:, k] = v
        got = run(name, [points])[0][:, 0]
        for point, value in zip(points, got, strict=True):
            truth = true_value(record.name, fixed, (), tuple(point[: record.arity]))
            if truth is not None:
                assert value == pytest.approx(truth, rel=4e-15, abs=1e-300, nan_ok=True), (name, point)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_are_the_same_at_every_width(dtype):
    points = samples(dtype)
    for name, _, _, _ in cases():
        wide = compiled(dtype, 8)(name, [points])[0]
        for width in (1, 4) if dtype == "float64" else (1, 16):
            other = compiled(dtype, width)(name, [points])[0]
            assert_same_numbers(wide, other, (name, width))


def assert_same_numbers(a, c, what):
    """The same bits, NaNs apart, whose payload says nothing."""
    kind = np.int64 if a.dtype == np.float64 else np.int32
    same = (a.view(kind) == c.view(kind)) | (np.isnan(a) & np.isnan(c))
    assert same.all(), what


def test_without_the_vector_library_the_c_library_serves(monkeypatch):
    points = samples("float64")
    monkeypatch.setattr(elementary, "sleef_library", lambda: False)
    chosen = [c for c in cases() if c[0].split("_")[0] in ("exp", "tanh", "atan2", "pow", "softplus")]
    functions = [
        Derived(name, (group("p", (X, Y, Z)),), (group("out", (mapped(expr, (X, Y, Z)),)),))
        for name, _, _, expr in chosen
    ]
    run = Compiled(functions, "float64", 4)
    one = Compiled(functions, "float64", 1)
    for name, _, _, expr in chosen:
        got = run(name, [points])[0][:, 0]
        want = evaluate(expr, *points.T)
        np.testing.assert_allclose(got, want, rtol=4e-15, atol=1e-300, err_msg=name)
        assert_same_numbers(got, one(name, [points])[0][:, 0], name)


def test_no_operation_carries_a_fast_math_flag():
    function = Derived("f", (group("p", (X, Y)),), (group("out", (b.apply("tanh", b.add(b.mul(X, Y), Y)),)),))
    text = emit_functions([function], "float64", 8)
    assert "fmul" in text
    assert not any(
        flag in text for flag in (" fast ", " contract ", " reassoc ", " nnan ", " ninf ", " arcp ", " afn ")
    )


def test_whole_powers_are_nearly_correctly_rounded():
    """Against rational arithmetic, within 0.51 units in the last place of 1 and more."""
    exponents = (5.0, 7.0, 10.0, 31.0, -4.0, -6.0, -12.0, -32.0)
    functions = [
        Derived(f"power_{k}", (group("p", (X, Y, Z)),), (group("out", (mapped(expr, (X, Y, Z)),)),))
        for k, expr in enumerate(apply("pow", Arg(0), Const(p)) for p in exponents)
    ]
    run = Compiled(functions, "float64", 8)
    rng = np.random.default_rng(2)
    points = np.zeros((256, 3))
    points[:, 0] = np.exp(rng.uniform(-3, 3, 256)) * np.where(rng.uniform(size=256) < 0.3, -1.0, 1.0)
    for k, p in enumerate(exponents):
        got = run(f"power_{k}", [points])[0][:, 0]
        for x, value in zip(points[:, 0], got, strict=True):
            exact = Fraction(float(x)) ** round(p)
            assert abs(Fraction(float(value)) - exact) <= Fraction(51, 100) * Fraction(math.ulp(float(exact))), (x, p)


def test_powers_by_the_square_root_are_near_and_end_as_pow_does():
    """Within 2 units in the last place of 1 and more; zeros, infinities and negative numbers as NumPy has them."""
    exponents = (1.5, 2.5, -0.5, -1.5)
    functions = [
        Derived(f"half_{k}", (group("p", (X, Y, Z)),), (group("out", (mapped(expr, (X, Y, Z)),)),))
        for k, expr in enumerate(apply("pow", Arg(0), Const(p)) for p in exponents)
    ]
    run = Compiled(functions, "float64", 8)
    points = np.zeros((256, 3))
    points[:, 0] = np.exp(np.random.default_rng(3).uniform(-400, 400, 256) / 2.6)
    ends = [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 1e-320, 1e300]
    points[: len(ends), 0] = ends
    for k, p in enumerate(exponents):
        got = run(f"half_{k}", [points])[0][:, 0]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(got[:6], np.power(points[:6, 0], p))
            np.testing.assert_allclose(got[6:8], np.power(points[6:8, 0], p), rtol=1e-15)
        for x, value in zip(points[8:, 0], got[8:], strict=True):
            exact = mpmath.power(mpmath.mpf(float(x)), p)
            assert abs(mpmath.mpf(float(value)) - exact) <= 2 * math.ulp(float(exact)), (x, p)
