"""The methods for stiff systems on lanes against the same solvers on single samples, and against themselves in other places
of the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends.lanes import ode_solver
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.python.build import build
from implicitdsl.layers.options import Options
from implicitdsl.solvers.status import status_name
from tests.lanes.test_ode_engine import RUN, close, compare, lotka
from tests.reference.cases import MODELS

SOLVERS = ("rodas5p", "kvaerno5", "bdf")
TEXT = """
ode Lotka(y0[2], a, b, g, d, ts[T]) -> [T, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = a*x - b*x*y
  dy/dt = d*x*y - g*y*(1 + 0.1*sin(t))
  return [x, y] at ts
}

ode Robertson(k[3]) -> [3] {
  state a = 1, b = 0, c = 0
  da/dt = -k[0]*a + k[2]*b*c
  db/dt = k[0]*a - k[2]*b*c - k[1]*b^2
  dc/dt = k[1]*b^2
  from t = 0 to 1e5
  return [a, b, c]
}

# x' = mu*(…) is anything between smooth and stiff.
ode VanDerPol(x0, mu, ts[T]) -> [T, 2] {
  state x = x0, v = 0
  dx/dt = v
  dv/dt = mu*((1 - x^2)*v - x)
  return [x, v] at ts
}

# At t = 0.25 the slope is so steep for a > 0 that an implicit stage there has no solution.
ode Narrow(x0, a, ts[T]) -> [T] {
  state x = x0
  dx/dt = -x + a*x^2*exp(-(200*(t - 0.25))^2)
  from t = 0 to 2
  return x at ts
}

net MLP[n, h](x[n]) -> [n] {
  param W[h, n], V[n, h] ~ glorot()
  return V @ tanh(W @ x)
}

ode Neural[n, h](z0[n], ts[T]) -> [T, n] {
  use f = MLP[n + 1, h]
  state z[n] = z0
  let both = f([z, t])
  dz/dt = both[0:n]
  return z at ts
}
"""


def engines(
    name: str, sizes: dict[str, int], dtype: str = "float64", solver: str = "rodas5p", **options: Any
) -> tuple[OdeEngine, Any]:
    text = TEXT if f"ode {name}(" in TEXT or f"ode {name}[" in TEXT else (MODELS / "dae.imp").read_text()
    blueprint = compiler.construct(compiler.read_unit(text), name, {}, Options(solver=solver, **options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated(sizes).problem, builder.settings(dtype)
    return build_ode(problem, settings, np.dtype(dtype)), build(problem, settings, np.dtype(dtype))


def kinetics(batch: int) -> np.ndarray:
    return np.array([0.04, 3e7, 1e4]) * np.exp(0.1 * np.random.default_rng(1).standard_normal((batch, 3)))


# Six times in all tests of this model: what is compiled for it is compiled once a method.
@pytest.mark.parametrize("solver", SOLVERS)
def test_fixed_steps_agree_to_the_last_digits(solver: str) -> None:
    compare(*engines("Lotka", {"T": 6}, solver=solver, dt=0.2), lotka(11, np.linspace(0.1, 1.93, 6)), 11, 1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_adaptive_steps_agree_where_lanes_part_ways(solver: str) -> None:
    times = np.array([0.0, 0.0, 0.7, 2.1, 2.1, 5.0])
    # Lengths of steps agree to 3e-7 of them, and what is within a tolerance of 1e-6 to some thousandths of it.
    compare(*engines("Lotka", {"T": 6}, solver=solver, rtol=1e-6, atol=1e-6), lotka(9, times), 9, 1e-8)


@pytest.mark.parametrize("solver", ["rodas5p", "bdf"])
def test_decreasing_times_and_failures(solver: str) -> None:
    lanes, python = engines("Lotka", {"T": 6}, solver=solver)
    args = lotka(9, np.tile([2.0, 1.5, 1.0, 1.0, 0.7, 0.5], (9, 1)))
    args[5][3] = [0.5, 2.0, 1.0, 0.9, 0.8, 0.7]
    args[0][6] = np.inf
    compare(lanes, python, args, 9, 1e-9)
    names = [status_name(s) for s in lanes.solve(args, 9, RUN).status]
    assert names == ["success"] * 3 + ["bad_times"] + ["success"] * 2 + ["nonfinite"] + ["success"] * 2


@pytest.mark.parametrize("solver", ["rodas5p", "bdf"])
def test_robertson_is_that_of_single_samples(solver: str) -> None:
    lanes, python = engines("Robertson", {}, solver=solver, rtol=1e-6, atol=1e-9)
    k = kinetics(16)
    found = lanes.solve([k], 16, RUN)
    some = python.solve([k[:3]], 3, RUN)
    assert not found.status.any()
    np.testing.assert_allclose(found.outputs[0][:3], some.outputs[0], rtol=1e-10)
    cot = [np.tile([0.0, 1.0, 0.0], (16, 1))]
    grads = lanes.pullback([k], 16, found.saved, found.status, cot).grads[0]
    wanted = python.pullback([k[:3]], 3, some.saved, some.status, [cot[0][:3]]).grads[0]
    np.testing.assert_allclose(grads[:3], wanted, rtol=1e-8)
    # Sensitivities scale: b depends on k0/k1 … only up to time, so compare with differences of the tight solution.
    tight, _ = engines("Robertson", {}, solver=solver, rtol=1e-10, atol=1e-14)
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-4
        high, low = (tight.solve([k * np.exp(s * step)], 16, RUN).outputs[0][:, 1] for s in (1, -1))
        np.testing.assert_allclose(grads[:, i] * k[:, i], (high - low) / 2e-4, rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bits_do_not_depend_on_the_batch(solver: str) -> None:
    lanes, _ = engines("VanDerPol", {"T": 3}, solver=solver, rtol=1e-6, atol=1e-6)
    rng = np.random.default_rng(4)
    args = [2 + 0.1 * rng.standard_normal(21), 10.0 ** rng.uniform(-1, 3, 21), np.tile([0.0, 0.5, 2.0], (21, 1))]
    whole = lanes.solve(args, 21, RUN)
    assert not whole.status.any()
    cot = [whole.outputs[0]]
    grads = lanes.pullback(args, 21, whole.saved, whole.status, cot).grads
    for rows in (np.array([20]), np.array([7, 3, 8]), np.arange(21)[::-1].copy()):
        some = [a[rows] for a in args]
        part = lanes.solve(some, len(rows), RUN)
        np.testing.assert_array_equal(part.outputs[0], whole.outputs[0][rows])
        pulled = lanes.pullback(some, len(rows), part.saved, part.status, [cot[0][rows]]).grads
        for g, all_of_it in zip(pulled, grads, strict=True):
            np.testing.assert_array_equal(g, all_of_it[rows])


@pytest.mark.parametrize(
    ("solver", "sizes"),
    [
        ("rodas5p", {"n": 2, "h": 3, "T": 3}),
        ("rodas5p", {"n": 7, "h": 12, "T": 2}),
        ("bdf", {"n": 2, "h": 3, "T": 3}),
    ],
)
def test_a_net_with_shared_weights(solver: str, sizes: dict[str, int]) -> None:
    fixed = {k: v for k, v in sizes.items() if k != "T"}
    models = implicitdsl.loads(TEXT)
    options: dict[str, Any] = {**fixed, "dtype": torch.float64, "solver": solver, "dt": 0.25}
    slow, fast = models.Neural(**options, backend="python"), models.Neural(**options, backend="lanes")
    fast.load_state_dict(slow.state_dict())
    z0 = torch.randn(5, sizes["n"], dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ts = torch.linspace(0, 1, sizes["T"], dtype=torch.float64)
    found: list[list[torch.Tensor]] = []
    for layer in (slow, fast):
        loss = layer(z0, ts).pow(2).sum()
        wrt = [z0, *layer.parameters()]
        grads = torch.autograd.grad(loss, wrt, create_graph=True)
        curved = torch.autograd.grad(sum(g.sin().sum() for g in grads), wrt)
        found.append([loss, *grads, *curved])
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("solver", ["rodas5p", "bdf"])
def test_single_precision_agrees_at_fixed_steps(solver: str) -> None:
    lanes, python = engines("Lotka", {"T": 4}, "float32", solver=solver, dt=0.2)
    args = lotka(5, np.linspace(0, 1, 4), "float32")
    found, expected = lanes.solve(args, 5, RUN), python.solve(args, 5, RUN)
    close(found.outputs[0], expected.outputs[0], 5e-6)
    cot = [expected.outputs[0]]
    pulled = lanes.pullback(args, 5, found.saved, found.status, cot).grads
    for x, y in zip(pulled, python.pullback(args, 5, expected.saved, expected.status, cot).grads, strict=True):
        close(x, y, 5e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_dae_at_fixed_steps_agrees_to_the_last_digits(solver: str) -> None:
    args = [np.array([0.4, 0.9, 0.2, 0.7, -0.3]), np.array(1.3), np.array([1.1, 1.1, 0.9, 0.3, 2.0])]
    compare(*engines("Cubic", {}, solver=solver, dt=0.3), args, 5, 1e-12)


@pytest.mark.parametrize("solver", ["rodas5p", "bdf"])
def test_starts_that_are_not_consistent_fail_alone(solver: str) -> None:
    lanes, python = engines("Reads", {"T": 3}, solver=solver)
    args = [np.array([1.0, np.nan, 0.5, 1.0]), np.tile([0.0, 0.5, 1.0], (4, 1))]
    args[1][3, 0] = np.nan
    compare(lanes, python, args, 4, 1e-9)
    assert [status_name(s) for s in lanes.solve(args, 4, RUN).status] == ["success", "no_root", "success", "bad_times"]
    lanes, python = engines("Root", {}, solver=solver)
    args = [np.array([1.0, -1.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0, 1.0])]
    found, wanted = lanes.solve(args, 4, RUN), python.solve(args, 4, RUN)
    np.testing.assert_array_equal(found.status, wanted.status)
    close(found.outputs[0][[0, 3]], wanted.outputs[0][[0, 3]], 1e-10)


def test_a_tape_of_bdf_is_whole_in_little_memory_and_tangents_agree() -> None:
    models, args = implicitdsl.loads(TEXT), [torch.tensor(a) for a in lotka(9, np.linspace(0.0, 3.0, 6))]
    found: list[list[torch.Tensor]] = []
    for backend, adjoint in (
        ("lanes", "discrete"), ("lanes", "discrete(memory = 0.001)"), ("lanes", "forward"), ("python", "forward"),
    ):  # fmt: skip
        layer = models.Lotka(dtype=torch.float64, solver="bdf", backend=backend, adjoint=adjoint)
        given = [a.clone().requires_grad_() for a in args]
        values = layer(*given)
        found.append([values, *torch.autograd.grad(values.square().sum(), given)])
    for x, y in zip(found[0], found[1], strict=True):
        assert torch.equal(x, y)
    for other in found[2:]:
        for x, y in zip(found[0], other, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", ["python", "lanes"])
def test_a_reading_stage_without_a_solution_is_never_silent(backend: str) -> None:
    layer = implicitdsl.loads(TEXT).Narrow(
        dtype=torch.float64, solver="kvaerno5(dt = 1)", backend=backend, on_fail="nan"
    )
    x0 = torch.tensor([1.0, 1.1, 0.9, 1.3], dtype=torch.float64, requires_grad=True)
    a = torch.tensor([0.0, 1e4, 1e4, 0.0], dtype=torch.float64)
    # The second sample has a time in the first step, the third only in the second.
    ts = torch.tensor([[0.0, 0.5], [0.3, 1.5], [1.5, 2.0], [1.5, 2.0]], dtype=torch.float64)
    found = layer(x0, a, ts)
    assert [status_name(s) for s in layer.last.status.tolist()] == ["success", "stalled", "success", "success"]
    good = [0, 2, 3]
    (slope,) = torch.autograd.grad(found[good].sum(), x0, create_graph=True)
    # Where a does not matter, the equation is linear.
    torch.testing.assert_close(slope[good], (found[good] / x0[good, None]).sum(1), rtol=1e-12, atol=0)
    (bend,) = torch.autograd.grad(slope[good].sum(), x0)
    torch.testing.assert_close(bend[good], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-10)
    for i in good:
        assert torch.equal(layer(x0[i : i + 1], a[i : i + 1], ts[i : i + 1]), found[i : i + 1])


def test_a_number_of_a_method_takes_no_constant_of_a_solver_away(monkeypatch: pytest.MonkeyPatch) -> None:
    method = ode_solver.ode_method("rodas5p")
    wrong = replace(method, places={**method.places, "ITERATIONS": 3})
    monkeypatch.setattr(ode_solver, "ode_method", lambda name, events=False: wrong)
    with pytest.raises(ValueError, match=r"ITERATIONS.*consistent_start"):
        ode_solver._functions.__wrapped__("rodas5p", "float64", written_out=False, far=False, events=False)
