"""What becomes of NumPy arrays in solvers of one sample: the bits that NumPy itself gives, and a sentence for what is outside."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest

from implicitdsl.backends.lanes.arrays import vector
from implicitdsl.backends.lanes.element import INT, SCALARS
from implicitdsl.backends.lanes.inference import LoweringError
from implicitdsl.backends.lanes.link import make_alone, optimised_alone
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.lower_arrays import lower_with_arrays
from implicitdsl.backends.lanes.memory import MEMORY, MISFIT, NO_MEMORY
from implicitdsl.solvers.linear_algebra import inverse_norm, lu_factor, lu_solve, lu_solve_transposed
from implicitdsl.solvers.rank_revealing import orthogonal_factor, orthogonal_solve
from implicitdsl.solvers.vocabulary import buffer, dot, epsilon

DTYPES = ("float64", "float32")


Probe = tuple[Callable[..., Any], str, str]
"""A function, what it takes (n a whole number, a an array of floats, i one of whole numbers), and a dtype."""


@cache
def everything() -> dict[Probe, Any]:
    """The entries of all probes, which are compiled as one object."""
    kinds = {dtype: {"n": INT, "a": vector(SCALARS[dtype]), "i": vector(INT)} for dtype in DTYPES}
    probes = [(function, letters, dtype) for function, letters, dtypes in PROBES for dtype in dtypes]
    names = {probe: f"{probe[0].__name__}_{probe[2]}" for probe in probes}
    texts = [lower_with_arrays(f, tuple(kinds[d][letter] for letter in ls), name) for (f, ls, d), name in names.items()]
    entries = list(names.values())
    code = Loaded(make_alone(optimised_alone([*texts, MEMORY], entries), entries))
    array = [ctypes.c_void_p, ctypes.c_int64]
    passed = {"n": [ctypes.c_int64], "a": array, "i": array}
    return {
        probe: code.function(name, ctypes.c_int64, *(kind for letter in probe[1] for kind in passed[letter]))
        for probe, name in names.items()
    }


def compiled(function: Callable[..., Any], letters: str, dtype: str) -> Callable[..., int]:
    entry = everything()[function, letters, dtype]

    def run(*arguments: Any) -> int:
        given: list[Any] = []
        for argument in arguments:
            given += [argument] if isinstance(argument, int) else [argument.ctypes.data, argument.size]
        return entry(*given)

    return run


def check(function: Callable[..., Any], letters: str, *arguments: Any, dtype: str = "float64") -> int:
    """The same result, and the same bits in all arrays."""
    fast = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    slow = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    found = compiled(function, letters, dtype)(*fast)
    with np.errstate(all="ignore"):
        assert found == function(*slow)
    for x, y in zip(fast, slow, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y)
            numbers = ~np.isnan(y)
            assert np.array_equal(np.signbit(x[numbers]), np.signbit(y[numbers]))
    return found


def values(count: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).astype(dtype)


# ---------------------------------------------------------------- what solvers write


def sliced(n, x, y):
    """Slices of vectors on both sides, and places in them."""
    x[:n] = y[1 : 1 + n] - 2.0 * x[:n]
    x[n:] = 3.0
    middle = x[2:n]
    middle += y[: n - 2]
    middle[0] -= 0.5
    y[:] = -x
    at = n // 2
    y[at], y[0] = y[0], y[at]
    y[at : at + 3] /= 7.0
    return at


def squared(n, a, out):
    """Rows, columns and blocks of a matrix."""
    square = a[: n * n].reshape((n, n))
    row = square[1].copy()
    square[1] = square[2]
    square[2] = row
    column = square[:, 0].copy()
    square[:, 0] = square[:, 1]
    square[:, 1] = column
    for k in range(n - 1):
        square[k + 1 :, k] /= square[k, k] + square[k + 1, k]
        square[k + 1 :, k + 1 :] -= np.outer(square[k + 1 :, k], square[k, k + 1 :])
        square[k, k] = square[k, k] * square[0, 0]
    tail = square[1:, 0]
    tail *= out[: n - 1]
    for j in range(n):
        out[:n] += out[j] * square[:, j]
    whole = square[1:, 1:]
    whole += np.outer(out[1:], out[1:])
    return 0


def made(n, x, chosen):
    """Arrays that functions make, keep, and give."""
    total = 0
    for _ in range(3):
        weights = np.abs(x[:n]) * 2.0
        ones = np.ones(n, np.int64)
        ones[0] = total
        chosen[:n] += doubled(n, ones)
        x[:n] = shifted(n, weights - x)
        total += chosen[0]
    return total


def doubled(n, x):
    found = np.zeros(n, np.int64)
    for i in range(n):
        found[i] = 2 * x[i]
    return found


def shifted(n, x):
    start = x[0]
    return x[:n] - start


def reduced(n, x, out):
    """Reductions, of few elements: NumPy adds many of them in pairs."""
    out[0] = np.sum(x[:n])
    out[1] = np.max(np.abs(x[:n]))
    out[2] = np.sum(x[:n] * x[:n]) - np.max(x)
    out[3] = 1.0 if np.all(np.isfinite(x[:n])) else 0.0
    out[4] = 1.0 if np.any(np.isnan(x)) else 0.0
    out[5] = dot(n, x, 0, x, 0) if n == 1 else 0.0
    return 1 if np.any(np.isnan(x[:n])) else 0


def computed(n, x, out):
    """NumPy's functions of numbers and of arrays, and Python's."""
    out[:n] = np.maximum(np.sign(x[:n]) - 0.5, np.minimum(x[:n], 0.25)) / (1.0 + np.abs(x[:n]))
    eps = epsilon(x)
    at = n
    for k in range(n):
        size = np.abs(x[k])
        out[at] = np.sqrt(size) + np.log2(size) + np.log(size)
        out[at + 1] = 2.0 ** np.round(np.log2(size)) + size**3 + (size + eps) ** 0.5
        out[at + 2] = max(min(x[k], 0.5), -x[k], 0.1) + min(k, 2)
        at += 3
    return at | 64 & 65


@pytest.mark.parametrize("dtype", DTYPES)
def test_slices_of_vectors(dtype: str) -> None:
    assert check(sliced, "naa", 9, values(14, dtype), values(14, dtype, 1), dtype=dtype) == 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_columns_and_blocks(dtype: str) -> None:
    check(squared, "naa", 5, values(27, dtype), values(5, dtype, 1), dtype=dtype)


def test_arrays_that_functions_make() -> None:
    check(made, "nai", 6, values(6), np.arange(8))


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_reductions_go_in_order(n: int) -> None:
    check(reduced, "naa", n, values(n), np.zeros(6))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.0])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_reductions_of_what_is_no_number(bad: float, place: int) -> None:
    x = values(5)
    x[place] = bad
    check(reduced, "naa", 5, x, np.zeros(6))


def test_functions_of_numbers() -> None:
    x = np.array([0.3, -1.7, 0.0, -0.0, np.nan, np.inf, -2.5, 1e-310, 3.0])
    check(computed, "naa", len(x), x, np.zeros(4 * len(x)))


# ---------------------------------------------------------------- the solvers' own


def factored(n, a, x, pivots):
    spread = lu_factor(n, a, pivots)
    lu_solve(n, a, pivots, x)
    lu_solve_transposed(n, a, pivots, x)
    x[0] += spread * inverse_norm(n, a, pivots)
    return 0


def revealed(n, a, x, order):
    tau, right, right_tau = buffer(a, n), buffer(a, n * n), buffer(a, n)
    rank = orthogonal_factor(n, n, a, 1e-10, tau, order, right, right_tau)
    rest = orthogonal_solve(n, n, rank, a, tau, order, right, right_tau, x[:n].copy(), x)
    x[0] += rest
    return rank


@pytest.mark.parametrize("n", [1, 2, 6])
def test_a_factorisation_has_the_bits_of_numpy(n: int) -> None:
    check(factored, "naai", n, values(n * n), values(n, seed=1), np.zeros(n, np.int64))


@pytest.mark.parametrize("n", [1, 2, 6])
def test_a_factorisation_that_reveals_the_rank_has_the_bits_of_numpy(n: int) -> None:
    a = values(n * n)
    assert check(revealed, "naai", n, a, values(n, seed=1), np.zeros(n, np.int64)) == n
    a[-n:] = a[:n] * 2
    assert check(revealed, "naai", n, a, values(n, seed=1), np.zeros(n, np.int64)) == max(n - 1, 1)


def promoted(n, x, out):
    total = 0.1 * np.sum(x[:n] * x[:n])
    out[:n] += x[:n] * 0.3 - total
    out[0] *= 1.0 / n + x[1] ** 0.5 + x[2] ** 3
    return n


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_and_promotions_are_those_of_numba(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy would add so many numbers in another order. A float32 that meets a number of Python becomes a float64."""
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)(0))  # the compile time is most of this test
    x, out = np.abs(values(20, dtype)), values(20, dtype, 1)
    wanted = out.copy()
    assert compiled(promoted, "naa", dtype)(20, x, out) == numba.njit(promoted)(20, x, wanted)
    np.testing.assert_array_equal(out, wanted)


# ---------------------------------------------------------------- what ends a call


def beyond(n, x):
    x[:n] = 1.0
    return 0


def unlike(n, x):
    other = x[n:]
    x[:n] = other * 2.0
    return 0


def backwards(n, x):
    x[n : n - 1] = 0.0
    return 0


def unshaped(n, x):
    square = x[:].reshape((n, n))
    square[0, 0] = 1.0
    return 0


def largest_of_none(n, x):
    x[0] = np.max(x[n:])
    return 0


def inside(n, x):
    """What fails in a function ends its callers too."""
    for _ in range(3):
        beyond(n, x)
        x[0] += 1.0
    return 7


def hungry(n, x):
    kept = buffer(x, n)
    for _ in range(3):
        kept = buffer(x, n * n * n * n)
        kept[:n] = 1.0
    return 3


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [(beyond, 5, 6), (beyond, 0, -1), (unlike, 3, 2), (backwards, None, 3), (unshaped, None, 2), (largest_of_none, 5, 6), (inside, 6, 7)],
)  # fmt: skip
def test_what_does_not_fit_is_told(function: Callable[..., Any], good: int | None, bad: int) -> None:
    size = 5 if function is beyond else 6
    run = compiled(function, "na", "float64")
    x = np.zeros(size)
    assert run(bad, x) == -MISFIT
    assert x[0] == 0.0
    if good is not None:
        assert run(good, x) >= 0


def test_where_there_is_no_memory_it_is_told() -> None:
    run = compiled(hungry, "na", "float64")
    assert run(4, np.zeros(1)) == 3
    assert run(0, np.zeros(1)) == 3
    assert run(1 << 14, np.zeros(1)) == -NO_MEMORY
    assert run(-1, np.zeros(1)) == -NO_MEMORY
    assert run(4, np.zeros(1)) == 3


PROBES: list[tuple[Callable[..., Any], str, tuple[str, ...]]] = [
    (sliced, "naa", DTYPES), (squared, "naa", DTYPES), (promoted, "naa", DTYPES), (made, "nai", ("float64",)),
    *((f, "naa", ("float64",)) for f in (reduced, computed)), *((f, "naai", ("float64",)) for f in (factored, revealed)),
    *((f, "na", ("float64",)) for f in (beyond, unlike, backwards, unshaped, largest_of_none, inside, hungry)),
]  # fmt: skip


# ---------------------------------------------------------------- what is refused


def overlapping(n, x):
    x[1:] = x[: n - 1] * 2.0
    return 0


def overlapping_products(n, x):
    square = x[: n * n].reshape((n, n))
    square[1:, 1:] -= np.outer(square[1:, 0], square[0, 1:])
    return 0


def stepped(n, x):
    x[::2] = 0.0
    return 0


def negative(n, x):
    x[-1] = 0.0
    return 0


def cut(n, x):
    whole = np.zeros(n, np.int64)
    whole[:n] = x[:n]
    return 0


def mixed(n, x):
    square = x[: n * n].reshape((n, n))
    x[:n] = square * 2.0
    return 0


def named(n, x):
    other = x[: n * n].reshape((n, n)) * 2.0
    x[0] = other[0, 0]
    return 0


def sorted_by_numpy(n, x):
    x[:n] = np.sort(x[:n])
    return 0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (overlapping, "overlapping: `x[1:] = x[:n - 1] * 2.0`: `x[:n - 1]` is written while it is read"),
        (overlapping_products, "`square[1:, 0]` is written while it is read"),
        (stepped, "slices have no steps"), (negative, "places are counted from the beginning"),
        (cut, "an array of .* cannot hold"), (mixed, "arrays of unlike dimensions"), (named, "a matrix of its own"),
        (sorted_by_numpy, "solvers have no `np.sort"),
    ],
)  # fmt: skip
def test_what_is_outside_is_refused_with_its_statement(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(LoweringError, match=words if ".*" in words else None) as raised:
        lower_with_arrays(function, (INT, vector(SCALARS["float64"])), "imp_probe")
    assert ".*" in words or words in str(raised.value)
