"""Jacobians of stacks: values against sympy and finite differences, and that the cheaper way is taken."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import sympy
from ir_graphs import LEAVES, grow, random_values
from ir_torch import interpret

from implicitdsl import compiler
from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.jacobian import matrix, parts_apart
from implicitdsl.ir.layout import stacked
from implicitdsl.ir.node import Contract, Leaf, Map, Node, Place, walk
from implicitdsl.ir.operations import operations
from implicitdsl.ir.simplify import simplify
from implicitdsl.ir.sparsity import entries
from implicitdsl.ir.verify import verify
from implicitdsl.problems.compression import compress
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.stiff import linearisation, pattern_of

Y = b.leaf("state", "y", (4,))
K = b.leaf("input", "k", (3,))
POLLUTION = re.search(
    r"^ode Pollution.*?^}",
    (Path(__file__).parents[2] / "benchmarks/models/precision.imp").read_text(),
    re.DOTALL | re.MULTILINE,
)


def reactions() -> list[Node]:
    """Rates that several rows share."""
    y, k = [b.index(Y, i) for i in range(4)], [b.index(K, i) for i in range(3)]
    return [b.mul(b.mul(k[0], y[0]), y[1]), b.mul(k[1], b.power(y[2], 2.0)), b.div(k[2], b.add(y[3], 2.0))]


def stacks() -> dict[str, Node]:
    r, s, t = reactions()
    rows = [b.sub(s, r), b.add(b.mul(2.0, r), t), t, b.sub(r, b.apply("exp", b.index(Y, 3)))]
    vector = b.apply("sin", b.pick(Y, ((1, 3),)))
    return {
        "scalars": b.stack(rows),
        "with a gap": b.stack([rows[0], b.zeros(()), rows[2], b.fill(3.0, ())]),
        "of a scalar and a vector": b.concat([b.reshape(rows[0], (1,)), vector, b.reshape(t, (1,))]),
        "of stacks": b.concat([b.concat([b.stack(rows[:2]), vector]), b.stack(rows[2:])]),
        "a matrix": b.stack([b.stack(rows[:2]), b.stack(rows[2:])]),
        "columns": b.concat([b.reshape(b.stack(rows[:2]), (2, 1)), b.reshape(b.stack(rows[2:]), (2, 1))], axis=1),
        "more rows than unknowns": b.concat([b.stack(rows), b.mul(b.pick(Y, ((0, 3),)), b.pick(Y, ((1, 4),)))]),
        "fewer": b.stack(rows[:2]),
    }


def by_sympy(name: str) -> tuple[sympy.Matrix, list[sympy.Symbol], list[sympy.Symbol]]:
    """The same rows, one after the other."""
    y, k = sympy.symbols("y:4"), sympy.symbols("k:3")
    r, s, t = k[0] * y[0] * y[1], k[1] * y[2] ** 2, k[2] / (y[3] + 2)
    rows = [s - r, 2 * r + t, t, r - sympy.exp(y[3])]
    vector = [sympy.sin(y[1]), sympy.sin(y[2])]
    flat = {
        "scalars": rows,
        "with a gap": [rows[0], 0, rows[2], 3],
        "of a scalar and a vector": [rows[0], *vector, t],
        "of stacks": [*rows[:2], *vector, *rows[2:]],
        "a matrix": rows,
        "columns": [rows[0], rows[2], rows[1], rows[3]],
        "more rows than unknowns": [*rows, y[0] * y[1], y[1] * y[2], y[2] * y[3]],
        "fewer": rows[:2],
    }[name]
    return sympy.Matrix(flat), list(y), list(k)


AT = {Y: np.array([0.7, -1.3, 2.1, 0.4]), K: np.array([1.9, -0.6, 3.2])}


def value(expression: sympy.Expr | sympy.Matrix, y: list[sympy.Symbol], k: list[sympy.Symbol]) -> np.ndarray:
    at = dict(zip([*y, *k], np.concatenate([AT[Y], AT[K]]).tolist(), strict=True))
    return np.array(sympy.N(expression.subs(at), 20)).astype(float)


@pytest.mark.parametrize("name", list(stacks()))
def test_the_jacobian_of_a_stack_is_that_of_sympy(name):
    output = stacks()[name]
    rows, y, k = by_sympy(name)
    for leaf, names in ((Y, y), (K, k)):
        found = derive.jacobian(output, leaf)
        verify((found,))
        assert found.shape == output.shape + leaf.shape
        got = evaluate((found,), AT)[0].reshape(output.size, leaf.size)
        np.testing.assert_allclose(got, value(rows.jacobian(names), y, k), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", list(stacks()))
def test_its_derivatives_are_those_of_sympy(name):
    output = stacks()[name]
    rows, y, k = by_sympy(name)
    weights = np.random.default_rng(5).normal(size=(rows.rows, 4))
    found = derive.jacobian(output, Y)
    measured = b.dot(b.constant(weights.reshape(found.shape)), found)
    expected = sympy.Matrix([(rows.jacobian(y).multiply_elementwise(sympy.Matrix(weights))).values()])
    total = sympy.Matrix([sum(expected)])
    gradient = derive.pullback((measured,), (1.0,), (Y, K))
    for node, names in zip(gradient, (y, k), strict=True):
        assert node is not None
        np.testing.assert_allclose(evaluate((node,), AT)[0], value(total.jacobian(names), y, k)[0], rtol=1e-13)
    along = derive.pushforward((found,), {Y: b.ones((4,))})[0]
    assert along is not None
    moved = sum((rows.jacobian(y).diff(v) for v in y), sympy.zeros(rows.rows, 4))
    got = evaluate((along,), AT)[0].reshape(rows.rows, 4)
    np.testing.assert_allclose(got, value(moved, y, k), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_are_those_of_torch(seed):
    import torch

    rng = np.random.default_rng(seed)
    nodes = [b.reshape(n, (n.size,)) for n in grow(rng, 10)[-4:] if n.size]
    output = b.concat([*nodes, b.zeros((2,)), *(b.pick(n, ((0, 1),)) for n in nodes)])
    values = random_values(rng)
    tensors = {leaf: torch.tensor(v, dtype=torch.float64) for leaf, v in values.items()}
    for leaf in LEAVES:
        (got,) = evaluate((derive.jacobian(output, leaf),), values)
        expected = torch.autograd.functional.jacobian(
            lambda v, leaf=leaf: interpret([output], tensors | {leaf: v})[0], tensors[leaf]
        ).numpy()
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10 * (1 + np.abs(expected).max(initial=0.0)))


def test_a_stack_is_one_node_to_what_it_is_differentiated_by():
    u = b.stack([b.index(Y, 0), b.mul(b.index(Y, 1), b.index(Y, 2))])
    output = b.concat([u, b.stack([b.mul(b.index(K, 0), b.dot(u, u)), b.index(K, 1)]), b.concat([b.zeros((1,)), u])])
    found, flat = derive.jacobian(output, u), derive.jacobian(b.reshape(u, (1, 2)), u)
    first, second = evaluate((u,), AT)[0]
    slopes = [[1, 0], [0, 1], [2 * 1.9 * first, 2 * 1.9 * second], [0, 0], [0, 0], [1, 0], [0, 1]]
    np.testing.assert_allclose(evaluate((found,), AT)[0], slopes)
    np.testing.assert_allclose(evaluate((flat,), AT)[0], [np.eye(2)])


# ---------------------------------------------------------------- what it costs


def net(n: int) -> tuple[Leaf, Node]:
    W, z = b.leaf("param", "W", (n, n)), b.leaf("state", "z", (n,))
    return z, b.apply("tanh", b.matmul(W, b.apply("sin", z)))


def test_a_stacked_net_is_not_differentiated_once_a_row():
    def counted(n: int) -> tuple[int, int]:
        z, h = net(n)
        rows = [b.mul(b.index(h, i), b.index(z, i)) for i in range(n)]
        found = list(walk(simplify((derive.jacobian(b.stack(rows), z),))))
        products = sum(isinstance(node, Contract) and len(node.args) > 1 for node in found)
        heavy = sum(isinstance(node, Map) and node.size >= n * n for node in found)
        return products, heavy

    assert counted(6) == counted(24)
    assert counted(24)[0] <= 3


def test_rows_that_use_a_net_each_of_their_own_are_taken_one_by_one():
    n = 6
    z = b.leaf("state", "z", (n,))
    weights = [(b.leaf("param", f"W{i}", (n, n)), b.leaf("param", f"v{i}", (n,))) for i in range(n)]
    output = b.stack([b.dot(v, b.apply("tanh", b.matmul(W, z))) for W, v in weights])
    assert len(parts_apart(output, (z,), n)) == n
    scalar, products = operations((derive.jacobian(output, z),))
    # A gradient of a row is a product with W.T; n columns are n products with W, for each row.
    assert products + scalar.total() <= 2 * n * (2 * n * n + 8 * n)


def test_code_does_not_grow_for_operations():
    """Parts that share many nodes, of which each uses half the numbers: a sweep a part would be n times the code."""
    n = 40
    z = b.leaf("state", "z", (n,))
    chain = b.index(z, 0)
    for k in range(100):
        chain = b.apply("sin", b.add(chain, float(k)))
    own = [b.dot(b.leaf("param", f"v{i}", (n,)), b.apply("tanh", z)) for i in range(n)]
    own = [b.add(o, b.total(b.apply("exp", b.mul(z, float(i + 2))))) for i, o in enumerate(own)]
    output = b.stack([b.mul(o, chain) for o in own])
    assert parts_apart(output, (z,), n) == []


def problem(text: str, name: str) -> OdeProblem:
    blueprint = compiler.construct(compiler.read_unit(text), name, {})
    return compiler._builder(blueprint).elaborated({}).problem


def with_scalar_states(text: str, n: int) -> str:
    """The model with a state and an equation for each element of y."""
    state, start = re.search(r"state y\[\d+\] = \[(.*?)\]\n", text).group(0, 1)
    names = ", ".join(f"y{i} = {v.strip()}" for i, v in enumerate(start.split(",")))
    equation, rows = re.search(r"dy/dt = \[\s*(.*?)\s*\]\n", text, re.DOTALL).group(0, 1)
    # Rates have commas in no place, so every comma ends a row.
    apart = "".join(f"  dy{i}/dt = {' '.join(row.split())}\n" for i, row in enumerate(rows.split(",")))
    text = text.replace(state, f"state {names}\n").replace(equation, apart.lstrip())
    text = text.replace("return y\n", f"return [{', '.join(f'y{i}' for i in range(n))}]\n")
    return re.sub(r"\by\[(\d+)\]", r"y\1", text)


def test_a_stacked_system_is_linearised_as_one_of_scalar_states():
    text = POLLUTION.group(0)
    one, many = problem(text, "Pollution"), problem(with_scalar_states(text, 20), "Pollution")
    assert len(one.states) == 1 and len(many.states) == 20
    ours, theirs = (linearisation(p, pattern_of(p, "dense")) for p in (one, many))
    for name in ours:
        counted = [len(list(walk(simplify(functions[name].nodes)))) for functions in (ours, theirs)]
        assert counted[0] <= 1.2 * counted[1], name
        worked = [
            scalar.total() + products
            for scalar, products in (operations(simplify(f[name].nodes)) for f in (ours, theirs))
        ]
        assert worked[0] <= 1.2 * worked[1], name


def test_the_pullback_of_a_linearisation_is_that_of_finite_differences():
    """Every entry is linear in each state and each rate, so that differences are exact but for rounding."""
    ode = problem(POLLUTION.group(0), "Pollution")
    functions = linearisation(ode, pattern_of(ode, "dense"))
    rng = np.random.default_rng(8)
    (y,), (k,) = functions["linearise"].inputs[1].leaves, functions["linearise"].inputs[2].leaves
    at = {y: rng.uniform(0.5, 1.5, 20), k: rng.uniform(0.5, 1.5, 25)}
    matrix = functions["linearise"].outputs[0].nodes
    pull = functions["linearise_vjp"]
    cotangents = {leaf: rng.normal(size=leaf.shape) for g in pull.inputs[3:] for leaf in g.leaves}
    seed = next(v for leaf, v in cotangents.items() if leaf.size == 400).reshape(-1)
    (got_y, got_k) = evaluate([pull.outputs[i].nodes[0] for i in (1, 2)], at | cotangents)

    def measure(values: dict[Leaf, np.ndarray]) -> float:
        return float(seed @ evaluate(matrix, values)[0].reshape(-1))

    for leaf, got in ((y, got_y), (k, got_k)):
        for i in range(leaf.size):
            step = 0.25 * np.eye(leaf.size)[i]
            high, low = measure(at | {leaf: at[leaf] + step}), measure(at | {leaf: at[leaf] - step})
            np.testing.assert_allclose(got[i], (high - low) / 0.5, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- stacks and sparse Jacobians


def test_what_a_stack_is():
    x, z = b.leaf("input", "x", ()), b.leaf("input", "z", (2,))
    assert [box for box, _ in stacked(b.stack([x, b.zeros(()), x]))] == [((0, 1),), ((2, 3),)]
    assert [part for _, part in stacked(b.concat([z, b.concat([b.mul(z, 2.0), z])]))] == [z, b.mul(z, 2.0), z]
    assert stacked(b.place(z, ((1, 3),), (4,))) == [(((1, 3),), z)]
    assert stacked(b.add(b.place(z, ((1, 3),), (4,)), b.place(z, ((2, 4),), (4,)))) == []
    assert stacked(b.add(b.leaf("input", "v", (4,)), b.place(z, ((2, 4),), (4,)))) == []
    assert stacked(z) == []


def test_a_sparse_jacobian_of_a_stack_is_made_by_gradients():
    n = 30
    y, k = b.leaf("state", "y", (n,)), b.leaf("input", "k", (n,))
    # A hub keeps all columns apart.
    hub = b.index(y, 0)
    rates = [b.mul(b.mul(b.index(k, i), b.index(y, i)), b.mul(hub, b.index(y, (i + 1) % n))) for i in range(n)]
    rows = [b.sub(rates[i - 1], rates[i]) for i in range(1, n - 4)]
    output = b.concat([b.stack(rows), b.zeros((2,)), b.mul(b.pick(y, ((2, 5),)), 2.0)])
    at = entries((output,), (y,))
    found = compress((output,), (y,), *at)
    assert found.gradients == len(rows)
    assert found.directions == 1
    # A gradient holds what it is, and no number for each unknown.
    assert found.size <= len(at[0]) + 3
    values = {y: np.linspace(0.5, 1.5, n), k: np.linspace(2.0, 1.0, n)}
    held = np.concatenate([v.reshape(-1) for v in evaluate(found.nodes, values)])[found.places]
    dense = np.zeros((output.size, n))
    dense[at] = held
    step = 2.0**-20
    for i in range(n):
        moved = [evaluate((output,), values | {y: values[y] + s * step * np.eye(n)[i]})[0] for s in (1, -1)]
        np.testing.assert_allclose(dense[:, i], (moved[0] - moved[1]) / (2 * step), rtol=1e-8, atol=1e-8)


def test_a_matrix_of_many_outputs_and_unknowns_is_written_once():
    """Entries of scalar equations lie in the matrix itself, not in rows that are put together."""
    names = "abc"
    unknowns = [b.leaf("state", n, ()) for n in names] + [Y]
    x, y, z = unknowns[:3]
    outputs = [b.mul(x, y), b.stack([b.sub(y, z), b.mul(z, b.index(Y, 2))]), b.mul(b.pick(Y, ((1, 3),)), z)]
    found = matrix(outputs, unknowns)
    verify((found,))
    assert all(isinstance(term, Place) and not stacked(term.args[0]) for term in found.args)
    at = {x: 2.0, y: 3.0, z: 5.0, Y: np.array([7.0, 11.0, 13.0, 17.0])}
    expected = [[3, 2, 0, 0, 0, 0, 0], [0, 1, -1, 0, 0, 0, 0], [0, 0, 13, 0, 0, 5, 0]]
    expected += [[0, 0, 11, 0, 5, 0, 0], [0, 0, 13, 0, 0, 5, 0]]
    np.testing.assert_array_equal(evaluate((found,), at)[0], expected)
    assert matrix([b.zeros((0,))], unknowns).shape == (0, 7)
