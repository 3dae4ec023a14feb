"""Every explicit method as a layer, on both back ends: exact first and second derivatives, orbits to the tolerance asked for."""

from __future__ import annotations

import math

import pytest
import torch

import implicitdsl
from implicitdsl.backends.settings import SOLVERS
from implicitdsl.solvers.tableau import TABLEAUS

TEXT = """
ode Forced(y0[2], a, ts[T]) -> [T, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = a*x - x*y + sin(t)
  dy/dt = x*y - a^2*y
  return [x, y] at ts
}

ode Orbit(e in interval(0, 1), ts[T]) -> [T, 4] {
  state q[2] = [1 - e, 0], v[2] = [0, sqrt((1 + e)/(1 - e))]
  dq/dt = v
  dv/dt = -q/norm(q)^3
  return [q, v] at ts
}
"""
MODELS = implicitdsl.loads(TEXT)
METHODS = pytest.mark.parametrize("method", TABLEAUS)
BACKENDS = pytest.mark.parametrize("backend", ["python", "lanes"])
KEPLER = {
    0.1: (0.21988353520083965, 0.94270768463418131, -0.97876598410581765, 0.32879779909620360),
    0.5: (-0.57804329530353613, 0.86338400091941928, -0.95950837303807273, -0.065049151267120905),
}
"""(q, v) at T = 20 by Kepler's equation."""


def number(*values):
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


def test_every_tableau_is_a_solver_of_the_language():
    assert {name for name in TABLEAUS if SOLVERS[name].executable} == set(TABLEAUS)


@BACKENDS
@METHODS
def test_derivatives_of_fixed_steps_are_exact(method, backend):
    layer = MODELS.Forced(solver=method, backend=backend, dt=0.25, dtype=torch.float64)
    # The first and the last time are ends of the interval, the two between are read from the dense output.
    arguments = (number(0.7, 0.4), number(0.8), number(0.1, 0.42, 0.93, 1.2))
    arguments = tuple(a.requires_grad_() for a in arguments)
    assert torch.autograd.gradcheck(layer, arguments, eps=1e-6, atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradgradcheck(layer, arguments, eps=1e-6, atol=1e-7, rtol=1e-6)


@BACKENDS
@pytest.mark.parametrize(("method", "bound"), [("tsit5", 2000), ("dop853", 2000), ("prince9", 1)])
@pytest.mark.parametrize("e", KEPLER)
def test_an_orbit_after_three_turns(e, method, bound, backend):
    layer = MODELS.Orbit(solver=method, backend=backend, rtol=1e-10, atol=1e-10, dtype=torch.float64)
    found = layer(number(e), number(0.0, 7.0, 20.0))[-1]
    # The turns of an orbit magnify the errors of the steps; prince9 makes them that much smaller than it is asked to.
    assert (found - number(*KEPLER[e])).abs().max() <= bound * 1e-10
    x, y, u, v = found.tolist()
    assert abs((u * u + v * v) / 2 - 1 / math.hypot(x, y) + 0.5) <= min(bound, 100) * 1e-10
    assert abs(x * v - y * u - math.sqrt(1 - e * e)) <= min(bound, 100) * 1e-10


@BACKENDS
@pytest.mark.parametrize("method", ["dop853", "prince9"])
def test_values_between_the_steps_are_as_good_as_the_ends(method, backend):
    layer = MODELS.Orbit(solver=method, backend=backend, rtol=1e-10, atol=1e-10, dtype=torch.float64)
    e, times = 0.3, torch.linspace(0, 6, 61, dtype=torch.float64)
    anomaly = times.clone()
    for _ in range(60):
        anomaly -= (anomaly - e * anomaly.sin() - times) / (1 - e * anomaly.cos())
    wanted = torch.stack([anomaly.cos() - e, math.sqrt(1 - e * e) * anomaly.sin()], -1)
    found = layer(number(e), times)
    assert int(layer.last.steps) < 40
    assert (found[:, :2] - wanted).abs().max() <= 5e-9
    # Asking for more times changes no other value by a bit.
    assert torch.equal(layer(number(e), times[::30]), found[::30])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("method", ["dop853", "prince9", "heun", "midpoint"])
def test_a_sample_has_the_bits_it_has_alone(method):
    layer = MODELS.Orbit(solver=method, rtol=1e-5, atol=1e-5, dtype=torch.float64)
    # Each sample reads in steps of its own: stages that are made for one of them change nothing of another.
    starts, times = torch.linspace(0.05, 0.6, 11, dtype=torch.float64), number(0.0, 1.0, 4.0).repeat(11, 1)
    times[:, 1] += torch.linspace(0, 2.5, 11, dtype=torch.float64)
    starts.requires_grad_(method == "dop853")
    together = layer(starts, times)
    slopes = torch.autograd.grad(together.sum(), starts)[0] if method == "dop853" else None
    for i in (0, 6, 10):
        alone = starts[i].detach().clone().requires_grad_(slopes is not None)
        found = layer(alone, times[i])
        assert torch.equal(found, together[i])
        if slopes is not None:
            assert torch.equal(torch.autograd.grad(found.sum(), alone)[0], slopes[i])


@BACKENDS
@pytest.mark.parametrize("method", ["dop853", "prince9", "heun", "midpoint"])
def test_single_precision(method, backend):
    layer = MODELS.Orbit(solver=method, backend=backend, dtype=torch.float32)
    e = torch.tensor(0.1, dtype=torch.float32, requires_grad=True)
    found = layer(e, torch.tensor([0.0, 2.5, 6.0], dtype=torch.float32))
    found.sum().backward()
    tight = MODELS.Orbit(solver="prince9", rtol=1e-12, atol=1e-12, dtype=torch.float64)
    double = tight(number(0.1), number(0.0, 2.5, 6.0))
    assert found.dtype == e.grad.dtype == torch.float32
    assert (found - double).abs().max() <= 2e-2
