"""A fixed point is settled by contraction alone only where df/dz shrinks every direction, those too that the iterates
never took; everywhere else the statuses are those of the back end `python`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl

TEXT = """
fixpoint Affine[n](A[n, n], b[n]) -> [n] {
  var z[n] = 0
  z = A @ z + b
  return z
}

fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.02)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(W @ z + U @ x)
  return z
}
"""


def with_direction(n: int, direction: np.ndarray, value: float, rest: float = 0.3) -> np.ndarray:
    """A symmetric matrix with an eigenvalue along a direction, and another everywhere else."""
    e = direction / np.linalg.norm(direction)
    return rest * np.eye(n) + (value - rest) * np.outer(e, e)


def directions(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    found = [np.eye(n)[k] for k in range(n)]
    found += [np.eye(n)[0] - np.eye(n)[k] for k in range(1, n)]
    found += [np.ones(n), np.arange(1.0, n + 1), *(rng.standard_normal(n) for _ in range(8))]
    return found


@pytest.mark.parametrize("value", [1.0, 0.9999, 0.999, -1.0])
def test_a_direction_that_the_iterates_never_take_is_seen(value: float) -> None:
    n = 5
    # Along the others an eigenvalue of 1 is one to rounding only, and so is the verdict.
    found = directions(n)[: 2 * n - 1] if value == 1.0 else directions(n)
    matrices = np.stack([with_direction(n, e, value) for e in found])
    # The right-hand side has no part along the direction, so that Picard's iterates converge without it.
    rng = np.random.default_rng(1)
    rights = np.stack([(np.eye(n) - np.outer(e, e) / (e @ e)) @ rng.standard_normal(n) for e in found])
    seen = {}
    for backend in ("lanes", "python"):
        layer = implicitdsl.loads(TEXT).Affine(n=n, dtype=torch.float64, on_fail="nan", backend=backend)
        answer = layer(torch.tensor(matrices), torch.tensor(rights))
        seen[backend] = (layer.last.status.numpy(), layer.last.notes.numpy(), answer.numpy())
    np.testing.assert_array_equal(seen["lanes"][0], seen["python"][0])
    np.testing.assert_array_equal(seen["lanes"][1], seen["python"][1])
    good = seen["python"][0] == 0
    if value != 1.0:
        assert good.all()
        wanted = np.linalg.solve(np.eye(n) - matrices, rights[..., None])[..., 0]
        np.testing.assert_allclose(seen["lanes"][2], wanted, rtol=1e-9, atol=1e-10)


def test_what_contracts_is_answered_to_the_tolerance_with_the_exact_gradient() -> None:
    torch.manual_seed(0)
    layer = implicitdsl.loads(TEXT).DEQ(n=24, m=5, dtype=torch.float64, backend="lanes")
    x = torch.randn(37, 5, dtype=torch.float64, requires_grad=True)
    z = layer(x)
    W, U = layer.W.detach().requires_grad_(), layer.U.detach()
    y = x.detach().requires_grad_()
    unrolled = torch.zeros(37, 24, dtype=torch.float64)
    for _ in range(200):
        unrolled = torch.tanh(unrolled @ W.T + y @ U.T)
    assert (z - unrolled).abs().max() < 2e-12
    found = torch.autograd.grad(z.square().sum(), [x, layer.W])
    wanted = torch.autograd.grad(unrolled.square().sum(), [y, W])
    for a, b in zip(found, wanted, strict=True):
        assert (a - b).abs().max() < 1e-10 * b.abs().max()
