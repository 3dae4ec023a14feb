"""`auto` on both back ends: two methods as one map, its derivatives, its bits, and what lanes wait."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from implicitdsl import compiler
from implicitdsl.backends.engine import RunOptions
from implicitdsl.backends.lanes.auto_engine import AutoEngine
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.python.build import build
from implicitdsl.layers.options import Options
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.solvers.status import status_name
from tests.lanes.test_ode_engine import close, compare

TEXT = """
# Van der Pol's equation in slow time, pushed a little, for values and times between smooth and stiff.
ode Swing(x0, mu, t0, ts[T]) -> [T, 2] {
  state x = x0, v = 0
  dx/dt = v
  dv/dt = mu*((1 - x^2)*v - x) + 0.1*sin(t)
  from t = t0 to ts[-1]
  return [x*mu, v + t*x] at ts
}

ode VanDerPol(mu, T) -> [2] {
  state x = 2, v = 0
  dx/dt = v
  dv/dt = mu*(1 - x^2)*v - x
  from t = 0 to T
  return [x, v]
}
"""
RUN = RunOptions()


@cache
def engine(name: str, sizes: tuple[tuple[str, int], ...] = (), back_end: str = "lanes", **options: Any) -> Any:
    dtype = options.pop("dtype", "float64")
    blueprint = compiler.construct(compiler.read_unit(TEXT), name, {}, Options(**options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated(dict(sizes)).problem, builder.settings(dtype)
    assert isinstance(problem, OdeProblem)
    return (build_ode if back_end == "lanes" else build)(problem, settings, np.dtype(dtype))


def swing(back_end: str = "lanes", solver: str = "auto", **options: Any) -> Any:
    return engine("Swing", (("T", 4),), back_end, **{"rtol": 1e-5, "atol": 1e-5, "solver": solver, **options})


def given(batch: int, low: float = -1, high: float = 3.3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    mu = 10.0 ** rng.uniform(low, high, batch)
    times = np.sort(rng.uniform(0.2, 1.0, (batch, 4)), axis=1)
    times[:, 0] = 0.01
    return [2 + 0.1 * rng.standard_normal(batch), mu, 0.01 * rng.uniform(size=batch), times]


def stiff(solution: Any) -> np.ndarray:
    return np.isfinite(solution.extras["stiff_from"])


def test_the_two_back_ends_agree() -> None:
    # Lengths of steps agree to 3e-7 of them. At a loose tolerance an explicit method goes along at the limit of its
    # stability before it hands over, and derivatives of such steps, whose lengths are held, magnify that.
    tight = {"rtol": 1e-7, "atol": 1e-7}
    lanes, python = swing(**tight), swing("python", **tight)
    args = given(11)
    args[1][:3] = 0.5, 2e3, 1e3
    found = lanes.solve(args, 11, RUN)
    assert 2 <= stiff(found).sum() <= 9
    close(found.extras["stiff_from"], python.solve(args, 11, RUN).extras["stiff_from"], 1e-6)
    compare(lanes, python, args, 11, 1e-8)


@pytest.mark.parametrize("back_end", ["python", "lanes"])
def test_both_modes_give_one_derivative_and_second_derivatives_are_symmetric(back_end: str) -> None:
    e, args, batch = swing(back_end), given(6, 1, 3.3), 6
    args[1][:2] = 5.0, 500.0
    rng = np.random.default_rng(3)
    s = e.solve(args, batch, RUN)
    assert 0 < stiff(s).sum() < batch
    cot = [rng.standard_normal(o.shape) for o in s.outputs]
    v, w = ([0.1 * np.abs(a) * rng.standard_normal(a.shape) for a in args] for _ in range(2))
    grads = e.pullback(args, batch, s.saved, s.status, cot).grads
    pushed = e.pushforward(args, batch, s.saved, s.status, v).outputs
    # Sample by sample: only what is shared could mix them, and here nothing is.
    for i in range(batch):
        forward = sum(float((c[i] * o[i]).sum()) for c, o in zip(cot, pushed, strict=True))
        back = sum(float((g[i] * d[i]).sum()) for g, d in zip(grads, v, strict=True))
        assert forward == pytest.approx(back, rel=1e-7)
    one, other = (e.pullback_pullback(args, batch, s.saved, s.status, cot, d) for d in (v, w))
    for x, y in zip(one.cotangents, pushed, strict=True):
        assert np.array_equal(x, y)
    for i in range(batch):
        a = sum(float((g[i] * d[i]).sum()) for g, d in zip(one.grads, w, strict=True))
        b = sum(float((g[i] * d[i]).sum()) for g, d in zip(other.grads, v, strict=True))
        assert a == pytest.approx(b, rel=1e-5)


def test_bits_do_not_depend_on_the_batch() -> None:
    e, args = swing(), given(21)
    whole = e.solve(args, 21, RUN)
    assert not whole.status.any()
    cot = [whole.outputs[0]]
    grads = e.pullback(args, 21, whole.saved, whole.status, cot).grads
    for rows in (np.flatnonzero(stiff(whole))[:1], np.array([7, 3, 8]), np.arange(21)[::-1].copy()):
        some = [a[rows] for a in args]
        found = e.solve(some, len(rows), RUN)
        for part, all_of_it in ((found.outputs[0], whole.outputs[0]), (found.steps, whole.steps)):
            assert np.array_equal(part, all_of_it[rows])
        assert np.array_equal(found.extras["stiff_from"], whole.extras["stiff_from"][rows], equal_nan=True)
        again = e.pullback(some, len(rows), found.saved, found.status, [cot[0][rows]]).grads
        for part, all_of_it in zip(again, grads, strict=True):
            assert part is not None
            assert np.array_equal(part, all_of_it[rows])


def test_where_nothing_is_stiff_it_is_tsit5_to_the_bit_and_makes_nothing_else() -> None:
    fresh = build_ode(*_problem("Swing", {"T": 4}, rtol=1e-5, atol=1e-5, solver="auto"), np.dtype("float64"))
    plain, args = swing(solver="tsit5"), given(9, -1, 1)
    found, wanted = fresh.solve(args, 9, RUN), plain.solve(args, 9, RUN)
    assert np.array_equal(found.outputs[0], wanted.outputs[0])
    assert np.array_equal(found.steps, wanted.steps)
    assert not stiff(found).any()
    grads = fresh.pullback(args, 9, found.saved, found.status, [found.outputs[0]]).grads
    for x, y in zip(grads, plain.pullback(args, 9, wanted.saved, wanted.status, [found.outputs[0]]).grads, strict=True):
        assert x is not None
        assert y is not None
        assert np.array_equal(x, y)
    assert isinstance(fresh, AutoEngine)
    assert fresh._rest.code.made == ()


def _problem(name: str, sizes: dict[str, int], **options: Any) -> tuple[Any, Any]:
    builder = compiler._builder(compiler.construct(compiler.read_unit(TEXT), name, {}, Options(**options)))
    return builder.elaborated(sizes).problem, builder.settings("float64")


@pytest.mark.parametrize("back_end", ["python", "lanes"])
def test_steps_of_both_methods_count(back_end: str) -> None:
    args = given(3)
    args[1][:] = 1.0, 2e3, 2e3
    args[0][:] = 2.0
    args[2][:] = 0.0
    free = swing(back_end).solve(args, 3, RUN)
    limit = int(free.steps[1]) - 1
    found = swing(back_end, max_steps=limit).solve(args, 3, RUN)
    assert [status_name(s) for s in found.status] == ["success", "max_steps", found_name(free.steps[2], limit)]
    assert found.steps[1] == limit
    assert found.extras["t_end"][1] < args[3][1, -1]


def found_name(steps: int, limit: int) -> str:
    return "max_steps" if steps > limit else "success"


def test_one_that_fails_changes_no_other() -> None:
    e, args = swing(), given(5, 3, 3.3)
    whole = e.solve(args, 5, RUN)
    args[1][2] = np.nan
    args[3][3] = args[3][3][::-1].copy()
    found = e.solve(args, 5, RUN)
    assert [status_name(s) for s in found.status] == ["success", "success", "nonfinite", "bad_times", "success"]
    for i in (0, 1, 4):
        assert np.array_equal(found.outputs[0][i], whole.outputs[0][i])
    cot = np.zeros_like(found.outputs[0])
    cot[[0, 4]] = 1.0
    grads = e.pullback(args, 5, found.saved, found.status, [cot]).grads
    assert all(np.isfinite(g).all() for g in grads)


def test_float32() -> None:
    e = swing(dtype="float32", rtol=1e-4, atol=1e-5)
    args = [a.astype("float32") for a in given(17, 2, 3.3)]
    found = e.solve(args, 17, RUN)
    assert not found.status.any()
    assert stiff(found).any()
    fine = swing("python").solve([a.astype("float64") for a in args], 17, RUN)
    np.testing.assert_allclose(
        found.outputs[0] / args[1][:, None, None], fine.outputs[0] / args[1][:, None, None], atol=2e-2
    )


@pytest.mark.parametrize(("solver", "high", "most"), [("tsit5", 2, 1.3), ("auto", 3, 1.5)])
def test_lanes_wait_little_once_the_cost_of_samples_is_known(solver: str, high: float, most: float) -> None:
    e = engine("VanDerPol", solver=solver, rtol=1e-6, atol=1e-6)
    mu = 10.0 ** np.random.default_rng(0).uniform(-1, high, 256)
    e.solve([mu, np.array(20.0)], 256, RUN)
    first_lanes, own = e.waiting()
    e.solve([mu, np.array(20.0)], 256, RUN)
    lanes, again = e.waiting()
    assert own == again
    assert first_lanes / own > most
    assert lanes / own <= most
