"""opcheck of the ops on real engines, torch.compile and torch.export of real layers."""

from __future__ import annotations

import pytest
import torch
from torch.library import opcheck

from implicitdsl.layers.ops import OPS
from tests.integration.zoo import CASES

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SOME = pytest.mark.parametrize("name", ["ode adaptive", "fixpoint", "argmin", "cut net"])


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
    """Keeps the last call of each op."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "implicitdsl":
            self.calls[func._opname] = (func, args)
        return func(*args, **(kwargs or {}))


@EVERY
def test_opcheck(case):
    layer = case.layer()
    rows = case.rows()
    x = rows[0].clone().requires_grad_()
    with Recorder() as recorder:
        out = layer(x, *rows[1:], *case.shared)
        (first,) = torch.autograd.grad(out.pow(2).sum(), x, create_graph=True)
        first.pow(2).sum().backward()
        torch.func.jvp(lambda x: layer(x, *rows[1:], *case.shared), (x.detach(),), (torch.ones_like(x),))
    assert set(recorder.calls) == {"solve", "pullback", "pullback_pullback", "pushforward"}
    for func, args in recorder.calls.values():
        assert func.overloadpacket in (OPS.solve, OPS.pullback, OPS.pullback_pullback, OPS.pushforward)
        plain = torch.utils._pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, args)
        opcheck(func, plain)


@EVERY
def test_compile_is_eager_with_gradients(case):
    layer = case.layer()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    rows = [r.clone().requires_grad_() for r in case.rows()]
    ours, theirs = compiled(*rows, *case.shared), layer(*rows, *case.shared)
    assert torch.equal(ours, theirs)
    wrt = (*rows, *layer.parameters())
    a = torch.autograd.grad(ours.pow(2).sum(), wrt)
    b = torch.autograd.grad(theirs.pow(2).sum(), wrt)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@SOME
def test_compile_a_training_step_with_the_layer_inside(name):
    case = CASES[name]
    layer = case.layer()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def loss(*inputs):
        return layer(*(2 * i for i in inputs[:1]), *inputs[1:]).sin().mean()

    def plain(*inputs):
        return layer(2 * inputs[0], *inputs[1:]).sin().mean()

    wrt = list(layer.parameters()) or [case.rows()[0]]
    a = torch.autograd.grad(loss(*case.inputs()), wrt)
    b = torch.autograd.grad(plain(*case.inputs()), wrt)
    for p, q in zip(a, b, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


@EVERY
def test_export_runs_as_the_layer(case):
    layer = case.layer()
    inputs = case.inputs()
    program = torch.export.export(layer, inputs)
    moved = tuple(i * 0.9 for i in inputs)
    assert torch.equal(program.module()(*moved), layer(*moved))


def test_export_with_a_dynamic_batch():
    layer = CASES["fixpoint"].layer()
    shapes = (({0: torch.export.Dim("batch")},),)  # one tuple more, for `*inputs`
    program = torch.export.export(layer, (torch.randn(4, 2, dtype=torch.float64),), dynamic_shapes=shapes)
    for batch in (2, 5, 9):
        x = torch.randn(batch, 2, dtype=torch.float64)
        assert torch.equal(program.module()(x), layer(x))
