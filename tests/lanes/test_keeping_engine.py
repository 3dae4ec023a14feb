"""A tape that holds what stages kept: the same bits as one of states and as none, bounded, and only where it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.backends.engine import RunOptions
from implicitdsl.backends.lanes.keeping_engine import KEEPING, KeepingEngine
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.python.ode_engine import OdeEngine as Reference
from implicitdsl.layers.options import Options
from tests.lanes.test_ode_engine import engines

KEEP = RunOptions(keep=True)
NET = """
net Field[n, h](y[n], s) -> [n] {
  param U[h, n], V[n, h] ~ glorot()
  param b[h] = 0
  return s * (V @ tanh(U @ y + b))
}

ode Forced[n, h](y0[n], rate, ts[T]) -> [T, n] {
  use f = Field[n, h]
  state y[n] = y0
  dy/dt = f(y, rate * cos(t)) - y
  return y at ts
}
"""
SIZES = {"n": 3, "h": 24}


def pair(solver: str, **options: Any) -> tuple[OdeEngine, Reference]:
    blueprint = compiler.construct(compiler.read_unit(NET), "Forced", SIZES, Options(solver=solver, **options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated({"T": 5}).problem, builder.settings("float64")
    return build_ode(problem, settings, np.dtype("float64")), Reference(problem, settings, np.dtype("float64"))


def engine_of(solver: str = "dopri5", **options: Any) -> tuple[KeepingEngine, Reference]:
    found, reference = pair(solver, **options)
    assert isinstance(found, KeepingEngine)
    return found, reference


def mixed(engine: OdeEngine, batch: int) -> list[np.ndarray]:
    """Samples of which some take many more steps than others, so that lanes wait."""
    rng = np.random.default_rng(5)
    by_name = {
        "y0": rng.standard_normal((batch, 3)),
        "rate": 1 + 30 * rng.random(batch) ** 4,
        "ts": np.linspace(0, 2, 5),
    }
    return [
        by_name.get(a.name.rpartition(".")[2], 1.5 * rng.standard_normal(a.shape)) if a.role == "input"
        else rng.standard_normal(a.shape)
        for a in engine.arguments
    ]  # fmt: skip


@pytest.mark.parametrize(("solver", "batch"), [("dopri5", 1), ("dopri5", 19), ("rk4", 19)])
def test_bits_are_those_of_a_pullback_that_runs_again(solver: str, batch: int) -> None:
    options = {"dt": 0.07} if solver == "rk4" else {"rtol": 1e-6, "atol": 1e-6}
    engine, reference = engine_of(solver, **options)
    args = mixed(engine, batch)
    for _ in range(3):
        plain = engine.solve(args, batch, RunOptions())
        found = engine.solve(args, batch, KEEP)
        np.testing.assert_array_equal(found.outputs[0], plain.outputs[0])
        np.testing.assert_array_equal(found.steps, plain.steps)
    assert found.tape is not None
    assert found.tape.engine.row_parts[1] > 3  # type: ignore[attr-defined] - an OdeTape
    if batch > 1 and solver != "rk4":
        assert found.steps.max() > 1.5 * found.steps.min(), "no lane waited"
    cot = np.random.default_rng(1).standard_normal(found.outputs[0].shape)
    again = engine.pullback(args, batch, found.saved, found.status, [cot])
    for _ in range(2):  # a tape may be read twice
        kept = found.tape.pullback([cot], [True] * len(args))
        assert kept is not None
        for a, b in zip(again.grads, kept.grads, strict=True):
            np.testing.assert_array_equal(a, b)
    oracle = reference.solve(args, batch, RunOptions())
    wanted = reference.pullback(args, batch, oracle.saved, oracle.status, [cot])
    for a, b in zip(wanted.grads, again.grads, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6 * np.abs(a).max())


def test_a_tape_without_room_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """First a guess that is too small, then one that is known to be: the same bits, with a tape of states."""
    engine, _ = engine_of(rtol=1e-6, atol=1e-6)
    args, keeping = mixed(engine, 19), engine._keeping
    wanted = engine.solve(args, 19, RunOptions())
    row = sum(keeping.row_parts) * engine.width * engine.dtype.itemsize
    assert wanted.steps.max() > 8
    monkeypatch.setattr(keeping, "most_bytes", 3 * 8 * row)
    first, *others = (engine.solve(args, 19, KEEP) for _ in range(4))
    assert first.tape is None, "three blocks of eight rows"
    for found in (first, *others):
        np.testing.assert_array_equal(found.outputs[0], wanted.outputs[0])
    for found in others:
        assert found.tape is not None
        assert found.tape.engine is engine  # type: ignore[attr-defined] - an OdeTape
    monkeypatch.setattr(keeping, "most_bytes", 1 << 24)
    assert engine.solve(args, 19, KEEP).tape.engine is keeping  # type: ignore[union-attr] - an OdeTape


def test_small_right_hand_sides_have_no_such_parts() -> None:
    lotka, _ = engines("Lotka", {"T": 7})
    split, _ = pair("dop853")
    for engine in (lotka, split):
        assert not isinstance(engine, KeepingEngine)
        assert not any(part.startswith(KEEPING) for part in engine.code.parts)


def test_gradients_to_second_order() -> None:
    layer = implicitdsl.loads(NET).Forced(**SIZES, solver="dopri5", rtol=1e-9, atol=1e-9, dtype=torch.float64)
    torch.manual_seed(3)
    y0 = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    rate = torch.linspace(0.5, 3.0, 5, dtype=torch.float64, requires_grad=True)
    ts = torch.linspace(0.0, 1.0, 5, dtype=torch.float64, requires_grad=True)

    def call(y0: torch.Tensor, rate: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
        return layer(y0, rate, ts)

    assert torch.autograd.gradcheck(call, (y0, rate, ts), atol=1e-6)
    assert torch.autograd.gradgradcheck(call, (y0, rate, ts), atol=1e-5)
