"""Bounds of slopes from the form of a graph, against Jacobians by finite differences and derivatives on a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from implicitdsl.backends.lanes.contraction import Contraction
from implicitdsl.backends.lanes.slopes import slopes_of
from implicitdsl.functions.expression import Arg, apply
from implicitdsl.functions.scalar import SCALAR, derivative, evaluate
from implicitdsl.ir import build
from implicitdsl.ir.evaluate import evaluate as evaluate_nodes
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.slope_bound import slope_bound

n, m = 6, 4
Z, Y = Leaf("unknown", "z", (n,)), Leaf("unknown", "y", (n,))
W, V, S = Leaf("param", "W", (n, n)), Leaf("param", "V", (n, n)), Leaf("param", "s", (n,))
M = Leaf("unknown", "m", (n, m))
K = Leaf("param", "K", (m, n, n))
ARGUMENTS = (W, V, S, K)


@pytest.mark.parametrize("name", [name for name, record in SCALAR.items() if math.isfinite(record.steepest)])
def test_no_derivative_is_steeper_than_the_record_says(name: str) -> None:
    record = SCALAR[name]
    grid = np.concatenate([np.linspace(-40, 40, 8001), np.linspace(-4, 4, 8001)])
    rng = np.random.default_rng(0)
    args = [grid, *(rng.permutation(grid) for _ in range(record.arity - 1))]
    found = 0.0
    for k in range(record.arity):
        slope = derivative(apply(name, *map(Arg, range(record.arity))), k)
        assert slope is not None
        found = max(found, float(np.abs(evaluate(slope, *args)).max()))
    assert 0.98 * record.steepest <= found <= record.steepest * (1 + 1e-12)


def maps() -> dict[str, tuple[tuple[Node, ...], tuple[Leaf, ...]]]:
    product = build.matmul(W, Z)
    hidden = build.apply("relu", build.matmul(V, Z))
    return {
        "tanh": ((build.apply("tanh", build.add(product, S)),), (Z,)),
        "residual": ((build.add(build.mul(0.3, Z), build.matmul(W, hidden)),), (Z,)),
        "scaled": ((build.mul(S, build.apply("sin", build.sub(product, Z))),), (Z,)),
        "two": ((build.apply("sigmoid", build.matmul(W, Y)), build.apply("atan", build.add(product, Y))), (Z, Y)),
        "matrix": ((build.matmul(W, M),), (M,)),
        "transposed": ((build.contract("ij,i->j", W, Z),), (Z,)),
        "many": ((build.contract("kij,jk->ik", K, M),), (M,)),
        "sum": ((build.contract("ij,jk->i", W, M),), (M,)),
        "copies": ((build.contract("i->ij", Z, sizes={"j": 3}),), (Z,)),
        "constant": ((build.matmul(build.constant(np.arange(36.0).reshape(6, 6) / 50), Z),), (Z,)),
    }


def value_of(outputs: tuple[Node, ...], given: dict[Node, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(v).reshape(-1) for v in evaluate_nodes(outputs, given)])


@pytest.mark.parametrize("name", list(maps()))
def test_the_bound_holds_wherever_the_map_is(name: str) -> None:
    outputs, unknowns = maps()[name]
    size = sum(u.size for u in unknowns)
    contraction = Contraction(slopes_of(outputs, unknowns, ARGUMENTS), size)
    rng = np.random.default_rng(3)
    largest = 0.0
    held = {a: rng.standard_normal(a.shape) / 3 for a in ARGUMENTS}
    bound = contraction.bound([held[a].reshape(-1) for a in ARGUMENTS])
    assert math.isfinite(bound)
    for reach in (0.0, 0.1, 1.0, 5.0):
        at = {u: reach * rng.standard_normal(u.shape) for u in unknowns}
        columns: list[np.ndarray] = []
        for u in unknowns:
            for k in range(u.size):
                move = np.zeros(u.size)
                move[k] = 1e-6
                ends = [value_of(outputs, {**held, **at, u: at[u] + s * move.reshape(u.shape)}) for s in (1, -1)]
                columns.append((ends[0] - ends[1]) / 2e-6)
        largest = max(largest, float(np.linalg.norm(np.stack(columns, axis=1), 2)))
    assert largest <= bound * (1 + 1e-6)
    # Within a factor that the path through several functions loses.
    assert bound <= 4.5 * largest


@pytest.mark.parametrize(
    "output",
    [
        build.mul(Z, Z),
        build.apply("exp", Z),
        build.div(1.0, Z),
        build.matmul(build.outer(Z, Z), S),
        build.matmul(build.add(W, V), Z),
    ],
)
def test_where_no_bound_is_known_none_is_told(output: Node) -> None:
    assert slope_bound((output,), (Z,)) == (None,)
    assert slopes_of((output,), (Z,), ARGUMENTS) == ()


def test_what_does_not_move_has_no_slope() -> None:
    assert slope_bound((build.apply("exp", S),), (Z,)) == ((),)
