"""The costate equation of stiff equations, on both back ends: agreement with the exact derivative of the computed steps, with
known sensitivities and with differences; what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.solvers.status import note_names
from tests.reference.cases import error, f64, leaf, models

TEXT = """
# Van der Pol's oscillator with save times, a moving start and a moving end.
ode VanDerPol(eps, v0, T, ts[K]) -> (x[K], v[K]) {
  state x = 2, v = v0
  dx/dt = v
  dv/dt = ((1 - x^2)*v - x)/eps
  from t = 0.001*v0 to T
  return x, v at ts
}

# Schaefer's high irradiance response of plants: 8 reactants.
ode Hires(k[6], T) -> y[8] {
  state y[8] = [1, 0, 0, 0, 0, 0, 0, 0.0057]
  dy/dt = [
    -k[0]*y[0] + 0.43*y[1] + 8.32*y[2] + 0.0007,
    k[0]*y[0] - 8.75*y[1],
    -10.03*y[2] + 0.43*y[3] + 0.035*y[4],
    8.32*y[1] + k[0]*y[2] - k[1]*y[3],
    -k[2]*y[4] + 0.43*y[5] + 0.43*y[6],
    -k[3]*y[5]*y[7] + 0.69*y[3] + k[0]*y[4] - 0.43*y[5] + k[4]*y[6],
    k[3]*y[5]*y[7] - k[5]*y[6],
    -k[3]*y[5]*y[7] + k[5]*y[6]
  ]
  from t = 0 to T
  return y
}

# The heat equation by lines, with a source that one number scales: 40 states, so that the matrix of a step is sparse.
ode Rod(source, T) -> u[40] {
  state u[40] = 0
  let inner = concat(u[1:40], [0])
  let left = concat([0], u[0:39])
  du/dt = 1600*(inner - 2*u + left) + source*exp(-u) + t
  from t = 0 to T
  return u
}
"""
METHODS = ("rodas5p", "kvaerno5", "bdf", "auto")
HIRES = [1.71, 1.12, 1.745, 280.0, 0.69, 1.81]
SENSITIVE = f64([
    [-4.2475587717057326, -2.2883550889056693e-9, 1.3730807973446247e-5],
    [4.5911962492538939e-5, -1.1380595093501273e-13, -2.3571921138463331e-10],
])  # fmt: skip
"""Of Robertson's first two unknowns at 40 with respect to the three rates, to 17 digits."""


def layer(name: str, solver: str, adjoint: str, **options: Any) -> Any:
    return getattr(implicitdsl.loads(TEXT), name)(solver=solver, adjoint=adjoint, dtype=torch.float64, **options)


def gradients(built: Callable[..., Any], given: list[Tensor]) -> list[Tensor]:
    inputs = [g.clone().requires_grad_() for g in given]
    answer = built(*inputs)
    parts = torch.cat([a.reshape(-1) for a in (answer if isinstance(answer, tuple) else (answer,))])
    return list(torch.autograd.grad(torch.cos(torch.arange(parts.numel()).double()) @ parts, inputs))


VAN_DER_POL = [f64([1e-3, 0.5]), f64([0.1, -0.3]), f64([1.5, 1.0]), f64([0.002, 0.3, 0.3, 0.79])]


@pytest.mark.parametrize(
    ("method", "adjoint"),
    [("rodas5p", "interpolated"), ("kvaerno5", "gauss"), ("bdf", "gauss"), ("auto", "interpolated")],
)
def test_the_known_sensitivities_of_robertson(method: str, adjoint: str) -> None:
    built = models("stiff").Robertson(
        solver=f"{method}(rtol = 1e-8, atol = 1e-12)", adjoint=adjoint, backend="python", dtype=torch.float64
    )
    k = leaf([0.04, 3e7, 1e4])
    y = built(k, f64([0, 40]))
    assert note_names(int(built.last.notes)) == ("approximate_gradient",)
    for i, wanted in enumerate(SENSITIVE):
        (found,) = torch.autograd.grad(y[1, i], k, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=2e-6, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_van_der_pol_and_hires_agree_with_the_exact_derivative(method: str) -> None:
    tight = {"backend": "python", "rtol": 1e-7, "atol": 1e-9}
    for name, given in (("VanDerPol", [g[:1] if g.numel() == 2 else g for g in VAN_DER_POL]),
                        ("Hires", [f64(HIRES), f64(50.0)])):  # fmt: skip
        exact = gradients(layer(name, method, "discrete", **tight), given)
        found = gradients(layer(name, method, "interpolated", **tight), given)
        for one, two in zip(found, exact, strict=True):
            # A gradient by a time has the slope of the dense output, less accurate than the steps.
            assert error(one, two) < (1e-5 if one.shape == f64(HIRES).shape else 2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_both_back_ends_give_one_gradient_and_a_sample_alone_has_its_bits(method: str) -> None:
    adjoint = "gauss" if method in ("kvaerno5", "bdf") else "interpolated"
    *given, ts = VAN_DER_POL
    given = [*given, ts.expand(2, 4)]
    found, oracle = (gradients(layer("VanDerPol", method, adjoint, backend=b), given) for b in ("lanes", "python"))
    for one, two in zip(found, oracle, strict=True):
        # Steps are chosen by errors that are differences of nearly equal numbers.
        assert error(one, two) < 1e-6
    built, inputs = (
        layer("VanDerPol", method, adjoint, backend="lanes"),
        [g[:1].clone().requires_grad_() for g in given],
    )
    x, v = built(*inputs)
    weights = torch.cos(torch.arange(16).double())
    alone = torch.autograd.grad(weights[:4] @ x[0] + weights[8:12] @ v[0], inputs)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, found, strict=True))


def test_a_sparse_matrix_is_transposed_as_it_is_held() -> None:
    given = [f64(3.0), f64(0.2)]
    told = {"rtol": 1e-7, "atol": 1e-9}
    exact = gradients(layer("Rod", "rodas5p", "discrete", backend="python", **told), given)
    for backend in ("python", "lanes"):
        found = gradients(layer("Rod", "rodas5p", "interpolated", backend=backend, **told), given)
        assert error(found[0], exact[0]) < 1e-6 and error(found[1], exact[1]) < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_prothero_and_robinson_far_beyond_the_stability_of_explicit_methods(method: str) -> None:
    k, times = 1e5, f64([0.0, 0.4, 1.1, 2.0])
    at = leaf(k)
    closed = (at**2 * torch.cos(times) + at * torch.sin(times) - at**2 * torch.exp(-at * times)) / (1 + at**2)
    weights = torch.cos(torch.arange(4, dtype=torch.float64))
    (wanted,) = torch.autograd.grad(weights @ closed, at)
    built = models("stiff").ProtheroRobinson(
        solver=f"{method}(rtol = 1e-10, atol = 1e-10)", adjoint="gauss", backend="python", dtype=torch.float64
    )
    (found,) = torch.autograd.grad(weights @ built(at, times), at)
    # y and the cosine agree to 5 digits of the 10 that the tolerance leaves, and their difference is what is integrated.
    assert abs(found.item() - wanted.item()) < 5e-4 * abs(wanted.item())


@pytest.mark.parametrize("method", ["rodas5p", "bdf"])
def test_the_gradient_is_that_of_differences(method: str) -> None:
    built = layer("Hires", method, "gauss", backend="python", rtol=1e-9, atol=1e-12)
    rates, end = f64(HIRES), f64(20.0)

    def loss(k: Tensor, T: Tensor) -> float:
        return (torch.cos(torch.arange(8).double()) @ built(k, T)).item()

    found = gradients(built, [rates, end])
    for i, rate in list(enumerate(HIRES))[::2]:
        step = torch.zeros(6, dtype=torch.float64)
        step[i] = 1e-4 * rate
        slope = (loss(rates + step, end) - loss(rates - step, end)) / (2e-4 * rate)
        assert math.isclose(found[0][i].item(), slope, rel_tol=1e-4, abs_tol=1e-8)
    slope = (loss(rates, end + 1e-3) - loss(rates, end - 1e-3)) / 2e-3
    assert math.isclose(found[1].item(), slope, rel_tol=1e-4)


@pytest.mark.parametrize("backend", ["python", "lanes"])
def test_a_failed_sample_changes_no_bit_of_another(backend: str) -> None:
    built = models("stiff").Growth(
        solver="rodas5p", adjoint="gauss", backend=backend, dtype=torch.float64, on_fail="nan"
    )
    x0, ts = leaf([0.1, 2.0, -1.0]), f64([0.0, 0.5, 1.0])
    answer = built(x0, ts)
    (grad,) = torch.autograd.grad(answer[[0, 2]].sum(), x0)
    assert built.last.status.tolist()[1] != 0 and grad[1] == 0
    alone = leaf([0.1, -1.0])
    (own,) = torch.autograd.grad(built(alone, ts).sum(), alone)
    assert torch.equal(own, grad[[0, 2]])


def test_backsolve_is_refused_where_the_solution_would_explode() -> None:
    for method in METHODS:
        with pytest.raises(implicitdsl.ImpError, match="grows as fast"):
            layer("Hires", method, "backsolve")
    with pytest.raises(implicitdsl.ImpError, match="has no steps for it"):
        layer("Hires", "leapfrog(dt = 0.1)", "gauss")
