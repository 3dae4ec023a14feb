"""Layers of programs whose costs span a dozen decades: solutions, multipliers and derivatives in closed form."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import implicitdsl

pytestmark = pytest.mark.usefixtures("backend")

TEXT = """
argmin Box[n](w[n] in nonneg, q[n], u[n]) -> (z[n], low[n], high[n]) {
  var z[n]
  minimize sum(1/2*w[k]*z[k]^2 + q[k]*z[k] for k in 0:n)
  subject to {
    floor: z >= 0
    ceiling: z <= u
  }
  return z, dual(floor), dual(ceiling)
}
argmin Shares[n](w[n] in positive, a[n], s) -> (z[n], price) {
  var z[n]
  minimize sum(1/2*w[k]*(z[k] - a[k])^2 for k in 0:n)
  subject to { balance: sum(z) = s }
  return z, dual(balance)
}
"""
W = [[1.0, 1e12, 1e6], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
Q = [[-0.25, -5e11, 1e6], [-1.0, -1e12, 1e-3], [-0.5, -5e11, -1e-2]]
U = [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.3, 1e13, 1.0]]


@pytest.fixture(scope="module")
def models() -> Any:
    return implicitdsl.loads(TEXT)


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64)


def test_box(models: Any) -> None:
    """z_k is -q_k/w_k moved into [0, u_k], the multiplier of the side it is at is the slope there."""
    w, q, u = tensor(W), tensor(Q), tensor(U)
    layer = models.Box(n=3, dtype=torch.float64)
    z, low, high = layer(w, q, u)
    assert layer.last.status.tolist() == [0, 0, 0]
    exact = tensor([[0.25, 0.5, 0.0], [1.0, 1.0, 0.0], [0.3, 5e11, 1.0]])
    slope = w * exact + q
    torch.testing.assert_close(z, exact, rtol=1e-13, atol=1e-20)
    torch.testing.assert_close(low, torch.where(exact == 0, slope, 0), rtol=1e-12, atol=1e-20)
    torch.testing.assert_close(high, torch.where(exact == u, -slope, 0), rtol=1e-12, atol=1e-20)


def test_derivatives_of_box(models: Any) -> None:
    """Inside, dz/dq is -1/w and dz/dw is -z/w; at a side z goes with the side."""
    w, q, u = tensor(W[0]).requires_grad_(), tensor(Q[0]).requires_grad_(), tensor(U[0]).requires_grad_()
    layer = models.Box(n=3, dtype=torch.float64)
    z = layer(w, q, u)[0]
    g_w, g_q, g_u = torch.autograd.grad(z.sum(), (w, q, u), materialize_grads=True)
    torch.testing.assert_close(g_q, tensor([-1.0, -1e-12, 0.0]), rtol=1e-12, atol=1e-21)
    torch.testing.assert_close(g_w, tensor([-0.25, -0.5e-12, 0.0]), rtol=1e-12, atol=1e-21)
    torch.testing.assert_close(g_u, tensor([0.0, 0.0, 0.0]), rtol=0, atol=1e-21)
    u = tensor(U[1]).requires_grad_()
    z = layer(tensor(W[1]), tensor(Q[1]), u)[0]
    torch.testing.assert_close(torch.autograd.grad(z.sum(), u)[0], tensor([1.0, 1.0, 0.0]), rtol=1e-12, atol=1e-20)


def test_shares(models: Any) -> None:
    """z_k = a_k - price/w_k with price = (sum a - s)/sum(1/w): the cheap unknown takes nearly all of the change."""
    w, a, s = tensor([1.0, 1e12, 1e5]), tensor([3.0, 0.5, -2.0]), tensor(1.0)
    z, price = models.Shares(n=3, dtype=torch.float64)(w, a, s)
    exact = (a.sum() - s) / (1 / w).sum()
    torch.testing.assert_close(price, exact, rtol=1e-13, atol=0)
    torch.testing.assert_close(z, a - exact / w, rtol=1e-13, atol=0)
    # What the dear unknown moves by is small beside it: only its own row tells.
    torch.testing.assert_close((z[1] - a[1]) * w[1], -exact, rtol=2e-3, atol=0)


def test_alone_and_beside_others(models: Any) -> None:
    """A program that needs its scales taken one after the other leaves those beside it as they are."""
    layer = models.Box(n=3, dtype=torch.float64)
    whole = layer(tensor(W), tensor(Q), tensor(U))
    for k in range(3):
        alone = layer(tensor(W[k]), tensor(Q[k]), tensor(U[k]))
        assert all(torch.equal(part[k], one) for part, one in zip(whole, alone, strict=True))
