"""Derivatives at the corners: branches, ties, zeros, singular matrices, structural zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.build import ShapeError
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.node import Contract, walk

x = b.leaf("input", "x", (4,))
s = b.leaf("input", "s")
A = b.leaf("param", "A", (3, 4))
S = b.leaf("param", "S", (3, 3))


def gradient(node, leaf):
    return derive.pullback((node,), (1.0,), (leaf,))[0]


def test_an_untaken_branch_adds_an_exact_zero():
    # the derivative of sqrt and of 1/s is infinite at 0, of log(-1) NaN; none of them is taken
    positive = b.apply("gt", s, 0.0)
    for branch in (b.apply("sqrt", s), b.div(1.0, s), b.apply("log", s), b.apply("sqrt", b.mul(s, b.apply("log", s)))):
        node = b.select(positive, branch, b.mul(3.0, s))
        first = gradient(node, s)
        forward = derive.pushforward((node,), {s: 1.0})[0]
        second = gradient(first, s) or b.zeros(())
        for at in (0.0, -1.0):
            assert [float(v) for v in evaluate((first, forward, second), {s: at})] == [3.0, 3.0, 0.0]


def test_an_untaken_branch_with_a_scalar_condition_is_cut_off_through_products_and_solves():
    taken = b.apply("gt", s, 0.0)
    v = b.apply("log", x)
    branches = [
        b.matmul(v, b.div(1.0, x)),
        b.matmul(x, b.div(1.0, x)),
        b.reduce("logsumexp", b.div(v, x)),
        b.reduce("prod", b.div(1.0, x)),
        b.total(b.solve(b.diag(x), v)),
        b.log_det(b.diag(x)),
        b.index(b.cumsum(b.apply("sqrt", x)), 2),
        b.max_over(b.div(1.0, x)),
        b.index(b.cholesky(b.diag(x)), (1, 1)),
    ]
    for branch in branches:
        node = b.select(taken, branch, b.norm_sq(x))
        (g,) = evaluate((gradient(node, x),), {s: -1.0, x: np.zeros(4)})
        np.testing.assert_array_equal(g, np.zeros(4))
        (g,) = evaluate((gradient(node, x),), {s: -1.0, x: np.array([-1.0, 0.0, 2.0, np.inf])})
        np.testing.assert_array_equal(g, [-2.0, 0.0, 4.0, np.inf])


def test_an_elementwise_branch_is_cut_off_element_by_element():
    node = b.total(b.select(b.apply("gt", x, 0.0), b.apply("sqrt", b.mul(x, x)), x))
    inner = b.total(b.select(b.apply("gt", x, 0.0), b.reshape(b.apply("sqrt", b.reshape(x, (2, 2))), (4,)), x))
    root = b.apply("sqrt", b.pick(x, ((0, 3),)))
    padded = b.total(b.select(b.apply("gt", x, 0.0), b.place(root, ((0, 3),), (4,)), x))
    picked = b.total(b.select(b.apply("gt", b.pick(x, ((1, 4),)), 0.0), b.pick(b.apply("sqrt", x), ((1, 4),)), 1.0))
    at = np.array([-4.0, 0.0, 1.0, 9.0])
    cases = ((node, [1, 1, 1, 1]), (inner, [1, 1, 0.5, 1 / 6]), (padded, [1, 1, 0.5, 0]), (picked, [0, 0, 0.5, 1 / 6]))
    for n, expected in cases:
        (g,) = evaluate((gradient(n, x),), {x: at})
        np.testing.assert_allclose(g, expected, rtol=1e-15)


def test_nested_branches_and_values_shared_between_them():
    shared = b.apply("sqrt", s)
    inner = b.select(b.apply("lt", s, 4.0), shared, b.mul(shared, shared))
    node = b.select(b.apply("gt", s, 0.0), inner, s)
    first = gradient(node, s)
    assert [float(evaluate((first,), {s: at})[0]) for at in (0.0, -2.0, 1.0, 9.0)] == [1.0, 1.0, 0.5, 1.0]


def test_the_cotangent_of_a_branch_is_differentiable():
    g = b.leaf("cotangent", "g")
    node = b.select(b.apply("gt", s, 0.0), b.mul(s, b.apply("sin", s)), b.apply("sqrt", s))
    bar = derive.pullback((node,), (g,), (s,))[0]
    by_g, by_s = derive.pullback((bar,), (1.0,), (g, s))
    found = evaluate((by_g, by_s), {s: 0.7, g: 0.0})
    np.testing.assert_allclose(found, [np.sin(0.7) + 0.7 * np.cos(0.7), 0.0], atol=1e-15)


@pytest.mark.parametrize("kind", ["max", "min"])
def test_ties_share_as_torch_has_it(kind):
    at = np.array([2.0, -1.0, 2.0, -1.0])
    node = b.reduce(kind, x)
    t = torch.tensor(at, requires_grad=True)
    (torch.amax if kind == "max" else torch.amin)(t, -1).backward()
    forward = derive.pushforward((node,), {x: b.constant([1.0, 2.0, 4.0, 8.0])})[0]
    g, f = evaluate((gradient(node, x), forward), {x: at})
    np.testing.assert_array_equal(g, t.grad)
    assert f == t.grad.numpy() @ [1, 2, 4, 8]


@pytest.mark.parametrize("at", [[1.0, 2, 3, 4], [0.0, 2, 3, 4], [0.0, 2, 0, 4], [0.0, 0, 0, 4], [0.0, 0, 0, 0]])
def test_derivatives_of_a_product_hold_at_zeros(at):
    node = b.reduce("prod", x)
    first = gradient(node, x)
    second = derive.jacobian(first, x)
    third = derive.jacobian(second, x)
    t = torch.tensor(at, dtype=torch.float64)

    def by_hand(v):
        return v[0] * v[1] * v[2] * v[3]

    one = torch.autograd.functional.jacobian(by_hand, t)
    two = torch.autograd.functional.hessian(by_hand, t)
    three = torch.autograd.functional.jacobian(
        lambda v: torch.autograd.functional.hessian(by_hand, v, create_graph=True), t
    )
    for found, expected in zip(evaluate((first, second, third), {x: at}), (one, two, three), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-14)


def test_the_small_determinant_has_its_derivative_at_a_singular_matrix():
    at = np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])
    (g,) = evaluate((gradient(b.det(S), S),), {S: at})
    cofactors = [
        [np.linalg.det(np.delete(np.delete(at, i, 0), j, 1)) * (-1) ** (i + j) for j in range(3)] for i in range(3)
    ]
    np.testing.assert_allclose(g, cofactors, atol=1e-12)


def test_structural_zeros_are_none():
    y = b.leaf("input", "y", (4,))
    found = derive.pullback((b.norm_sq(x), b.apply("floor", s)), (1.0, 1.0), (x, y, s))
    assert found[0] is not None and found[1:] == (None, None)
    assert derive.pushforward((b.norm_sq(x), b.apply("sign", x), s), {s: 1.0}) == (None, None, b.constant(1.0))
    assert derive.pullback((s,), (None,), (s,)) == (None,)
    assert b.uniform(derive.jacobian(b.apply("sign", x), x)) == 0.0
    assert derive.jacobian(b.zeros((0,)), x).shape == (0, 4)


def test_derivatives_by_an_inner_node_take_it_as_free():
    u = b.apply("sin", x)
    node = b.norm_sq(u)
    at = {x: np.linspace(0.1, 1, 4)}
    by_u, by_x = derive.pullback((node,), (1.0,), (u, x))
    forward = derive.pushforward((node,), {u: b.ones((4,))})[0]
    np.testing.assert_allclose(evaluate((by_u,), at)[0], 2 * np.sin(at[x]))
    np.testing.assert_allclose(evaluate((by_x,), at)[0], np.sin(2 * at[x]))
    np.testing.assert_allclose(evaluate((forward,), at)[0], 2 * np.sin(at[x]).sum())
    np.testing.assert_allclose(evaluate((derive.jacobian(u, u),), at)[0], np.eye(4))


def test_the_jacobian_of_a_layer_is_one_product():
    W, z = b.leaf("param", "W", (5, 5)), b.leaf("unknown", "z", (5,))
    found = derive.jacobian(b.matmul(W, z), z)
    assert found is W
    dense = derive.jacobian(b.apply("tanh", b.matmul(W, z)), z)
    assert sum(isinstance(n, Contract) and len(n.args) > 1 for n in walk((dense,))) <= 2


def test_jacobians_do_not_grow_with_the_size():
    def count(n):
        W, z = b.leaf("param", "W", (n, n)), b.leaf("unknown", "z", (n,))
        h = b.apply("tanh", b.matmul(W, z))
        return len(list(walk((derive.jacobian(b.concat([h, b.solve(W, z)]), z),))))

    assert count(3) == count(40)


def test_hessian_product_and_shape_errors():
    at = {x: np.array([0.3, -1.0, 2.0, 0.5])}
    node = b.total(b.mul(b.power(x, 3.0), b.index(x, 0)))
    v = np.array([1.0, 2.0, -1.0, 0.5])
    t = torch.tensor(at[x])
    expected = torch.autograd.functional.hessian(lambda q: (q**3 * q[0]).sum(), t) @ torch.tensor(v)
    np.testing.assert_allclose(evaluate((derive.hessian_product(node, x, b.constant(v)),), at)[0], expected, rtol=1e-13)
    with pytest.raises(ShapeError):
        derive.hessian_product(x, x, x)
    with pytest.raises(ShapeError):
        derive.pullback((x,), (s,), (x,))
    with pytest.raises(ShapeError):
        derive.pushforward((x,), {x: A})
    with pytest.raises(ShapeError):
        derive.substitute((x,), {x: s})
