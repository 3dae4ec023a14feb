"""One problem on both back ends, called side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl import compiler
from implicitdsl.backends import python
from implicitdsl.backends.engine import RunOptions
from implicitdsl.backends.lanes import build as lanes
from implicitdsl.layers.options import Options

RUN = RunOptions()


def both(text: str, name: str, sizes: dict[str, int], dtype: str = "float64", **options: Any) -> tuple[Any, Any]:
    """The engines of a layer on `lanes` and on `python`."""
    blueprint = compiler.construct(compiler.read_unit(text), name, sizes, Options(**options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated({}).problem, builder.settings(dtype)
    return tuple(back.build(problem, settings, np.dtype(dtype)) for back in (lanes, python))


def drawn(engine: Any, batch: int, *, shared: str = "", seed: int = 0, scale: float = 1.0) -> list[np.ndarray]:
    """Normal arguments: params and the inputs named are shared, the others one a sample."""
    rng = np.random.default_rng(seed)
    found = []
    for argument in engine.arguments:
        lead = () if argument.role != "input" or argument.name in shared.split() else (batch,)
        found.append((rng.standard_normal((*lead, *argument.shape)) * scale).astype(engine.dtype))
    return found


def directions(args: list[np.ndarray], seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(a.shape).astype(a.dtype) for a in args]


def cotangents(engine: Any, batch: int, seed: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((batch, *shape)).astype(engine.dtype) for shape in engine.outputs]


def close(found: Any, wanted: Any, tolerance: float) -> None:
    """Equal to tolerance times the size of the whole array, NaN in the same places."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    finite = np.abs(wanted[np.isfinite(wanted)])
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * (finite.max(initial=0.0) or 1.0))


def agree(fast: Any, slow: Any, args: list[np.ndarray], batch: int, tolerance: float) -> Any:
    """Solve, pullback, its pullback and pushforward on both; gives the solution on lanes."""
    one, two = fast.solve(args, batch, RUN), slow.solve(args, batch, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)
    for a, b in zip(one.outputs, two.outputs, strict=True):
        close(a, b, tolerance)
    cots, dots = cotangents(fast, batch), directions(args)
    for cot in cots:
        cot[1::4] = 0.0
    got, want = (e.pullback(args, batch, s.saved, s.status, cots) for e, s in ((fast, one), (slow, two)))
    np.testing.assert_array_equal(got.status, want.status)
    _gradients(got.grads, want.grads, args, tolerance)
    got, want = (e.pullback_pullback(args, batch, s.saved, s.status, cots, dots) for e, s in ((fast, one), (slow, two)))
    np.testing.assert_array_equal(got.status, want.status)
    for a, b in zip(got.cotangents, want.cotangents, strict=True):
        close(a, b, tolerance)
    _gradients(got.grads, want.grads, args, tolerance)
    got, want = (e.pushforward(args, batch, s.saved, s.status, dots) for e, s in ((fast, one), (slow, two)))
    np.testing.assert_array_equal(got.status, want.status)
    for a, b in zip(got.outputs, want.outputs, strict=True):
        close(a, b, tolerance)
    return one


def _gradients(found: Any, wanted: Any, args: list[np.ndarray], tolerance: float) -> None:
    for a, b, arg in zip(found, wanted, args, strict=True):
        zero = np.zeros_like(arg)
        close(zero if a is None else a, zero if b is None else b, tolerance)
