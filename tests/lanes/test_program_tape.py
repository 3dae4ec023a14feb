"""The tape of a quadratic program: the bits of a pullback without it."""

from __future__ import annotations

import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes import program_plan
from implicitdsl.backends.lanes.program_tape import ProgramTape
from implicitdsl.layers import direct

MODEL = """
argmin QP[n, m, p](q[n]) -> [n] {
  param L[n, n] ~ identity()
  param A[p, n], G[m, n] ~ normal()
  param b[p], h[m]
  var z[n]
  minimize 1/2*normsq(L.T @ z) + q @ z
  subject to {
    A @ z = b
    G @ z <= h
  }
  return z
}
"""


@pytest.mark.parametrize("batch", [1, 19, 32])
@pytest.mark.parametrize("wanted", ["q", "params", "both"])
@pytest.mark.parametrize("kept", [program_plan.MOST_KEPT, 0])
def test_gradients_are_those_without_a_tape(
    monkeypatch: pytest.MonkeyPatch, batch: int, wanted: str, kept: int
) -> None:
    torch.manual_seed(2)
    monkeypatch.setattr(program_plan, "MOST_KEPT", kept)
    layer = implicitdsl.loads(MODEL).QP(n=5, m=4, p=2, backend="lanes", threads=1, dtype=torch.float64)
    with torch.no_grad():
        layer.h.fill_(2.0)
    for value in layer.parameters():
        value.requires_grad_(wanted != "q")
    q = torch.randn(batch, 5, dtype=torch.float64, requires_grad=wanted != "params")
    leaves = [value for value in (q, *layer.parameters()) if value.requires_grad]
    served = []

    def counted(self: ProgramTape, *given: object) -> object:
        served.append(taped(self, *given))
        return served[-1]

    taped = ProgramTape.pullback
    monkeypatch.setattr(ProgramTape, "pullback", counted)
    weights = torch.randn(batch, 5, dtype=torch.float64)
    with_tape = torch.autograd.grad((layer(q) * weights).sum(), leaves)
    # The matrices that were prepared are used again, until their numbers change.
    again = torch.autograd.grad((layer(q) * weights).sum(), leaves)
    assert len(served) == 2 and None not in served
    monkeypatch.setattr(direct, "applies", lambda tensors: False)
    without = torch.autograd.grad((layer(q) * weights).sum(), leaves)
    assert len(served) == 2
    for one, other, third in zip(with_tape, without, again, strict=True):
        assert torch.equal(one, other) and torch.equal(one, third)


def test_second_derivatives_read_what_the_tape_holds() -> None:
    """What is saved is made of the tape when a second derivative asks for it."""
    torch.manual_seed(2)
    layer = implicitdsl.loads(MODEL).QP(n=5, m=4, p=2, backend="lanes", threads=1, dtype=torch.float64)
    with torch.no_grad():
        layer.h.fill_(2.0)
    q = torch.randn(19, 5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(q).square().sum(), q, create_graph=True)
    (once,) = torch.autograd.grad(layer(q).square().sum(), q)
    assert torch.equal(slope, once)
    (bend,) = torch.autograd.grad(slope.sum(), q)
    step = 1e-5
    with_step = [torch.autograd.grad(layer(q + s).square().sum(), q)[0] for s in (step, -step)]
    torch.testing.assert_close(bend, (with_step[0] - with_step[1]) / (2 * step), rtol=1e-6, atol=1e-8)


def test_changed_matrices_are_prepared_anew() -> None:
    torch.manual_seed(3)
    layer = implicitdsl.loads(MODEL).QP(n=3, m=2, p=1, backend="lanes", threads=1, dtype=torch.float64)
    with torch.no_grad():
        layer.h.fill_(50.0)
    q = torch.randn(16, 3, dtype=torch.float64)
    before = layer(q)
    with torch.no_grad():
        layer.L.mul_(2.0)
    after = layer(q)
    # With A z = b, b = 0 and no active row, four times Q is a fourth of z.
    torch.testing.assert_close(after, before / 4, rtol=1e-8, atol=1e-8)
