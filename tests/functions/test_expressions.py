"""Making, differentiating and evaluating expressions: folds, masks, deep chains, generated text; kinks as torch has them."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from implicitdsl.functions.expression import Apply, Arg, Const, apply
from implicitdsl.functions.scalar import (
    NAMESPACE,
    derivative,
    evaluate,
    fold,
    source,
    statements,
    substitute,
    tangent,
    walk,
)

X, Y = Arg(0), Arg(1)


def test_equal_expressions_are_one_object_and_survive_copy_and_pickle():
    expr = apply("sin", X) * Const(-0.0) + Const(math.nan)
    assert expr is apply("sin", X) * Const(-0.0) + Const(math.nan)
    assert copy.deepcopy(expr) is expr
    assert pickle.loads(pickle.dumps(expr)) is expr
    assert Const(0.0) is not Const(-0.0)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (1.0 * X, X),
        (X * 1.0, X),
        (X + 0.0, X),
        (0.0 + X, X),
        (X - 0.0, X),
        (X / 1.0, X),
        (X**1.0, X),
        (apply("neg", -X), X),
        (Const(2.0) * Const(3.0), Const(6.0)),
        (apply("log", Const(-1.0)), Const(math.nan)),
        (apply("exp", Const(800.0)), Const(math.inf)),
        (apply("select", Const(1.0), X, Y), X),
        (apply("select", Const(0.0), X, Y), Y),
        (apply("scaled", Const(0.0), X), Const(0.0)),
    ],
)
def test_safe_folds(made, wanted):
    assert made is wanted


@pytest.mark.parametrize(
    "kept", [0.0 * X, X - X, X / X, 0.0 / X, apply("sqrt", X) ** 2.0, apply("exp", apply("log", X))]
)
def test_rewrites_that_do_not_hold_for_every_float_are_not_made(kept):
    assert isinstance(kept, Apply)


def test_unknown_names_and_wrong_arity_are_refused():
    with pytest.raises(KeyError):
        fold("sinn", (X,))
    with pytest.raises(TypeError, match="takes 1"):
        fold("sin", (X, Y))


def test_structurally_zero_derivatives_are_none():
    assert derivative(apply("sin", X), 1) is None
    assert derivative(apply("floor", X), 0) is None
    assert derivative(X**0.0 if isinstance(X**0.0, Apply) else Const(1.0), 0) is None
    assert derivative(apply("select", apply("lt", X, Y), Const(1.0), Const(2.0)), 0) is None
    assert derivative(X, 0) is Const(1.0)
    assert derivative(2.0 * X + 1.0, 0) is Const(2.0)


def test_the_branch_not_taken_adds_an_exact_zero():
    safe = apply("select", apply("gt", X, Const(0.0)), apply("log", X) * X, Const(3.0) * X)
    first = derivative(safe, 0)
    second = derivative(first, 0)
    at = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(evaluate(first, at), [3.0, 3.0, np.log(2.0) + 1.0])
    np.testing.assert_array_equal(evaluate(second, at), [0.0, 0.0, 0.5])
    relu_of_root = apply("relu", apply("sqrt", X) - 1.0)
    assert evaluate(derivative(relu_of_root, 0), np.float64(0.0)) == 0.0
    largest = apply("maximum", apply("log", X), Const(-2.0))
    assert evaluate(derivative(largest, 0), np.float64(0.0)) == 0.0


def test_deep_chains_are_walked_without_recursion_and_share_their_parts():
    expr = X
    for _ in range(5000):
        expr = apply("sin", expr) * 1.0001
    slope = derivative(expr, 0)
    assert sum(1 for _ in walk(slope)) < 40_000
    x, product = 0.3, 1.0
    for _ in range(5000):
        product *= 1.0001 * math.cos(x)
        x = 1.0001 * math.sin(x)
    assert evaluate(expr, np.float64(0.3)) == pytest.approx(x, rel=1e-12)
    assert evaluate(slope, np.float64(0.3)) == pytest.approx(product, rel=1e-11)
    squared = X
    for _ in range(60):
        squared = squared * squared
    assert evaluate(derivative(squared, 0), np.float64(1.0)) == 2.0**60


def test_statements_and_source_compute_what_evaluate_does():
    shared = apply("tanh", X * Y)
    expr = apply("select", apply("lt", shared, Const(0.1)), shared * shared - Const(-1.5), apply("exp", shared))
    slope = derivative(expr, 0)
    x, y = np.array([-0.3, 0.2, 2.0]), np.array([1.0, 0.4, 0.1])
    for e in (expr, slope, Const(-2.0), X, X * math.inf):
        wanted = evaluate(e, x, y)
        lines, result = statements(e, ["p[0]", "q"], "w")
        scope = {**NAMESPACE, "p": [x], "q": y}
        exec("\n".join(lines), scope)
        np.testing.assert_array_equal(eval(result, scope), wanted)
        np.testing.assert_array_equal(eval(source(e, ["p[0]", "q"]), {**NAMESPACE, "p": [x], "q": y}), wanted)
    lines, _ = statements(slope, ["x", "y"])
    assert len({line.split(" = ", 1)[1] for line in lines}) == len(lines)
    assert source(slope, ["x", "y"]).count("np.tanh") == 1


def test_substitution_and_tangent():
    expr = apply("sin", X) * Y
    swapped = substitute(expr, (Y, X))
    assert swapped is apply("sin", Y) * X
    moved = tangent(expr, {X: Y, Y: Const(2.0)})
    assert evaluate(moved, np.float64(0.5), np.float64(3.0)) == pytest.approx(
        math.cos(0.5) * 9.0 + math.sin(0.5) * 2.0, rel=1e-15
    )
    assert tangent(expr, {Arg(2): Const(1.0)}) is None


def by_torch(function, point):
    tensors = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in point]
    value = function(*tensors)
    slopes = torch.autograd.grad(value, tensors, allow_unused=True)
    return value.item(), [0.0 if s is None else s.item() for s in slopes]


KINKS = [
    ("relu", torch.relu, [(0.0,), (-0.0,), (1.0,), (-1.0,)]),
    ("abs", torch.abs, [(0.0,), (-2.0,)]),
    ("sign", torch.sign, [(0.0,), (3.0,)]),
    ("floor", torch.floor, [(2.0,), (2.5,), (-0.5,)]),
    ("elu", torch.nn.functional.elu, [(0.0,), (-1.0,), (800.0,)]),
    ("maximum", torch.maximum, [(1.0, 1.0), (0.0, -0.0), (2.0, 1.0), (1.0, 2.0)]),
    ("minimum", torch.minimum, [(1.0, 1.0), (0.0, -0.0), (2.0, 1.0), (1.0, 2.0)]),
    (
        "clip",
        torch.clamp,
        [
            (1.0, 1.0, 2.0),
            (2.0, 1.0, 2.0),
            (0.0, 1.0, 2.0),
            (3.0, 1.0, 2.0),
            (3.0, 4.0, 2.0),
            (3.0, 2.0, 1.0),
            (1.5, 1.5, 1.5),
        ],
    ),
    ("atan2", torch.atan2, [(0.0, 0.0), (0.0, -1.0), (1.0, 0.0)]),
    ("pow", torch.pow, [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (0.0, 2.0), (0.0, -1.0), (-2.0, 2.0)]),
    ("sqrt", torch.sqrt, [(0.0,)]),
    ("entropy", torch.special.entr, [(0.0,), (1.0,)]),
    ("log", torch.log, [(0.0,), (-1.0,)]),
    ("norm_root", lambda s: torch.linalg.vector_norm(s.sqrt().reshape(1)) if s > 0 else 0.0 * s, [(0.0,), (4.0,)]),
    ("div", torch.div, [(1.0, 0.0), (0.0, 2.0)]),
    (
        "heaviside",
        lambda x, v: torch.heaviside(x.detach(), v.detach()) + 0.0 * x,
        [(0.0, 0.5), (-1.0, 0.5), (2.0, 0.5)],
    ),
]


@pytest.mark.parametrize(("name", "function", "spots"), KINKS, ids=[k[0] for k in KINKS])
def test_kinks_and_edges_take_the_derivative_of_torch(name, function, spots):
    for point in spots:
        value, slopes = by_torch(function, point)
        expr = apply(name, *map(Arg, range(len(point))))
        at = [np.float64(p) for p in point]
        np.testing.assert_array_equal(evaluate(expr, *at), value, err_msg=f"{name}{point}")
        for i, slope in enumerate(slopes):
            if name == "heaviside" and i == 1:
                slope = float(point[0] == 0.0)  # torch has no derivative by the value at 0
            found = derivative(expr, i)
            np.testing.assert_allclose(
                0.0 if found is None else evaluate(found, *at), slope, rtol=1e-15, err_msg=f"{name}{point} by {i}"
            )


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", torch.nn.functional.gelu),
        ("silu", torch.nn.functional.silu),
        ("erf", torch.erf),
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("expm1", torch.expm1),
    ],
)
def test_activations_agree_with_torch_in_both_types(name, function):
    points = np.linspace(-9.0, 9.0, 181)
    for dtype in (np.float64, np.float32):
        x = torch.tensor(points.astype(dtype), requires_grad=True)
        wanted = function(x)
        slope = torch.autograd.grad(wanted.sum(), x)[0].numpy()
        expr = apply(name, X)
        tolerance = 40 * np.finfo(dtype).eps
        np.testing.assert_allclose(
            evaluate(expr, points.astype(dtype)), wanted.detach().numpy(), rtol=tolerance, atol=tolerance
        )
        np.testing.assert_allclose(
            evaluate(derivative(expr, 0), points.astype(dtype)), slope, rtol=tolerance, atol=tolerance
        )
