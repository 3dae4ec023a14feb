from __future__ import annotations

import numpy as np
import pytest
from ir_graphs import LEAVES, grow, random_values

from implicitdsl.ir import build as b
from implicitdsl.ir import derive
from implicitdsl.ir.evaluate import function
from implicitdsl.ir.node import Map, walk
from implicitdsl.ir.simplify import simplify
from implicitdsl.ir.text import to_text
from implicitdsl.ir.verify import verify


@pytest.mark.parametrize("seed", range(20))
def test_values_stay(seed):
    rng = np.random.default_rng(seed)
    nodes = grow(rng, 14)[-5:]
    gradient = [g for g in derive.pullback(nodes, [b.ones(n.shape) for n in nodes], LEAVES) if g is not None]
    outputs = (*nodes, *gradient)
    small = simplify(outputs)
    verify(small)
    assert [n.shape for n in small] == [n.shape for n in outputs]
    assert len(list(walk(small))) <= len(list(walk(outputs)))
    values = list(random_values(rng).values())
    for p, q in zip(function(LEAVES, small)(*values), function(LEAVES, outputs)(*values), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12 * (1 + np.abs(q).max(initial=0)))


def test_a_chain_of_maps_becomes_one():
    W, z, c = b.leaf("param", "W", (3, 3)), b.leaf("unknown", "z", (3,)), b.leaf("param", "b", (3,))
    before = b.mul(b.apply("tanh", b.add(b.matmul(W, z), c)), 2.0)
    assert to_text(simplify((before,))) == "  v0 [3] = W @ z\n> v1 [3] = tanh(v0 + b)*2"


def test_what_is_used_twice_or_given_out_is_kept():
    x = b.leaf("input", "x", (3,))
    shared = b.apply("exp", x)
    found = simplify((b.mul(b.apply("sin", shared), b.apply("cos", shared)), shared))
    assert found[1] is shared
    assert sum(isinstance(n, Map) for n in walk(found)) == 2


def test_a_map_does_not_grow_without_bound():
    node = b.leaf("input", "x", (2,))
    for _ in range(1000):
        node = b.apply("sin", node)
    count = sum(isinstance(n, Map) for n in walk(simplify((node,))))
    assert 5 <= count <= 30
