"""Operators and words on lanes against NumPy, at several widths, with NaN, infinities and signed zeros among the values."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes.word_functions import words_of_calls
from implicitdsl.solvers.vocabulary import (
    add_products,
    all_,
    all_finite,
    and_,
    any_,
    axpy,
    binade,
    buffer,
    copy,
    copy_sign,
    copy_where,
    dot,
    epsilon,
    fill,
    fma,
    gather,
    is_finite,
    not_,
    or_,
    power,
    scale,
    scatter_add,
    select,
    subtract_products,
    vabs,
    vexp2,
    view,
    vlog2,
    vmax,
    vmin,
    vsqrt,
)
from tests.lanes.probes import Type, aligned, compile_probes

CASES = [("float64", 1), ("float64", 8), ("float32", 16), ("float64", 2)]
N = 6


PROBES: dict[str, Callable[..., int]] = {}
"""The functions below by their names: what is compiled is all of them for all types, as one object."""


def probe(function: Callable[..., int]) -> Callable[..., int]:
    """The function, which is compiled with the others."""
    assert function.__name__ not in PROBES
    PROBES[function.__name__] = function
    return function


@cache
def compiled(sizes: tuple[int, ...]) -> dict[tuple[str, Type], Any]:
    """All functions; words are written out for the sizes."""
    return compile_probes(PROBES, CASES, sizes=sizes)


def run(function: Any, dtype: str, width: int, *arrays: np.ndarray, outputs: int) -> list[np.ndarray]:
    """Calls function(n, *arrays, *outputs) on arrays (N, width); each output is (N, width). Words that are written out
    for N give what their loops give."""
    found: list[list[np.ndarray]] = []
    for sizes in ((), (N,)):
        made = compiled(sizes)[function.__name__, (dtype, width)]
        places = [aligned(a.astype(dtype)) for a in arrays]
        places += [aligned(np.zeros((N, width), dtype)) for _ in range(outputs)]
        made(N, *[p.ctypes.data for p in places])
        found.append(places[len(arrays) :])
    for looped, written_out in zip(*found, strict=True):
        assert looped.tobytes() == written_out.tobytes()
    return found[0]


def values(dtype: str, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((N, width))
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0]
    found[rng.random(found.shape) < 0.4] = 0.0
    return np.where(found == 0.0, rng.choice(special, found.shape), found).astype(dtype)


@probe
def elementwise(n, a, b, o0, o1, o2, o3, o4, o5, o6, o7):
    for i in range(n):
        o0[i] = vmin(a[i], b[i]) + 0.5
        o1[i] = vmax(a[i], 1) - b[i]
        o2[i] = vabs(a[i]) / b[i]
        o3[i] = vsqrt(2 * a[i])
        o4[i] = copy_sign(a[i], b[i])
        o5[i] = select(and_(is_finite(a[i]), not_(a[i] < b[i])), -a[i], 3.0)
        o6[i] = select(or_(a[i] != b[i], a[i] >= 1.0), 1.0, 2)
        o7[i] = select(or_(a[i] == b[i], and_(a[i] <= 0.0, a[i] > b[i])), b[i], 7.0)
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_elementwise_words_are_numpys(dtype: str, width: int) -> None:
    a, b = values(dtype, width, 0), values(dtype, width, 1)
    found = run(elementwise, dtype, width, a, b, outputs=8)
    with np.errstate(all="ignore"):
        expected = [
            np.where(a < b, a, b) + 0.5,
            np.where(a > 1, a, 1) - b,
            np.abs(a) / b,
            np.sqrt(2 * a),
            np.copysign(a, b),
            np.where(np.isfinite(a) & ~(a < b), -a, 3.0),
            np.where((a != b) | (a >= 1.0), 1.0, 2),
            np.where((a == b) | ((a <= 0.0) & (a > b)), b, 7.0),
        ]
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(f, e.astype(dtype))


@probe
def products(n, a, b, o, p):
    # Rows of 2 and 3 elements out of the 6: tiles of several shapes, remainders among them, and no terms at all.
    copy(6, b, 0, o, 0)
    add_products(3, 2, 2, a, 0, 2, a, 1, 2, o, 0, 2)
    copy(6, b, 0, p, 0)
    subtract_products(1, 5, 1, a, 2, 1, a, 0, 1, p, 1, 5)
    subtract_products(2, 2, 0, a, 0, 1, a, 0, 1, p, 0, 2)
    p[0] = binade(vabs(a[0]))
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_products_of_rows(dtype: str, width: int) -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((N, width)).astype(dtype), rng.standard_normal((N, width)).astype(dtype)
    o, p = run(products, dtype, width, a, b, outputs=2)
    wide = a.astype("f8")
    expected = b + np.stack(
        [(wide[2 * i : 2 * i + 2] * wide[1 + 2 * j : 3 + 2 * j]).sum(0) for i in range(3) for j in range(2)]
    )
    np.testing.assert_allclose(
        o, expected, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6 if dtype == "float32" else 1e-14
    )
    np.testing.assert_allclose(p[1:], b[1:] - wide[2] * wide[:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(p[0], 2.0 ** np.floor(np.log2(np.abs(wide[0]))))


@probe
def products_7_9_4(size, a, b, o):
    add_products(7, 9, 4, a, 0, 4, b, 0, 4, o, 0, 9)
    subtract_products(7, 9, 4, b, 0, 4, a, 0, 4, o, 0, 9)
    return size


@probe
def products_13_1_6(size, a, b, o):
    add_products(13, 1, 6, a, 0, 6, b, 0, 6, o, 0, 1)
    subtract_products(13, 1, 6, b, 0, 6, a, 0, 6, o, 0, 1)
    return size


@probe
def products_5_3_0(size, a, b, o):
    add_products(5, 3, 0, a, 0, 0, b, 0, 0, o, 0, 3)
    subtract_products(5, 3, 0, b, 0, 0, a, 0, 0, o, 0, 3)
    return size


@pytest.mark.parametrize(
    ("function", "rows"), [(products_7_9_4, 7 * 9), (products_13_1_6, 13), (products_5_3_0, 5 * 3)]
)
def test_products_are_the_same_bits_at_every_width(function: Any, rows: int) -> None:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((2, 13 * 9, 8))
    found: dict[int, np.ndarray] = {}
    for width in (1, 2, 8):
        made = compiled(())[function.__name__, ("float64", width)]
        places = [aligned(np.ascontiguousarray(x[:, :width])) for x in (a, b, np.zeros((rows, 8)))]
        made(0, *[x.ctypes.data for x in places])
        found[width] = places[2]
    np.testing.assert_array_equal(found[1][:, 0], found[8][:, 0])
    np.testing.assert_array_equal(found[2], found[8][:, :2])


@probe
def over_places(n, a, b, o0, o1, o2, o3):
    fill(n, a[1], o0, 1)
    copy(n, b, 0, o1, 1)
    axpy(n, a[0], b, 0, o1, 1)
    copy_where(a[0] > 0.0, n, a, 0, o2, 1)
    copy_where(a[0] <= 0.0, n, b, 0, o2, 1)
    copy(n, b, 0, o3, 1)
    scale(n, a[1], o3, 1)
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
@pytest.mark.parametrize("n", [2, 7, 8, 9, 24, 29])
def test_words_see_to_all_places_and_no_other(dtype: str, width: int, n: int) -> None:
    # From the place 1 on, so that nothing is aligned to more than an element.
    a, b = np.random.default_rng(n).standard_normal((2, n, width)).astype(dtype)
    places = [aligned(x) for x in (a, b, *np.full((4, n + 2, width), 7.0, dtype))]
    compiled(())[over_places.__name__, (dtype, width)](n, *[x.ctypes.data for x in places])
    expected = [np.broadcast_to(a[1], (n, width)), a[0] * b + b, np.where(a[0] > 0.0, a, b), a[1] * b]
    for found, inner in zip(places[2:], expected, strict=True):
        eps = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(found[1:-1], inner, rtol=eps, atol=eps)
        np.testing.assert_array_equal(found[[0, -1]], 7.0)


@probe
def reductions(n, a, b, o):
    o[0] = dot(n, a, 0, b, 0)
    o[1] = select(all_finite(n, a, 0), 1.0, 0.0)
    o[2] = epsilon(a)
    if any_(a[0] > 0.0):
        o[3] = 1.0
    if all_(a[0] > 0.0):
        o[4] = 1
    o[5] = fma(a[0], b[0], 0.25)
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_sums_and_truths_are_numpys(dtype: str, width: int) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((N, width)).astype(dtype), rng.standard_normal((N, width)).astype(dtype)
    a[0] = np.abs(a[0])
    a[0, 0] = -abs(a[0, 0])
    a[2, -1] = np.inf
    (o,) = run(reductions, dtype, width, a, b, outputs=1)
    tolerance = 20 * np.finfo(dtype).eps
    finite = np.isfinite(a).all(0)
    np.testing.assert_allclose(o[0][finite], (a.astype("f8") * b).sum(0)[finite], rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(o[1], finite)
    np.testing.assert_array_equal(o[2], np.finfo(dtype).eps)
    np.testing.assert_array_equal(o[3], float((a[0] > 0).any()))
    np.testing.assert_array_equal(o[4], float((a[0] > 0).all()))
    np.testing.assert_allclose(o[5], a[0] * b[0] + 0.25, rtol=tolerance, atol=tolerance)


@probe
def arrays(n, a, b, copied, chosen, summed, scaled, filled):
    copy(n - 1, a, 1, copied, 0)
    copy_where(b[0] > 0.0, n, a, 0, chosen, 0)
    work = buffer(a, n)
    axpy(n, 2.0, a, 0, work, 0)
    axpy(n - 2, b[0], a, 0, view(work, 2, n - 2), 0)
    copy(n, work, 0, summed, 0)
    copy(n, a, 0, scaled, 0)
    scale(n, b[1], scaled, 0)
    fill(2, 1.5, filled, 3)
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_array_words_are_numpys(dtype: str, width: int) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((N, width)).astype(dtype), rng.standard_normal((N, width)).astype(dtype)
    copied, chosen, summed, scaled, filled = run(arrays, dtype, width, a, b, outputs=5)
    np.testing.assert_array_equal(copied[: N - 1], a[1:])
    np.testing.assert_array_equal(copied[N - 1], 0.0)
    np.testing.assert_array_equal(chosen, np.where(b[0] > 0, a, 0.0))
    expected = 2 * a
    expected[2:] += b[0] * a[:-2]
    np.testing.assert_allclose(summed, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(scaled, a * b[1])
    np.testing.assert_array_equal(filled[:, 0], [0, 0, 0, 1.5, 1.5, 0])


@probe
def powers(n, a, b, o):
    for i in range(n):
        o[i] = power(a[i], b[i])
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_powers_for_step_control(dtype: str, width: int) -> None:
    rng = np.random.default_rng(5)
    a = np.exp(8 * rng.standard_normal((N, width))).astype(dtype)
    b = rng.uniform(-1, 1, (N, width)).astype(dtype)
    a[0, 0] = np.nan
    a[1, 0], b[1, 0] = 1.0, 0.3
    (o,) = run(powers, dtype, width, a, b, outputs=1)
    exact = a.astype("f8") ** b.astype("f8")
    np.testing.assert_allclose(o, exact, rtol=2e-10 if dtype == "float64" else 3e-6)
    assert o[1, 0] == 1.0


@probe
def logarithms(n, a, o, back):
    for i in range(n):
        o[i] = vlog2(a[i])
        back[i] = vexp2(o[i])
    return n


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_logarithm_and_exponential_to_base_2(dtype: str, width: int) -> None:
    rng = np.random.default_rng(6)
    a = np.exp(12 * rng.standard_normal((N, width))).astype(dtype)
    a[0, 0], a[1, 0] = 1.0, 2.0**-20
    o, back = run(logarithms, dtype, width, a, outputs=2)
    # A float32 logarithm of 12 times log2(e) or more is itself rounded by 1e-6, and that is a factor.
    wide = dtype == "float64"
    np.testing.assert_allclose(o, np.log2(a.astype("f8")), rtol=0, atol=2e-7 if wide else 3e-6)
    np.testing.assert_allclose(back, np.exp2(o.astype("f8")), rtol=3e-7 if wide else 4e-7)
    assert o[0, 0] == 0.0 and o[1, 0] == -20.0 and back[0, 0] == 1.0 and back[1, 0] == 2.0**-20


@probe
def rows_of_its_own(n, x, rows, mask, found, summed):
    gather(2, rows[0], 2, x, found, 1)
    for i in range(2):
        scatter_add(mask[0] > 0.0, 2, x, 2 * i, rows[i], 2, summed)
    return 0


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_every_lane_reads_and_writes_rows_of_its_own(dtype: str, width: int) -> None:
    generator = np.random.default_rng(5)
    x = generator.normal(size=(N, width)).astype(dtype)
    rows = generator.integers(0, N // 2, size=(N, width)).astype(dtype)
    mask = (generator.random((N, width)) < 0.6).astype(dtype)
    found, summed = run(rows_of_its_own, dtype, width, x, rows, mask, outputs=2)
    for lane in range(width):
        wanted, total = np.zeros(N, dtype), np.zeros(N, dtype)
        gather(2, rows[0, lane], 2, x[:, lane], wanted, 1)
        for i in range(2):
            scatter_add(mask[0, lane] > 0, 2, x[:, lane], 2 * i, rows[i, lane], 2, total)
        assert (found[:, lane] == wanted).all()
        assert (summed[:, lane] == total).all()


def test_words_are_written_out_for_the_sizes_that_calls_name() -> None:
    text = """
  call void @imp_word_fill.v8f64(i64 14, <8 x double> %e, ptr %x, i64 0)
  call void @imp_word_fill.v8f64(i64 2, <8 x double> zeroinitializer, ptr %x, i64 0)
  call void @imp_word_copy.v8f64(i64 %n, ptr %x, i64 0, ptr %y, i64 0)
  call void @imp_word_copy_where.v8f64(<8 x i1> %m, i64 noundef 3, ptr %x, i64 0, ptr %y, i64 0)
  %a = call <8 x i1> @imp_word_all_finite.v8f64(i64 100000, ptr %x, i64 0)
  %b = call <16 x i1> @imp_word_all_finite.v16f32(i64 5, ptr %x, i64 0)
"""
    found = words_of_calls("float64", 8, text)
    cases = dict(re.findall(r"@imp_word_(\w+)\.v8f64.*?switch i64 %n, label %any \[(.*?)\]", found, re.DOTALL))
    assert {word: re.findall(r"i64 (\d+)", sizes) for word, sizes in cases.items()} == {
        "fill": ["2", "14"],
        "copy": [],
        "copy_where": ["3"],
        "all_finite": [],
    }
