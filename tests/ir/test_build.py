from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from implicitdsl.ir import build as b
from implicitdsl.ir.build import ShapeError
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.node import Constant, Contract, Map, Node, Place, Reshape, Solve

x = b.leaf("input", "x", (4,))
y = b.leaf("input", "y", (4,))
A = b.leaf("param", "A", (3, 4))
S = b.leaf("param", "S", (3, 3))
s = b.leaf("input", "s")
rng = np.random.default_rng(0)
VALUES = {leaf: rng.normal(size=leaf.shape) for leaf in (x, y, A, S, s)}


def value(node):
    return evaluate((node,), VALUES)[0]


def test_the_same_structure_is_one_object():
    assert b.add(x, y) is b.add(x, y)
    assert b.contract("ij,j->i", A, x) is b.contract("pq,q->p", A, x)
    assert b.constant([1.0, 2.0]) is b.constant(np.array([1, 2]))
    assert b.constant(0.0) is not b.constant(-0.0)
    assert b.add(x, y) is not b.add(y, x)


def test_nodes_die_with_their_last_user():
    gc.collect()
    before = len(Node._known)
    node = b.apply("tanh", b.add(b.mul(x, 1.2345), b.constant([9.0, 8.0, 7.0, 6.5])))
    seen = weakref.ref(node)
    assert len(Node._known) > before
    del node
    gc.collect()
    assert seen() is None
    assert len(Node._known) == before


def test_folds_that_hold_for_every_float():
    assert b.mul(x, 1.0) is x
    assert b.mul(1.0, x) is x
    assert b.add(x, 0.0) is x
    assert b.sub(x, b.zeros((4,))) is x
    assert isinstance(b.mul(x, 0.0), Map)  # 0*inf is not 0
    assert isinstance(b.sub(x, x), Map)
    two = b.add(1.0, 1.0)
    assert isinstance(two, Constant) and float(two.value) == 2.0
    assert b.uniform(b.mul(b.ones((5, 5)), 3.0)) == 3.0
    assert b.add(x, 2.0).args == (x,)  # the constant lies in the expression
    assert b.transpose(b.transpose(A)) is A
    assert b.reshape(b.reshape(A, (12,)), (3, 4)) is A
    assert b.matmul(b.delta(3), A) is A
    assert b.contract("ij,jk->ik", b.delta(3), A) is A
    assert b.pick(b.concat([x, y]), ((4, 8),)) is y
    assert b.pick(b.pick(x, ((1, 4),)), ((1, 2),)) is b.pick(x, ((2, 3),))
    assert b.concat([b.constant([1.0]), b.constant([2.0, 3.0])]) is b.constant([1.0, 2.0, 3.0])
    assert b.inv(b.delta(3)) is b.delta(3)


def test_moves_melt_into_contractions_and_deltas_rename():
    spread = b.broadcast(x, (3, 4))
    found = b.contract("ij,ij->i", A, spread)
    assert isinstance(found, Contract) and found.args == (A, x)
    assert b.matmul(b.transpose(A), b.index(A, (slice(None), 0))).ins == ("ab", "a")
    # a sum over a broadcast axis keeps its length
    np.testing.assert_allclose(value(b.total(b.broadcast(s, (3, 4)))), 12 * VALUES[s])
    # the delta stays where the result would have a letter twice
    trace = b.contract("ij,ij->", b.delta(3), S)
    assert len(trace.args) == 2
    np.testing.assert_allclose(value(trace), np.trace(VALUES[S]))
    np.testing.assert_allclose(
        value(b.contract("ij,j,jk->ik", S, b.index(A, (slice(None), 1)), b.delta(3))), VALUES[S] * VALUES[A][:, 1]
    )


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (lambda: b.matmul(A, x), lambda v: v[A] @ v[x]),
        (lambda: b.matmul(b.index(A, (slice(None), 2)), S), lambda v: v[A][:, 2] @ v[S]),
        (lambda: b.matmul(x, y), lambda v: v[x] @ v[y]),
        (lambda: b.matmul(S, A), lambda v: v[S] @ v[A]),
        (lambda: b.outer(x, A), lambda v: np.multiply.outer(v[x], v[A])),
        (lambda: b.index(A, -1), lambda v: v[A][-1]),
        (lambda: b.index(A, (slice(0, 2), -2)), lambda v: v[A][0:2, -2]),
        (lambda: b.index(A, (1, slice(-3, None))), lambda v: v[A][1, -3:]),
        (lambda: b.concat([A, S], axis=1), lambda v: np.concatenate([v[A], v[S]], axis=1)),
        (lambda: b.concat([x, b.zeros((0,)), y]), lambda v: np.concatenate([v[x], v[y]])),
        (lambda: b.stack([x, y], axis=1), lambda v: np.stack([v[x], v[y]], axis=1)),
        (lambda: b.stack([s, b.constant(2.0), s]), lambda v: np.array([v[s], 2.0, v[s]])),
        (lambda: b.trace(S), lambda v: np.trace(v[S])),
        (lambda: b.diag(x), lambda v: np.diag(v[x])),
        (lambda: b.diag(S), lambda v: np.diag(v[S])),
        (lambda: b.norm_sq(A), lambda v: np.sum(v[A] ** 2)),
        (lambda: b.cumsum(A), lambda v: np.cumsum(v[A], axis=1)),
        (lambda: b.flip(A), lambda v: v[A][:, ::-1]),
        (lambda: b.inv(S), lambda v: np.linalg.inv(v[S])),
        (lambda: b.det(S), lambda v: np.linalg.det(v[S])),
        (lambda: b.log_det(S), lambda v: np.linalg.slogdet(v[S])[1]),
        (lambda: b.solve(S, A, transposed=True), lambda v: np.linalg.solve(v[S].T, v[A])),
        (lambda: b.max_over(A), lambda v: v[A].max()),
        (lambda: b.min_over(A), lambda v: v[A].min()),
        (lambda: b.prod_over(A), lambda v: v[A].prod()),
        (lambda: b.product_tree(b.reshape(A, (12,))), lambda v: v[A].prod()),
        (lambda: b.softmax(A), lambda v: torch.softmax(torch.tensor(v[A]), -1).numpy()),
        (lambda: b.mean(A), lambda v: v[A].mean()),
        (lambda: b.add(A, x), lambda v: v[A] + v[x]),
        (lambda: b.mul(b.reshape(x, (4, 1)), y), lambda v: np.outer(v[x], v[y])),
        (lambda: b.sum_axis(A, 0), lambda v: v[A].sum(0)),
        (lambda: b.place(x, ((1, 5),), (7,)), lambda v: np.pad(v[x], (1, 2))),
        (lambda: b.contract("ij,kj,k,i->jk", A, A, b.index(A, (slice(None), 0)), b.index(A, (slice(None), 1))),
         lambda v: np.einsum("ij,kj,k,i->jk", v[A], v[A], v[A][:, 0], v[A][:, 1])),
    ],
)  # fmt: skip
def test_constructors_mean_what_numpy_means(node, expected):
    np.testing.assert_allclose(value(node()), expected(VALUES), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("n", "stride", "padding"), [(7, 1, 0), (8, 2, 1), (5, 3, 2)])
def test_convolutions_are_those_of_torch(n, stride, padding):
    a, w = b.leaf("input", "a", (2, n)), b.leaf("param", "w", (3, 2, 3))
    image, k = b.leaf("input", "image", (2, n, n + 1)), b.leaf("param", "k", (3, 2, 3, 2))
    v = {leaf: rng.normal(size=leaf.shape) for leaf in (a, w, image, k)}
    one, two = evaluate(
        (b.conv(a, w, stride=stride, padding=padding), b.conv(image, k, stride=stride, padding=padding)), v
    )
    t = {leaf: torch.tensor(array) for leaf, array in v.items()}
    np.testing.assert_allclose(one, torch.conv1d(t[a], t[w], stride=stride, padding=padding), atol=1e-12)
    np.testing.assert_allclose(two, torch.conv2d(t[image], t[k], stride=stride, padding=padding), atol=1e-12)


def test_cholesky_takes_the_symmetric_part():
    m = rng.normal(size=(3, 3))
    spd = m @ m.T + 3 * np.eye(3)
    skew = np.array([[0, 1, 2], [-1, 0, 3], [-2, -3, 0.0]])
    (found,) = evaluate((b.cholesky(S),), {S: spd + skew})
    np.testing.assert_allclose(found, np.linalg.cholesky(spd), rtol=1e-14)
    (solved,) = evaluate((b.solve(b.factor("cholesky", S), b.constant([1.0, 2.0, 3.0])),), {S: spd + skew})
    np.testing.assert_allclose(solved, np.linalg.solve(spd, [1, 2, 3]), rtol=1e-13)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: b.add(x, S),
        lambda: b.matmul(A, A),
        lambda: b.matmul(s, x),
        lambda: b.matmul(b.zeros((2, 3, 4)), x),
        lambda: b.contract("ij,j", A, x),
        lambda: b.contract("ii->i", S),
        lambda: b.contract("ij,i->j", A, x),
        lambda: b.contract("i->ij", x),
        lambda: b.pick(x, ((0, 5),)),
        lambda: b.pick(x, ((0, 1), (0, 1))),
        lambda: b.place(x, ((0, 3),), (5,)),
        lambda: b.place(x, ((2, 6),), (5,)),
        lambda: b.reshape(x, (5,)),
        lambda: b.reshape(x, (-1,)),
        lambda: b.broadcast(x, (3,)),
        lambda: b.index(x, 4),
        lambda: b.index(x, slice(3, 9)),
        lambda: b.index(x, slice(0, 4, 2)),
        lambda: b.index(s, 0),
        lambda: b.concat([]),
        lambda: b.concat([s]),
        lambda: b.concat([x, A]),
        lambda: b.stack([x, A]),
        lambda: b.stack([]),
        lambda: b.transpose(A, (0, 0)),
        lambda: b.reduce("max", s),
        lambda: b.reduce("max", b.zeros((0,))),
        lambda: b.factor("lu", A),
        lambda: b.solve(S, x),
        lambda: b.inv(A),
        lambda: b.det(A),
        lambda: b.cholesky(A),
        lambda: b.trace(A),
        lambda: b.diag(b.zeros((2, 2, 2))),
        lambda: b.dot(x, A),
        lambda: b.window(x, ((1, 1),), (0,), (3,)),
        lambda: b.conv(A, S),
        lambda: b.apply("tanh", x, x),
        lambda: b.leaf("input", "q", (-1,)),
        lambda: b.delta(-1),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(broken):
    with pytest.raises(ShapeError):
        broken()


def test_sizes_of_zero_and_one():
    e = b.leaf("input", "e", (0,))
    found = evaluate(
        (b.total(e), b.norm_sq(e), b.concat([e, x]), b.reduce("prod", e), b.matmul(b.zeros((2, 0)), e)),
        {e: np.zeros(0)} | VALUES,
    )
    assert [f.tolist() for f in found[:2]] == [0.0, 0.0]
    np.testing.assert_array_equal(found[2], VALUES[x])
    assert found[3] == 1.0
    np.testing.assert_array_equal(found[4], [0.0, 0.0])
    one = b.leaf("input", "one", (1, 1))
    assert isinstance(b.reduce("max", one), Reshape)
    assert isinstance(b.place(e, ((0, 0),), (3,)), Contract) and not isinstance(b.place(e, ((0, 0),), (3,)), Place)
    assert isinstance(b.solve(one, b.ones((1,))), Solve)
