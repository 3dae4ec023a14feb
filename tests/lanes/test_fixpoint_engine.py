"""`fixpoint` on lanes against the back end python: answers, statuses, derivatives, gradients of weights, bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import implicitdsl
from implicitdsl.solvers import status as codes
from tests.lanes.sides import RUN, agree, both, close, cotangents, drawn

TEXT = """
fixpoint DEQ[n, m](x[m]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  param b[n] = 0
  var z[n] = 0
  z = tanh(W @ z + U @ x + b)
  return z
}

fixpoint Scalar(w, b, z0) -> z {
  var z = z0
  z = tanh(w*z + b)
  return z
}

fixpoint Escape(a) -> z {
  var z = a
  z = sqrt(z^2 + 1)
  return z
}

fixpoint Everywhere(a) -> z {
  var z = a
  z = z
  return z
}

fixpoint Idle(a, b) -> (y, z) {
  var y = 0, z = b
  y = 0.5*y + a
  z = z
  return y, z
}
"""


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 3e-4)])
@pytest.mark.parametrize("solver", ["picard", "newton"])
def test_an_equilibrium_layer(dtype: str, tolerance: float, solver: str) -> None:
    fast, slow = both(TEXT, "DEQ", {"n": 5, "m": 3}, dtype, solver=solver)
    args = drawn(fast, 21)
    args[1] *= 0.3
    found = agree(fast, slow, args, 21, tolerance)
    z, W, U, b, x = found.outputs[0], args[1], args[2], args[3], args[0]
    close(z, np.tanh(z @ W.T + x @ U.T + b), 1e-12 if dtype == "float64" else 1e-5)


def test_weights_that_do_not_contract() -> None:
    """Some samples need Newton's method, some a rescue."""
    fast, slow = both(TEXT, "Scalar", {})
    rng = np.random.default_rng(0)
    args = [rng.uniform(-6, 6, 60), rng.uniform(-2, 2, 60), rng.uniform(-1, 1, 60)]
    one, two = fast.solve(args, 60, RUN), slow.solve(args, 60, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)
    good = one.status == codes.SUCCESS
    close(one.outputs[0][good], two.outputs[0][good], 1e-11)


def test_newtons_method_is_made_only_for_samples_that_need_it() -> None:
    fast, _ = both(TEXT, "Scalar", {})
    still, fixed = np.zeros(20), np.linspace(0.5, 1, 20)
    found = fast.solve([np.full(20, 0.2), fixed, still], 20, RUN)
    assert not found.status.any()
    assert {part for part, _ in fast.code.made} == {"picard"}
    # A slope of -2 at the fixed point 0.
    found = fast.solve([np.full(20, -2.0), 0.0 * fixed, still], 20, RUN)
    assert not found.status.any()
    assert np.abs(found.outputs[0]).max() < 1e-12
    assert {"picard", "picard_rest"} <= {part for part, _ in fast.code.made}


@pytest.mark.parametrize(("layer", "given"), [
    ("Escape", ([1.0, 2.0, -3.0],)),
    ("Everywhere", ([0.3, 0.0, 2.0],)),
    ("Idle", ([0.3, 0.0, 2.0], [1.0, 2.0, 3.0])),
    ("Scalar", ([1.0, 0.9, np.nan], [0.0, 0.3, 0.1], [0.0, 0.0, 0.0])),
])  # fmt: skip
def test_statuses_are_those_of_one_sample(layer: str, given: tuple[list[float], ...]) -> None:
    fast, slow = both(TEXT, layer, {})
    args = [np.array(a) for a in given]
    one, two = fast.solve(args, 3, RUN), slow.solve(args, 3, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)


def test_gradients_of_weights_are_those_of_linear_algebra() -> None:
    fast, _ = both(TEXT, "DEQ", {"n": 12, "m": 4})
    args = drawn(fast, 30)
    args[1] *= 0.2
    solution = fast.solve(args, 30, RUN)
    cots = cotangents(fast, 30)
    grads = fast.pullback(args, 30, solution.saved, solution.status, cots).grads
    x, W = args[:2]
    z, by_w, by_x = solution.outputs[0], np.zeros_like(W), np.zeros_like(x)
    for i in range(30):
        slope = np.diag(1 - z[i] ** 2)
        lam = slope @ np.linalg.solve((np.eye(12) - slope @ W).T, cots[0][i])
        by_w += np.outer(lam, z[i])
        by_x[i] = args[2].T @ lam
    close(grads[1], by_w, 1e-12)
    close(grads[0], by_x, 1e-12)


def test_bits_do_not_hang_on_the_batch_or_on_threads() -> None:
    fast, _ = both(TEXT, "DEQ", {"n": 5, "m": 3})
    args = drawn(fast, 500)
    args[1] *= 0.3
    cots = cotangents(fast, 500)
    found = []
    for threads in (1, 2):
        fast._threads = threads
        for _ in range(2):
            solution = fast.solve(args, 500, RUN)
            grads = fast.pullback(args, 500, solution.saved, solution.status, cots).grads
        found.append([solution.outputs[0], *grads])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    alone = fast.solve([args[0][77:78], *args[1:]], 1, RUN)
    np.testing.assert_array_equal(alone.outputs[0][0], found[0][0][77])


def test_the_layer_is_torchs() -> None:
    torch.manual_seed(0)
    layer = implicitdsl.loads(TEXT).DEQ(n=3, m=2, backend="lanes", dtype=torch.float64)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))
    weights = [w.detach().clone().requires_grad_() for w in (layer.W, layer.U, layer.b)]

    def of_weights(*given: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(zip(("W", "U", "b"), given, strict=True)), (x,))

    assert torch.autograd.gradcheck(of_weights, weights)
