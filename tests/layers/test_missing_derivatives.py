"""A derivative that does not exist is a failure of the backward pass: of its samples, where it is asked for."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.layers import SolveError
from implicitdsl.solvers.status import NONFINITE

TEXT = """
ode Drain(x0, k) -> x {
  state x = x0
  dx/dt = -k*sqrt(x)
  from t = 0 to 1
  solver tsit5(rtol = 1e-10, atol = 1e-12)
  return x
}
net Rate(x) -> y {
  param k = 4
  return sqrt(k*x)
}
net Scaled(x, w) -> y { return w*sqrt(x) }
"""
F64 = torch.float64
LEVELS = [1.0, 0.0, 4.0, 2.25]


def level(x0: list[float] = LEVELS, *, wanted: bool = True) -> Tensor:
    return torch.tensor(x0, dtype=F64, requires_grad=wanted)


def layer(name: str, backend: str, **options) -> implicitdsl.Layer:
    return getattr(implicitdsl.loads(TEXT), name)(dtype=F64, backend=backend, **options)


@pytest.fixture(params=["lanes", "python"])
def back(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("twice", [False, True])
def test_the_error_names_the_samples_without_a_derivative(back: str, twice: bool) -> None:
    x = level()
    y = layer("Drain", back)(x, 0.5)
    assert y.isfinite().all()
    with pytest.raises(
        SolveError, match=r"Drain: 1 of 4 samples could not be differentiated\n  nonfinite \[E703\] at 1"
    ):
        torch.autograd.grad(y.sum(), x, create_graph=twice)


def test_one_sample_s_missing_derivative_touches_no_other(back: str) -> None:
    x = level()
    (g,) = torch.autograd.grad(layer("Drain", back, on_fail="nan")(x, 0.5).sum(), x)
    # Torricelli: x(t) = (sqrt(x0) - k*t/2)^2.
    root = x.detach().sqrt()
    wanted = (root - 0.25) / root
    assert g[1].isnan()
    torch.testing.assert_close(g[[0, 2, 3]], wanted[[0, 2, 3]], rtol=1e-8, atol=0.0)
    alone = level([LEVELS[0], *LEVELS[2:]])
    (without,) = torch.autograd.grad(layer("Drain", back)(alone, 0.5).sum(), alone)
    assert torch.equal(without, g[[0, 2, 3]])


def test_what_nobody_asks_for_fails_nobody(back: str) -> None:
    x = level()
    # A sample that no cotangent asks about has no derivative to miss.
    (g,) = torch.autograd.grad(layer("Rate", back)(x)[[0, 2]].sum(), x)
    assert torch.equal(g, torch.tensor([1.0, 0.0, 0.5, 0.0], dtype=F64))
    # Nor has an input that needs no gradient: dy/dx does not exist at 0, dy/dw does.
    x, w = level(wanted=False), level([1.0, 2.0, 3.0, 4.0])
    (g,) = torch.autograd.grad(layer("Scaled", back)(x, w).sum(), w)
    assert torch.equal(g, x.sqrt())
    x = level()
    with pytest.raises(SolveError, match="1 of 4 samples"):
        torch.autograd.grad(layer("Scaled", back)(x, w).sum(), (x, w))


def test_a_sum_that_all_samples_share_is_traced_to_those_who_spoil_it(back: str) -> None:
    model = layer("Rate", back)
    with pytest.raises(SolveError) as caught:
        model(level([1.0, 0.0, 4.0, 9.0, 0.0, 16.0, 25.0], wanted=False)).sum().backward()
    assert caught.value.samples == ((1,), (4,)) and caught.value.stage == "backward"
    assert caught.value.status.tolist() == [0, NONFINITE, 0, 0, NONFINITE, 0, 0]
    lenient = layer("Rate", back, on_fail="nan")
    lenient(level([1.0, 0.0, 4.0], wanted=False)).sum().backward()
    assert lenient.k.grad is not None and lenient.k.grad.isnan()


def test_cotangents_that_are_no_numbers_are_their_givers_affair(back: str) -> None:
    x = level([1.0, 4.0])
    (g,) = torch.autograd.grad(layer("Rate", back)(x), x, torch.tensor([float("nan"), 1.0], dtype=F64))
    assert g[0].isnan() and g[1] == 0.5


def test_a_warning_says_the_same(back: str) -> None:
    x = level()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        (g,) = torch.autograd.grad(layer("Rate", back, on_fail="warn")(x).sum(), x)
    assert [str(w.message).partition("\n")[0] for w in heard] == ["Rate: 1 of 4 samples could not be differentiated"]
    assert g[0] == 1.0 and not g[1].isfinite()
