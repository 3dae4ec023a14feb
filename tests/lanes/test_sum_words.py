"""Sums of weighted rows against chains of `axpy`, bit for bit, and against NumPy: every way in which they are linked."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl.backends.lanes.element import INT, SCALARS, element, pointer
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.lower import lower
from implicitdsl.backends.lanes.sum_functions import WORDS, sum_functions
from implicitdsl.backends.lanes.word_names import name_of
from implicitdsl.solvers.vocabulary import (
    add_rows,
    add_to_rows,
    axpy,
    buffer,
    copy,
    fill,
    step_along,
    sum_rows,
)
from tests.lanes.probes import aligned

CASES = [("float64", 1), ("float64", 8), ("float32", 16)]
SIZES = (1, 5, 17, 43)
ROWS = 7
GAP = 2
"""Elements between one row and the next."""


def by_words(n, count, first, step, weights, h, x, y, o, rows):
    wide = n + 2
    sum_rows(n, count, weights, first, step, x, 1, wide, o, 1)
    add_rows(n, count, weights, first, step, x, 1 + (7 - 1) * wide, -wide, y, 1)
    step_along(n, count, h[0], weights, first, step, x, 1, wide, y, 1, o, 1 + wide)
    add_to_rows(n, count, h[0], weights, first, step, x, 1, rows, 1, wide)
    return n


def by_axpy(n, count, first, step, weights, h, x, y, o, rows):
    wide = n + 2
    fill(n, 0.0, o, 1)
    for j in range(count):
        if weights[first + j * step] != 0.0:
            axpy(n, weights[first + j * step], x, 1 + j * wide, o, 1)
            axpy(n, weights[first + j * step], x, 1 + (7 - 1 - j) * wide, y, 1)
            axpy(n, h[0] * weights[first + j * step], x, 1, rows, 1 + j * wide)
    total = buffer(o, n)
    copy(n, o, 1, total, 0)
    copy(n, y, 1, o, 1 + wide)
    axpy(n, h[0], total, 0, o, 1 + wide)
    return n


WAYS = ("inlined", "called")
"""With all terms written out where calls name size and rows, pieces of a known length for other small sizes, and loops
for the rest; or as functions, which have loops alone."""
NAMED, SMALL = ((1, 2), (1, 6), (5, 2), (5, 6)), (5, 17)
"""Sizes and rows that calls name, and small sizes."""


@cache
def compiled(way: str) -> dict[tuple[Any, str, int], Any]:
    """The functions by words of one way, and by `axpy`, for each type, from one object."""
    texts, entries = list[str | bytes](), dict[tuple[Any, str, int], str]()
    for dtype, width in CASES:
        kinds = (INT, INT, INT, INT, pointer(SCALARS[dtype]), *[pointer(element(dtype, width))] * 5)
        for function in (by_words, by_axpy):
            symbol = entries[function, dtype, width] = f"{function.__name__}_{dtype}_{width}"
            texts.append(lower(function, kinds, INT, symbol))
        names = [name_of(word, dtype, width) for word in WORDS]
        calls = "\n".join(f"call void @{name}(i64 {n}, i64 {rows}, " for name in names for n, rows in NAMED)
        given = {"are_called": True} if way == "called" else {"sizes": SMALL, "calls": calls}
        texts.append(sum_functions(dtype, width, names, **given))
    loaded = Loaded(make_object(texts, list(entries.values())))
    signature = (ctypes.c_int64, *[ctypes.c_int64] * 4, *[ctypes.c_void_p] * 6)
    return {case: loaded.function(symbol, *signature) for case, symbol in entries.items()}


def data(dtype: str, width: int, n: int) -> tuple[np.ndarray, ...]:
    """Weights, 0 among them, h, and rows, the same lanes first at every width."""
    rng = np.random.default_rng(n)
    weights = rng.standard_normal(3 * ROWS)
    weights[[1, 4, 9, 12]] = 0.0, -0.0, 0.0, 0.0
    h = rng.standard_normal((1, 16))
    x, y, rows = (rng.standard_normal((count * (n + GAP) + 1, 16)) for count in (ROWS, 1, ROWS))
    return weights.astype(dtype), *(a[:, :width].astype(dtype) for a in (h, x, y, rows))


def run(
    dtype: str, width: int, way: str, n: int, count: int, first: int, step: int, *, by: Any = by_words
) -> tuple[np.ndarray, ...]:
    """y, o and rows after all words, or after what stands for them."""
    weights, h, x, y, rows = data(dtype, width, n)
    o = np.full((2 * (n + GAP) + 1, width), 3.0, dtype)
    places = [aligned(a) for a in (weights, h, x, y, o, rows)]
    compiled(way)[by, dtype, width](n, count, first, step, *[p.ctypes.data for p in places])
    return tuple(places[3:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_sums_have_the_bits_of_chains_of_axpy(dtype: str, width: int, way: str) -> None:
    for n in SIZES:
        for count in (0, 1, 2, 6, ROWS):
            for first, step in ((0, 1), (6, -1), (1, 3)):
                if first + (count - 1) * step >= 3 * ROWS:
                    continue
                found = run(dtype, width, way, n, count, first, step)
                for a, b in zip(found, run(dtype, width, way, n, count, first, step, by=by_axpy), strict=True):
                    assert a.tobytes() == b.tobytes(), (n, count, first, step)


@pytest.mark.parametrize(("dtype", "width"), CASES)
def test_sums_are_numpys(dtype: str, width: int) -> None:
    n, count = 17, 6
    weights, h, x, y, rows = (a.astype("f8") for a in data(dtype, width, n))
    wide = n + GAP
    of = [x[1 + j * wide : 1 + j * wide + n] for j in range(ROWS)]
    found_y, found_o, found_rows = run(dtype, width, "inlined", n, count, 2, 1)
    used = weights[2 : 2 + count]
    total = sum(w * row for w, row in zip(used, of, strict=False))
    added = y[1 : 1 + n] + sum(w * row for w, row in zip(used, of[::-1], strict=False))
    near = {"rtol": 40 * np.finfo(dtype).eps, "atol": 40 * np.finfo(dtype).eps}
    np.testing.assert_allclose(found_o[1 : 1 + n], total, **near)
    np.testing.assert_allclose(found_y[1 : 1 + n], added, **near)
    np.testing.assert_allclose(found_o[1 + wide : 1 + wide + n], h * total + added, **near)
    for j, w in enumerate(used):
        at = slice(1 + j * wide, 1 + j * wide + n)
        np.testing.assert_allclose(found_rows[at], rows[at] + h * w * of[0], **near)
    np.testing.assert_array_equal(found_o[[0, 1 + n, -1]], 3.0)


@pytest.mark.parametrize("way", WAYS)
def test_rows_of_weight_0_leave_no_trace(way: str) -> None:
    n, width = 9, 8
    weights, h, x, y, rows = data("float64", width, n)
    x[1 + (n + GAP) : 1 + 2 * (n + GAP)] = np.nan
    places = [aligned(a) for a in (weights, h, x, y, np.zeros((2 * (n + GAP) + 1, width)), rows)]
    compiled(way)[by_words, "float64", width](n, 2, 0, 1, *[p.ctypes.data for p in places])
    assert np.isfinite(places[4]).all()


def test_bits_are_those_of_every_width() -> None:
    for n in (5, 17):
        one, eight = (run("float64", width, "inlined", n, 6, 0, 1) for width in (1, 8))
        for a, b in zip(one, eight, strict=True):
            assert (a[:, 0] == b[:, 0]).all()


def test_words_that_nobody_calls_are_not_written() -> None:
    assert sum_functions("float64", 8, ["imp_word_axpy.v8f64", "imp_word_sum_rows.v16f32"]) == ""
