"""The tape of a fixed point whose map contracts: the bits of a pullback without it, and right gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes.root_tape import RootTape
from implicitdsl.layers import direct

MODEL = """
fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n], U[n, m] ~ normal()
  param b[n]
  var z[n]
  z = tanh(W @ z + U @ x + b)
  return z
}
"""
N, M = 32, 5


def layer(rate: float, dtype: torch.dtype = torch.float64) -> Any:
    """A layer whose matrix has that norm."""
    torch.manual_seed(3)
    made = implicitdsl.loads(MODEL).DEQ(n=N, m=M, backend="lanes", threads=1, dtype=dtype)
    with torch.no_grad():
        made.W.mul_(rate / torch.linalg.matrix_norm(made.W, 2))
        made.U.div_(M**0.5)
    return made


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the tapes gave."""
    found: list[Any] = []
    taped = RootTape.pullback

    def counted(self: RootTape, *given: Any) -> Any:
        found.append(taped(self, *given))
        return found[-1]

    monkeypatch.setattr(RootTape, "pullback", counted)
    return found


@pytest.mark.parametrize("batch", [1, 19, 40])
@pytest.mark.parametrize("wanted", ["x", "params", "both"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_those_without_a_tape(
    monkeypatch: pytest.MonkeyPatch, served: list[Any], batch: int, wanted: str, dtype: torch.dtype
) -> None:
    deq = layer(0.25, dtype)
    for value in deq.parameters():
        value.requires_grad_(wanted != "x")
    x = torch.randn(batch, M, dtype=dtype, requires_grad=wanted != "params")
    leaves = [value for value in (x, *deq.parameters()) if value.requires_grad]
    weights = torch.randn(batch, N, dtype=dtype)
    # Later calls have samples in the lanes in the order of their cost, and know that the map contracts.
    every = [torch.autograd.grad((deq(x) * weights).sum(), leaves) for _ in range(3)]
    assert len(served) == 3 and None not in served
    monkeypatch.setattr(direct, "applies", lambda tensors: False)
    every.append(torch.autograd.grad((deq(x) * weights).sum(), leaves))
    assert len(served) == 3
    for found in zip(*every, strict=True):
        assert all(torch.equal(found[0], other) for other in found)


def test_gradients_are_those_of_linear_algebra_and_finite_differences(served: list[Any]) -> None:
    deq, x = layer(0.25), torch.randn(7, M, dtype=torch.float64, requires_grad=True)
    z, weights = deq(x), torch.randn(7, N, dtype=torch.float64)
    leaves = [x, deq.W, deq.U, deq.b]
    found = torch.autograd.grad((z * weights).sum(), leaves)
    assert served and None not in served
    with torch.no_grad():
        inner = 1 - z**2
        slope = torch.eye(N) - inner[:, :, None] * deq.W
        u = torch.linalg.solve(slope.mT, weights) * inner
        for one, right in zip(found, (u @ deq.U, u.T @ z, u.T @ x, u.sum(0)), strict=True):
            torch.testing.assert_close(one, right, rtol=1e-8, atol=1e-10)
        for leaf, slope in zip(leaves, found, strict=True):
            way, step = torch.randn_like(leaf), 1e-5
            start = leaf.clone()
            values = []
            for sign in (1.0, -1.0):
                leaf.copy_(start + sign * step * way)
                values.append((deq(x) * weights).sum())
            leaf.copy_(start)
            torch.testing.assert_close((slope * way).sum(), (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-7)


def test_what_a_series_does_not_settle_is_factored(served: list[Any]) -> None:
    """The answer contracts, but so slowly that its series is given up."""
    deq = layer(0.25)
    with torch.no_grad():
        deq.W.copy_(0.97 * torch.eye(N))
        deq.U.zero_()
    x = torch.zeros(3, M, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(deq(x).sum(), deq.b)
    torch.testing.assert_close(grad, torch.full((N,), 3 / 0.03, dtype=torch.float64), rtol=1e-6, atol=0)
    assert served in ([], [None])


def test_samples_that_nobody_asks_about_add_nothing(served: list[Any]) -> None:
    deq, x = layer(0.25), torch.randn(19, M, dtype=torch.float64, requires_grad=True)
    (part,) = torch.autograd.grad(deq(x)[3:5].sum(), x)
    assert served == [] and not part[:3].any() and not part[5:].any()
    (alone,) = torch.autograd.grad(deq(x[3:5]).sum(), x)
    assert torch.equal(part, alone)


def test_no_tape_where_a_sample_does_not_contract(served: list[Any]) -> None:
    deq = layer(3.0)
    x = torch.randn(19, M, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(deq(x).square().sum(), x)
    assert served == [] and torch.isfinite(grad).all()
