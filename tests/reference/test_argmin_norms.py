"""Norms in an objective whose minimum may lie where one of them is 0: closed forms, optimality, and both derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.problems.sums_of_norms import MOST

pytestmark = pytest.mark.usefixtures("backend")

TEXT = """
argmin Shrunk(a[2], l in nonneg) -> z[2] {
  var z[2]
  minimize 1/2*normsq(z - a) + l*norm(z)
  return z
}
argmin Fermat(a[3, 2]) -> z[2] {
  var z[2]
  minimize sum(norm(z - a[i]) for i in 0:3)
  return z
}
argmin Groups(A[5, 4], b[5], l in nonneg) -> z[4] {
  var z[4]
  minimize 1/2*normsq(A @ z - b) + l*norm(z[0:2]) + l*norm(z[2:4])
  return z
}
argmin Many[k](a[k, 2]) -> z[2] {
  var z[2]
  minimize sum(norm(z - a[i]) for i in 0:k)
  return z
}
argmin Squared(a[2]) -> z[2] {
  var z[2]
  minimize normsq(z - a) + norm(z)^3
  return z
}
"""
F64 = torch.float64


def layer(name: str, **options: Any) -> Any:
    return getattr(implicitdsl.loads(TEXT), name)(**{"dtype": F64, **options})


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def both_derivatives(of: Any, inputs: list[torch.Tensor]) -> bool:
    given = [value.clone().requires_grad_() for value in inputs]
    return torch.autograd.gradcheck(of, given, atol=1e-6) and torch.autograd.gradgradcheck(of, given, atol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("a", "z"), [([3.0, 4.0], [2.4, 3.2]), ([0.3, 0.4], [0.0, 0.0])])
def test_shrinkage(a: list[float], z: list[float], size: float) -> None:
    """max(0, 1 - l/|a|) a, in any units."""
    shrunk = layer("Shrunk")
    found = shrunk(size * tensor(a), size * tensor(1.0)).detach()
    torch.testing.assert_close(found, size * tensor(z), rtol=0, atol=1e-12 * size)
    if size == 1.0:
        assert both_derivatives(shrunk, [tensor(a), tensor(1.0)])


def test_the_point_of_fermat() -> None:
    """A corner of 120 degrees or more is the point itself, which moves with it alone; else all sides are seen under 120 degrees."""
    fermat = layer("Fermat")
    wide, acute = tensor([[0.1, 0.2], [2.0, 0.3], [-1.5, 0.4]]), tensor([[0.0, 0.0], [1.0, 0.1], [0.3, 0.9]])
    found = fermat(torch.stack([wide, acute]))
    torch.testing.assert_close(found[0], wide[0], rtol=0, atol=1e-12)
    to = acute - found[1]
    to = to / to.norm(dim=1, keepdim=True)
    torch.testing.assert_close(to @ to.T, 1.5 * torch.eye(3, dtype=F64) - 0.5, rtol=0, atol=1e-9)
    slopes = torch.autograd.functional.jacobian(fermat, wide)
    torch.testing.assert_close(slopes[:, 0], torch.eye(2, dtype=F64), rtol=0, atol=1e-12)
    torch.testing.assert_close(slopes[:, 1:], torch.zeros(2, 2, 2, dtype=F64), rtol=0, atol=1e-12)
    for corners in (wide, acute):
        assert both_derivatives(fermat, [corners])


def test_groups_leave_together() -> None:
    """The conditions: a slope of at most l where a group is 0, else l in its direction; fewer groups are there as l grows."""
    r = torch.Generator().manual_seed(3)
    A, b = torch.randn(40, 5, 4, generator=r, dtype=F64), torch.randn(40, 5, generator=r, dtype=F64)
    groups = layer("Groups", on_fail="nan")
    gone = []
    for l in (0.1, 1.0, 3.0):
        z = groups(A, b, tensor(l))
        assert not groups.last.status.any()
        slope = torch.einsum("bij,bi->bj", A, torch.einsum("bij,bj->bi", A, z) - b).reshape(40, 2, 2)
        pairs = z.detach().reshape(40, 2, 2)
        sizes = pairs.norm(dim=2)
        out = sizes < 1e-12
        assert bool((slope.norm(dim=2)[out] <= l + 1e-9).all())
        torch.testing.assert_close(slope[~out], -l * pairs[~out] / sizes[~out][:, None], rtol=0, atol=1e-8)
        gone.append(int(out.sum()))
    assert 0 <= gone[0] < gone[1] < gone[2]
    assert both_derivatives(groups, [A[0], b[0], tensor(1.0)])


def test_single_precision() -> None:
    shrunk = layer("Shrunk", dtype=torch.float32)
    found = shrunk(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), torch.tensor(1.0))
    torch.testing.assert_close(found, torch.tensor([[2.4, 3.2], [0.0, 0.0]]), rtol=0, atol=1e-6)


def test_what_is_no_such_sum_is_left() -> None:
    """Many points, and a norm that is not linear in the objective, go to Newton's method for smooth objectives."""
    models = implicitdsl.loads(TEXT)

    def conditions(name: str, **sizes: int) -> bool:
        return "force.0" in compiler.stages(getattr(models, name).blueprint(**sizes))["elaborate"]

    assert conditions("Fermat") and conditions("Many", k=5)
    assert not conditions("Many", k=MOST) and not conditions("Squared")
    found = layer("Squared", backend="python")(tensor([3.0, 4.0])).detach()
    # 2 (r - 5) + 3 r^2 = 0 for r = |z|.
    r = (-2 + 124**0.5) / 6
    torch.testing.assert_close(found, tensor([0.6 * r, 0.8 * r]), rtol=0, atol=1e-10)
