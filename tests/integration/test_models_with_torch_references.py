"""Small models of science and learning, each with its solution written in torch: values, gradients and second derivatives
are compared with torch's own, in inputs and params, then with differences."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

import implicitdsl
from tests.integration.references import F64, MODELS


def tensors(given: Any) -> tuple[Tensor, ...]:
    return given if isinstance(given, tuple) else (given,)


def derivatives(outputs: tuple[Tensor, ...], wrt: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The gradient of a weighted sum of sines of the outputs, and the gradient of a weighted sum of sines of that."""
    generator = torch.Generator().manual_seed(5)

    def mixed(values: Any) -> Tensor:
        weights = [torch.rand(v.shape, dtype=F64, generator=generator) + 0.5 for v in values]
        return sum((w * (v + 0.3 * torch.sin(v))).sum() for w, v in zip(weights, values, strict=True))

    first = torch.autograd.grad(mixed(outputs), wrt, create_graph=True, materialize_grads=True)
    second = torch.autograd.grad(mixed(first), wrt, materialize_grads=True)
    return [f.detach() for f in first], list(second)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_against_torch_to_second_order(model):
    torch.manual_seed(2)
    layer = implicitdsl.loads(model.text)[model.name](**model.sizes, dtype=F64, **model.options)
    inputs = [i.clone().requires_grad_() for i in model.inputs]
    params = dict(layer.named_parameters())
    wrt = [*inputs, *params.values()]
    found, expected = tensors(layer(*inputs)), tensors(model.reference(layer, *inputs))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=model.tolerance, atol=model.tolerance)
    assert (layer.last.status == 0).all()
    loose = 100 * model.tolerance
    for ours, theirs in zip(derivatives(found, wrt), derivatives(expected, wrt), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=loose, atol=loose)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_against_differences_to_second_order(model):
    torch.manual_seed(2)
    # Differences of adaptive runs would see the choice of steps.
    options = {"solver": "rk4", "dt": 0.25} if "rtol" in model.options else model.options
    layer = implicitdsl.loads(model.text)[model.name](**model.sizes, dtype=F64, **options)
    inputs = [i.clone().requires_grad_() for i in model.inputs]
    params = dict(layer.named_parameters())

    def call(*given: Tensor) -> Any:
        values = dict(zip(params, given[len(inputs) :], strict=True))
        return torch.func.functional_call(layer, values, given[: len(inputs)])

    given = (*inputs, *params.values())
    assert gradcheck(call, given, fast_mode=True)
    assert gradgradcheck(call, given, fast_mode=True)


ELEMENTWISE = {
    **{
        n: getattr(torch, n)
        for n in "sin cos tan atan sinh cosh tanh exp expm1 abs sign floor sigmoid relu erf".split()
    },
    "asin": lambda x: torch.asin(x / 4),
    "acos": lambda x: torch.acos(x / 4),
    "log": lambda x: torch.log(x + 4),
    "log1p": lambda x: torch.log1p(x + 4),
    "sqrt": lambda x: torch.sqrt(x + 4),
    "entropy": lambda x: -(x + 4) * torch.log(x + 4),
    **{n: getattr(functional, n) for n in "softplus gelu silu elu".split()},
}
SHIFTED = {"asin": "x/4", "acos": "x/4", "log": "x + 4", "log1p": "x + 4", "sqrt": "x + 4", "entropy": "x + 4"}


def text_of(names):
    """An `ode` and a fixpoint with a state for each function: one kernel a pass holds all of them."""
    n = len(names)
    inner = [SHIFTED.get(name, "x").replace("x", f"x[{k}]") for k, name in enumerate(names)]
    whole = ", ".join(f"{name}({given})" for name, given in zip(names, inner, strict=True))
    return f"""
ode Flow(x0[{n}]) -> [{n}] {{
  state x[{n}] = x0
  dx/dt = [{whole}]/2 - x
  from t = 0 to 1/2
  solver euler(dt = 0.25, kinks = none)
  return x
}}
fixpoint Rest(b[{n}]) -> [{n}] {{
  var x[{n}] = 0
  x = [{whole}]/32 + b
  return x
}}
"""


@cache
def slopes(backend):
    """(values, gradients, second derivatives) of all functions inside a right-hand side and a fixpoint, ours and torch's,
    (3, functions) each; on the back end that the environment names, by its name."""
    names, own = list(ELEMENTWISE), list(ELEMENTWISE.values())
    made = implicitdsl.loads(text_of(names))
    # `sign` and `floor` have no slope that a solver could follow.
    with pytest.warns(match="W601"):
        flow = made.Flow(dtype=F64)
    x = torch.tensor([-1.1, 0.4, 0.9], dtype=F64)[:, None].repeat(1, len(own)).requires_grad_()

    def every(x):
        return torch.stack([f(part) for f, part in zip(own, x.unbind(1), strict=True)], 1)

    def euler(x):
        for _ in range(2):
            x = x + 0.25 * (every(x) / 2 - x)
        return x

    def rest(b):
        z = torch.zeros_like(b)
        for _ in range(80):
            z = every(z) / 32 + b
        return z

    found = []
    for layer, reference in ((flow, euler), (made.Rest(dtype=F64), rest)):
        ours, theirs = layer(x), reference(x)
        pairs = [(ours, theirs)]
        for a, b in zip(derivatives((ours,), [x]), derivatives((theirs,), [x]), strict=True):
            pairs += zip(a, b, strict=True)
        found.append([(a.detach(), b.detach()) for a, b in pairs])
    return found


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_each_function_inside_a_right_hand_side_and_a_fixpoint(name, backend):
    k = list(ELEMENTWISE).index(name)
    for value, *rest in slopes(backend):
        torch.testing.assert_close(value[0][:, k], value[1][:, k], rtol=1e-11, atol=1e-11)
        for ours, theirs in rest:
            torch.testing.assert_close(ours[:, k], theirs[:, k], rtol=1e-9, atol=1e-9)
