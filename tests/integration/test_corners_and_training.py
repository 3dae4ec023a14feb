"""Sizes 0 and 1, no times, and layers in use: they learn, they do not grow, and an error leaves nothing broken."""

from __future__ import annotations

import gc

import pytest
import torch

import implicitdsl
from implicitdsl.layers import registry
from tests.integration.zoo import CASES, models

F64 = torch.float64

SMALL = """
net Dense[n, m](x[n]) -> [m] {
  param W[m, n] ~ normal()
  param b[m] = 1
  return W @ x + b
}
root Own[n](x[n]) -> [n] {
  var z[n] = 0
  2*z + z^3 = x
  return z
}
fixpoint Rest[n](x[n]) -> [n] {
  var z[n] = 0
  z = tanh(z)/2 + x
  return z
}
argmin Near[n](x[n]) -> [n] {
  var z[n]
  minimize normsq(z - x)
  subject to { z >= 0 }
  return z
}
ode Fall[n](x0[n], ts[T]) -> [T, n] {
  state x[n] = x0
  dx/dt = -x
  return x at ts
}
"""


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("name", ["Own", "Rest", "Near", "Fall", "Dense"])
def test_small_sizes(name, n):
    sizes = {"n": n, "m": 2} if name == "Dense" else {"n": n}
    template = implicitdsl.loads(SMALL)[name]
    if (name, n) == ("Fall", 0):
        with pytest.raises(implicitdsl.ImpError, match="nothing to integrate"):
            template(**sizes)
        return
    layer = template(**sizes, dtype=F64)
    x = torch.rand(3, n, dtype=F64).requires_grad_()
    times = (torch.tensor([0.0, 1.0], dtype=F64),) if name == "Fall" else ()
    out = layer(x, *times)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert grad.shape == x.shape and out.isfinite().all()
    expected = {
        "Own": lambda: 2 * out + out**3 - x,
        "Rest": lambda: torch.tanh(out) / 2 + x - out,
        "Near": lambda: out - x,
        "Fall": lambda: out - torch.stack([x, x * torch.exp(-times[0][1])], 1),
        "Dense": lambda: out - x @ layer.W.T - 1,
    }[name]()
    assert out.shape[0] == 3 and expected.abs().max().item() < 1e-6 if expected.numel() else out.numel() == 0


@pytest.mark.parametrize("T", [0, 1])
def test_no_time_and_one_time_have_gradients(T):
    layer = implicitdsl.loads(SMALL).Fall(n=2, dtype=F64)
    x = torch.rand(3, 2, dtype=F64, requires_grad=True)
    ts = torch.full((T,), 0.5, dtype=F64, requires_grad=True)
    out = layer(x, ts)
    assert out.shape == (3, T, 2)
    gx, gt = torch.autograd.grad(out.sum(), [x, ts])
    assert torch.equal(gx, torch.full_like(x, float(T)))
    assert torch.equal(gt, torch.zeros_like(ts))  # the start holds at the first time, wherever that is


def test_an_empty_batch():
    for case in CASES.values():
        layer = case.layer()
        rows = [r[:0].clone().requires_grad_() for r in case.rows()]
        out = layer(*rows, *case.shared)
        assert out.shape[0] == 0
        wrt = [*rows, *layer.parameters()]
        assert all((g == 0).all() for g in torch.autograd.grad(out.sum(), wrt))


# ---------------------------------------------------------------- learning


def train(layer, loss, steps, lr):
    optimiser = torch.optim.Adam(layer.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return losses


SHARED = """
net MLP[n, h](x[n]) -> [n] {
  param W[h, n], V[n, h] ~ glorot()
  param b[h] = 0
  return V @ tanh(W @ x + b)
}
net Tied[d, h](x[d]) -> [d] {
  use f = MLP[d, h]
  return f(f(x)) - x/4
}
ode Twice[d, h = 4](z0[d], ts[T]) -> [T, d] {
  use f = Tied[d, h]
  state z[d] = z0
  dz/dt = f(z)
  solver rk4(dt = 0.25)
  return z at ts
}
"""


def test_a_neural_ode_with_shared_weights_learns_a_rotation():
    layer = implicitdsl.loads(SHARED).Twice(d=2, dtype=F64)
    assert len(list(layer.parameters())) == 3
    ts = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    z0 = torch.randn(4, 2, dtype=F64)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=F64)
    target = torch.stack([z0 @ torch.matrix_exp(t * turn).T for t in ts], 1)
    losses = train(layer, lambda: (layer(z0, ts) - target).pow(2).mean(), 40, 0.05)
    assert losses[-1] < 0.15 * losses[0]


def test_an_equilibrium_model_learns():
    layer = models().Classifier(m=2, k=2, dtype=F64)
    x = torch.randn(12, 2, dtype=F64)
    labels = (x[:, 0] > x[:, 1]).long()
    losses = train(layer, lambda: torch.nn.functional.cross_entropy(layer(x), labels), 40, 0.05)
    assert losses[-1] < 0.3 * losses[0]


def test_a_quadratic_program_learns_its_constraint():
    layer = models().Program(n=3, m=3, dtype=F64)
    q, h = CASES["argmin"].rows()
    target = torch.tensor([[0.2, -0.1, -0.1], [0.0, 0.2, -0.2]], dtype=F64)
    losses = train(layer, lambda: (layer(q, h) - target).pow(2).mean(), 30, 0.05)
    assert losses[-1] < 0.7 * losses[0]


def test_second_order_training_of_a_penalty_on_gradients():
    layer = models().DEQ(n=3, m=2, dtype=F64)
    x = torch.randn(5, 2, dtype=F64, requires_grad=True)

    def loss():
        out = layer(x).pow(2).sum()
        (slope,) = torch.autograd.grad(out, x, create_graph=True)
        return slope.pow(2).sum()

    losses = train(layer, loss, 15, 0.03)
    assert losses[-1] < 0.6 * losses[0]


# ---------------------------------------------------------------- nothing grows


def counted():
    gc.collect()
    tensors = sum(1 for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor))
    return tensors, len(registry._entries), len(registry._bindings)


def test_three_hundred_training_steps_keep_no_tensor_and_no_engine():
    layer = models().Classifier(m=2, k=2, dtype=F64, on_fail="nan")
    x = torch.randn(2, 2, dtype=F64, requires_grad=True)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e-3)

    def step():
        optimiser.zero_grad()
        out = layer(x).pow(2).sum()
        (slope,) = torch.autograd.grad(out, x, create_graph=True)
        (out + slope.pow(2).sum()).backward()
        optimiser.step()

    for _ in range(3):
        step()
    x.grad = None
    before = counted()
    for _ in range(300):
        step()
    x.grad = None
    assert counted() == before


def test_layers_that_are_gone_leave_no_engine():
    models().DEQ(n=2, m=2)(torch.zeros(2))
    before = counted()[1:]
    for _ in range(20):
        layer = models().DEQ(n=2, m=2)
        layer(torch.zeros(3, 2, requires_grad=True)).sum().backward()
        del layer
    assert counted()[1:] == before


def test_failing_calls_keep_nothing_and_break_nothing():
    layer = models().Kepler(dtype=F64)
    good = (torch.tensor(1.0, dtype=F64, requires_grad=True), torch.tensor(0.3, dtype=F64))
    expected = layer(*good)
    (slope,) = torch.autograd.grad(expected, good[0])
    before = counted()
    for _ in range(20):
        with pytest.raises(implicitdsl.SolveError):
            layer(good[0], torch.tensor(1.5, dtype=F64))
        with pytest.raises(ValueError, match="do not broadcast"):
            layer(torch.zeros(2), torch.zeros(3))
        with pytest.raises(TypeError):
            layer(torch.zeros(2))
    out = layer(*good)
    assert torch.equal(out, expected) and layer.last.status == 0
    assert torch.equal(torch.autograd.grad(out, good[0])[0], slope)
    del out
    assert counted()[0] - before[0] <= 8 and counted()[1:] == before[1:]  # `last` and locals of the last round


def test_an_exception_in_backward_leaves_the_layer_whole():
    layer = implicitdsl.loads("root Double(p) -> x {\n  var x = 1\n  x^2 = p\n  return x\n}").Double(dtype=F64)
    zero = torch.tensor([0.0], dtype=F64, requires_grad=True)
    one = torch.tensor([4.0], dtype=F64, requires_grad=True)
    for _ in range(3):
        out = layer(zero)
        with pytest.raises(implicitdsl.SolveError):
            out.sum().backward()
        (grad,) = torch.autograd.grad(layer(one).sum(), one)
        assert grad.item() == pytest.approx(0.25, rel=1e-12)


def test_an_interrupted_solve_is_no_state():
    layer = models().DEQ(n=3, m=2, dtype=F64)
    x = torch.randn(2, dtype=F64)
    expected = layer(x)

    class Stop(Exception):
        pass

    def hook(module, inputs):
        raise Stop

    handle = layer.register_forward_pre_hook(hook)
    with pytest.raises(Stop):
        layer(x)
    handle.remove()
    assert torch.equal(layer(x), expected)
