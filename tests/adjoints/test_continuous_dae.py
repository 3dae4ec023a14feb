"""The costate equation of a `dae`: known sensitivities, a closed form, the exact derivative of the computed steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import implicitdsl
from tests.adjoints.test_continuous_events import gradients, largest
from tests.adjoints.test_continuous_stiff import SENSITIVE
from tests.reference.cases import f64, leaf, models

TEXT = """
# Everything depends on everything: the start, both ends, save times at both ends and between.
dae Cubic(x0[2], p, ts[T]) -> (x[T], z[T, 2]) {
  param q = 0.7
  state x[2] = x0*p
  var z[2] = [1, 0.5]
  dx/dt = [-x[0]*z[0] + sin(t)*z[1], q*x[0] - z[1]]
  z[0]^3 + z[0] = p*x[0] + q*t
  z[1] = z[0]^2 - p*x[1]
  return x[0]*t, z at ts
}

dae CubicEnd(x0[2], p, t1) -> (x, z[2]) {
  state x[2] = x0
  var z[2] = [1, 0.5]
  dx/dt = [-x[0]*z[0] + sin(t)*z[1], x[0] - z[1]]
  z[0]^3 + z[0] = p*x[0] + t
  z[1] = z[0]^2 - p*x[1]
  from t = p/5 to t1
  return x[0]*t, p*z
}

# x' = -k*z with z = x^2, so that x = x0/(1 + k*x0*t); the equation is written in units that are far from 1.
dae Decay(x0, k, unit, t1) -> (x, z) {
  state x = x0
  var z = 1
  from t = 0 to t1
  dx/dt = -k*z
  unit*z = unit*x^2
  return x, z
}

# Bars in a row that a wall holds at one end: temperatures, and the flows of heat that follow from them.
dae Bars(k, T) -> u[4] {
  state u[4] = 1
  var flow[4] = 0
  du/dt = 50*(concat([0], flow[0:3]) - flow) + sin(t)
  flow = 10*k*(u - concat(u[1:4], [0]))
  from t = 0 to T
  return u + 0.1*flow
}
"""
MODELS = implicitdsl.loads(TEXT)
TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11, "dtype": torch.float64}
GIVEN: dict[str, tuple[Any, ...]] = {
    "Cubic": ([0.4, 0.9], 1.3, [0.1, 0.33, 0.33, 0.8, 1.4]),
    "CubicEnd": ([0.4, 0.9], 1.3, 1.1),
}


@pytest.mark.parametrize(("method", "adjoint"), [("rodas5p", "interpolated"), ("kvaerno5", "gauss"), ("bdf", "gauss")])
@pytest.mark.parametrize("name", GIVEN)
def test_the_gradient_is_that_of_the_computed_map(name: str, method: str, adjoint: str) -> None:
    found, exact = (
        gradients(getattr(MODELS, name)(solver=method, adjoint=a, backend="python", **TIGHT), GIVEN[name])
        for a in (adjoint, "discrete")
    )
    # Gradients by times have the slope of a polynomial, less accurate than the steps.
    assert largest(found, exact) <= 1e-5 and largest(found[:2], exact[:2]) <= 2e-7


@pytest.mark.parametrize("back_end", ["python", "lanes"])
@pytest.mark.parametrize("unit", [1.0, 1e-7, 1e7])
def test_the_closed_form_whatever_the_unit_of_the_equation(unit: float, back_end: str) -> None:
    x0, k, scale, t1 = leaf([0.7, 1.9]), leaf(1.3), leaf(unit), leaf(2.0)
    x, z = MODELS.Decay(solver="rodas5p", adjoint="interpolated", backend=back_end, **TIGHT)(x0, k, scale, t1)
    exact = x0 / (1 + k * x0 * t1)
    found = torch.autograd.grad((x + 0.3 * z).sum(), [x0, k, t1, scale])
    wanted = torch.autograd.grad((exact + 0.3 * exact**2).sum(), [x0, k, t1])
    for one, two in zip(found[:3], wanted, strict=True):
        assert torch.allclose(one, two, rtol=1e-7, atol=1e-9)
    assert abs(found[3].item()) * unit <= 1e-7


def test_the_known_sensitivities_of_robertson() -> None:
    built = models("dae").Robertson(
        solver="rodas5p(rtol = 1e-8, atol = 1e-12)", adjoint="gauss", backend="lanes", dtype=torch.float64
    )
    k, guess = leaf([0.04, 3e7, 1e4]), leaf(0.5)
    y = built(k, guess, f64([0, 40]))
    for i, wanted in enumerate((*SENSITIVE, -SENSITIVE.sum(0))):
        found, by_guess = torch.autograd.grad(y[1, i], (k, guess), retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=5e-6, atol=0)
        assert by_guess.item() == 0.0


def test_a_sparse_matrix_and_single_precision() -> None:
    given, told = (1.2, 0.1), {"backend": "python", "rtol": 1e-7, "atol": 1e-9, "dtype": torch.float64}
    exact = gradients(MODELS.Bars(**told), given)
    sparse = gradients(MODELS.Bars(solver="rodas5p(matrix = sparse)", adjoint="interpolated", **told), given)
    assert largest(sparse, exact) <= 1e-5
    single = gradients(MODELS.Bars(adjoint="gauss", backend="python", dtype=torch.float32), given, torch.float32)
    assert largest([s.double() for s in single], exact) <= 2e-3


def test_backsolve_is_refused() -> None:
    with pytest.raises(implicitdsl.ImpError, match=r"E613[\s\S]*grows as fast"):
        MODELS.CubicEnd(adjoint="backsolve")
