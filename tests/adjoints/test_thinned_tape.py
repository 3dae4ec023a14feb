"""The thinned tape: the same bits from less memory, on both back ends and with every method that thins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from implicitdsl import compiler
from implicitdsl.backends import python
from implicitdsl.backends.lanes import build as lanes
from implicitdsl.diagnostics import ImpError
from implicitdsl.layers.options import Options
from implicitdsl.solvers.stepping import GRID, KEPT
from implicitdsl.solvers.tape import room, spacing
from tests.lanes.sides import RUN, cotangents, drawn

TEXT = """
ode Pair(x0[2], a, ts[T]) -> [T, 2] {
  param b[2] = [0.3, 0.2]
  state x[2] = x0
  dx/dt = [x[1] - b[0]*x[0]^3, -a*x[0] + b[1]*sin(t)]
  return x at ts
}

ode End(x0[2], a, t1) -> [2] {
  state x[2] = x0
  from t = 0.5 to t1
  dx/dt = [x[1], -a*x[0]]
  return x
}

dae Pendant(k, y0, ts[T]) -> [T, 2] {
  state a = y0
  var   b = 1
  da/dt = -k^2*a*b
  1 = a + b^3
  return [a, b] at ts
}
"""


def pair(options: dict[str, Any], adjoint: str, name: str = "Pair", sizes: dict[str, int] | None = None):
    sizes = {"T": 7} if sizes is None else sizes
    blueprint = compiler.construct(compiler.read_unit(TEXT), name, {}, Options(adjoint=adjoint, **options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated(sizes).problem, builder.settings("float64")
    return [back.build(problem, settings, np.dtype("float64")) for back in (lanes, python)]


def arguments(engine: Any, batch: int) -> list[np.ndarray]:
    args = drawn(engine, batch, seed=3, scale=0.3)
    for i, a in enumerate(engine.arguments):
        if a.name == "ts":
            args[i] = np.cumsum(np.random.default_rng(5).uniform(0.1, 0.9, (batch, 7)), axis=1)
            args[i][:, 3] = args[i][:, 2]
        elif a.name in ("a", "k", "t1", "y0"):
            args[i] = np.linspace(0.3, 0.7, batch) if a.name == "y0" else np.linspace(1.0, 3.0, batch)
    return args


CASES = [
    ("Pair", {"solver": "tsit5"}), ("Pair", {"solver": "rk4", "dt": 0.01}), ("Pair", {"solver": "rodas5p"}),
    ("Pair", {"solver": "kvaerno5"}),
    ("End", {"solver": "dopri5"}), ("Pendant", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_thinned_tape_gives_the_same_bits(name: str, options: dict[str, Any]) -> None:
    batch = 11
    sizes = {} if name == "End" else {"T": 7}
    for full, thin in zip(
        pair(options, "discrete", name, sizes), pair(options, "discrete(memory = 1e-4)", name, sizes), strict=True
    ):
        args = arguments(full, batch)
        cot = cotangents(full, batch)
        solution = full.solve(args, batch, RUN)
        assert (solution.status == 0).all()
        assert solution.saved[0].max() * (GRID + 2) * 8 > 100
        wanted = full.pullback(args, batch, solution.saved, solution.status, cot).grads
        found = thin.pullback(args, batch, solution.saved, solution.status, cot).grads
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_failed_samples_and_idle_ones_keep_out_of_a_thinned_sweep() -> None:
    batch = 5
    for thin in pair({"solver": "tsit5", "max_steps": 60}, "discrete(memory = 1e-4)"):
        args = arguments(thin, batch)
        names = [a.name for a in thin.arguments]
        args[names.index("ts")][2] *= 100.0
        cot = cotangents(thin, batch)
        cot[0][1] = 0.0
        cot[0][2] = 0.0
        solution = thin.solve(args, batch, RUN)
        assert solution.status[2] != 0 and (np.delete(solution.status, 2) == 0).all()
        grads = thin.pullback(args, batch, solution.saved, solution.status, cot).grads
        alone = [a[3:4] if a.ndim > len(s.shape) else a for a, s in zip(args, thin.arguments, strict=True)]
        one = thin.pullback(alone, 1, [solution.saved[0][3:4]], solution.status[3:4], [cot[0][3:4]]).grads
        for a, b, s in zip(grads, one, thin.arguments, strict=True):
            if s.role == "input":
                assert not a[1].any() and not a[2].any()
                np.testing.assert_array_equal(a[3:4], b)


@pytest.mark.parametrize("rows", [1, 2, 100, 12_345, 10**6])
def test_the_bytes_of_a_tape(rows: int) -> None:
    n, width = 2, 8
    every = spacing(rows, n, 100e6 / (8 * width))
    taken = sum(room(rows, n, every)) * 8 * width
    assert taken <= 100e6
    assert (every == 1) == (rows * (GRID + n) * 8 * width <= 100e6)
    # The floor: one number a row.
    if every > 1:
        assert taken <= (rows + 2.1 * math.sqrt(rows * (GRID + n) * (KEPT + n))) * 8 * width


def test_memory_is_a_positive_number() -> None:
    for wrong in ("discrete(memory = 0)", "discrete(memory = much)", "discrete(store = 1)"):
        with pytest.raises(ImpError, match=r"memory|store"):
            pair({}, wrong)
