"""Smooth `argmin` on lanes against the back end python and published digits: answers, statuses, derivatives, bits."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl import compiler
from implicitdsl.artifacts.engines import record_of
from implicitdsl.solvers import status as codes
from tests.lanes.sides import RUN, agree, both, close, cotangents, drawn

TEXT = """
argmin Decay(y[4], start[2]) -> (a, b) {
  var a = start[0], b = start[1]
  minimize 1/2*((a - y[0])^2 + (a*exp(-b) - y[1])^2 + (a*exp(-2*b) - y[2])^2 + (a*exp(-3*b) - y[3])^2)
  solver local
  return a, b
}
argmin Quartic(c[4], start) -> z {
  var z = start
  minimize c[0]*z^4 + c[3]*z^3 + c[1]*z^2 - c[2]*z
  solver local
  return z
}
argmin Ridge[m, n](X[m, n], y[m], lam) -> w[n] {
  param size[n] = 1 in positive
  var w[n]
  minimize logsumexp(X @ w - y) + lam*normsq(w/size)
  return w
}
argmin Guarded(Q[2, 2], b[2]) -> x[2] {
  var x[2]
  minimize x @ Q @ x + sum(exp(x)) - b @ x
  return x
}
argmin Valley(a) -> z[2] {
  var z[2] = [-1.2, 1]
  minimize (a - z[0])^2 + 100*(z[1] - z[0]^2)^2
  solver local
  return z
}
argmin Logs(a, start) -> z {
  var z = start
  minimize a*z - log(z)
  return z
}
"""
F64 = torch.float64
T = np.arange(4)


@pytest.fixture(scope="module")
def decay() -> Any:
    return both(TEXT, "Decay", {})


def test_a_least_squares_fit_has_its_published_digits(decay: Any) -> None:
    """The fit of two params to four points, with its derivatives, beside finite differences of other solutions."""
    y = np.array([2, 1.3, 0.7, 0.5])
    lanes, python = decay
    spread = 1e-5 * np.kron(np.eye(4), [[1.0], [-1.0]])
    args = [np.vstack([y, y + spread]), np.array([1.0, 1.0])]
    found = agree(lanes, python, args, 9, 1e-9)
    a, b = found.outputs
    np.testing.assert_allclose([a[0], b[0]], [2.014252933584, 0.481743821377], rtol=1e-11)
    bar = [np.eye(1, 9)[0], np.zeros(9)]
    slope = lanes.pullback(args, 9, found.saved, found.status, bar).grads[0][0]
    np.testing.assert_allclose(slope, [0.9057278259, 0.2404646030, -0.0485168328, -0.1516898382], rtol=1e-8)
    np.testing.assert_allclose(slope, (a[1::2] - a[2::2]) / 2e-5, rtol=1e-6, atol=1e-8)


def test_saddles_flat_minima_and_no_minima_are_told_as_by_one_sample() -> None:
    cases = np.array(
        [  # coefficients of z^4, z^2, -z, z^3, then the start
            [1, 1, 0.3, 0, 0.0],  # a clear minimum
            [1, -1, 0.1, 0, 0.5],  # two minima: the start chooses
            [1, -1, 0.1, 0, -0.5],
            [1, -1, 0.0, 0, 0.0],  # a saddle to be left
            [1, 0, 0.0, 0, 1.0],  # z^4: no isolated minimum to second order
            [0, 0, 1.0, 0, 0.0],  # a line: unbounded
            [0, 0, 1.0, 1, -1.0],  # a cubic on its unbounded side
            [0, 1, 2.0, 0, 7.0],
        ]
    )
    found = agree(*both(TEXT, "Quartic", {}), [cases[:, :4].copy(), cases[:, 4].copy()], len(cases), 1e-9)
    assert list(found.status) == [0, 0, 0, 0, 0, codes.UNBOUNDED, codes.UNBOUNDED, 0]
    assert [bool(note & codes.NEAR_SINGULAR) for note in found.notes] == [k == 4 for k in range(8)]
    np.testing.assert_allclose(found.outputs[0][[1, 2, 7]], [0.730893103, -0.680639276, 1.0], rtol=2e-9)
    np.testing.assert_allclose(abs(found.outputs[0][3]), np.sqrt(0.5), rtol=1e-12)


def test_convexity_is_tested_for_each_sample() -> None:
    rng = np.random.default_rng(3)
    args = [rng.standard_normal((6, 4, 3)), rng.standard_normal((6, 4)), np.array([1.0, 0.1, -1.0, 1e-3, 2.0, 0.5])]
    found = agree(*both(TEXT, "Ridge", {"m": 4, "n": 3}), [*args, np.array([1.0, 2.0, 0.5])], 6, 1e-8)
    assert list(found.status) == [0, 0, codes.NONCONVEX, 0, 0, 0]
    q = np.array([[[2.0, 0.1], [0.1, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, -1.0], [-1.0, 1.0]]])
    found = agree(*both(TEXT, "Guarded", {}), [q, np.abs(rng.standard_normal((3, 2)))], 3, 1e-10)
    assert list(found.status) == [0, codes.NONCONVEX, 0]


def test_a_curved_valley_is_followed_to_its_end() -> None:
    """Rosenbrock's function: the minimum is (a, a^2), its derivative (1, 2a)."""
    args = [np.array([1.0, 0.5, 2.0])]
    engine, other = both(TEXT, "Valley", {})
    found = agree(engine, other, args, 3, 1e-9)
    np.testing.assert_allclose(found.outputs[0], np.stack([args[0], args[0] ** 2], axis=1), rtol=1e-12)
    pushed = engine.pushforward(args, 3, found.saved, found.status, [np.ones(3)])
    np.testing.assert_allclose(pushed.outputs[0], np.stack([np.ones(3), 2 * args[0]], axis=1), rtol=1e-10)


def test_values_that_cancel_do_not_hold_up_the_last_steps() -> None:
    """exp z - c z - (c - c log c): a sum of large terms that is 0 at its minimum log c, so that its values are rounding there."""
    text = "argmin Log(c) -> z {\n  var z\n  minimize exp(z) - c*z - (c - c*log(c))\n  return z\n}"
    c = torch.arange(2, 300, dtype=torch.float32)
    layer = implicitdsl.loads(text).Log(dtype=torch.float32)
    torch.testing.assert_close(layer(c), c.double().log().float(), rtol=1e-6, atol=1e-6)
    assert layer.last.steps.max() <= 8


def test_domains_and_limits_are_kept() -> None:
    starts = np.array([3.0, -3.0, 0.01, 1.0])
    found = agree(*both(TEXT, "Logs", {}), [np.ones(4), starts], 4, 1e-12)
    assert list(found.status) == [0, codes.NONFINITE, 0, 0]
    found = agree(*both(TEXT, "Logs", {}, max_steps=1), [np.ones(2), starts[[0, 3]]], 2, 1e-12)
    assert list(found.status) == [codes.MAX_STEPS, 0]


def test_a_sample_has_its_bits_in_any_company(decay: Any) -> None:
    engine, _ = decay
    args = drawn(engine, 19, seed=5)
    args[0] += 1.0
    whole = engine.solve(args, 19, RUN)
    assert len(set(whole.status)) > 1 and (whole.status == 0).any()
    cots = cotangents(engine, 19)
    whole_grads = engine.pullback(args, 19, whole.saved, whole.status, cots).grads
    for k in (0, 7, 18):
        alone = [a[k : k + 1] for a in args]
        one = engine.solve(alone, 1, RUN)
        grads = engine.pullback(alone, 1, one.saved, one.status, [c[k : k + 1] for c in cots]).grads
        assert (one.status[0], one.steps[0], one.notes[0]) == (whole.status[k], whole.steps[k], whole.notes[k])
        for a, b in (*zip(one.outputs, whole.outputs, strict=True), *zip(grads, whole_grads, strict=True)):
            assert a is not None and b is not None
            np.testing.assert_array_equal(a[0], b[k])


def test_single_precision_agrees_to_its_digits() -> None:
    lanes, python = both(TEXT, "Ridge", {"m": 4, "n": 3}, "float32")
    args = drawn(lanes, 5, scale=0.5)
    args[2] = np.abs(args[2]) + np.float32(0.2)
    args[3] = np.ones(3, np.float32)
    one, two = lanes.solve(args, 5, RUN), python.solve(args, 5, RUN)
    assert not one.status.any() and not two.status.any()
    close(one.outputs[0], two.outputs[0], 3e-6)


def test_the_layer_runs_on_lanes_by_default_and_passes_gradcheck() -> None:
    layer = implicitdsl.loads(TEXT).Decay(dtype=F64)
    assert compiler.back_end_of(layer.blueprint) == "lanes"
    y = torch.tensor([[2, 1.3, 0.7, 0.5], [1.9, 1.2, 0.8, 0.4]], dtype=F64, requires_grad=True)
    start = torch.ones(2, dtype=F64)
    assert torch.autograd.gradcheck(lambda y: layer(y, start), y, rtol=1e-6)
    assert torch.autograd.gradgradcheck(lambda y: layer(y, start), y, rtol=1e-5)


def test_the_engine_is_made_again_from_plain_data(decay: Any) -> None:
    """As a package and the cache keep it: samples that lanes settle, and one that they leave open."""
    engine, _ = decay
    record = record_of(engine)
    assert record is not None
    again = pickle.loads(pickle.dumps(record)).restore(engine.code.object, None)
    args = [np.array([[2, 1.3, 0.7, 0.5], [1.0, 0.0, 0.0, 0.0]]), np.array([1.0, 1.0])]
    one, two = (e.solve(args, 2, RUN) for e in (engine, again))
    np.testing.assert_array_equal(one.status, [0, codes.MAX_STEPS])
    for a, b in zip((*one.outputs, one.steps, one.status), (*two.outputs, two.steps, two.status), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("backend", ["lanes", "python"])
def test_an_objective_of_degree_2_is_minimised_from_the_start_where_the_text_says_so(backend: str) -> None:
    text = """
argmin Near(q in positive, c[3]) -> z[3] {
  var z[3] = 1
  minimize q*normsq(z)/2 + (z[0] - z[1])^2 - c @ z
  solver local()
  return z
}"""
    layer = implicitdsl.loads(text).Near(dtype=F64, backend=backend, on_fail="nan")
    q = torch.tensor([2.0, 0.5], dtype=F64, requires_grad=True)
    c = torch.tensor([[1.0, 2.0, -0.5], [0.0, -3.0, 1.0]], dtype=F64, requires_grad=True)
    found = layer(q, c)
    # The normal equations, by torch.
    apart = torch.tensor([[2.0, -2.0, 0.0], [-2.0, 2.0, 0.0], [0.0, 0.0, 0.0]], dtype=F64)
    wanted = torch.linalg.solve(q[:, None, None] * torch.eye(3, dtype=F64) + apart, c)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)
    grads = [torch.autograd.grad(y.sin().sum(), (q, c), create_graph=True) for y in (found, wanted)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-11, atol=1e-12)
    second = [torch.autograd.grad(sum((g * g).sum() for g in first), (q, c)) for first in grads]
    torch.testing.assert_close(second[0], second[1], rtol=1e-10, atol=1e-11)
    # -z'z/2 has no minimum.
    text = text.replace("q*normsq(z)/2", "-q*normsq(z)")
    open_below = implicitdsl.loads(text).Near(dtype=F64, backend=backend, on_fail="nan")
    open_below(2.0, torch.ones(3, dtype=F64))
    assert int(open_below.last.status) == codes.UNBOUNDED
