"""leapfrog and yoshida4: order, energy over many turns, time reversed, exact derivatives, on both back ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import ImpError

TEXT = """
ode Orbit(e in interval(0, 1), ts[T]) -> [T, 4] {
  state q[2] = [1 - e, 0], v[2] = [0, sqrt((1 + e)/(1 - e))]
  dq/dt = v
  dv/dt = -q/norm(q)^3
  return [q, v] at ts
}

ode Mixed(z0[4], a, ts[T]) -> [T, 4] {
  # Velocities and positions in one vector, a force that moves with time, a rate that is no velocity.
  state z[4] = z0
  dz/dt = [sin(a*z[1]) + t, -z[0]^3 + cos(a*t), -z[3]*a - z[1], z[2] + z[0]]
  return z at ts
}

ode Between(z0[4], ts[T]) -> [T, 4] {
  state z[4] = z0
  dz/dt = [z[1], -z[0], z[3] - z[1], -z[2]]
  return z at ts
}

ode Damped(x0, ts[T]) -> [T] {
  state x = x0, v = 0
  dx/dt = v
  dv/dt = -x - 0.1*v
  return x at ts
}

ode Ring(x0[3], ts[T]) -> [T] {
  state x = x0[0], y = x0[1], z = x0[2]
  dx/dt = y
  dy/dt = z
  dz/dt = x
  return x at ts
}
"""
MODELS = implicitdsl.loads(TEXT)
METHODS = pytest.mark.parametrize(("method", "order"), [("leapfrog", 2), ("yoshida4", 4)])
BACKENDS = pytest.mark.parametrize("backend", ["python", "lanes"])
DOUBLE = torch.float64
KEPLER = (-0.57804329530353613, 0.86338400091941928, -0.95950837303807273, -0.065049151267120905)
"""(q, v) at T = 20 for e = 0.5, by Kepler's equation."""


def number(*values):
    return torch.tensor(values if len(values) > 1 else values[0], dtype=DOUBLE)


@BACKENDS
@METHODS
def test_the_slope_of_the_error_is_the_order(method, order, backend):
    errors = []
    for count in (2000, 4000):
        layer = MODELS.Orbit(solver=f"{method}(dt = {20 / count})", backend=backend, dtype=DOUBLE)
        end = layer(number(0.5), number(0.0, 20.0))[-1]
        assert int(layer.last.steps) == count
        errors.append((end - number(*KEPLER)).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("backend", ["python", "lanes"])
@METHODS
def test_the_energy_of_an_orbit_does_not_drift(method, order, backend):
    layer = MODELS.Orbit(solver=f"{method}(dt = 0.05)", backend=backend, dtype=DOUBLE)
    plain = MODELS.Orbit(solver="rk4(dt = 0.05)", backend=backend, dtype=DOUBLE)
    # As Python fewer, which take seconds.
    turns = 200 if backend == "lanes" else 80

    def defects(which, turns):
        q, v = which(number(0.3), torch.linspace(0, turns * 2 * math.pi, 40 * turns + 1, dtype=DOUBLE)).split(2, -1)
        found = ((v * v).sum(-1) / 2 - 1 / q.norm(dim=-1) + 0.5).abs()
        return found[: len(found) // 10].max().item(), found[-len(found) // 10 :].max().item()

    early, late = defects(layer, turns)
    assert late <= 1.1 * early
    assert early <= {2: 3e-3, 4: 3e-4}[order]
    early, late = defects(plain, turns)
    assert late > 5 * early


@BACKENDS
@METHODS
def test_a_run_backwards_comes_to_where_it_began(method, order, backend):
    layer = MODELS.Mixed(solver=f"{method}(dt = 0.1)", backend=backend, dtype=DOUBLE)
    start = number(0.4, -0.3, 0.2, 0.6)
    there = layer(start, number(0.7), number(0.0, 1.0, 2.0, 3.0))[-1]
    back = layer(there, number(0.7), number(3.0, 2.0, 1.0, 0.0))[-1]
    # Symmetric methods undo themselves but for rounding; those of Runge and Kutta do not.
    assert (back - start).abs().max() <= 1e-13
    other = MODELS.Mixed(solver="rk4(dt = 0.1)", backend=backend, dtype=DOUBLE)
    there = other(start, number(0.7), number(0.0, 1.0, 2.0, 3.0))[-1]
    assert (other(there, number(0.7), number(3.0, 2.0, 1.0, 0.0))[-1] - start).abs().max() > 1e-9


@BACKENDS
@METHODS
def test_derivatives_are_exact(method, order, backend):
    layer = MODELS.Mixed(solver=f"{method}(dt = 0.25)", backend=backend, dtype=DOUBLE)
    arguments = (number(0.4, -0.3, 0.2, 0.6), number(0.8), number(0.1, 0.42, 0.93, 1.2))
    arguments = tuple(a.requires_grad_() for a in arguments)
    assert torch.autograd.gradcheck(layer, arguments, eps=1e-6, atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradgradcheck(layer, arguments, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.usefixtures("backend")
@METHODS
def test_a_step_is_symplectic(method, order):
    # For q' = p-like pairs (0, 1) and (3, 2) of this Hamiltonian system the Jacobian J of a step keeps J' Omega J = Omega.
    layer = MODELS.Orbit(solver=f"{method}(dt = 0.2)", dtype=DOUBLE)
    models = implicitdsl.loads("""
ode Flow(z0[4]) -> [4] {
  state q[2] = z0[0:2], v[2] = z0[2:4]
  from t = 0 to 1
  dq/dt = v
  dv/dt = -q/norm(q)^3
  return [q, v]
}
""")
    layer = models.Flow(solver=f"{method}(dt = 0.2)", dtype=DOUBLE)
    jacobian = torch.autograd.functional.jacobian(layer, number(0.7, 0.1, -0.2, 1.1)).numpy()
    omega = np.block([[np.zeros((2, 2)), np.eye(2)], [-np.eye(2), np.zeros((2, 2))]])
    np.testing.assert_allclose(jacobian.T @ omega @ jacobian, omega, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("backend")
@METHODS
def test_values_between_the_steps(method, order):
    layer = MODELS.Orbit(solver=f"{method}(dt = 0.01)", dtype=DOUBLE)
    times = torch.linspace(0, 3, 61, dtype=DOUBLE)
    exact = MODELS.Orbit(solver="prince9", rtol=1e-12, atol=1e-12, dtype=DOUBLE)(number(0.3), times)
    assert (layer(number(0.3), times) - exact).abs().max() <= {2: 1e-3, 4: 1e-5}[order]


@pytest.mark.usefixtures("backend")
@METHODS
def test_single_precision_and_batches(method, order):
    layer = MODELS.Orbit(solver=f"{method}(dt = 0.01)", dtype=torch.float32)
    e = torch.linspace(0.1, 0.5, 11)
    found = layer(e, torch.tensor([0.0, 1.5, 3.0]))
    assert found.dtype == torch.float32
    assert torch.equal(found[7], layer(e[7], torch.tensor([0.0, 1.5, 3.0])))
    exact = MODELS.Orbit(solver="prince9", rtol=1e-12, atol=1e-12, dtype=DOUBLE)(e.double(), number(0.0, 1.5, 3.0))
    assert (found - exact).abs().max() <= 2e-3


@pytest.mark.parametrize(
    ("name", "said"),
    [("Damped", "the rate of `v` contains `v` itself"), ("Ring", "the rate of `"), ("Between", None)],
)
def test_a_system_that_does_not_fall_apart_is_refused(name, said):
    if said is None:
        assert MODELS.Between(solver="leapfrog(dt = 0.1)") is not None
        return
    with pytest.raises(ImpError) as caught:
        getattr(MODELS, name)(solver="leapfrog(dt = 0.1)")
    (found,) = caught.value.diagnostics
    assert found.code == "E613"
    assert said in found.message


def test_a_step_must_be_given():
    with pytest.raises(ImpError) as caught:
        MODELS.Orbit(solver="leapfrog")
    assert [d.code for d in caught.value.diagnostics] == ["E612"]
