"""`ode` of more states than the stack of a thread holds: large arrays from the heap, with the same bits."""

from __future__ import annotations

import math
import resource

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.backends.lanes import ode_build
from tests.lanes.test_ode_engine import RUN, engines, lotka

HEAT = """
ode Heat[n](y0[n], D, ts[T]) -> [T, n] {
  state u[n] = y0
  du/dt = D*(concat([0], u[0:n - 1]) - 2*u + concat(u[1:n], [0]))
  return u at ts
}
"""


def everything(engine, args, batch: int) -> list[np.ndarray]:
    """Outputs and derivatives of all orders."""
    found = engine.solve(args, batch, RUN)
    cot = [np.cos(o) for o in found.outputs]
    directions = [np.sin(np.arange(a.size, dtype=a.dtype)).reshape(a.shape) for a in args]
    second = engine.pullback_pullback(args, batch, found.saved, found.status, cot, directions)
    pulled = engine.pullback(args, batch, found.saved, found.status, cot)
    return [*found.outputs, *pulled.grads, *second.cotangents, *second.grads]


def test_arrays_from_the_heap_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    args = lotka(9, np.array([0.0, 0.7, 2.1]))
    near, _ = engines("Lotka", {"T": 3}, rtol=1e-6, atol=1e-6)
    kept = everything(near, args, 9)
    monkeypatch.setattr(ode_build, "STACK", 0)
    monkeypatch.setattr("implicitdsl.backends.lanes.words.NEAR", 0)
    # Code made with arrays of any size on the heap must not be found again by others.
    monkeypatch.setattr("implicitdsl.backends.lanes.ode_solver.kept", lambda key, make: make())
    far, _ = engines("Lotka", {"T": 3}, rtol=1e-6, atol=1e-6)
    for x, y in zip(everything(far, args, 9), kept, strict=True):
        np.testing.assert_array_equal(x, y)


def mode(n: int, k: int) -> tuple[torch.Tensor, float]:
    """An eigenvector of the heat equation by lines, and its rate."""
    x = torch.arange(1, n + 1, dtype=torch.float64)
    return torch.sin(k * math.pi * x / (n + 1)), 4 * math.sin(k * math.pi / 2 / (n + 1)) ** 2


def test_ten_thousand_states_run_on_lanes_and_give_their_memory_back() -> None:
    n = 10_000
    layer = implicitdsl.loads(HEAT).Heat(n=n, backend="lanes", rtol=1e-8, atol=1e-10, dtype=torch.float64)
    (slow, rate), (fast, other) = mode(n, 100), mode(n, 4_000)
    heights = torch.linspace(1, 2, 3, dtype=torch.float64)[:, None].requires_grad_()
    rates = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)

    def solution(h: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        decay = torch.exp(-rate * d[:, None] * ts)[..., None], torch.exp(-other * d[:, None] * ts)[..., None]
        return h[:, None] * (decay[0] * slow + decay[1] * fast)

    y = layer(heights * (slow + fast), rates, ts)
    wanted = solution(heights, rates)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-6)
    weights = (slow - 2 * fast) / n
    found = torch.autograd.grad((y * weights).sum(), (heights, rates))
    for x, z in zip(found, torch.autograd.grad((wanted * weights).sum(), (heights, rates)), strict=True):
        torch.testing.assert_close(x, z, rtol=1e-5, atol=1e-7)

    def run() -> None:
        y = layer(heights * (slow + fast), rates, ts)
        torch.autograd.grad((y * weights).sum(), (heights, rates))

    run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(8):
        run()
    # A run that kept its arrays would take 70 MB each time.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
