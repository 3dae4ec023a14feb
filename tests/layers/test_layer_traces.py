"""torch.compile, torch.export and opcheck on the real module."""

from __future__ import annotations

import pytest
import torch
from torch.library import opcheck

from implicitdsl.layers import Layer, SolveError
from implicitdsl.layers.ops import OPS
from tests.layers.fake_engines import cut_blueprint, decay_blueprint, nothing_blueprint, tanh_blueprint

F64 = torch.float64


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def data(batch=4):
    return torch.randn(batch, 3, dtype=F64), torch.randn(3, 3, dtype=F64)


@pytest.mark.parametrize("make", [tanh_blueprint, cut_blueprint])
def test_compile_fullgraph_gives_the_bits_of_eager(make):
    layer = Layer(make())
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for batch in (4, 7, 9):
        x, A = data(batch)
        x1, x2 = x.clone().requires_grad_(), x.clone().requires_grad_()
        ours, theirs = compiled(x1, A), layer(x2, A)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        for p in layer.parameters():
            p.grad = None
        sum((o * o).sum() for o in ours).backward()
        grads = [p.grad.clone() for p in layer.parameters()]
        for p in layer.parameters():
            p.grad = None
        sum((o * o).sum() for o in theirs).backward()
        assert torch.equal(x1.grad, x2.grad)
        assert all(torch.equal(a, p.grad) for a, p in zip(grads, layer.parameters(), strict=True))


def test_compile_does_not_set_last_and_raises_at_run_time():
    layer = Layer(tanh_blueprint())
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x, A = data()
    compiled(x, A)
    assert layer.last is None
    x[2, 0] = 11
    with pytest.raises(SolveError) as caught:
        compiled(x, A)
    assert caught.value.samples == ((2,),)


def test_compile_with_dynamic_shapes_and_call_sizes():
    layer = Layer(decay_blueprint())
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    for batch, count in ((3, 4), (5, 4), (5, 6)):
        a, ts = torch.rand(batch, dtype=F64), torch.linspace(0, 1, count, dtype=F64)
        assert torch.equal(compiled(a, ts), layer(a, ts))
    compiled(a, ts).sum().backward()
    assert layer.parametrizations["k"].original.grad is not None


def test_compile_of_a_model_around_the_layer():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer(decay_blueprint())
            self.head = torch.nn.Linear(4, 1, dtype=F64)

        def forward(self, a, ts):
            return self.head(self.layer(a, ts)) + self.layer.k

    model = Model()
    a, ts = torch.rand(3, dtype=F64), torch.linspace(0, 1, 4, dtype=F64)
    assert torch.equal(torch.compile(model, fullgraph=True, backend="aot_eager")(a, ts), model(a, ts))


def test_compile_of_a_layer_without_arguments():
    layer = Layer(nothing_blueprint())
    assert torch.equal(torch.compile(layer, fullgraph=True, backend="aot_eager")(), layer())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("make", [tanh_blueprint, cut_blueprint])
def test_export_keeps_a_dynamic_batch(make, strict):
    layer = Layer(make())
    x, A = data()
    shapes = {"inputs": ({0: torch.export.Dim("b")}, None)}
    program = torch.export.export(layer, (x, A), dynamic_shapes=shapes, strict=strict)
    assert layer.last is None
    x, A = data(9)
    for ours, theirs in zip(program.module()(x, A), layer(x, A), strict=True):
        assert torch.equal(ours, theirs)


def test_opcheck_of_every_op():
    layer = Layer(tanh_blueprint())
    entry = layer._binding.entry(0, F64, {})
    x, A = data()
    args = [x, A, layer.w.detach()]
    found = OPS.solve(args, [2, 2], entry.key, "raise", None, 0)
    cots, status, saved = [torch.randn_like(t) for t in found[:2]], found[2], found[5:]
    dots = [torch.randn_like(t) for t in args]
    rest = (args, status, saved, [2, 2], entry.key, "raise")
    opcheck(OPS.solve, (args, [2, 2], entry.key, "raise", None, 0))
    opcheck(OPS.solve, (args, [2, 2], entry.key, "nan", torch.tensor(3), 5))
    opcheck(OPS.pullback, (cots, *rest))
    opcheck(OPS.pullback_pullback, (cots, dots, *rest))
    opcheck(OPS.pushforward, (dots, *rest))


def test_make_fx_traces_the_gradient():
    from torch.fx.experimental.proxy_tensor import make_fx

    layer = Layer(tanh_blueprint())
    x, A = data()
    f = torch.func.grad(lambda x: layer(x, A)[0].pow(2).sum())
    graph = make_fx(f)(x)
    assert torch.equal(graph(2 * x), f(2 * x))
