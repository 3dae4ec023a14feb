"""The tape that a solve keeps: its pullback has the bits of a pullback that runs again, or does not serve."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.backends.engine import RunOptions
from tests.lanes.test_ode_engine import TEXT, engines

KEEP = RunOptions(keep=True)
TIMES = np.linspace(0.0, 3.0, 7)


def mixed(batch: int) -> list[np.ndarray]:
    """Lotka–Volterra with costs that differ much from sample to sample; the times are shared."""
    rng = np.random.default_rng(3)
    rates = 1 + 5 * rng.random((4, batch)) ** 3
    return [1 + rng.random((batch, 2)), *rates, TIMES]


@pytest.mark.parametrize("batch", [1, 5, 8, 67])
@pytest.mark.parametrize("expected", [1e-3, 64.0])
def test_bits_are_those_of_a_pullback_that_runs_again(batch: int, expected: float) -> None:
    engine, _ = engines("Lotka", {"T": 7}, rtol=1e-7, atol=1e-7)
    args = mixed(batch)
    for _ in range(3):
        engine.rows_expected = expected
        found = engine.solve(args, batch, KEEP)
        plain = engine.solve(args, batch, RunOptions())
        assert found.tape is not None
        assert plain.tape is None
        np.testing.assert_array_equal(found.outputs[0], plain.outputs[0])
        cot = np.random.default_rng(1).standard_normal(found.outputs[0].shape)
        again = engine.pullback(args, batch, found.saved, found.status, [cot])
        kept = found.tape.pullback([cot], [True] * 5 + [False])
        assert kept is not None
        for a, b in zip(again.grads[:5], kept.grads[:5], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_sum_has_the_order_of_a_pullback_that_runs_again() -> None:
    """The samples of a first solve lie in the given order, those of a pullback in that of their cost."""
    engine, _ = engines("Lotka", {"T": 7}, rtol=1e-7, atol=1e-7)
    args = mixed(67)
    wanted = [True] * 6
    first = engine.solve(args, 67, KEEP)
    cot = np.ones(first.outputs[0].shape)
    assert first.tape is not None
    assert first.tape.pullback([cot], wanted) is None
    second = engine.solve(args, 67, KEEP)
    assert second.tape is not None
    kept = second.tape.pullback([cot], wanted)
    again = engine.pullback(args, 67, second.saved, second.status, [cot])
    assert kept is not None
    np.testing.assert_array_equal(kept.grads[5], again.grads[5])


def test_what_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engines("Lotka", {"T": 7}, rtol=1e-7, atol=1e-7)
    args = mixed(67)
    wanted = engine.solve(args, 67, RunOptions())
    monkeypatch.setattr(engine, "most_bytes", 20_000)
    found = engine.solve(args, 67, KEEP)
    assert found.tape is None
    np.testing.assert_array_equal(found.outputs[0], wanted.outputs[0])


@pytest.mark.parametrize("shared", [False, True])
def test_backward_has_the_same_bits_with_and_without_a_graph(shared: bool) -> None:
    """With create_graph the tape is not used."""
    layer = implicitdsl.loads(TEXT).Neural(n=2, h=5, solver="tsit5", dtype=torch.float64)
    z0 = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2).requires_grad_()
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)
    if not shared:
        ts = ts.expand(20, 3).contiguous()
    given = [z0, *layer.parameters()]
    for _ in range(2):
        kept = torch.autograd.grad(layer(z0, ts).square().sum(), given)
        again = torch.autograd.grad(layer(z0, ts).square().sum(), given, create_graph=True)
        for a, b in zip(kept, again, strict=True):
            assert torch.equal(a, b)
