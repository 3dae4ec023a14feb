"""Solvers on Python's floats have the bits of the same source on NumPy's: words one by one, and whole runs."""

from __future__ import annotations

import ast
import inspect
from itertools import product

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.backends.python import floats, twins
from implicitdsl.backends.python.sample_engine import SampleEngine
from implicitdsl.solvers import vocabulary
from tests.reference.cases import leaf, models

EDGES = [0.0, -0.0, 1.5, -2.0, 1e-320, 1e300, -1e300, np.inf, -np.inf, np.nan]
SIZES = (1, 2, 5, 16, 17, 40)
WORDS = {
    name: word
    for name, word in vars(vocabulary).items()
    if inspect.isfunction(word) and word.__module__ == vocabulary.__name__
}


def same(a, b):
    """Equal bits, any NaN like any other."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a[a == a]), np.signbit(b[b == b]))


def test_every_word_is_there_with_the_same_arguments():
    assert len(WORDS) > 30
    for name, word in WORDS.items():
        twin = getattr(floats, name)
        if inspect.isfunction(twin):
            assert len(inspect.signature(twin).parameters) == len(inspect.signature(word).parameters), name


@pytest.mark.parametrize("name", ["vmin", "vmax", "copy_sign", "quotient", "raised", "power"])
def test_words_of_two_elements(name):
    operators = {"quotient": np.divide, "raised": lambda a, b: a**b}
    word = operators.get(name) or WORDS[name]
    with np.errstate(all="ignore"):
        for a, b in product(EDGES, repeat=2):
            found = getattr(floats, name)(a, b)
            assert isinstance(found, float)
            assert same(found, word(np.float64(a), np.float64(b))), (a, b)


@pytest.mark.parametrize("name", ["vabs", "vsqrt", "vlog2", "vexp2", "is_finite", "binade"])
def test_words_of_one_element(name):
    with np.errstate(all="ignore"):
        for a in [1e-3, 7.0, 1e200] if name == "binade" else EDGES:
            assert same(getattr(floats, name)(a), WORDS[name](np.float64(a))), a


def both(name, arrays, call):
    """The arrays after a word on floats, and what it gave, against the same on NumPy's numbers."""
    ours, theirs = [a.copy() for a in arrays], [a.copy() for a in arrays]
    with np.errstate(all="ignore"):
        found = call(getattr(floats, name), [memoryview(a) for a in ours])
        wanted = call(WORDS[name], theirs)
    if wanted is not None:
        assert same(found, wanted)
    for a, b in zip(ours, theirs, strict=True):
        assert same(a, b)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("special", [False, True], ids=["numbers", "edges"])
def test_words_of_arrays(n, special):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n + 7))
    if special:
        x[rng.integers(0, n + 7, 3)] = np.inf, np.nan, -0.0
    for call in (
        ("fill", lambda w, a: w(n, 0.7, a[0], 2)),
        ("copy", lambda w, a: w(n, a[0], 2, a[1], 3)),
        ("copy_where", lambda w, a: w(True, n, a[0], 2, a[1], 3)),
        ("copy_where", lambda w, a: w(False, n, a[0], 2, a[1], 3)),
        ("axpy", lambda w, a: w(n, 0.3, a[0], 2, a[1], 3)),
        ("scale", lambda w, a: w(n, -0.3, a[0], 2)),
        ("dot", lambda w, a: w(n, a[0], 2, a[1], 3)),
        ("all_finite", lambda w, a: w(n, a[0], 2)),
        ("gather", lambda w, a: w(n, 2.0, 3, a[0], a[1], 1)),
        ("scatter_add", lambda w, a: w(True, n, a[0], 1, 2.0, 3, a[1])),
    ):
        both(call[0], (x, y), call[1])


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 1, 5), (4, 3, 2)])
@pytest.mark.parametrize("name", ["add_products", "subtract_products"])
def test_products(name, m, n, k):
    rng = np.random.default_rng(3)
    arrays = (rng.normal(size=m * 7 + 2), rng.normal(size=n * 6 + 1), rng.normal(size=m * 4 + 3))
    both(name, arrays, lambda w, a: w(m, n, k, a[0], 2, 7, a[1], 1, 6, a[2], 3, 4))


def test_a_division_by_zero_does_not_raise():
    text = "def step(n, h, x):\n  for i in range(n):\n    x[i] = (1.0 + h)/x[i] + h/2.0 - h/x[i]**2.0\n"
    (function,) = ast.parse(text).body
    names = {"quotient": floats.quotient, "raised": floats.raised}
    exec(compile(ast.fix_missing_locations(ast.Module([twins.rewrite(function, {})], [])), "step", "exec"), names)
    x = memoryview(np.array([0.0, -0.0, 2.0]))
    with np.errstate(all="ignore"):
        names["step"](3, 0.5, x)
    assert x.tolist()[2] == 1.5 / 2 + 0.25 - 0.125
    assert np.isnan(x[0]) and x[1] == -np.inf


TEXT = """
ode Every[n](x0[n], k, ts[T]) -> (y[T, n], q[T]) {
  param W[n, n]
  state x[n] = x0, e = 1
  dx/dt = tanh(W @ x)*sin(t) - x/(1 + k*x^2) - e^1.5*x
  de/dt = -exp(-k)*e*sum(x^2) - abs(x[0])/3
  return x, e*k at ts
}
"""
DRIVEN = (
    lambda: (leaf([0.4, -0.9, 0.2]), leaf(0.7), leaf([0.1, 0.4, 1.3])),
    lambda **o: implicitdsl.loads(TEXT).Every(n=3, **o),
)
CUBIC = (lambda: (leaf(0.4), leaf(1.3), leaf(1.1)), models("dae").Cubic)
JUMPS = (lambda: (leaf(1.0), leaf(0.1), leaf([0.3, 0.5])), models("events").Jumps)
LATE = (lambda: (leaf(0.8), leaf(1.1), leaf(0.7), leaf(1.3), leaf([0.0, 0.3, 1.4, 2.7])), models("delays").Delayed)
RUNS = [
    *((DRIVEN, {"solver": s}) for s in ("tsit5", "dop853", "rk4(dt = 0.2)", "rodas5p", "kvaerno5", "bdf", "auto")),
    *((DRIVEN, {"solver": s, "adjoint": "discrete(memory = 512)"}) for s in ("tsit5", "rodas5p", "kvaerno5")),
    *((CUBIC, {"solver": s}) for s in ("rodas5p(dt = 0.2)", "kvaerno5", "bdf")),
    *((JUMPS, {"solver": s}) for s in ("tsit5", "rodas5p", "bdf(dt = 0.11)")),
    (LATE, {}),
    *((DRIVEN, {"solver": s, "adjoint": "gauss"}) for s in ("tsit5", "rodas5p")),
    (JUMPS, {"solver": "tsit5", "adjoint": "interpolated"}),
]


@pytest.mark.parametrize(("case", "options"), RUNS)
def test_runs_and_their_derivatives_have_the_same_bits(case, options, monkeypatch):
    made, make = case
    torch.manual_seed(0)
    layer = make(backend="python", dtype=torch.float64, **options)

    twice = "discrete" in options.get("adjoint", "discrete")

    def found():
        given = (*made(), *layer.parameters())
        outputs = layer(*given[: len(given) - len(list(layer.parameters()))])
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        total = sum((o * torch.cos(torch.arange(o.numel(), dtype=o.dtype).reshape(o.shape))).sum() for o in outputs)
        first = torch.autograd.grad(total, given, create_graph=twice, materialize_grads=True)
        if not twice:
            return [*outputs, *first]
        second = torch.autograd.grad(sum((g * g).sum() for g in first), given, materialize_grads=True)
        return [*outputs, *first, *second]

    ours = found()
    monkeypatch.setattr(SampleEngine, "runs", lambda self, solver: solver)
    for a, b in zip(ours, found(), strict=True):
        assert torch.equal(a, b)
        assert a.isfinite().all()
