"""`ode` on lanes against the same solvers on single samples (back end python), against finite differences, and against itself in
other places of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends.engine import RunOptions
from implicitdsl.backends.lanes import ode_room
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.python.ode_engine import OdeEngine as Reference
from implicitdsl.diagnostics import ImpError
from implicitdsl.layers.options import Options
from implicitdsl.solvers.status import status_name

TEXT = """
ode Lotka(y0[2], a, b, g, d, ts[T]) -> [T, 2] {
  state x = y0[0], y = y0[1]
  dx/dt = a*x - b*x*y
  dy/dt = d*x*y - g*y
  return [x, y] at ts
}

ode Growth(x0, r) -> [2] {
  state x = x0
  from t = 0 to 1
  dx/dt = r*x^2
  return [x, r*x]
}

net MLP[n, h](x[n]) -> [n] {
  param W[h, n], V[n, h] ~ glorot()
  param b[h] = 0.1
  return V @ tanh(W @ x + b)
}

ode Neural[n, h](z0[n], ts[T]) -> [T, n] {
  use f = MLP[n, h]
  state z[n] = z0
  dz/dt = f(z)
  return z at ts
}
"""
RUN = RunOptions()


def engines(name: str, sizes: dict[str, int], dtype: str = "float64", **options: Any) -> tuple[OdeEngine, Reference]:
    blueprint = compiler.construct(compiler.read_unit(TEXT), name, {}, Options(solver="dopri5", **options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated(sizes).problem, builder.settings(dtype)
    return build_ode(problem, settings, np.dtype(dtype)), Reference(problem, settings, np.dtype(dtype))


def lotka(batch: int, times: np.ndarray, dtype: str = "float64", seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    rates = np.array([1.5, 1.0, 3.0, 1.0]) * (1 + 0.1 * rng.standard_normal((batch, 4)))
    y0 = 1 + 0.1 * rng.standard_normal((batch, 2))
    # The second and third rate are shared by all samples.
    parts = [y0, rates[:, 0], rates[0, 1], rates[0, 2], rates[:, 3], times]
    return [np.array(a, dtype) for a in parts]


def close(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    scale = np.nanmax(np.abs(wanted), initial=1e-3)
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=tolerance)


def compare(lanes: OdeEngine, python: Reference, args: list[np.ndarray], batch: int, tolerance: float) -> None:
    """Everything that an engine gives, along random cotangents and directions; the first sample is asked nothing."""
    rng = np.random.default_rng(9)
    s, r = lanes.solve(args, batch, RUN), python.solve(args, batch, RUN)
    np.testing.assert_array_equal(s.status, r.status)
    np.testing.assert_array_equal(s.steps, r.steps)
    close(s.extras["t_end"], r.extras["t_end"], tolerance)
    for x, y in zip(s.outputs, r.outputs, strict=True):
        close(x, y, tolerance)
    cot = [rng.standard_normal(o.shape).astype(o.dtype) for o in r.outputs]
    for c in cot:
        c[0] = 0.0
    directions = [rng.standard_normal(a.shape).astype(a.dtype) for a in args]
    pulled = lanes.pullback(args, batch, s.saved, s.status, cot)
    expected = python.pullback(args, batch, r.saved, r.status, cot)
    for x, y in zip(pulled.grads, expected.grads, strict=True):
        close(x, y, tolerance)
    second = lanes.pullback_pullback(args, batch, s.saved, s.status, cot, directions)
    wanted = python.pullback_pullback(args, batch, r.saved, r.status, cot, directions)
    for x, y in zip(second.cotangents + second.grads, wanted.cotangents + wanted.grads, strict=True):
        close(x, y, tolerance)
    pushed = lanes.pushforward(args, batch, s.saved, s.status, directions)
    for x, y in zip(
        pushed.outputs, python.pushforward(args, batch, r.saved, r.status, directions).outputs, strict=True
    ):
        close(x, y, tolerance)


def test_fixed_steps_agree_to_the_last_digits() -> None:
    compare(*engines("Lotka", {"T": 6}, dt=0.05), lotka(11, np.linspace(0.1, 1.93, 6)), 11, 1e-12)


def test_adaptive_steps_agree_where_lanes_part_ways() -> None:
    times = np.array([0.0, 0.0, 0.7, 2.1, 2.1, 5.0, 5.01, 9.0])
    # Lengths of steps agree to 3e-7 of them, and what is within a tolerance of 1e-6 to a tenth of it.
    compare(*engines("Lotka", {"T": 8}, rtol=1e-6, atol=1e-6), lotka(11, times), 11, 1e-7)


def test_decreasing_times() -> None:
    compare(*engines("Lotka", {"T": 4}), lotka(5, np.array([3.0, 2.5, 1.0, -1.0])), 5, 1e-9)


def test_failures_are_those_of_single_samples() -> None:
    lanes, python = engines("Lotka", {"T": 3})
    args = lotka(10, np.tile([0.5, 1.0, 2.0], (10, 1)))
    args[5][3] = [0.5, 2.0, 1.0]
    args[5][4] = [0.5, np.nan, 2.0]
    args[0][6] = np.inf
    compare(lanes, python, args, 10, 1e-9)
    names = [status_name(s) for s in lanes.solve(args, 10, RUN).status]
    assert names == ["success"] * 3 + ["bad_times"] * 2 + ["success", "nonfinite"] + ["success"] * 3


def test_a_singularity_ends_its_own_sample_alone() -> None:
    # x = x0/(1 - r*x0*t) is infinite at t = 1/(r*x0).
    lanes, python = engines("Growth", {})
    args = [np.array([1.0, 0.5, 2.0, -1.0, 0.9]), np.array([0.5, 1.0, 1.0, 2.0, 1.0])]
    found = lanes.solve(args, 5, RUN)
    expected = python.solve(args, 5, RUN)
    np.testing.assert_array_equal(found.status, expected.status)
    assert status_name(int(found.status[2])) == "dt_underflow"
    fine = [0, 1, 3, 4]
    exact = args[0] / (1 - args[0] * args[1])
    np.testing.assert_allclose(found.outputs[0][fine, 0], exact[fine], rtol=2e-5)
    grads = lanes.pullback(args, 5, found.saved, found.status, [np.ones((5, 2))]).grads
    assert np.isnan(grads[0][2])
    # d/dx0 of (1 + r)·x(1) is (1 + r)/(1 - r·x0)².
    np.testing.assert_allclose(grads[0][fine], ((1 + args[1]) / (1 - args[0] * args[1]) ** 2)[fine], rtol=1e-4)


def test_too_many_steps() -> None:
    lanes, python = engines("Lotka", {"T": 2}, max_steps=7)
    args = lotka(3, np.array([0.0, 5.0]))
    found, expected = lanes.solve(args, 3, RUN), python.solve(args, 3, RUN)
    np.testing.assert_array_equal(found.status, expected.status)
    assert {status_name(s) for s in found.status} == {"max_steps"}


def test_gradients_are_finite_differences() -> None:
    lanes, _ = engines("Lotka", {"T": 4}, dt=0.05)
    args = lotka(9, np.array([0.2, 0.7, 1.0, 2.02]))
    cot = [np.random.default_rng(2).standard_normal((9, 4, 2))]
    solution = lanes.solve(args, 9, RUN)
    grads = lanes.pullback(args, 9, solution.saved, solution.status, cot).grads
    rng = np.random.default_rng(3)
    for i, arg in enumerate(args):
        way = rng.standard_normal(arg.shape)

        def along(h: float, i: int = i, way: np.ndarray = way) -> float:
            moved = [a + h * way if k == i else a for k, a in enumerate(args)]
            return float((lanes.solve(moved, 9, RUN).outputs[0] * cot[0]).sum())

        slope = (along(1e-6) - along(-1e-6)) / 2e-6
        assert (grads[i] * way).sum() == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_the_batch(dtype: str) -> None:
    lanes, _ = engines("Lotka", {"T": 5}, dtype)
    args = lotka(37, np.tile(np.linspace(0, 4, 5), (37, 1)), dtype)
    per_sample = [a if a.ndim and len(a) == 37 else np.repeat(a[None], 37, 0) for a in args]
    whole = lanes.solve(per_sample, 37, RUN)
    cot = [whole.outputs[0]]
    grads = lanes.pullback(per_sample, 37, whole.saved, whole.status, cot).grads
    for rows in (np.array([36]), np.array([20, 3, 8]), np.arange(37)[::-1].copy()):
        some = [a[rows] for a in per_sample]
        part = lanes.solve(some, len(rows), RUN)
        np.testing.assert_array_equal(part.outputs[0], whole.outputs[0][rows])
        pulled = lanes.pullback(some, len(rows), part.saved, part.status, [cot[0][rows]]).grads
        for g, all_of_it in zip(pulled, grads, strict=True):
            np.testing.assert_array_equal(g, all_of_it[rows])


def test_single_precision_agrees_at_fixed_steps() -> None:
    lanes, python = engines("Lotka", {"T": 4}, "float32", dt=0.05)
    args = lotka(5, np.linspace(0, 1, 4), "float32")
    found, expected = lanes.solve(args, 5, RUN), python.solve(args, 5, RUN)
    close(found.outputs[0], expected.outputs[0], 2e-6)
    cot = [expected.outputs[0]]
    pulled = lanes.pullback(args, 5, found.saved, found.status, cot).grads
    for x, y in zip(pulled, python.pullback(args, 5, expected.saved, expected.status, cot).grads, strict=True):
        close(x, y, 2e-5)


def test_a_layer_on_lanes_is_the_layer() -> None:
    models = implicitdsl.loads(TEXT)
    options: dict[str, Any] = {"n": 2, "h": 8, "dtype": torch.float64, "solver": "dopri5", "dt": 0.25}
    slow, fast = models.Neural(**options), models.Neural(**options, backend="lanes")
    fast.load_state_dict(slow.state_dict())
    z0 = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ts = torch.linspace(0, 1, 4, dtype=torch.float64)
    found: list[list[torch.Tensor]] = []
    for layer in (slow, fast):
        loss = layer(z0, ts).pow(2).sum()
        wrt = [z0, *layer.parameters()]
        grads = torch.autograd.grad(loss, wrt, create_graph=True)
        curved = torch.autograd.grad(sum(g.sin().sum() for g in grads), wrt)
        found.append([loss, *grads, *curved])
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-11, atol=1e-12)


def test_what_does_not_fit_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ode Big[n](x0[n]) -> [n] {\n  state x[n] = x0\n  from t = 0 to 1\n  dx/dt = -x\n  return x\n}\n"
    with pytest.raises(ImpError, match="7 GB on the back end `lanes`"):
        implicitdsl.loads(text).Big(n=2_000_000, backend="lanes")
    # What the default does then, at a size that the back end python solves in a moment.
    monkeypatch.setattr(ode_room, "LARGEST", 1 << 20)
    layer = implicitdsl.loads(text).Big(n=400, dtype=torch.float64)
    assert "back end `lanes`" in compiler.stages(layer.blueprint)["bind"]
    np.testing.assert_allclose(layer(torch.ones(400, dtype=torch.float64)).detach(), np.exp(-1.0), rtol=1e-5)
