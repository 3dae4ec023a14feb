"""First and second derivatives of real layers by every door of torch, against differences and against each other."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from tests.integration.zoo import CASES

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def pure(layer):
    """The layer as a function of all its params, then its inputs, and the params."""
    params = dict(layer.named_parameters())

    def call(*given):
        values, inputs = given[: len(params)], given[len(params) :]
        return functional_call(layer, dict(zip(params, values, strict=True)), inputs)

    return call, tuple(p.detach() for p in params.values())


@EVERY
def test_gradcheck_and_gradgradcheck_in_inputs_and_params(case):
    call, params = pure(case.layer())
    given = [v.clone().requires_grad_() for v in (*params, *case.inputs())]
    assert gradcheck(call, given)
    assert gradgradcheck(call, given)


@EVERY
def test_forward_mode_is_reverse_mode(case):
    call, params = pure(case.layer())
    given = (*params, *case.inputs())
    dots = tuple(torch.randn_like(v) for v in given)
    out, along = jvp(call, given, dots)
    _, back = vjp(call, *given)
    cot = torch.randn_like(out)
    other = sum((b * d).sum() for b, d in zip(back(cot), dots, strict=True))
    torch.testing.assert_close((cot * along).sum(), other, rtol=1e-9, atol=1e-11)


@EVERY
def test_gradients_of_samples_are_those_of_a_loop(case):
    layer = case.layer()
    params = {n: p.detach() for n, p in layer.named_parameters()}

    def loss(params, *inputs):
        return functional_call(layer, params, inputs).pow(2).sum()

    rows, shared = case.rows(), case.shared
    dims = (None, *[0] * len(rows), *[None] * len(shared))
    found = vmap(grad(loss), in_dims=dims)(params, *rows, *shared)
    for k in range(2):
        alone = grad(loss)(params, *(r[k] for r in rows), *shared)
        for name, value in alone.items():
            torch.testing.assert_close(found[name][k], value, rtol=1e-9, atol=1e-11)


@EVERY
def test_vmap_of_the_layer_is_its_batch(case):
    layer = case.layer()
    rows, shared = case.rows(), case.shared
    dims = (*[0] * len(rows), *[None] * len(shared))
    assert torch.equal(vmap(layer, in_dims=dims)(*rows, *shared), layer(*rows, *shared))


@EVERY
def test_grad_twice_is_a_difference_of_grads(case):
    layer = case.layer()
    rows = tuple(r[1] for r in case.rows())

    def loss(x):
        return layer(x, *rows[1:], *case.shared).pow(2).sum()

    step = torch.randn_like(rows[0])
    second = grad(lambda x: (grad(loss)(x) * step).sum())(rows[0])
    eps = 1e-5
    differences = (grad(loss)(rows[0] + eps * step) - grad(loss)(rows[0] - eps * step)) / (2 * eps)
    torch.testing.assert_close(second, differences, rtol=1e-6, atol=1e-8)


@EVERY
def test_all_ways_to_a_hessian_agree(case):
    layer = case.layer()
    rows = tuple(r[1] for r in case.rows())

    def loss(x):
        return layer(x, *rows[1:], *case.shared).pow(2).sum()

    reverse = jacrev(jacrev(loss))(rows[0])
    torch.testing.assert_close(hessian(loss)(rows[0]), reverse, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(jacrev(jacfwd(loss))(rows[0]), reverse, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(torch.autograd.functional.hessian(loss, rows[0]), reverse, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(reverse, reverse.T if reverse.ndim else reverse, rtol=1e-8, atol=1e-10)


@EVERY
def test_the_third_derivative_raises_a_sentence(case):
    layer = case.layer()
    rows = tuple(r[1] for r in case.rows())
    x = rows[0].clone().requires_grad_()
    first = torch.autograd.grad(layer(x, *rows[1:], *case.shared).pow(2).sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="third derivatives"):
        torch.autograd.grad(second.pow(2).sum(), x)
