"""What functions of a model keep for one another: the same numbers, nothing dear computed twice, small models untouched."""

from __future__ import annotations

import numpy as np

from implicitdsl.backends.lanes import kept_values
from implicitdsl.backends.lanes.kept_values import dear_values
from implicitdsl.ir import build as b
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.node import Contract, Map, Node, walk
from implicitdsl.problems.derived import Derived, group, transpose
from tests.lanes.sides import RUN, both, close, cotangents, drawn

N, M = 24, 16
Y = b.leaf("state", "y", (M,))
T = b.leaf("time", "t")
W, V, OFFSET = (b.leaf("param", name, shape) for name, shape in (("W", (N, M)), ("V", (M, N)), ("b", (N,))))


def network() -> Derived:
    hidden = b.apply("tanh", b.add(b.contract("ij,j->i", W, Y), OFFSET))
    inputs = (group("t", (T,)), group("y", (Y,)), group("p", (W, V, OFFSET)))
    return Derived("rhs", inputs, (group("out", (b.contract("ij,j->i", V, hidden),)),))


def value_of(nodes: tuple[Node, ...], values: dict[Node, np.ndarray]) -> list[np.ndarray]:
    return [np.asarray(v) for v in evaluate(nodes, values)]


def test_a_transpose_reads_what_its_function_has_kept() -> None:
    rhs = network()
    pull = transpose(rhs, ("t", "y", "p"))
    kept = dear_values([pull], ("t", "y", "p"), "stage")
    assert kept.size > 0
    keeping, reading = kept.keeping(rhs, "rhs_keeping"), kept.reading(pull, "rhs_vjp_kept", "y")
    rng = np.random.default_rng(0)
    given = {leaf: rng.standard_normal(leaf.shape) for g in pull.inputs for leaf in g.leaves}
    given |= dict(zip(kept.leaves, value_of(keeping.outputs[1].nodes, given), strict=True))
    for found, wanted in zip(value_of(reading.nodes, given), value_of(pull.nodes, given), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # Neither the product with W nor a tanh is left: one product with V and one with W, and the gradients of both.
    products = [n for n in walk(reading.nodes) if isinstance(n, Contract) and len(n.args) == 2]
    assert len(products) == 4
    assert not any(kept_values.cost_of(n) > 4 * n.size for n in walk(reading.nodes) if isinstance(n, Map))


def test_what_is_cheap_or_too_large_is_computed_again() -> None:
    small = Derived("rhs", (group("t", (T,)), group("y", (Y,))), (group("out", (b.mul(Y, b.mul(Y, Y)),)),))
    assert dear_values([transpose(small, ("t", "y"))], ("t", "y"), "stage").size == 0
    assert dear_values([transpose(network(), ("t", "y", "p"))], ("t", "y", "p"), "stage", most=N - 1).size == 0


def test_an_argument_alone_is_prepared_once() -> None:
    """In z = tanh(W z + U x + b), the product with x."""
    x, z, u = b.leaf("input", "x", (M,)), b.leaf("unknown", "z", (N,)), b.leaf("param", "U", (N, M))
    w = b.leaf("param", "w", (N, N))
    drive = b.contract("ij,j->i", u, x)
    value = b.apply("tanh", b.add(b.add(b.contract("ij,j->i", w, z), drive), OFFSET))
    given = (group("z", (z,)), group("p", (x, u, w, OFFSET)))
    kept = dear_values([Derived("residual", given, (group("out", (b.sub(value, z),)),))], ("p",), "argument")
    assert kept.nodes == (drive,)


DEQ = """
fixpoint DEQ[n, m](x[m], s) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  var z[n] = 0
  z = tanh(s * (W @ z) + U @ x)
  return z
}
"""


def test_contractions_and_others_in_one_batch_have_the_exact_gradient() -> None:
    """Samples that contract are pulled back by a series, the others with factors: all as one by one in Python, and with
    the bits that they have alone."""
    fast, slow = both(DEQ, "DEQ", {"n": 24, "m": 4}, "float64")
    args = drawn(fast, 19)
    place = [a.name for a in fast.arguments].index
    args[place("W")] *= 0.15
    args[place("s")][:] = np.linspace(0.1, 3.0, 19)
    one, two = fast.solve(args, 19, RUN), slow.solve(args, 19, RUN)
    np.testing.assert_array_equal(one.status, two.status)
    np.testing.assert_array_equal(one.notes, two.notes)
    contracts = one.saved[1] != one.notes
    assert contracts.any() and not contracts.all()
    cot = cotangents(fast, 19)
    found = fast.pullback(args, 19, one.saved, one.status, cot).grads
    wanted = slow.pullback(args, 19, two.saved, two.status, cot).grads
    for got, right in zip(found, wanted, strict=True):
        close(got, right, 1e-11)
    for row in (0, 18):
        alone = [a[row : row + 1] if s.role == "input" else a for a, s in zip(args, fast.arguments, strict=True)]
        single = fast.solve(alone, 1, RUN)
        np.testing.assert_array_equal(single.outputs[0][0], one.outputs[0][row])
        bars = fast.pullback(alone, 1, single.saved, single.status, [c[row : row + 1] for c in cot]).grads
        np.testing.assert_array_equal(bars[place("x")][0], found[place("x")][row])


def test_a_stack_costs_nothing_but_what_its_parts_do() -> None:
    entries = [b.pick(Y, ((k, k + 1),)) for k in range(M)]
    for parts, operations in ((entries[::-1], 0), ([b.mul(entries[k], entries[k - 1]) for k in range(M)], M)):
        assert sum(map(kept_values.cost_of, walk((b.concat(parts),)))) == operations
