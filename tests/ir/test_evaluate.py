from __future__ import annotations

import warnings

import numpy as np
import pytest

from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.evaluate import evaluate, function

x = b.leaf("input", "x", (4,))
A = b.leaf("param", "A", (3, 4))
S = b.leaf("param", "S", (3, 3))
s = b.leaf("input", "s")


def test_outputs_are_never_views_of_inputs_or_constants():
    c = b.constant([1.0, 2.0, 3.0])
    f = function((x, A), (x, b.reshape(A, (12,)), b.pick(A, ((0, 1), (0, 4))), b.index(A, 1), c, b.transpose(A), x))
    given = [np.arange(4.0), np.arange(12.0).reshape(3, 4)]
    first = f(*given)
    for out in first:
        out[...] = -7.0
    second = f(*given)
    np.testing.assert_array_equal(given[0], np.arange(4.0))
    np.testing.assert_array_equal(given[1], np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(second[4], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(second[0], np.arange(4.0))


def test_bits_do_not_depend_on_the_layout_of_inputs():
    rng = np.random.default_rng(0)
    n = 37
    W, z = b.leaf("param", "W", (n, n)), b.leaf("input", "z", (n,))
    node = b.apply("tanh", b.matmul(W, b.matmul(W, z)))
    f = function((W, z), (node, b.total(W), b.sum_axis(W, 0), b.contract("ij,jk,k->i", W, W, z), b.norm_sq(W)))
    w, v = rng.normal(size=(n, n)), rng.normal(size=n)
    strided = np.zeros((2 * n, 3 * n))[::2, ::3]
    strided[...] = w
    for other in (np.asfortranarray(w), strided, w[::-1][::-1]):
        for p, q in zip(f(w, v), f(other, np.repeat(v, 2)[::2]), strict=True):
            assert p.tobytes() == q.tobytes()


def test_a_singular_system_is_nan_and_silent():
    outputs = (
        b.solve(S, b.ones((3,))),
        b.cholesky(S),
        b.solve(b.factor("cholesky", S), b.ones((3, 2))),
        b.log_det(S),
        b.det(S),
        b.inv(S),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zero = evaluate(outputs, {S: np.zeros((3, 3))})
        bad = evaluate(outputs, {S: np.full((3, 3), np.nan)})
        huge = evaluate((b.apply("exp", s), b.apply("log", b.neg(s)), b.div(s, b.sub(s, s))), {s: 800.0})
    assert all(np.isnan(zero[k]).all() for k in (0, 1, 2, 5))
    assert zero[3] == -np.inf and zero[4] == 0.0
    assert all(np.isnan(v).any() for v in bad)
    assert huge[0] == np.inf and np.isnan(huge[1]) and np.isinf(huge[2])


def test_dtype_and_shape_follow_the_arrays():
    node = b.add(b.matmul(A, b.mul(x, 0.1)), b.constant([1.0, 2.0, 3.0]))
    f = function((A, x), (node, b.ones((2,)), b.delta(2), b.constant(3.0)))
    for dtype in (np.float32, np.float64):
        out = f(np.ones((3, 4), dtype), np.ones(4, dtype))
        assert [o.dtype for o in out] == [dtype] * 4
        assert [o.shape for o in out] == [(3,), (2,), (2, 2), ()]
    assert f(np.ones((3, 4), np.float32), np.ones(4))[0].dtype == np.float64
    assert f(np.ones((3, 4), np.int64), np.ones(4, np.int32))[0].dtype == np.float64
    with pytest.raises(ValueError, match="takes shapes"):
        f(np.ones((3, 4)), np.ones(5))
    with pytest.raises(ValueError, match="not among its inputs"):
        function((A,), (node,))


def test_scalar_chains_are_scalar_statements():
    f = function((s,), (b.apply("sin", b.mul(b.add(s, 1.0), s)),))
    assert "array" not in f.source.replace("np.asarray", "")
    assert f(0.5)[0] == np.sin(0.75)


def test_concatenations_are_written_into_place():
    parts = [b.mul(s, float(k)) for k in range(2, 6)]
    f = function((s, x), (b.concat([b.stack(parts), x, b.mul(x, x)]),))
    assert f.source.count("np.zeros") == 2 and "+=" not in f.source
    np.testing.assert_array_equal(f(1.5, np.arange(4.0))[0], [3, 4.5, 6, 7.5, 0, 1, 2, 3, 0, 1, 4, 9])
    # overlapping boxes add
    both = b.sum_of([b.place(x, ((0, 4),), (6,)), b.place(b.mul(x, x), ((2, 6),), (6,))])
    np.testing.assert_array_equal(evaluate((both,), {x: np.arange(4.0)})[0], [0, 1, 2, 4, 4, 9])
    # a sum with a term that is no padding, and a padding used twice
    p = b.place(x, ((1, 5),), (6,))
    node = b.sum_of([p, b.broadcast(s, (6,)), b.place(b.mul(x, 2.0), ((0, 4),), (6,))])
    found = evaluate((node, b.add(p, p)), {x: np.arange(4.0), s: 1.0})
    np.testing.assert_array_equal(found[0], [1, 3, 6, 9, 4, 1])
    np.testing.assert_array_equal(found[1], [0, 0, 2, 4, 6, 0])


def test_signed_zero_survives_a_concatenation():
    (found,) = evaluate((b.concat([b.neg(x), x]),), {x: np.zeros(4)})
    assert np.signbit(found).tolist() == [True] * 4 + [False] * 4


def test_graphs_of_20000_nodes_in_a_chain():
    node = s
    for k in range(20_000):
        node = b.add(b.apply("sin", node), 1e-3) if k % 2 else b.mul(node, 0.999)
    slope = derive.pullback((node,), (1.0,), (s,))[0]
    forward = derive.pushforward((node,), {s: 1.0})[0]
    again = derive.substitute((node,), {s: b.constant(0.3)})[0]
    value, back, ahead, same = evaluate((node, slope, forward, again), {s: 0.3})
    u, du = 0.3, 1.0
    for k in range(20_000):
        u, du = (np.sin(u) + 1e-3, np.cos(u) * du) if k % 2 else (u * 0.999, du * 0.999)
    np.testing.assert_allclose([value, back, ahead, same], [u, du, du, u], rtol=1e-9)
