"""`root` on lanes against the back end python: answers, statuses, notes, derivatives, bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.solvers import status as codes
from tests.lanes.sides import RUN, agree, both, close, cotangents

TEXT = """
root Kepler(M, e in interval(0, 1)) -> E {
  var E = M + e*sin(M)
  E - e*sin(E) = M
  return E
}

root Coupled[n](A[n, n], c[n]) -> x[n] {
  var x[n] = 0
  A @ x + x^3 = c
  return x
}

root Cubic(a, z0) -> z {
  var z = z0
  z^3 - 2*z + a = 0
  return z
}

root Square(a, z0) -> z {
  var z = z0
  z^2 = a
  return z
}

root Kinked(a) -> z {
  var z = 1
  z + relu(z - 1) = a
  return z
}

root Log(a, z0) -> z {
  var z = z0
  log(z) = a
  return z
}

root Free(a, b) -> (x, y) {
  var x = a, y = b
  x + y = a + b
  2*x + 2*y = 2*a + 2*b
  return x, y
}

root Bounded(a) -> z {
  var z = 1 in positive
  log(z) + z = a
  return z
}
"""


def kepler(batch: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-3, 3, batch), rng.uniform(0, 0.95, batch)]


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_keplers_equation(batch: int) -> None:
    fast, slow = both(TEXT, "Kepler", {})
    args = kepler(batch)
    found = agree(fast, slow, args, batch, 1e-11)
    eccentric = found.outputs[0]
    assert np.abs(eccentric - args[1] * np.sin(eccentric) - args[0]).max() <= 1e-15 * 8
    np.testing.assert_array_equal(found.steps, slow.solve(args, batch, RUN).steps)


def test_float32() -> None:
    fast, slow = both(TEXT, "Kepler", {}, "float32")
    agree(fast, slow, [a.astype("float32") for a in kepler(33)], 33, 1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_a_system(shared: bool) -> None:
    rng = np.random.default_rng(1)
    fast, slow = both(TEXT, "Coupled", {"n": 6})
    lead = () if shared else (20,)
    args = [rng.standard_normal((*lead, 6, 6)) + 3 * np.eye(6), rng.standard_normal((20, 6))]
    agree(fast, slow, args, 20, 1e-11)


CASES: dict[str, Any] = {
    "no root, one of two, a double root": ("Square", ([-1.0, 4.0, 0.0, 1e-14, 2.0], [1.0, 1.0, 1.0, 1.0, -3.0])),
    "a cubic with one and with three roots": ("Cubic", ([0.1, 5.0, -1.0886621, 3.0, 1.0], [0.0, 0.9, 0.8, -1.0, 0.8])),
    "outside the domain": ("Log", ([0.0, 1.0, 2.0, -30.0, 0.5], [-1.0, 1.0, 30.0, 1.0, 1e-3])),
    "a continuum": ("Free", ([2.0, 3.0, 0.0, 1.0, -1.0], [1.0, 0.0, 0.0, 2.0, 1.0])),
    "not finite": ("Square", ([np.nan, np.inf, 4.0, 1.0, 9.0], [1.0, 1.0, np.nan, np.inf, 1.0])),
    "a bound": ("Bounded", ([1.0, -30.0, 50.0, 0.0, -5.0],)),
    "a kink": ("Kinked", ([0.5, 1.0, 2.0, 1.5, 3.0],)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_statuses_and_notes_are_those_of_one_sample(name: str, dtype: str) -> None:
    layer, given = CASES[name]
    fast, slow = both(TEXT, layer, {}, dtype)
    # Bad samples among good ones, in one block.
    args = [np.array(a * 3, dtype) for a in given]
    one, two = fast.solve(args, 15, RUN), slow.solve(args, 15, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)
    good = one.status == codes.SUCCESS
    clear = good & (one.notes & codes.NEAR_SINGULAR == 0)
    for a, b in zip(one.outputs, two.outputs, strict=True):
        close(a[clear], b[clear], 1e-11 if dtype == "float64" else 1e-5)
    cots = cotangents(fast, 15)
    got, want = (e.pullback(args, 15, s.saved, s.status, cots) for e, s in ((fast, one), (slow, two)))
    np.testing.assert_array_equal(got.status, want.status)


def test_steps_run_out() -> None:
    fast, slow = both(TEXT, "Kepler", {}, max_steps=3)
    args = kepler(30)
    one, two = fast.solve(args, 30, RUN), slow.solve(args, 30, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    assert 0 < (one.status == codes.MAX_STEPS).sum() < 30


def test_a_sample_has_its_own_bits() -> None:
    fast, _ = both(TEXT, "Cubic", {})
    rng = np.random.default_rng(2)
    args = [rng.uniform(-3, 3, 37), rng.uniform(-2, 2, 37)]
    cots = [np.ones(37)]
    whole = fast.solve(args, 37, RUN)
    grad = fast.pullback(args, 37, whole.saved, whole.status, cots).grads[0]
    turned = fast.solve([a[::-1].copy() for a in args], 37, RUN)
    np.testing.assert_array_equal(whole.outputs[0], turned.outputs[0][::-1])
    for row in (0, 13, 36):
        some = [a[row : row + 1] for a in args]
        alone = fast.solve(some, 1, RUN)
        assert alone.outputs[0][0] == whole.outputs[0][row] or alone.status[0] != 0
        assert (alone.status[0], alone.notes[0], alone.steps[0]) == (
            whole.status[row],
            whole.notes[row],
            whole.steps[row],
        )
        lone = fast.pullback(some, 1, alone.saved, alone.status, [np.ones(1)]).grads[0]
        np.testing.assert_array_equal(lone[0], grad[row])


def test_the_layer_is_torchs() -> None:
    layer = implicitdsl.loads(TEXT).Coupled(n=3, backend="lanes", dtype=torch.float64)
    torch.manual_seed(0)
    A = (torch.randn(2, 3, 3, dtype=torch.float64) + 3 * torch.eye(3, dtype=torch.float64)).requires_grad_()
    c = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (A, c))
    assert torch.autograd.gradgradcheck(layer, (A, c))
