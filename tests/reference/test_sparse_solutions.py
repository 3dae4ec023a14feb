"""Stiff systems of many states whose Jacobian is sparse: values, derivatives, and what they cost.

Reference digits: SciPy 1.16 `solve_ivp`, Radau with rtol 1e-10 and atol 1e-12 (Arrow: DOP853, 1e-11 and 1e-13)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.python.build import build
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.layers.options import Options
from implicitdsl.problems.step_pattern import StepPattern
from implicitdsl.problems.stiff import pattern_of
from tests.lanes.test_ode_engine import RUN, close, compare
from tests.reference.cases import MODELS

TEXT = (MODELS / "lines.imp").read_text()


def layer(name: str, **options: Any):
    return getattr(implicitdsl.loads(TEXT), name)(dtype=torch.float64, **options)


def problem(name: str, sizes: dict[str, int], solver: str = "rodas5p") -> tuple[Any, Any]:
    fixed = {k: v for k, v in sizes.items() if k != "T"}
    blueprint = compiler.construct(compiler.read_unit(TEXT), name, fixed, Options(solver=solver))
    builder = compiler._builder(blueprint)
    return builder.elaborated(sizes).problem, builder.settings("float64")


def held(name: str, **sizes: int) -> StepPattern:
    return pattern_of(problem(name, sizes)[0], "auto")


def slope(layer, value: float, measure) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of a measure by the layer, and by central differences of its values."""
    x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(measure(layer(x)), x)
    with torch.no_grad():
        step = 1e-3 * value
        high, low = (measure(layer(torch.tensor(value + s * step, dtype=torch.float64))) for s in (1, -1))
    return found, (high - low) / (2 * step)


def test_a_brusselator_of_a_thousand_states() -> None:
    model = layer("Brusselator", N=500, backend="lanes")
    ts = torch.tensor([0.0, 10.0], dtype=torch.float64)
    u, v = model(torch.tensor(0.02, dtype=torch.float64), ts)
    places = [0, 49, 249, 499]
    known_u = [0.9949197002317598, 0.7624421042573062, 0.44268415266812744, 0.9949443665673283]
    known_v = [3.00534890681499, 3.247677121243353, 3.526669239590269, 3.005497999747578]
    np.testing.assert_allclose(u[1, places], known_u, rtol=2e-6)
    np.testing.assert_allclose(v[1, places], known_v, rtol=2e-6)
    found, wanted = slope(lambda a: model(a, ts)[0][1], 0.02, lambda u: (u**2).mean())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_burgers_equation_of_a_thousand_states() -> None:
    model = layer("Burgers", n=1024, backend="lanes")
    u = model(torch.tensor(0.01, dtype=torch.float64))
    known = [0.0015438270155414802, 0.30963285918620115, 0.7775171681961301, 0.9046348356829008, -0.0013360010062187253]
    np.testing.assert_allclose(u[[0, 200, 511, 600, 1023]], known, rtol=0, atol=1e-6)
    found, wanted = slope(model, 0.01, lambda u: (u**2).mean())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_an_arrow_of_a_thousand_states() -> None:
    model = layer("Arrow", n=1000, backend="lanes")
    y = model(torch.tensor(2.0, dtype=torch.float64))
    known = [0.00016326996276367663, 1.4957351179080171e-05, 1.4956996077657783e-05, 1.4957348173638652e-05]
    np.testing.assert_allclose(y[[0, 1, 500, 1000]], known, rtol=1e-4)
    found, wanted = slope(model, 2.0, lambda y: y[1:].mean())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "sizes", "values", "dt"),
    [
        ("Brusselator", {"N": 15, "T": 2}, (0.02, [0.0, 0.5]), 0.125),
        ("Arrow", {"n": 30}, (2.0,), 2.5),
        ("Shifted", {"n": 20}, (3.0,), 0.125),
        ("Turning", {"n": 3}, (1.0,), 0.5),
    ],
)
def test_sparse_and_dense_give_the_same_derivatives_of_all_orders(name, sizes, values, dt) -> None:
    found: list[list[np.ndarray]] = []
    for matrix in ("dense", "sparse"):
        p, s = problem(name, sizes, f"rodas5p(matrix = {matrix}, dt = {dt})")
        engine = StiffEngine(p, s, np.dtype(np.float64))
        assert engine.step_matrix.startswith(matrix)
        args = [np.array(v) for v in values]
        run = engine.solve(args, 1, RUN)
        assert not run.status.any()
        rng = np.random.default_rng(3)
        cot = [rng.standard_normal(o.shape) for o in run.outputs]
        directions = [rng.standard_normal(a.shape) for a in args]
        pulled = engine.pullback(args, 1, run.saved, run.status, cot)
        second = engine.pullback_pullback(args, 1, run.saved, run.status, cot, directions)
        found.append([*run.outputs, *pulled.grads, *second.cotangents, *second.grads])
    for x, y in zip(*found, strict=True):
        close(y, x, 1e-9)


@pytest.mark.parametrize("solver", ["kvaerno5"])
def test_methods_of_newton_steps_give_the_same_with_sparse_as_with_dense(solver: str) -> None:
    found: list[list[torch.Tensor]] = []
    for matrix in ("dense", "sparse"):
        model = layer("Arrow", n=12, backend="python", solver=f"{solver}(matrix = {matrix}, rtol = 1e-7, atol = 1e-9)")
        rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        y = model(rate)
        weights = torch.cos(torch.arange(y.numel(), dtype=torch.float64))
        (slope,) = torch.autograd.grad(weights @ y, rate, create_graph=True)
        (bend,) = torch.autograd.grad(slope, rate)
        assert bend != 0
        assert f"matrix    {matrix}" in compiler.stages(model.blueprint)["bind"]
        found.append([y.detach(), slope.detach(), bend])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "sizes", "solver"),
    [
        ("Brusselator", {"N": 6, "T": 2}, "rodas5p"),
        ("Shifted", {"n": 6}, "rodas5p"),
        ("Shifted", {"n": 6}, "bdf"),
    ],
)
def test_lanes_do_what_single_samples_do(name: str, sizes: dict[str, int], solver: str) -> None:
    p, s = problem(name, sizes, f"{solver}(matrix = sparse, dt = 0.125)")
    rates = np.linspace(0.02, 0.03, 9) if name == "Brusselator" else np.linspace(2.0, 3.0, 9)
    args = [rates, np.array([0.0, 0.5])] if name == "Brusselator" else [rates]
    compare(build_ode(p, s, np.dtype(np.float64)), build(p, s, np.dtype(np.float64)), args, 9, 1e-10)


def test_the_gradient_of_a_sparse_dae_is_that_of_differences() -> None:
    model = layer("Shifted", n=30, solver="rodas5p(rtol = 1e-8, atol = 1e-10, matrix = sparse)", backend="python")
    u, z = model(torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(torch.roll(z, -1) * (1 + 0.1 * u**2), u, rtol=0, atol=1e-8)
    found, wanted = slope(model, 3.0, lambda o: (o[0] ** 2).sum() + o[1][3])
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize(("backend", "n"), [("python", 8), ("lanes", 80)])
def test_a_derivative_that_vanishes_is_no_pivot(backend: str, n: int) -> None:
    """Reference digits: each x follows x' = -w(x) - x with the root w(x): DOP853, 1e-12, and Brent's method."""
    matrix = "auto" if n > 60 else "sparse"
    model = layer("Cubes", n=n, solver=f"rodas5p(matrix = {matrix}, rtol = 1e-8, atol = 1e-10)", backend=backend)
    x, z, w = model(torch.tensor(0.5, dtype=torch.float64))
    assert "matrix    sparse" in compiler.stages(model.blueprint)["bind"]
    np.testing.assert_allclose(x[[0, 2]], [0.05774555845259072, 0.00955319181056652], rtol=1e-7)
    np.testing.assert_allclose(z[[0, 2]], [0.08655349606083595, 0.014329493482078846], rtol=1e-7)
    np.testing.assert_allclose(w[[0, 2]], [0.057680716834540596, 0.009552897576795586], rtol=1e-7)


def test_pivots_that_vanish_on_the_way_are_those_of_a_dense_matrix_and_of_closed_forms() -> None:
    """208 unknowns, of which every pair of algebraic ones meets a pivot of 0 at some angle, the first at the start."""
    n, rate = 52, 1.0
    found: list[list[torch.Tensor]] = []
    for matrix in ("sparse", "dense"):
        model = layer("Turning", n=n, solver=f"rodas5p(matrix = {matrix}, rtol = 1e-8, atol = 1e-10)", backend="lanes")
        r = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
        y, z, w = model(r)
        weights = torch.cos(torch.arange(n, dtype=torch.float64))
        (slope,) = torch.autograd.grad(weights @ (y + z + w), r)
        found.append([y.detach(), z.detach(), w.detach(), slope])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    # z = cos x - 2 sin x and w = sin x + 2 cos x at x = x0 + rate t; y is the integral of z.
    first = torch.pi / 2 + 0.01 * torch.arange(n, dtype=torch.float64)

    def closed(r: torch.Tensor) -> list[torch.Tensor]:
        last = first + 2.0 * r
        y = (last.sin() - first.sin() + 2 * (last.cos() - first.cos())) / r
        return [y, last.cos() - 2 * last.sin(), last.sin() + 2 * last.cos()]

    r = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
    wanted = closed(r)
    (slope,) = torch.autograd.grad(weights @ sum(wanted), r)
    for one, other in zip(found[0], [*wanted, slope], strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("backend", ["python", "lanes"])
def test_a_singular_start_is_told_with_a_sparse_matrix_too(backend: str) -> None:
    text = """
dae Lost[n](s) -> z[n] {
  state x[n] = s
  var z[n] = 1, w[n] = 1
  dx/dt = -z
  z + x*w = 1
  x*z + x^2*w = 2
  from t = 0 to 1
  solver rodas5p(matrix = sparse)
  return z
}
"""
    model = implicitdsl.loads(text).Lost(n=3, dtype=torch.float64, on_fail="nan", backend=backend)
    assert model(torch.tensor(0.5, dtype=torch.float64)).isnan().all()
    assert model.last.message(0).startswith("Lost: singular")


# ---------------------------------------------------------------- costs


@pytest.mark.parametrize("name", ["Brusselator", "Burgers", "Arrow"])
def test_the_cost_is_that_of_the_pattern(name: str) -> None:
    size = {"Brusselator": "N", "Burgers": "n", "Arrow": "n"}[name]
    times = {"T": 2} if name == "Brusselator" else {}
    once, twice = (held(name, **{size: n}, **times) for n in (500, 1000))
    assert once.jacobian is not None
    assert twice.jacobian is not None
    # Sweeps do not grow with the system, all else grows with it and no faster.
    assert once.jacobian.directions == twice.jacobian.directions <= 6
    assert once.jacobian.gradients == twice.jacobian.gradients <= 1
    for what in ("entries", "operations", "factor_entries", "storage", "factor_size"):
        assert 1.9 < getattr(twice, what) / getattr(once, what) < 2.1, what
    assert twice.operations <= 8 * twice.states
    assert twice.factor_entries <= 8 * twice.states


def test_small_and_full_systems_stay_dense() -> None:
    assert held("Brusselator", N=8, T=2).jacobian is None
    # Up to there the pivots of algebraic rows are chosen in every step.
    assert held("Cubes", n=60).jacobian is None
    assert held("Cubes", n=80).jacobian is not None
    assert pattern_of(problem("Brusselator", {"N": 40, "T": 2})[0], "dense").jacobian is None
    assert held("Brusselator", N=40, T=2).about.startswith(
        "sparse: 316 of 6400 derivatives, made by 6 directions; 313 "
    )
