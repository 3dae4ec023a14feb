"""`net` on lanes against the back end python, and against itself in other places of the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl
from tests.lanes.sides import RUN, agree, both, close, cotangents, drawn

TEXT = """
net MLP[n, h, m](x[n]) -> [m] {
  param W[h, n], V[m, h] ~ glorot()
  param b[h] = 0, c[m] = 0
  return V @ tanh(W @ x + b) + c
}

net Two(x[3], A[3, 3], s) -> (y[3], u) {
  return s*(A @ x) + sin(x), normsq(x)/(1 + s^2)
}

net Linear[n](x[n]) -> [n] {
  const k = 2
  return k*x
}
"""


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_values_and_derivatives_are_those_of_python(dtype: str, tolerance: float, batch: int) -> None:
    for name, sizes, shared in (("MLP", {"n": 5, "h": 6, "m": 3}, ""), ("Two", {}, ""), ("Two", {}, "A s")):
        fast, slow = both(TEXT, name, sizes, dtype)
        agree(fast, slow, drawn(fast, batch, shared=shared), batch, tolerance)


def test_large_nets_agree() -> None:
    fast, slow = both(TEXT, "MLP", {"n": 70, "h": 80, "m": 9})
    agree(fast, slow, drawn(fast, 12, scale=0.3), 12, 1e-12)


def test_a_sample_has_its_own_bits() -> None:
    fast, _ = both(TEXT, "MLP", {"n": 5, "h": 6, "m": 3})
    args = drawn(fast, 21)
    whole = fast.solve(args, 21, RUN).outputs[0]
    turned = fast.solve([args[0][::-1].copy(), *args[1:]], 21, RUN).outputs[0]
    np.testing.assert_array_equal(whole, turned[::-1])
    for row in (0, 13, 20):
        alone = fast.solve([args[0][row : row + 1], *args[1:]], 1, RUN).outputs[0]
        np.testing.assert_array_equal(alone[0], whole[row])


def test_threads_change_no_bit() -> None:
    args, found = None, []
    for threads in (1, 2):
        fast, _ = both(TEXT, "MLP", {"n": 5, "h": 6, "m": 3})
        fast._threads = threads
        args = drawn(fast, 3000) if args is None else args
        cots = cotangents(fast, 3000)
        for _ in range(2):
            solution = fast.solve(args, 3000, RUN)
            grads = fast.pullback(args, 3000, [], solution.status, cots).grads
        found.append([solution.outputs[0], *grads])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_failed_sample_spoils_no_other() -> None:
    fast, _ = both(TEXT, "Two", {})
    args = drawn(fast, 20)
    status = np.zeros(20, np.int32)
    status[3] = 2
    cots = cotangents(fast, 20)
    good = fast.pullback(args, 20, [], np.zeros(20, np.int32), cots).grads[0]
    found = fast.pullback(args, 20, [], status, cots).grads[0]
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(np.delete(found, 3, 0), np.delete(good, 3, 0))


def test_the_layer_is_torchs() -> None:
    layer = implicitdsl.loads(TEXT).MLP(n=4, h=5, m=2, backend="lanes", dtype=torch.float64)
    x = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))
    expected = torch.tanh(x @ layer.W.T + layer.b) @ layer.V.T + layer.c
    close(layer(x).detach().numpy(), expected.detach().numpy(), 1e-14)


EMPTY = {
    "net": "net A[n](x[n], b) -> (y[n], c) { return x^2, b + sum(x) }",
    "bvp": """bvp A[n](x[n], b) -> (y[n], c) {
  state y[n] = x, u = b, v = 0
  dy/dt = -y
  du/dt = v
  dv/dt = 0
  y(0) = x
  u(0) = 0
  u(1) = b
  from t = 0 to 1
  return y, u
}""",
}


@pytest.mark.parametrize("backend", ["lanes", "python"])
@pytest.mark.parametrize("kind", EMPTY)
def test_an_output_without_entries_stands_beside_one_with_some(kind: str, backend: str) -> None:
    layer = implicitdsl.loads(EMPTY[kind]).A(n=0, dtype=torch.float64, backend=backend)
    b = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    y, c = layer(torch.zeros(3, 0, dtype=torch.float64), b)
    assert y.shape == (3, 0)
    torch.testing.assert_close(c, b, rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(c.sum(), b)
    torch.testing.assert_close(slope, torch.ones_like(slope), rtol=1e-9, atol=1e-9)


def test_no_times_of_several_outputs() -> None:
    text = "ode A(x, ts[T]) -> (y[T], z[T, 2]) {\n  state y = x\n  dy/dt = -y\n  return y, [y, y] at ts\n}"
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    y, z = implicitdsl.loads(text).A(dtype=torch.float64, backend="lanes")(x, torch.zeros(0, dtype=torch.float64))
    assert (y.shape, z.shape) == ((3, 0), (3, 0, 2))
    assert torch.autograd.grad(y.sum() + z.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]
