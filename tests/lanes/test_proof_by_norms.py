"""The proof of contraction by norms of shared matrices: the norms are bounds, and a proof taken as made changes no bit
of what the proof by products gives."""

from __future__ import annotations

import numpy as np
import pytest

from implicitdsl.backends.lanes.contraction import Contraction, Matrices, norm_bound
from implicitdsl.backends.lanes.root_engine import CONTRACTS
from implicitdsl.solvers.block_picard import PROBES, SHRINKING, UNSEEN, certain_rate
from tests.lanes.sides import RUN, both

TEXT = """
fixpoint DEQ[n](x[n], W[n, n]) -> [n] {
  var z[n] = 0
  z = tanh(W @ z + x)
  return z
}

fixpoint Layer[n](x[n]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  var z[n] = 0
  z = tanh(W @ z + x)
  return z
}

fixpoint Affine[n](x[n]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  var z[n] = 0
  z = W @ z + x
  return z
}
"""


def matrices(n: int) -> dict[str, np.ndarray]:
    """Matrices of norm 1, most of them with something that fools iterations."""
    rng = np.random.default_rng(7)
    normal = rng.standard_normal((n, n))
    orthogonal, _ = np.linalg.qr(normal)
    e = rng.standard_normal(n)
    e /= np.linalg.norm(e)
    found = {
        "random": normal,
        "orthogonal": orthogonal,
        "oscillating": -np.eye(n),
        "shift": np.diag(np.ones(n - 1), 1),
        "nilpotent": np.triu(normal, 1),
        "one direction": np.outer(e, e) + 0.2 * np.eye(n),
        "rank one": np.outer(e, rng.standard_normal(n)),
    }
    return {name: a / np.linalg.norm(a, 2) for name, a in found.items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e3])
def test_a_bound_of_the_norm_is_never_too_small(dtype: type, scale: float) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (40, 7), (64, 64), (1, 30)):
        a = (scale * rng.standard_normal(shape)).astype(dtype)
        assert norm_bound(a) >= np.linalg.norm(a.astype(np.float64), 2)
    for a in matrices(64).values():
        a = (scale * a).astype(dtype)
        exact = float(np.linalg.norm(a.astype(np.float64), 2))
        assert norm_bound(a) >= exact
        if scale >= 1e-3:
            # All 64 directions of an orthogonal matrix count: 64^(1/32).
            assert norm_bound(a) <= 1.15 * exact


@pytest.mark.parametrize("n", [1, 2, 11, 12, 13, 64, 1000, 50_000])
def test_a_map_of_that_rate_passes_the_proof_by_products(n: int) -> None:
    """The longest first vector has n entries of 1; rounding may add a hundredth to every product."""
    rate = 1.01 * certain_rate(n)
    assert rate <= SHRINKING
    assert n**0.5 * rate ** max(PROBES, 2 * n) <= UNSEEN


def test_what_is_not_finite_proves_nothing() -> None:
    for bad in (np.nan, np.inf, 1e30):
        a = np.full((4, 4), bad, np.float32)
        contraction = Contraction((((1.0, (Matrices(0, (4, 4), (0,), (1,)),)),),), 4)
        assert not contraction.is_proved([a.reshape(-1)], 10_000)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", ["Layer", "Affine"])
def test_a_proof_taken_as_made_changes_no_bit(layer: str, dtype: str) -> None:
    n, batch = 32, 40
    fast, _ = both(TEXT, layer, {"n": n}, dtype)
    rng = np.random.default_rng(1)
    proofs = 0
    for name, matrix in matrices(n).items():
        for norm in (0.3, 0.7, 0.985 * certain_rate(n), 1.0):
            W = (norm * matrix).astype(dtype)
            x = rng.standard_normal((batch, n)).astype(dtype)
            if name == "one direction":
                # Right-hand sides without a part along the direction that contracts least.
                values, vectors = np.linalg.eigh(matrix)
                e = vectors[:, np.argmax(values)]
                x -= np.outer(x @ e, e).astype(dtype)
            seen = []
            for known in (False, True):
                fast._contraction = Contraction(fast.spec.more["slopes"] if known else (), n)
                proofs += fast._contraction.is_proved([x, W.reshape(-1)], batch)
                found = fast.solve([x, W], batch, RUN)
                seen.append((found.outputs[0], found.status, found.notes, found.steps, found.saved[1]))
            for a, b in zip(*seen, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{name} {norm}")
    assert proofs >= 14


def test_a_proof_holds_for_the_matrices_it_was_made_for() -> None:
    n, batch = 32, 200
    fast, slow = both(TEXT, "Layer", {"n": n})
    rng = np.random.default_rng(2)
    x, W = rng.standard_normal((batch, n)), 0.5 * matrices(n)["orthogonal"]
    proved = fast._contraction.is_proved
    assert proved([x, W.reshape(-1)], batch)
    W *= 3.0
    assert not proved([x, W.reshape(-1)], batch)
    one, two = fast.solve([x, W], batch, RUN), slow.solve([x, W], batch, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    W[:] = np.nan
    assert not proved([x, W.reshape(-1)], batch)
    np.testing.assert_array_equal(fast.solve([x[:3], W], 3, RUN).status, slow.solve([x[:3], W], 3, RUN).status)


def test_samples_with_matrices_of_their_own_are_proved_by_products() -> None:
    n, batch = 32, 50
    fast, slow = both(TEXT, "DEQ", {"n": n})
    rng = np.random.default_rng(3)
    x, W = rng.standard_normal((batch, n)), np.tile(0.5 * matrices(n)["random"], (batch, 1, 1))
    W[7] *= 4.0
    assert not fast._contraction.is_proved(fast.values([x, W], batch), batch)
    one, two = fast.solve([x, W], batch, RUN), slow.solve([x, W], batch, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_allclose(one.outputs[0], two.outputs[0], atol=1e-9)


@pytest.mark.parametrize("slope", [0.97, 1.0, 1.5, 3.0])
def test_a_slope_in_a_direction_that_the_path_never_takes_is_seen(slope: float) -> None:
    """An even coupling: the path stays where the last unknown is 0, and df/dz there is `slope` along it."""
    n, batch = 32, 40
    fast, slow = both(TEXT, "Layer", {"n": n})
    rng = np.random.default_rng(4)
    W = np.zeros((n, n))
    W[:-1, :-1] = 0.4 * matrices(n - 1)["random"]
    W[-1, -1] = slope
    x = rng.standard_normal((batch, n))
    x[:, -1] = 0.0
    assert not fast._contraction.is_proved(fast.values([x, W], batch), batch)
    one, two = fast.solve([x, W], batch, RUN), slow.solve([x, W], batch, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)
    assert not (one.saved[1] & CONTRACTS).any()


def test_failures_leave_their_neighbours_alone() -> None:
    n, batch = 32, 64
    fast, slow = both(TEXT, "Layer", {"n": n})
    rng = np.random.default_rng(5)
    x, W = rng.standard_normal((batch, n)), 0.8 * matrices(n)["nilpotent"]
    good = fast.solve([x, W], batch, RUN).outputs[0]
    x[3, 2], x[20, 0] = np.nan, np.inf
    one, two = fast.solve([x, W], batch, RUN), slow.solve([x, W], batch, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    kept = np.setdiff1d(np.arange(batch), [3, 20])
    np.testing.assert_array_equal(one.outputs[0][kept], good[kept])
    alone = fast.solve([x[5:6], W], 1, RUN)
    np.testing.assert_array_equal(alone.outputs[0][0], good[5])
