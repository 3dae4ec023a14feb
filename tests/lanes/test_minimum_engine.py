"""`argmin` on lanes: every reference program against the solver of one sample, exact active-set solutions, differences, and
itself in other places of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from implicitdsl import compiler
from implicitdsl.backends.engine import RunOptions, Solution
from implicitdsl.backends.lanes.minimum_build import build_minimum
from implicitdsl.backends.lanes.minimum_engine import MinimumEngine
from implicitdsl.backends.python.minimum_engine import MinimumEngine as Reference
from implicitdsl.layers.options import Options
from implicitdsl.solvers.status import status_name
from tests.reference.argmin_cases import jacobian, models, outputs, read, second_error, tensor
from tests.reference.test_argmin_programs import CASES, PROGRAMS, Case
from tests.reference.test_argmin_published import held_system, random_program

RUN = RunOptions()
TEXT = """
argmin Program[n, m, p](Q[n, n], q[n], A[p, n], b[p], G[m, n], h[m]) -> (x[n], lam[p], mu[m]) {
  var x[n]
  minimize 1/2*(x @ Q @ x) + q @ x
  subject to {
    equal: A @ x = b
    below: G @ x <= h
  }
  return x, dual(equal), dual(below)
}

argmin Scaled[n](t[n], c) -> [n] {
  var x[n]
  minimize 1/2*c*normsq(x - t)
  subject to {
    x >= 0
    sum(x) = 1
  }
  return abs(x - 0.25)
}

argmin Free[n](q[n], b) -> [n] {
  var x[n]
  minimize 1/2*normsq(x) + exp(b)*q @ x
  return x
}
"""


def engines(
    name: str, sizes: dict[str, int], dtype: str = "float64", **options: Any
) -> tuple[MinimumEngine, Reference]:
    unit = compiler.read_unit(TEXT)
    blueprint = compiler.construct(unit, name, sizes, Options(**options))
    builder = compiler._builder(blueprint)
    problem, settings = builder.elaborated({}).problem, builder.settings(dtype)
    lanes = build_minimum(problem, settings, np.dtype(dtype))
    return lanes, Reference(problem, settings, np.dtype(dtype))


def close(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    scale = np.nanmax(np.abs(wanted), initial=1e-3)
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=tolerance)


def program(n: int, m: int, p: int, batch: int, *, own: bool) -> list[np.ndarray]:
    """Arguments of `Program`; with `own` every argument has a batch axis, and matrices differ by sample."""
    Q, q, G, h, A, b = (v.numpy() for v in random_program(n, m, p, batch))
    args = [Q, q, A, b, G, h]
    if not own:
        return args
    r = np.random.default_rng(3)
    spread = [a if a is q else np.repeat(a[None], batch, 0) for a in args]
    spread[2] += 0.01 * r.standard_normal(spread[2].shape)
    spread[4] += 0.01 * r.standard_normal(spread[4].shape)
    return spread


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reference_programs(case: Case) -> None:
    """Outputs, statuses, notes and derivatives of one sample."""
    make = getattr(models(PROGRAMS), case.layer)
    lanes, python = (make(dtype=torch.float64, backend=b, **case.sizes) for b in ("lanes", "python"))
    found, wanted = (outputs(layer(*map(tensor, case.inputs))) for layer in (lanes, python))
    assert int(lanes.last.status) == int(python.last.status) == 0, case.name
    assert int(lanes.last.notes) == int(python.last.notes) == case.notes, case.name
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)
    if not case.smooth:
        return
    for wrt in sorted({*range(len(case.inputs))} - {*case.held}):
        for output in range(len(case.expected)):
            have, want = (jacobian(layer, case.inputs, wrt=wrt, output=output) for layer in (lanes, python))
            np.testing.assert_allclose(have, want, rtol=0, atol=1e-12 * max(1.0, np.abs(want).max()))
    assert second_error(lanes, case.inputs, held=case.held) <= 1e-6, case.name


@pytest.mark.parametrize(("n", "m", "p", "batch"), [(10, 10, 3, 13), (50, 50, 10, 5)])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_dense_programs(n: int, m: int, p: int, batch: int, own: bool) -> None:
    """Solutions and multipliers against dense linear algebra on the active set; all derivatives against one sample."""
    lanes, python = engines("Program", {"n": n, "m": m, "p": p})
    args = program(n, m, p, batch, own=own)
    s = lanes.solve(args, batch, RUN)
    assert not s.status.any() and not s.notes.any()
    for i in range(batch):
        Q, q, A, b, G, h = (
            torch.tensor(a[i] if a.ndim > r else a) for a, r in zip(args, (2, 1, 2, 1, 2, 1), strict=True)
        )
        x, mu = (torch.tensor(s.outputs[k][i]) for k in (0, 2))
        K, right, on = held_system(Q, q, A, b, G, h, x, mu)
        exact = torch.linalg.solve(K, right).numpy()
        assert (exact[n + p :] > 0).all() and (G.numpy() @ exact[:n] <= h.numpy() + 1e-9).all()
        np.testing.assert_allclose(x, exact[:n], atol=1e-11)
        np.testing.assert_allclose(s.outputs[1][i], exact[n : n + p], atol=1e-11)
        np.testing.assert_allclose(mu[on], exact[n + p :], atol=1e-11)
    if n == 10:
        compare_derivatives(lanes, python, args, batch, s)


def compare_derivatives(lanes: Any, python: Any, args: list[np.ndarray], batch: int, s: Solution) -> None:
    r = np.random.default_rng(1)
    expected = python.solve(args, batch, RUN)
    np.testing.assert_array_equal(s.status, expected.status)
    np.testing.assert_array_equal(s.notes, expected.notes)
    cot = [r.standard_normal(o.shape) for o in s.outputs]
    for c in cot:
        c[0] = 0.0
    dots = [r.standard_normal(a.shape) for a in args]
    found = lanes.pullback(args, batch, s.saved, s.status, cot)
    wanted = python.pullback(args, batch, expected.saved, expected.status, cot)
    np.testing.assert_array_equal(found.status, wanted.status)
    for x, y in zip(found.grads, wanted.grads, strict=True):
        close(x, y, 1e-10)
    second = lanes.pullback_pullback(args, batch, s.saved, s.status, cot, dots)
    other = python.pullback_pullback(args, batch, expected.saved, expected.status, cot, dots)
    np.testing.assert_array_equal(second.status, other.status)
    for x, y in zip(second.cotangents + second.grads, other.cotangents + other.grads, strict=True):
        close(x, y, 1e-9)
    pushed = lanes.pushforward(args, batch, s.saved, s.status, dots).outputs
    for x, y in zip(
        pushed, python.pushforward(args, batch, expected.saved, expected.status, dots).outputs, strict=True
    ):
        close(x, y, 1e-10)


def hard_batch() -> tuple[list[np.ndarray], list[str]]:
    """Samples of `Program` with n = 3, m = 4, p = 1, all but the clear ones of another kind."""
    r = np.random.default_rng(0)
    batch = 11
    Q = np.repeat(np.eye(3)[None], batch, 0)
    q, A, b = r.standard_normal((batch, 3)), r.standard_normal((batch, 1, 3)), np.zeros((batch, 1))
    G, h = r.standard_normal((batch, 4, 3)), r.uniform(0.5, 1.0, (batch, 4))
    kinds = ["success"] * batch
    G[1, 1], h[1, 1], kinds[1] = -G[1, 0], -h[1, 0] - 1.0, "infeasible"
    Q[2], G[2], kinds[2] = 0.0, np.array([[1.0, 0, 0]] * 4), "unbounded"
    q[2], A[2] = [0.0, -1.0, 0.0], [[0.0, 0.0, 1.0]]
    Q[4, 0, 0], kinds[4] = -1.0, "nonconvex"
    q[5, 1], kinds[5] = np.nan, "nonfinite"
    # Duplicate rows; a row that touches with multiplier 0; a row of zeros; data over many decades.
    G[6, 1], h[6, 1] = G[6, 0], h[6, 0]
    q[7], G[7, 0], h[7, 0] = 0.0, [1.0, 0.0, 0.0], 0.0
    G[8, 2] = 0.0
    Q[9] *= 1e5
    q[9] *= 1e5
    G[9] *= 1e-4
    h[9] *= 1e-4
    return [Q, q, A, b, G, h], kinds


def test_statuses_and_notes_are_those_of_one_sample() -> None:
    lanes, python = engines("Program", {"n": 3, "m": 4, "p": 1})
    args, kinds = hard_batch()
    with np.errstate(all="ignore"):
        found, wanted = lanes.solve(args, 11, RUN), python.solve(args, 11, RUN)
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_array_equal(found.notes, wanted.notes)
    assert [status_name(s) for s in found.status] == kinds
    good = found.status == 0
    for x, y in zip(found.outputs, wanted.outputs, strict=True):
        np.testing.assert_allclose(x[good], y[good], atol=1e-12)
        # Certificates and rays too.
        np.testing.assert_allclose(x[~good], y[~good], atol=1e-9)
    compare_derivatives_of_good(lanes, python, args, found, wanted)


def compare_derivatives_of_good(lanes: Any, python: Any, args: Any, found: Solution, wanted: Solution) -> None:
    rows = np.flatnonzero(found.status == 0)
    cot = [np.ones_like(o) for o in found.outputs]
    x = lanes.pullback(args, 11, found.saved, found.status, cot)
    y = python.pullback(args, 11, wanted.saved, wanted.status, cot)
    np.testing.assert_array_equal(x.status, y.status)
    for a, b in zip(x.grads, y.grads, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(a[rows], b[rows], atol=1e-9)


def test_a_failed_neighbour_changes_no_bit() -> None:
    lanes, _ = engines("Program", {"n": 3, "m": 4, "p": 1})
    args, kinds = hard_batch()
    good = np.array([k == "success" for k in kinds])
    clear = [a.copy() for a in args]
    for a in clear:
        a[~good] = a[0]
    x, y = lanes.solve(args, 11, RUN), lanes.solve(clear, 11, RUN)
    for a, b in zip(x.outputs, y.outputs, strict=True):
        np.testing.assert_array_equal(a[good], b[good])
    cot = [np.where(good[:, None], o, 0.0) for o in y.outputs]
    g, k = (lanes.pullback(given, 11, s.saved, s.status, cot).grads for given, s in ((args, x), (clear, y)))
    for a, b in zip(g, k, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_the_batch(dtype: str) -> None:
    lanes, _ = engines("Program", {"n": 10, "m": 10, "p": 3}, dtype)
    args = [a.astype(dtype) for a in program(10, 10, 3, 21, own=True)]
    whole = lanes.solve(args, 21, RUN)
    cot = whole.outputs
    grads = lanes.pullback(args, 21, whole.saved, whole.status, cot).grads
    for rows in (np.array([20]), np.array([13, 2, 7]), np.arange(21)[::-1].copy()):
        some = [a[rows] for a in args]
        part = lanes.solve(some, len(rows), RUN)
        for a, b in zip(part.outputs, whole.outputs, strict=True):
            np.testing.assert_array_equal(a, b[rows])
        pulled = lanes.pullback(some, len(rows), part.saved, part.status, [c[rows] for c in cot]).grads
        for g, all_of_it in zip(pulled, grads, strict=True):
            np.testing.assert_array_equal(g, all_of_it[rows])


def test_single_precision() -> None:
    """Next to the exact solution, by the precision and the condition; statuses and notes as of one sample."""
    lanes, python = engines("Program", {"n": 10, "m": 10, "p": 3}, "float32")
    exact, _ = engines("Program", {"n": 10, "m": 10, "p": 3})
    args = program(10, 10, 3, 24, own=False)
    low = [a.astype(np.float32) for a in args]
    found, wanted = lanes.solve(low, 24, RUN), python.solve(low, 24, RUN)
    truth = exact.solve([a.astype(float) for a in low], 24, RUN)
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_array_equal(found.notes, wanted.notes)
    np.testing.assert_allclose(found.outputs[0], truth.outputs[0], atol=2e-5)
    cot = [np.ones_like(o) for o in truth.outputs]
    grads = lanes.pullback(low, 24, found.saved, found.status, [c.astype(np.float32) for c in cot]).grads
    for x, y in zip(grads, exact.pullback(args, 24, truth.saved, truth.status, cot).grads, strict=True):
        close(x, y.astype(np.float32), 1e-3)


def test_conditions_of_convexity_and_kinks_are_of_each_sample() -> None:
    """`c` must be positive; an output on a kink is noted."""
    lanes, python = engines("Scaled", {"n": 4})
    t = np.array([[0.5, 0.8, -0.2, 0.3], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [1.0, 2.0, 3.0, 4.0]])
    args = [t, np.array([1.0, -1.0, 1.0, 0.5])]
    found, wanted = lanes.solve(args, 4, RUN), python.solve(args, 4, RUN)
    assert [status_name(s) for s in found.status] == ["success", "nonconvex", "success", "success"]
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_array_equal(found.notes, wanted.notes)
    np.testing.assert_allclose(found.outputs[0][[0, 2, 3]], wanted.outputs[0][[0, 2, 3]], atol=1e-14)


def test_a_program_without_rows() -> None:
    """min |x|²/2 + e^b q'x has x = -e^b q."""
    lanes, python = engines("Free", {"n": 5})
    r = np.random.default_rng(0)
    args = [r.standard_normal((6, 5)), np.array(0.3)]
    s = lanes.solve(args, 6, RUN)
    np.testing.assert_allclose(s.outputs[0], -np.exp(0.3) * args[0], rtol=1e-14)
    compare_derivatives(lanes, python, args, 6, s)


def test_a_small_limit_of_steps_is_that_of_one_sample() -> None:
    layers = [
        read(TEXT).Program(n=3, m=4, p=1, max_steps=2, on_fail="nan", dtype=torch.float64, backend=b)
        for b in ("lanes", "python")
    ]
    args = [torch.tensor(a[:1]) for a in hard_batch()[0]]
    for layer in layers:
        layer(*args)
    assert int(layers[0].last.status) == int(layers[1].last.status) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_programs_have_the_same_bits_in_code_of_their_own(dtype: str) -> None:
    """`prepare` takes it at once; without, a layer takes it when it has solved for long enough."""
    # Sizes for which other tests have such code too.
    lanes, _ = engines("Program", {"n": 3, "m": 3, "p": 1}, dtype)
    args = [a.astype(dtype) for a in program(3, 3, 1, 13, own=False)]
    cotangents = [np.ones((13, *shape), dtype) for shape in lanes.outputs]
    found: list[Any] = []
    for own in (False, True):
        if own:
            lanes.prepare(batch=True)
        s = lanes.solve(args, 13, RunOptions(None, np.arange(13), keep=True))
        assert s.tape is not None and (s.status == 0).all()
        grads = s.tape.pullback(cotangents, [True] * len(args)).grads
        found.append([*s.outputs, *s.saved, s.steps, *grads])
        assert (("program_own", ()) in lanes.code.made) is own
    for plain, mine in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, mine)
