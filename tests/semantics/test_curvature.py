"""Convexity: a table of objectives with their verdicts; what is proven is also sampled, what is conditional is tested per call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.ir import evaluate
from implicitdsl.semantics.convexity import convexity
from implicitdsl.semantics.elaborate import gather
from implicitdsl.semantics.library import build_library
from implicitdsl.syntax.reader import read

INPUTS = {
    "a": (), "s": (), "r": (), "d": (3,), "e": (3,), "w": (3,), "A": (3, 3), "Q": (3, 3), "P": (3, 3), "lo": (), "k": (),
}  # fmt: skip
SETS = {"r": "nonneg", "w": "nonneg", "P": "psd(3)", "lo": "interval(-2, -1)", "k": "positive"}
VARIABLES = "x[3], y[3], u, v"

# sense, expression, verdict, condition. a, s, d, e, A, Q are any data; r >= 0, k > 0, w >= 0, lo <= 0, P positive semidefinite.
TABLE: list[tuple[str, str, str, str]] = [
    ("minimize", "u", "proven", ""),
    ("minimize", "a*u + d @ x - 3", "proven", ""),
    ("minimize", "sum(A @ x)", "proven", ""),
    ("minimize", "u^2", "proven", ""),
    ("minimize", "(a*u - s)^2", "proven", ""),
    ("minimize", "u^4", "proven", ""),
    ("minimize", "(u^2)^2", "proven", ""),
    ("minimize", "normsq(x)", "proven", ""),
    ("minimize", "normsq(A @ x - d)", "proven", ""),
    ("minimize", "norm(x)", "proven", ""),
    ("minimize", "norm(A @ x - d) + norm(y)", "proven", ""),
    ("minimize", "norm([x, u])", "proven", ""),
    ("minimize", "abs(u)", "proven", ""),
    ("minimize", "sum(abs(x - d))", "proven", ""),
    ("minimize", "max(abs(x))", "proven", ""),
    ("minimize", "max(x)", "proven", ""),
    ("minimize", "max(u, v)", "proven", ""),
    ("minimize", "max(u^2, exp(v))", "proven", ""),
    ("minimize", "relu(u)^2", "proven", ""),
    ("minimize", "sum(relu(x - d))", "proven", ""),
    ("minimize", "exp(u)", "proven", ""),
    ("minimize", "exp(u^2 + abs(v))", "proven", ""),
    ("minimize", "sum(exp(A @ x))", "proven", ""),
    ("minimize", "softplus(a*u)", "proven", ""),
    ("minimize", "softplus(u^2)", "proven", ""),
    ("minimize", "logsumexp(x)", "proven", ""),
    ("minimize", "logsumexp(A @ x + d) - d @ x", "proven", ""),
    ("minimize", "sum(softplus(-d*(A @ x))) + r*normsq(x)", "proven", ""),
    ("minimize", "-log(u)", "proven", ""),
    ("minimize", "-sum(log(d - A @ x))", "proven", ""),
    ("minimize", "-sqrt(u)", "proven", ""),
    ("minimize", "-sum(entropy(exp(d))) + u", "proven", ""),
    ("minimize", "-sum(entropy(x))", "proven", ""),
    ("minimize", "-min(u, v)", "proven", ""),
    ("minimize", "-min(x)", "proven", ""),
    ("minimize", "r*normsq(x)", "proven", ""),
    ("minimize", "lo*min(x)", "proven", ""),
    ("minimize", "normsq(x)/k", "proven", ""),
    ("minimize", "w @ x^2", "proven", ""),
    ("minimize", "w @ abs(x) + w @ exp(y)", "proven", ""),
    ("minimize", "s^2*u^2", "proven", ""),
    ("minimize", "exp(a)*u^2", "proven", ""),
    ("minimize", "x @ P @ x", "proven", ""),
    ("minimize", "1/2*(x @ P @ x) + d @ x", "proven", ""),
    ("minimize", "(x - y) @ P @ (x - y)", "proven", ""),
    ("minimize", "x @ P @ x + y @ P @ y + r*(x @ P @ x)", "proven", ""),
    ("minimize", "dot(x, P @ x)", "proven", ""),
    ("minimize", "x @ (A.T @ A) @ x", "proven", ""),
    ("minimize", "x @ (A @ A.T) @ x", "proven", ""),
    ("minimize", "x @ (A.T @ P @ A) @ x", "proven", ""),
    ("minimize", "x @ (P + r*eye(3)) @ x", "proven", ""),
    ("minimize", "exp(x @ P @ x)", "proven", ""),
    ("minimize", "logsumexp(x) + y @ P @ y", "proven", ""),
    ("minimize", "u^2 - 2*u*v + v^2", "proven", ""),
    ("minimize", "(u - v)*(u - v)", "proven", ""),
    ("minimize", "2*u^2 - u^2", "proven", ""),
    ("minimize", "if a > 0 then u^2 else abs(u)", "proven", ""),
    ("minimize", "sum(w[i]*x[i]^2 for i in 0:3)", "proven", ""),
    ("maximize", "d @ x", "proven", ""),
    ("maximize", "log(u) + sqrt(v)", "proven", ""),
    ("maximize", "sum(entropy(x))", "proven", ""),
    ("maximize", "d @ x - r/2*(x @ P @ x)", "proven", ""),
    ("maximize", "min(x) - normsq(y)", "proven", ""),
    ("minimize", "s*normsq(x)", "conditional", "s >= 0"),
    ("minimize", "normsq(x - d) + s*normsq(x)", "conditional", "s >= 0"),
    ("minimize", "s*exp(u)", "conditional", "s >= 0"),
    ("minimize", "s*log(u)", "conditional", "s <= 0"),
    ("minimize", "d @ x^2", "conditional", "d >= 0"),
    ("minimize", "d @ exp(x)", "conditional", "d >= 0"),
    ("minimize", "normsq(x)/s", "conditional", "s >= 0"),
    ("minimize", "x @ Q @ x", "conditional", "its Hessian is positive semidefinite"),
    ("minimize", "x @ Q @ x + r*normsq(x)", "conditional", "its Hessian is positive semidefinite"),
    ("minimize", "a*u^2 + s*u*v + v^2", "conditional", "its Hessian is positive semidefinite"),
    ("minimize", "exp(x @ Q @ x)", "conditional", "Q is positive semidefinite"),
    ("minimize", "s*logsumexp(x) + a*exp(u)", "conditional", "s >= 0, a >= 0"),
    ("maximize", "s*normsq(x)", "conditional", "s <= 0"),
    ("maximize", "s*log(u)", "conditional", "s >= 0"),
    ("minimize", "sin(u)", "unknown", "sin(u)"),
    ("minimize", "u^2 + sin(v)", "unknown", "sin(v)"),
    ("minimize", "u^3", "unknown", "u^3"),
    ("minimize", "u*v*u", "unknown", "u*v*u"),
    ("minimize", "exp(u)*exp(v)", "unknown", "exp(u)*exp(v)"),
    ("minimize", "normsq(tanh(A @ x))", "unknown", "normsq(tanh(A @ x))"),
    ("minimize", "abs(u^2 - 1)", "unknown", "abs(u^2 - 1)"),
    ("minimize", "exp(-u^2)", "unknown", "exp(-u^2)"),
    ("minimize", "log(exp(u))", "unknown", "log(exp(u))"),
    ("minimize", "sigmoid(u)", "unknown", "sigmoid(u)"),
    ("minimize", "u/v", "unknown", "u/v"),
    ("minimize", "gelu(u)", "unknown", "gelu(u)"),
    ("minimize", "sum(entropy(x)*y)", "unknown", "sum(entropy(x)*y)"),
    ("minimize", "log(u)", "refuted", "log(u)"),
    ("minimize", "normsq(x) + sqrt(u)", "refuted", "sqrt(u)"),
    ("minimize", "-normsq(x)", "refuted", "normsq(x)"),
    ("minimize", "min(u, v)", "refuted", "min(u, v)"),
    ("minimize", "u^2 - v^2", "refuted", "v^2"),
    ("minimize", "u*v", "refuted", "u*v"),
    ("minimize", "d @ x - x @ P @ x", "refuted", "x @ P @ x"),
    ("minimize", "sum(entropy(x))", "refuted", "sum(entropy(x))"),
    ("maximize", "normsq(x)", "refuted", "normsq(x)"),
    ("maximize", "d @ x + exp(u)", "refuted", "exp(u)"),
    ("maximize", "logsumexp(x)", "refuted", "logsumexp(x)"),
]  # fmt: skip


def definition(sense: str, expression: str, *, inputs: str | None = None) -> str:
    def declared(name: str, shape: tuple[int, ...]) -> str:
        sizes = f"[{', '.join(map(str, shape))}]" if shape else ""
        return f"{name}{sizes}{f' in {SETS[name]}' if name in SETS else ''}"

    listed = inputs if inputs is not None else ", ".join(declared(n, s) for n, s in INPUTS.items())
    return f"argmin Layer({listed}) -> [3] {{\n  var {VARIABLES}\n  {sense} {expression}\n  return x\n}}\n"


def findings(text: str) -> tuple[Any, list[Any]]:
    file = read(text, "<text>")
    library = build_library(file, lambda path: file)
    found = library.find(None, "Layer")
    assert found is not None
    body, program = gather(found[0], library, {})
    return body, convexity(body, program, local=False)[0]


@pytest.mark.parametrize(
    ("sense", "expression", "wanted", "detail"), TABLE, ids=[f"{s[:3]} {e}" for s, e, _, _ in TABLE]
)
def test_verdict(sense: str, expression: str, wanted: str, detail: str) -> None:
    _, found = findings(definition(sense, expression))
    codes = {"proven": [], "conditional": ["W501"], "unknown": ["E501"], "refuted": ["E502"]}[wanted]
    assert [f.code for f in found] == codes
    if wanted == "conditional":
        shape = "concave" if sense == "maximize" else "convex"
        assert found[0].message == f"the objective is {shape} only if {detail}"
    elif wanted != "proven":
        assert found[0].span.text == detail


def sample(shape: tuple[int, ...], set_: str | None, r: np.random.Generator) -> Any:
    value = r.standard_normal(shape)
    match set_:
        case "nonneg" | "positive":
            return np.abs(value) + 0.1
        case "psd(3)":
            return value @ value.T
        case "interval(-2, -1)":
            return -1 - r.random(shape)
        case _:
            return value


@pytest.mark.parametrize(("sense", "expression"), [(s, e) for s, e, v, _ in TABLE if v == "proven"])
def test_proven_is_true(sense: str, expression: str) -> None:
    """f((x + y)/2) <= (f(x) + f(y))/2 at random points and data, on the domain."""
    body, _ = findings(definition(sense, expression))
    leaves = [body.scope.names[n] for n in INPUTS]
    unknowns = [u.leaf for u in body.unknowns.values()]
    f = evaluate.function([*leaves, *unknowns], [body.objective], name="f")
    r = np.random.default_rng(7)
    compared = 0
    for number in range(200):
        data = [np.asarray(sample(s, SETS.get(n), r), float) for n, s in INPUTS.items()]
        # Half of the points in the positive orthant, where logarithms and roots are defined.
        points = [[r.standard_normal(u.shape) * 2 for u in unknowns] for _ in range(2)]
        if number % 2:
            points = [[np.abs(np.asarray(v)) + 1e-3 for v in p] for p in points]
        middle = [(np.asarray(a) + b) / 2 for a, b in zip(*points, strict=True)]
        with np.errstate(all="ignore"):
            low, high, centre = (float(f(*data, *map(np.asarray, p))[0]) for p in (*points, middle))
        if np.isfinite(low) and np.isfinite(high):
            compared += 1
            assert centre <= (low + high) / 2 + 1e-9 * (1 + abs(low) + abs(high))
    assert compared >= 8


@pytest.mark.parametrize(("sense", "expression"), [(s, e) for s, e, v, _ in TABLE if v == "refuted"])
def test_refuted_is_true(sense: str, expression: str) -> None:
    """Some midpoint lies above the chord."""
    body, _ = findings(definition(sense, expression))
    unknowns = [u.leaf for u in body.unknowns.values()]
    f = evaluate.function([*(body.scope.names[n] for n in INPUTS), *unknowns], [body.objective], name="f")
    r = np.random.default_rng(7)
    data = [np.asarray(sample(s, SETS.get(n), r), float) for n, s in INPUTS.items()]
    above = 0
    for _ in range(200):
        points = [[np.asarray(np.abs(r.standard_normal(u.shape)) + 1e-3) for u in unknowns] for _ in range(2)]
        middle = [np.asarray((a + b) / 2) for a, b in zip(*points, strict=True)]
        low, high, centre = (float(f(*data, *p)[0]) for p in (*points, middle))
        above += centre > (low + high) / 2 + 1e-9 * (1 + abs(low) + abs(high))
    assert above > 0


def test_every_verdict_is_told_apart() -> None:
    assert {v for _, _, v, _ in TABLE} == {"proven", "conditional", "unknown", "refuted"} and len(TABLE) >= 60


def load(text: str) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return implicitdsl.load(text), [str(w.message) for w in caught]


@pytest.mark.usefixtures("backend")
def test_condition_is_warned_of_tested_and_printed() -> None:
    """W501 at load; each sample tested; the others keep their bits; `inspect` prints the condition."""
    text = "argmin Layer(a[2], lam) -> [2] {\n  var x[2]\n  minimize normsq(x - a) + lam*normsq(x)\n  return x\n}\n"
    models, told = load(text)
    assert len(told) == 1 and "W501" in told[0] and "lam >= 0" in told[0] and "lam*normsq(x)" in told[0]
    layer = models.Layer(on_fail="nan", dtype=torch.float64)
    a, lam = (
        torch.tensor([[1.0, 2], [3, 4], [5, 6]], dtype=torch.float64),
        torch.tensor([1.0, -0.5, 0], dtype=torch.float64),
    )
    found = layer(a, lam)
    assert layer.last.status.tolist() == [0, 10, 0]
    assert torch.isnan(found[1]).all() and torch.equal(found[[0, 2]], layer(a[[0, 2]], lam[[0, 2]]))
    with pytest.raises(implicitdsl.SolveError, match="nonconvex"):
        models.Layer()(a, lam)
    assert "lam >= 0" in compiler.stages(models.Layer.blueprint())["elaborate"]


@pytest.mark.usefixtures("backend")
def test_matrix_condition() -> None:
    text = "argmin Layer(Q[2, 2], q[2]) -> [2] {\n  var x[2]\n  minimize 1/2*(x @ Q @ x) + q @ x\n  return x\n}\n"
    models, told = load(text)
    assert len(told) == 1 and "positive semidefinite" in told[0]
    layer = models.Layer(on_fail="nan", dtype=torch.float64)
    # The symmetric part counts: the second matrix has one of eigenvalues 1 and 3, the third of -1 and 3.
    Q = torch.tensor([[[2.0, 0], [0, 1]], [[2, 2], [0, 2]], [[1, 4], [0, 1]]], dtype=torch.float64)
    q = torch.tensor([1.0, -1], dtype=torch.float64)
    x = layer(Q, q)
    assert layer.last.status.tolist() == [0, 0, 10]
    for i in range(2):
        torch.testing.assert_close(x[i], torch.linalg.solve((Q[i] + Q[i].T) / 2, -q))
    assert "positive semidefinite" in compiler.stages(models.Layer.blueprint())["elaborate"]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("declared", ["lam in nonneg, Q[2, 2] in psd(2)", "lam in positive, Q[2, 2] in spd(2)"])
def test_sets_make_it_proven(declared: str) -> None:
    text = f"argmin Layer({declared}) -> [2] {{\n  var x[2]\n  minimize lam*normsq(x) + x @ Q @ x + sum(x)\n  return x\n}}\n"
    models, told = load(text)
    assert told == []
    assert "proven" in compiler.stages(models.Layer.blueprint())["elaborate"]
    layer = models.Layer(on_fail="nan")
    lam, Q = torch.tensor([1.0, -1.0]), torch.eye(2)
    layer(lam, Q)
    assert layer.last.status.tolist() == [0, 11]


def test_constraints_are_judged() -> None:
    """A curved equality is E503, a concave lower bound E502, an unknown one E501, each at its line."""
    text = (
        "argmin Layer(a[2], s) -> [2] {\n  var x[2]\n  minimize normsq(x - a)\n  subject to {\n    normsq(x) = 1\n"
        "    normsq(x) >= 1\n    sin(x[0]) <= 0\n    normsq(x) <= 4\n    s*normsq(x) <= 1\n  }\n  return x\n}\n"
    )
    file = read(text, "<text>")
    library = build_library(file, lambda path: file)
    found = library.find(None, "Layer")
    assert found is not None
    said, conditions = convexity(*gather(found[0], library, {}), local=False)
    assert [(f.code, f.span.text) for f in said if f.span] == [
        ("E503", "normsq(x) = 1"), ("E502", "normsq(x) >= 1"), ("E501", "sin(x[0]) <= 0"), ("W501", "s*normsq(x) <= 1"),
    ]  # fmt: skip
    assert [c.requirement for c in conditions] == ["nonneg"]


def test_direction_is_named() -> None:
    """T43: P = diag(1, -1) without constraints; the error names the direction along which the objective falls."""
    with pytest.raises(implicitdsl.ImpError) as caught:
        load("argmin Layer(q[2]) -> [2] {\n  var x[2]\n  minimize 1/2*(x[0]^2 - x[1]^2) + q @ x\n  return x\n}\n")
    assert [d.code for d in caught.value.diagnostics] == ["E502"]
    assert "x = [0, 1]" in str(caught.value)


@pytest.mark.usefixtures("backend")
def test_local_accepts_what_is_not_convex() -> None:
    text = "argmin Layer(a) -> x {\n  var x = 1\n  minimize (x^2 - 1)^2 - a*x\n  solver local()\n  return x\n}\n"
    models, told = load(text)
    assert told == [] and models.Layer(dtype=torch.float64)(torch.tensor(0.0, dtype=torch.float64)).item() == 1
