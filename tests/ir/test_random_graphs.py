"""Values and derivatives of random graphs over every kind of node against torch, finite differences and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ir_graphs import LEAVES, grow, random_values, scalar_output
from ir_torch import interpret

from implicitdsl.ir import build as b
from implicitdsl.ir import derive, node
from implicitdsl.ir.evaluate import evaluate, function
from implicitdsl.ir.node import walk

SEEDS = range(40)


def tensors(values, grad=True):
    return {leaf: torch.tensor(v, dtype=torch.float64, requires_grad=grad) for leaf, v in values.items()}


def present(found):
    return [b.zeros(leaf.shape) if d is None else d for leaf, d in zip(LEAVES, found, strict=True)]


def close(actual, expected, tol=1e-10):
    expected = np.asarray(expected)
    scale = 1.0 + np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tol * scale)


def test_the_generator_meets_every_kind_of_node():
    seen = set()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        seen.update(type(n) for n in walk([scalar_output(rng, grow(rng, 12))]))
        seen.update(type(n) for n in walk(grow(rng, 12)))
    kinds = {k for k in vars(node).values() if isinstance(k, type) and issubclass(k, node.Node)} - {node.Node}
    assert seen == kinds


@pytest.mark.parametrize("seed", SEEDS)
def test_values_and_derivatives_are_those_of_torch(seed):
    rng = np.random.default_rng(seed)
    nodes = grow(rng, 12)
    output = scalar_output(rng, nodes)
    values, direction = random_values(rng), random_values(rng)
    gradient = present(derive.pullback((output,), (1.0,), LEAVES))
    tangents = {leaf: b.constant(direction[leaf]) for leaf in LEAVES}
    slope = derive.pushforward((output,), tangents)[0] or b.zeros(())
    product = [d or b.zeros(leaf.shape) for leaf, d in zip(LEAVES, derive.pushforward(gradient, tangents), strict=True)]
    # the pullback's pullback: reverse over reverse gives the same product
    weighted = b.constant(0.0)
    for leaf, g in zip(LEAVES, gradient, strict=True):
        weighted = b.add(weighted, b.dot(g, direction[leaf] if leaf.shape == () else b.constant(direction[leaf])))
    second = present(derive.pullback((weighted,), (1.0,), LEAVES))
    got = function(LEAVES, (*nodes, output, *gradient, slope, *product, *second))(*(values[leaf] for leaf in LEAVES))

    t = tensors(values)
    *ref_nodes, ref = interpret((*nodes, output), t)
    for actual, expected in zip(got, ref_nodes, strict=False):
        close(actual, expected.detach())
    got = got[len(nodes) :]
    ref_grad = torch.autograd.grad(ref, list(t.values()), create_graph=True, materialize_grads=True)
    ref_slope = sum((g * torch.tensor(direction[leaf])).sum() for g, leaf in zip(ref_grad, LEAVES, strict=True))
    ref_second = [torch.zeros(leaf.shape) for leaf in LEAVES]
    if ref_slope.requires_grad:
        ref_second = torch.autograd.grad(ref_slope, list(t.values()), materialize_grads=True)
    close(got[0], ref.detach())
    for actual, expected in zip(got[1:5], ref_grad, strict=True):
        close(actual, expected.detach())
    close(got[5], ref_slope.detach())
    for actual, expected in zip(got[6:10], ref_second, strict=True):
        close(actual, expected)
    for actual, expected in zip(got[10:14], ref_second, strict=True):
        close(actual, expected)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_jacobians_are_those_of_torch_and_adjoint(seed):
    rng = np.random.default_rng(1000 + seed)
    nodes = grow(rng, 10)
    values = random_values(rng)
    given = [values[leaf] for leaf in LEAVES]
    t = tensors(values)
    outputs, expected = [], []
    for out in [n for n in nodes[4:] if n.size][-3:]:
        for leaf in LEAVES:
            outputs.append(derive.jacobian(out, leaf))
            assert outputs[-1].shape == out.shape + leaf.shape
            expected.append(
                torch.autograd.functional.jacobian(lambda v, o=out, k=leaf: interpret([o], t | {k: v})[0], t[leaf])
            )
    for actual, ref in zip(function(LEAVES, outputs)(*given), expected, strict=True):
        close(actual, ref)
    # <J v, w> = <v, J^T w>
    out = nodes[-1]
    v, w = random_values(rng), rng.normal(size=out.shape)
    forward = derive.pushforward((out,), {leaf: b.constant(v[leaf]) for leaf in LEAVES})[0] or b.zeros(out.shape)
    back = present(derive.pullback((out,), (b.constant(w),), LEAVES))
    f, *r = function(LEAVES, (forward, *back))(*given)
    close(np.sum(f * w), sum(np.sum(r[k] * v[leaf]) for k, leaf in enumerate(LEAVES)))


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_gradients_are_those_of_finite_differences(seed):
    rng = np.random.default_rng(2000 + seed)
    output = scalar_output(rng, grow(rng, 10))
    values, direction = random_values(rng), random_values(rng)
    slope = derive.pushforward((output,), {leaf: b.constant(direction[leaf]) for leaf in LEAVES})[0] or b.zeros(())
    f = function(LEAVES, (output, slope))
    h = 1e-6
    plus = f(*(values[leaf] + h * direction[leaf] for leaf in LEAVES))[0]
    minus = f(*(values[leaf] - h * direction[leaf] for leaf in LEAVES))[0]
    close(f(*(values[leaf] for leaf in LEAVES))[1], (plus - minus) / (2 * h), tol=3e-7)


@pytest.mark.parametrize("seed", range(6))
def test_batched_sweeps_are_the_single_ones_stacked(seed):
    rng = np.random.default_rng(3000 + seed)
    out = grow(rng, 10)[-1]
    values = random_values(rng)
    k = 3
    v = {leaf: rng.normal(size=(k, *leaf.shape)) for leaf in LEAVES}
    w = rng.normal(size=(k, *out.shape))
    whole = derive.pushforward((out,), {leaf: b.constant(v[leaf]) for leaf in LEAVES}, extra=k)[0] or b.zeros(w.shape)
    back = derive.pullback((out,), (b.constant(w),), LEAVES, extra=k)
    for i in range(k):
        one = derive.pushforward((out,), {leaf: b.constant(v[leaf][i]) for leaf in LEAVES})[0] or b.zeros(out.shape)
        a, c = evaluate((whole, one), values)
        close(a[i], c)
        for many, single in zip(back, derive.pullback((out,), (b.constant(w[i]),), LEAVES), strict=True):
            assert (many is None) == (single is None)
            if many is not None:
                a, c = evaluate((many, single), values)
                close(a[i], c, tol=1e-9)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_float32_stays_float32(seed):
    rng = np.random.default_rng(seed)
    nodes = grow(rng, 12)
    output = scalar_output(rng, nodes)
    values = random_values(rng)
    gradient = present(derive.pullback((output,), (1.0,), LEAVES))
    f = function(LEAVES, (*nodes, *gradient))
    single = f(*(values[leaf].astype(np.float32) for leaf in LEAVES))
    double = f(*(values[leaf] for leaf in LEAVES))
    assert all(a.dtype == np.float32 for a in single)
    for a, d in zip(single, double, strict=True):
        close(a, d, tol=5e-3)
    assert any(np.any(a != d) for a, d in zip(single, double, strict=True))
    body = "\n".join(line for line in f.source.splitlines())
    # no temporary is computed in double: run line by line with the namespace of the function
    scope = f.scope(np.dtype(np.float32))
    local = {f"x{k}": values[leaf].astype(np.float32)[()] for k, leaf in enumerate(LEAVES)}
    for line in body.splitlines()[1:-1]:
        exec(line.strip(), scope, local)
        for name, value in local.items():
            assert value.dtype == np.float32, (name, line)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_substitution_commutes_with_evaluation(seed):
    rng = np.random.default_rng(seed)
    nodes = grow(rng, 12)
    values = random_values(rng)
    fixed = {leaf: b.constant(values[leaf]) for leaf in LEAVES}
    for a, d in zip(evaluate(derive.substitute(nodes, fixed), {}), evaluate(nodes, values), strict=True):
        close(a, d)
