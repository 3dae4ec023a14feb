"""The way of an ordinary call of one piece: same numbers and derivatives as piece by piece, in every shape of batch."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from implicitdsl.layers import Layer, direct
from tests.layers.fake_engines import cut_blueprint, decay_blueprint, tanh_blueprint, tanh_torch

F64 = torch.float64
SHAPES = {
    "no batch": ((3,), (3, 3)),
    "one axis": ((4, 3), (3, 3)),
    "two axes, one shared": ((2, 3, 3), (3, 3)),
    "two axes": ((2, 3, 3), (2, 3, 3, 3)),
    "spread": ((2, 1, 3), (1, 3, 3, 3)),
    "no samples": ((0, 3), (3, 3)),
}


def data(shapes, dtype=F64):
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def nodes(value):
    """The names of the nodes of a graph that are not leaves."""
    found, left = [], [value.grad_fn]
    while left:
        node = left.pop()
        if node is not None and "AccumulateGrad" not in type(node).__name__:
            found.append(type(node).__name__)
            left += [before for before, _ in node.next_functions]
    return found


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_same_bits_as_piece_by_piece(shapes, monkeypatch):
    layer, given = Layer(tanh_blueprint()), data(shapes)
    every = [*given, layer.w]
    results = layer(*given)
    cots = [torch.randn_like(r) for r in results]
    grads = torch.autograd.grad(results, every, cots)
    with torch.no_grad():
        plain = layer(*given)
    monkeypatch.setattr(direct, "applies", lambda tensors: False)
    others = layer(*given)
    for one, two, three in zip(results, others, plain, strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)
    for one, two, arg in zip(grads, torch.autograd.grad(others, every, cots), every, strict=True):
        assert one.shape == arg.shape and torch.equal(one, two)


@pytest.mark.parametrize("shapes", list(SHAPES.values())[:5], ids=list(SHAPES)[:5])
def test_derivatives_of_torch_and_finite_differences(shapes):
    layer, given = Layer(tanh_blueprint()), data(shapes)
    found = layer(*given)
    right = [value.expand_as(ours) for ours, value in zip(found, tanh_torch(*given, layer.w), strict=True)]
    for ours, theirs in zip(found, right, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    ours = torch.autograd.grad(sum((value**3).sum() for value in found), given)
    theirs = torch.autograd.grad(sum((value**3).sum() for value in right), given)
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    assert gradcheck(layer, given)
    assert gradgradcheck(layer, given)


def test_a_call_is_one_node_of_the_graph():
    layer = Layer(tanh_blueprint())
    for shapes in list(SHAPES.values())[:4]:
        assert nodes(layer(*data(shapes))[0]) == ["SolveBackward"]
    assert nodes(layer(*data(SHAPES["spread"]))[0])[0] == "SolveBackward"


def test_types_are_brought_together():
    layer = Layer(tanh_blueprint())
    x, A = torch.randn(3).requires_grad_(), torch.randn(3, 3, dtype=F64)
    (grad,) = torch.autograd.grad(layer(x, A)[0].sum(), x)
    (right,) = torch.autograd.grad(tanh_torch(x.double(), A, layer.w)[0].sum(), x)
    assert grad.dtype == torch.float32
    torch.testing.assert_close(grad, right)


def test_numbers_and_results_that_nobody_differentiates():
    decay = Layer(decay_blueprint())
    ts = torch.linspace(0, 1, 5, dtype=F64)
    assert decay(1.5, ts).shape == (5,)
    assert decay(torch.ones(2, 2, dtype=F64), ts).shape == (2, 2, 5)
    layer, (x, A) = Layer(tanh_blueprint()), data(SHAPES["no batch"])
    (grad,) = torch.autograd.grad(layer(x, A)[1], x)
    torch.testing.assert_close(grad, 2 * layer.w * x)


def test_arguments_written_over_before_the_backward_pass_are_an_error():
    layer, (x, A) = Layer(tanh_blueprint()), data(SHAPES["no batch"])
    result = layer(x, A)[0].sum()
    with torch.no_grad():
        A.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_a_layer_of_pieces_has_no_route():
    layer = Layer(cut_blueprint())
    y, q = layer(*data(((2, 2, 3), (3, 3))))
    assert y.shape == (2, 2, 3) and q.shape == (2, 2)
    assert all(known.route is None for known in layer._calls.values())
