"""Sparsity, degree, and the rules of the verifier."""

from __future__ import annotations

import numpy as np
import pytest
from ir_graphs import LEAVES, grow, random_values

from implicitdsl.functions.expression import Apply, Arg
from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.degree import degree, depends_on
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.node import (
    Cholesky,
    Contract,
    Delta,
    Factor,
    Leaf,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Solve,
    Window,
)
from implicitdsl.ir.operations import operations
from implicitdsl.ir.routines import are_disjoint
from implicitdsl.ir.sparsity import pattern
from implicitdsl.ir.verify import VerifyError, verify

x = b.leaf("unknown", "x", (4,))
z = b.leaf("unknown", "z", (3,))
p = b.leaf("param", "p", (4,))
A = b.leaf("param", "A", (3, 4))
S = b.leaf("param", "S", (3, 3))
s = b.leaf("input", "s")


# ---------------------------------------------------------------- sparsity


@pytest.mark.parametrize("seed", range(25))
def test_the_pattern_covers_the_jacobian(seed):
    rng = np.random.default_rng(seed)
    nodes = [n for n in grow(rng, 12)[4:] if n.size]
    values = random_values(rng)
    for out in nodes[-4:]:
        for leaf in LEAVES:
            (dense,) = evaluate((derive.jacobian(out, leaf),), values)
            assert not (dense.reshape(out.size, leaf.size)[~pattern(out, leaf)] != 0).any()


def test_the_pattern_is_tight_where_it_says_so():
    eye = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(pattern(b.mul(b.apply("tanh", x), p), x), eye)
    np.testing.assert_array_equal(
        pattern(b.matmul(b.constant(np.diag([1.0, 2, 0, 4])), x), x), np.diag([True, True, False, True])
    )
    np.testing.assert_array_equal(pattern(b.contract("ij,j->ij", b.delta(4), x), x).reshape(4, 4, 4).any(2), eye)
    np.testing.assert_array_equal(pattern(b.pick(x, ((1, 3),)), x), eye[1:3])
    np.testing.assert_array_equal(
        pattern(b.concat([b.mul(x, x), b.pick(x, ((0, 1),)), p]), x), np.vstack([eye, eye[:1], 0 * eye]) > 0
    )
    np.testing.assert_array_equal(pattern(b.cumsum(x), x), np.tri(4, dtype=bool))
    np.testing.assert_array_equal(pattern(b.flip(x), x), eye[::-1])
    np.testing.assert_array_equal(pattern(b.diag(x), x).reshape(4, 4, 4).any(2), eye)
    np.testing.assert_array_equal(pattern(b.reshape(A, (4, 3)), A), np.eye(12))
    # a zero of padding switches off what it multiplies
    masked = b.mul(b.place(b.pick(p, ((0, 2),)), ((0, 2),), (4,)), x)
    np.testing.assert_array_equal(pattern(masked, x), np.diag([True, True, False, False]))
    np.testing.assert_array_equal(pattern(b.mul(masked, x), x), np.diag([True, True, False, False]))
    assert pattern(b.norm_sq(A), x).shape == (1, 4) and not pattern(b.norm_sq(A), x).any()
    assert pattern(b.solve(S, z), z).all()


def test_a_chain_of_dynamics_is_banded():
    u = b.leaf("unknown", "u", (5, 2))
    M = b.leaf("param", "M", (2, 2))
    rows = [b.sub(b.index(u, k + 1), b.matmul(M, b.index(u, k))) for k in range(4)]
    found = pattern(b.concat(rows), u)
    expected = np.zeros((8, 10), dtype=bool)
    for k in range(4):
        expected[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = True
        expected[2 * k : 2 * k + 2, 2 * k + 2 : 2 * k + 4] = np.eye(2)
    np.testing.assert_array_equal(found, expected)


# ---------------------------------------------------------------- degree

Q = b.leaf("param", "Q", (4, 4))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (lambda: b.norm_sq(A), 0),
        (lambda: b.apply("exp", p), 0),
        (lambda: x, 1),
        (lambda: b.matmul(A, b.add(x, p)), 1),
        (lambda: b.div(b.sub(b.neg(x), 3.0), b.apply("exp", p)), 1),
        (lambda: b.solve(S, b.matmul(A, x)), 1),
        (lambda: b.cumsum(b.pick(b.concat([x, p]), ((1, 6),))), 1),
        (lambda: b.select(b.apply("gt", p, 0.0), x, b.mul(2.0, x)), 1),
        (lambda: b.reshape(b.broadcast(x, (2, 4)), (8,)), 1),
        (lambda: b.diag(b.stack([b.index(x, 0), s])), 1),
        (lambda: b.norm_sq(b.matmul(A, x)), 2),
        (lambda: b.matmul(x, b.matmul(Q, x)), 2),
        (lambda: b.power(x, 2.0), 2),
        (lambda: b.mul(x, b.add(x, 1.0)), 2),
        (lambda: b.reduce("prod", b.pick(x, ((0, 2),))), 2),
        (lambda: b.outer(x, z), 2),
        (lambda: b.mul(x, b.mul(x, x)), None),
        (lambda: b.power(x, 3.0), None),
        (lambda: b.power(x, p), None),
        (lambda: b.div(p, x), None),
        (lambda: b.apply("exp", x), None),
        (lambda: b.select(b.apply("gt", x, 0.0), x, p), None),
        (lambda: b.solve(b.diag(x), p), None),
        (lambda: b.log_det(b.diag(x)), None),
        (lambda: b.max_over(x), None),
        (lambda: b.norm_sq(b.mul(x, x)), None),
    ],
)
def test_degrees(node, expected):
    assert degree(node(), {x, z}) == expected


def test_degree_is_that_of_the_gradient_plus_one():
    objective = b.add(b.mul(0.5, b.norm_sq(b.matmul(A, x))), b.matmul(p, x))
    gradient = derive.pullback((objective,), (1.0,), (x,))[0]
    assert degree(objective, {x}) == 2 and degree(gradient, {x}) == 1
    assert degree(derive.jacobian(gradient, x), {x}) == 0
    assert depends_on(objective, p) and not depends_on(gradient, s)


# ---------------------------------------------------------------- verifier


def raw(kind, key, args, shape):
    return Node.__new__(kind, key, args, shape)


LU = Factor("lu", S)
BROKEN = [
    (lambda: Leaf("nonsense", "q"), "is no kind of leaf"),
    (lambda: Leaf("input", ""), "has no name"),
    (lambda: raw(Leaf, ("input", "q"), (x,), ()), "has arguments"),
    (lambda: raw(Leaf, ("input", "neg"), (), (-1,)), "negative"),
    (lambda: raw(Node, (), (), ()), "unknown"),
    (lambda: raw(type(b.constant([1.0, 2.0])), (b"12345678",), (), (2,)), "do not fill"),
    (lambda: raw(Delta, (), (), (2, 3)), "not square"),
    (lambda: raw(Map, (Arg(0),), (), ()), "no argument"),
    (lambda: Map(Apply("add", (Arg(0), Arg(1))), (x, z)), "another shape"),
    (lambda: Map(Apply("tanh", (Arg(0),)), (x, p)), "are not those of the Map"),
    (lambda: Map(Apply("tanh", (Arg(1),)), (x,)), "are not those of the Map"),
    (lambda: Map(Apply("nonsense", (Arg(0),)), (x,)), "not in the table"),
    (lambda: Map(Apply("tanh", (Arg(0), Arg(0))), (x,)), "arguments instead of"),
    (lambda: Contract(("ab",), "a", (A, x), (3,)), "one index string"),
    (lambda: Contract((), "", (), ()), "one index string"),
    (lambda: Contract(("a",), "a", (A,), (3,)), "for a shape"),
    (lambda: Contract(("aa",), "a", (S,), (3,)), "twice"),
    (lambda: Contract(("a",), "a", (x,), (3,)), "has sizes"),
    (lambda: Pick(((0, 5),), x), "does not lie"),
    (lambda: raw(Pick, (((0, 2),),), (x,), (3,)), "does not have the shape"),
    (lambda: Place(((0, 3),), x, (6,)), "does not have the shape"),
    (lambda: Place(((3, 7),), x, (6,)), "does not lie"),
    (lambda: raw(Pick, (((0, 4),),), (x, p), (4,)), "needs one argument"),
    (lambda: Reshape(x, (5,)), "number of scalars"),
    (lambda: Window(((1,),), (0, 0), x, (2,)), "offset"),
    (lambda: Window(((1, 0),), (0,), x, (2,)), "strides"),
    (lambda: Scatter(((1,),), (0,), x, (2, 2)), "offset"),
    (lambda: Reduce("median", x), "no reduction"),
    (lambda: raw(Reduce, ("max",), (s,), ()), "no last axis"),
    (lambda: raw(Reduce, ("max",), (A,), (4,)), "wrong shape"),
    (lambda: Reduce("max", b.leaf("input", "e", (0,))), "over nothing"),
    (lambda: Factor("lu", A), "not square"),
    (lambda: Factor("qr", S), "no factorisation"),
    (lambda: raw(Factor, ("lu",), (S,), (2, 2)), "not that of the matrix"),
    (lambda: Solve(S, z), "needs a factorisation"),
    (lambda: Solve(LU, x), "does not fit"),
    (lambda: raw(Solve, (False,), (LU, z), (3, 1)), "not that of the right-hand side"),
    (lambda: raw(LogDet, ("det",), (S,), ()), "needs a factorisation"),
    (lambda: LogDet("permanent", LU), "no determinant"),
    (lambda: raw(LogDet, ("det",), (LU,), (1,)), "is a scalar"),
    (lambda: Cholesky(A), "not square"),
    (lambda: Map(Apply("tanh", (Arg(0),)), (LU,)), "used as a value"),
]


@pytest.mark.parametrize(("broken", "rule"), BROKEN, ids=[f"{i}" for i in range(len(BROKEN))])
def test_every_rule_finds_what_breaks_it(broken, rule):
    node = broken()
    with pytest.raises(VerifyError, match=rule) as caught:
        verify((b.leaf("input", "fine"), node))
    assert caught.value.node is node


def test_an_argument_is_older_than_its_user():
    node = b.mul(x, 1.5)
    young = b.leaf("input", "young", (4,))
    broken = raw(Map, (node.expr,), (young,), (4,))
    broken.number = young.number - 1
    with pytest.raises(VerifyError, match="younger"):
        verify((broken,))


@pytest.mark.parametrize("seed", range(20))
def test_graphs_and_their_derivatives_are_sound(seed):
    rng = np.random.default_rng(seed)
    nodes = grow(rng, 12)
    gradient = [g for g in derive.pullback(nodes, [b.ones(n.shape) for n in nodes], LEAVES) if g is not None]
    second = [g for g in derive.pullback(gradient, [b.ones(n.shape) for n in gradient], LEAVES) if g is not None]
    forward = [t for t in derive.pushforward(nodes, {LEAVES[0]: b.ones((2, 3))}, extra=2) if t is not None]
    verify((*nodes, *gradient, *second, *forward, *(derive.jacobian(n, LEAVES[0]) for n in nodes)))


def test_operations_count_what_is_computed():
    a, v = b.leaf("input", "a", (3, 4)), b.leaf("input", "v", (4,))
    scalar, products = operations((b.apply("tanh", b.add(b.matmul(a, v), 1.0)),))
    assert (scalar, products) == ({"tanh": 3, "add": 3}, 12)
    # A stack is written in place; terms that meet are added.
    assert operations((b.concat([v, b.pick(v, ((1, 3),))]),)) == ({}, 0)
    assert operations((b.add(b.place(v, ((0, 4),), (5,)), b.place(v, ((1, 5),), (5,))),)) == ({"add": 3}, 0)
    assert operations((b.add(b.leaf("input", "w", (5,)), b.place(v, ((1, 5),), (5,))),)) == ({"add": 4}, 0)


def test_many_boxes_are_told_apart():
    boxes = [((i, i + 1), (j, j + 1)) for i in range(12) for j in range(12) if (i + j) % 2]
    assert are_disjoint(boxes, (12, 12))
    assert not are_disjoint([*boxes, ((3, 5), (4, 5))], (12, 12))
    assert not are_disjoint([*boxes, boxes[5]], (12, 12))
    assert are_disjoint([((i, i + 1), (0, 2000)) for i in range(2000)], (2000, 2000))
