"""Constants made of constants: values, what is folded, and what is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from implicitdsl.ir import build as b
from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.folding import fold_constants
from implicitdsl.ir.node import Constant, Map, Node, Place, walk
from implicitdsl.ir.simplify import simplify
from implicitdsl.ir.verify import verify

N = 5000
"""More than the constructors fold by themselves."""
X = b.leaf("input", "x", (N,))
S = b.leaf("input", "s", ())


def table(seed: int, size: int = N) -> Node:
    return b.constant(np.random.default_rng(seed).normal(size=size))


def moved(a: Node, by: int) -> Node:
    """As a stencil reads its neighbours, the end repeated."""
    inner, end = ((by, N), (N - by, N)) if by > 0 else ((0, N + by), (0, -by))
    parts = (inner, end) if by > 0 else (end, inner)
    start, boxes = 0, []
    for p, q in parts:
        boxes.append(b.place(b.pick(a, ((p, q),)), ((start, start + q - p),), (N,)))
        start += q - p
    return b.add(*boxes)


def constants(outputs) -> list[Constant]:
    return [n for n in walk(outputs) if isinstance(n, Constant) and n.shape]


def test_a_moved_direction_is_one_constant():
    c = table(1)
    stencil = b.add(b.sub(moved(c, 9), b.mul(2.0, c)), moved(c, -9))
    output = b.mul(stencil, X)
    (found,) = simplify((output,))
    verify((found,))
    assert len(constants((output,))) == 5 and any(isinstance(n, Place) for n in walk((output,)))
    (kept,) = constants((found,))
    assert not any(isinstance(n, Place) for n in walk((found,)))
    v = np.random.default_rng(1).normal(size=N)
    right, left = np.concatenate([v[9:], v[-9:]]), np.concatenate([v[:9], v[:-9]])
    np.testing.assert_array_equal(kept.value, right - 2.0 * v + left)
    x = np.random.default_rng(2).normal(size=N)
    np.testing.assert_array_equal(evaluate((found,), {X: x})[0], (right - 2.0 * v + left) * x)


def test_parts_of_an_expression_are_folded():
    c, d = table(1), table(2)
    output = b.add(b.apply("sin", b.mul(X, b.div(c, d))), b.mul(b.neg(b.sub(d, c)), S))
    folded = fold_constants(simplify((output,)))
    # Two parts of two tables: the scalar s is broadcast, x is a leaf.
    assert len(constants(folded)) == 2
    x = np.random.default_rng(3).normal(size=N)
    cv, dv = (np.random.default_rng(k).normal(size=N) for k in (1, 2))
    (got,) = evaluate(folded, {X: x, S: 0.75})
    np.testing.assert_array_equal(got, np.sin(x * (cv / dv)) + -(dv - cv) * 0.75)


def test_an_output_and_an_argument_of_a_contraction_are_folded():
    c, d = table(1), table(2)
    outputs = fold_constants((b.sub(c, d), b.dot(X, b.sub(c, d))))
    assert isinstance(outputs[0], Constant) and constants(outputs) == [outputs[0]]
    assert not any(isinstance(n, Map) for n in walk(outputs))


def unchanged(*outputs: Node) -> bool:
    return fold_constants(outputs) == outputs


def test_what_would_make_more_numbers_stays():
    c, d = table(1), table(2)
    e = b.place(b.constant(np.arange(1.0, 9.0)), ((100, 108),), (N,))
    assert unchanged(b.mul(X, b.mul(2.0, e))), "8 numbers in a place"
    assert unchanged(b.mul(b.mul(X, S), b.mul(2.0, c)), b.apply("exp", b.mul(c, X))), "read as it is too"
    assert unchanged(*(b.mul(X, b.sub(c, b.mul(float(k), d))) for k in (2, 3, 4))), "three of two"
    assert not unchanged(*(b.mul(X, b.sub(c, b.mul(float(k), d))) for k in (2, 3)))
    assert unchanged(b.mul(X, b.apply("sub", c, d)), b.dot(c, X), b.mul(d, S))
    kept = fold_constants((b.mul(X, b.mul(2.0, c)), b.mul(S, b.mul(2.0, c))))
    assert len(constants(kept)) == 1


def test_what_is_not_rounded_alike_stays():
    c, d = table(1), table(2)
    for name in ("exp", "sin", "tanh", "sqrt"):
        assert unchanged(b.mul(X, b.apply(name, c)))
    assert unchanged(b.mul(X, b.power(c, 1.7)))
    (found,) = fold_constants((b.mul(X, b.apply("exp", b.mul(c, d))),))
    assert len(constants((found,))) == 1
    meeting = b.add(b.place(c, ((0, N),), (N + 1,)), b.place(d, ((1, N + 1),), (N + 1,)))
    assert unchanged(b.mul(b.leaf("input", "w", (N + 1,)), meeting))


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_a_leaf_times_nothing_stays(value):
    """0 times a leaf is NaN where that is infinite."""
    c = b.constant(np.where(np.arange(N) % 2, value, 1.0))
    (found,) = simplify((b.mul(X, b.mul(c, c)),))
    assert X in set(walk((found,)))
    x = np.where(np.arange(N) % 3, math.inf, 2.0)
    with np.errstate(invalid="ignore"):
        expected = x * np.where(np.arange(N) % 2, value * value, 1.0)
    np.testing.assert_array_equal(evaluate((found,), {X: x})[0], expected)


def test_a_sum_written_in_place_stays_one():
    c, d = table(1, 10), table(2, 10)
    x = b.leaf("input", "u", (4990,))
    output = b.add(b.place(x, ((10, N),), (N,)), b.place(b.mul(c, b.div(d, 3.0)), ((0, 10),), (N,)))
    (found,) = fold_constants((b.mul(output, X),))
    assert any(isinstance(n, Place) for n in walk((found,)))
