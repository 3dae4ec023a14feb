"""Programs with abs, max, min and relu: closed forms, multipliers, and both derivatives against differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import implicitdsl

pytestmark = pytest.mark.usefixtures("backend")

TEXT = """
argmin Soft[n](a[n], l in nonneg) -> [n] {
  var z[n]
  minimize 1/2*normsq(z - a) + l*sum(abs(z))
  return z
}
argmin Lasso[m, n](A[m, n], b[m], l in nonneg) -> [n] {
  var z[n]
  minimize 1/2*normsq(A @ z - b) + l*sum(abs(z))
  return z
}
argmin Median[n](a[n]) -> z {
  var z
  minimize sum(abs(a - z))
  return z
}
argmin Quantile[n](a[n], q) -> z {
  var z
  minimize sum(max(q*(a - z), (q - 1)*(a - z)))
  return z
}
argmin Midrange[n](a[n]) -> z {
  var z
  minimize max(abs(a - z))
  return z
}
argmin Ball[n](a[n], r in positive) -> (z[n], price) {
  var z[n]
  minimize 1/2*normsq(z - a)
  subject to { ball: sum(abs(z)) <= r }
  return z, dual(ball)
}
argmin Worst[s, n](R[s, n]) -> w[n] {
  var w[n] in simplex(n)
  maximize min(R @ w)
  return w
}
argmin Flat[n](y[n], l in nonneg) -> [n] {
  var x[n]
  minimize 1/2*normsq(x - y) + l*sum(abs(x[i + 1] - x[i]) for i in 0:n - 1)
  return x
}
argmin Hinge(a, c in nonneg) -> z {
  var z
  minimize 1/2*z^2 + c*relu(a - 2*z + 1)
  return z
}
argmin Squared(a) -> z {
  var z
  minimize relu(z)^2 + (z - a)^2
  return z
}
"""

WEIGHED = """
argmin Weighed[n](a[n], l) -> [n] {
  var z[n]
  minimize 1/2*normsq(z - a) + l*sum(abs(z))
  return z
}
"""

CASES: list[tuple[str, dict[str, int], list[Any], list[Any]]] = [
    ("Soft", {"n": 3}, [[1.0, -0.2, -2.0], 0.5], [[0.5, 0.0, -1.5]]),  # soft thresholding
    ("Median", {"n": 5}, [[1.0, -0.2, -2.0, 7.0, 0.3]], [0.3]),
    ("Quantile", {"n": 5}, [[1.0, -0.2, -2.0, 7.0, 0.3], 0.3], [-0.2]),  # the second of five, 0.2 < q < 0.4
    ("Midrange", {"n": 5}, [[1.0, -0.2, -2.0, 7.0, 0.3]], [2.5]),
    ("Ball", {"n": 3}, [[1.0, -0.2, -2.0], 1.5], [[0.25, 0.0, -1.25], 0.75]),  # thresholding at the multiplier
    ("Worst", {"n": 2, "s": 2}, [[[1.0, 0.2], [0.1, 0.8]]], [[0.4, 0.6]]),  # both returns equal
    ("Flat", {"n": 5}, [[1.0, 1.2, 0.9, 3.0, 3.1], 0.3], [[3.4 / 3] * 3 + [2.9] * 2]),  # means moved by l/3 and l/2
    ("Hinge", {}, [1.0, 0.3], [0.6]),  # before the bend: z = 2c
    ("Hinge", {}, [1.0, 3.0], [1.0]),  # on the bend: z = (a + 1)/2
    ("Squared", {}, [0.6], [0.3]),
]


def _tensors(values: list[Any]) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def _tuple(found: Any) -> tuple[torch.Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize(
    ("name", "sizes", "inputs", "expected"), CASES, ids=[f"{c[0]}{i}" for i, c in enumerate(CASES)]
)
def test_closed_forms_and_both_derivatives(
    name: str, sizes: dict[str, int], inputs: list[Any], expected: list[Any]
) -> None:
    layer = getattr(implicitdsl.loads(TEXT), name)(dtype=torch.float64, **sizes)
    given = [value.requires_grad_() for value in _tensors(inputs)]
    for found, wanted in zip(_tuple(layer(*given)), _tensors(expected), strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=1e-9)
    assert int(layer.last.notes) == 0
    assert torch.autograd.gradcheck(layer, given, atol=1e-6)
    assert torch.autograd.gradgradcheck(layer, given, atol=1e-6)


def test_the_lasso_satisfies_its_first_order_conditions() -> None:
    layer = implicitdsl.loads(TEXT).Lasso(m=4, n=3, dtype=torch.float64)
    A, b = _tensors([[[1.0, 0.2, 0.3], [0.1, 2.0, 0.4], [-0.3, 0.1, 1.0], [0.5, 0.5, -0.2]], [1.0, -0.2, -2.0, 0.4]])
    z = layer(A, b, 0.5).detach()
    slope = A.T @ (A @ z - b)
    assert abs(z[1]) < 1e-12
    assert abs(slope[1]) < 0.5
    torch.testing.assert_close(slope[[0, 2]], -0.5 * z[[0, 2]].sign(), rtol=0, atol=1e-9)


def test_samples_fail_and_stand_alone() -> None:
    with pytest.warns(UserWarning, match="W501"):
        models = implicitdsl.loads(WEIGHED)
    layer = models.Weighed(n=2, dtype=torch.float64, on_fail="nan")
    a = torch.tensor([1.0, -0.2], dtype=torch.float64)
    weights = torch.tensor([0.5, -0.5, 0.0], dtype=torch.float64)
    found = layer(a, weights)
    assert layer.last.status.tolist() == [0, 10, 0]
    assert found[1].isnan().all()
    torch.testing.assert_close(found[0], torch.tensor([0.5, 0.0], dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(found[2], a, rtol=0, atol=1e-9)
    assert torch.equal(found[0], layer(a, weights[0]))


def test_single_precision() -> None:
    layer = implicitdsl.loads(TEXT).Soft(n=3, dtype=torch.float32)
    found = layer(torch.tensor([1.0, -0.2, -2.0]), torch.tensor(0.5))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.0, -1.5]), rtol=0, atol=1e-5)


TUBE = """
argmin Tube[m, n](X[m, n], y[m], width in nonneg) -> w[n] {
  var w[n]
  minimize 1/2*normsq(w) + 2*sum(max(abs(X @ w - y) - width, 0))
  return w
}
"""


def test_bends_within_bends() -> None:
    """Regression with a dead zone; the weights are those that SciPy's Nelder–Mead finds on the objective as it stands."""
    layer = implicitdsl.loads(TUBE).Tube(m=4, n=2, dtype=torch.float64)
    X, y, width = (
        value.requires_grad_()
        for value in _tensors([[[1.0, 0.2], [0.3, 1.0], [-0.5, 0.8], [1.1, -0.4]], [1.0, 0.5, -0.2, 2.0], 0.1])
    )
    wanted = torch.tensor([1.04444444, 0.27777778], dtype=torch.float64)
    torch.testing.assert_close(layer(X, y, width).detach(), wanted, rtol=0, atol=1e-8)
    assert torch.autograd.gradcheck(layer, (X, y, width), atol=1e-6)
