"""What all samples share: read from one array, its cotangents summed over lanes in plain floats, lane by lane."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from implicitdsl.backends.lanes import emit, emit_algebra, emit_nodes, emit_sums
from implicitdsl.backends.lanes.values import Store, plain
from implicitdsl.ir import build as b
from implicitdsl.ir import node
from implicitdsl.ir.node import walk
from implicitdsl.problems.derived import Derived, group, simplified, transpose
from tests.ir.ir_graphs import LEAVES, A, C, S, grow, random_values, scalar_output
from tests.lanes.jit import Compiled

X = LEAVES[0]
SHARED = frozenset({A, C})
SEEDS = (5, 6, 8)
ONE = (6,)
"""A graph that meets every kind of node: what is asked of every width and type is asked of it."""


@pytest.mark.parametrize("seeds", [SEEDS, ONE], ids=["all", "one"])
def test_the_graphs_meet_every_kind_of_node(seeds):
    kinds = {k for k in vars(node).values() if isinstance(k, type) and issubclass(k, node.Node)} - {node.Node}
    assert {type(n) for f in graphs(seeds) for n in walk(f.nodes)} == kinds


def looped(patch):
    for name in ("SMALL", "NODE_BUDGET", "FUNCTION_BUDGET"):
        patch.setattr(emit_nodes, name, 0)
    patch.setattr(emit_algebra, "UNROLLED", 0)


@functools.cache
def graphs(seeds=SEEDS):
    """Nodes of random graphs, which meet every kind of node, and their vjps."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        nodes = grow(rng, 12)
        found.append(simplified(Derived(f"values{seed}", (group("p", LEAVES),), (group("out", nodes),))))
        whole = Derived(f"scalar{seed}", (group("p", LEAVES),), (group("out", (scalar_output(rng, nodes),)),))
        found.append(simplified(transpose(whole, ("p",))))
    return tuple(found)


@functools.cache
def compiled(kind, dtype="float64", width=8, *, loops=False):
    """Of the usual type and width all graphs, else one."""
    with pytest.MonkeyPatch.context() as patch:
        if loops:
            looped(patch)
        shared = {"apart": (), "shared": SHARED, "summed": SHARED}[kind]
        summed = {A, C, S} if kind == "summed" else ()
        return Compiled(asked_of(dtype, width), dtype, width, shared=shared, summed=summed)


def asked_of(dtype, width):
    return graphs() if (dtype, width) == ("float64", 8) else graphs(ONE)


@functools.cache
def rows():
    """Eight samples that differ in x and s; the shared arrays."""
    rng = np.random.default_rng(5)
    values = [random_values(rng) for _ in range(8)]
    for each in values:
        each |= {A: values[0][A], C: values[0][C]}
    whole = np.array([np.concatenate([np.asarray(v[leaf]).reshape(-1) for leaf in LEAVES]) for v in values])
    return whole, {leaf: np.ascontiguousarray(values[0][leaf]).reshape(-1) for leaf in SHARED}


def start_of(leaf):
    return sum(other.size for other in LEAVES[: LEAVES.index(leaf)])


def pointing(run, whole, arrays):
    return run.pointing(whole, [(start_of(leaf), arrays[leaf]) for leaf in LEAVES if leaf in arrays])


@pytest.mark.parametrize("loops", [False, True], ids=["written out", "looped"])
@pytest.mark.parametrize(("dtype", "width"), [("float64", 8), ("float64", 1), ("float32", 4)])
def test_a_shared_array_gives_the_bits_of_one_a_lane(dtype, width, loops):
    whole, arrays = rows()
    arrays = {leaf: numbers.astype(dtype) for leaf, numbers in arrays.items()}
    apart, run = (compiled(kind, dtype, width, loops=loops) for kind in ("apart", "shared"))
    cot = np.random.default_rng(6).normal(size=(8, 1))
    for f in asked_of(dtype, width):
        more, start = ([cot], [np.ones((8, g.size)) for g in f.outputs]) if f.adds else ([], None)
        want = apart(f.name, [whole, *more], start)
        got = run(f.name, [pointing(run, whole, arrays), *more], start)
        for a, c in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, c, err_msg=f.name)


def summed_of(run, f, given, cot, arrays, dtype="float64"):
    """What stands in the plain floats, which begin at 1, and the rows of the output group."""
    held = {leaf: np.ones(leaf.size, dtype) for leaf in (A, C, S)}
    out = pointing(run, np.ones((8, f.outputs[0].size)), held)
    found = run(f.name, [pointing(run, given, arrays), cot], [out])[0]
    return held, found


@pytest.mark.parametrize("loops", [False, True], ids=["written out", "looped"])
@pytest.mark.parametrize(("dtype", "width", "rel"), [("float64", 8, 1e-12), ("float32", 8, 3e-4)])
def test_summed_cotangents_are_the_sums_of_those_of_the_lanes(dtype, width, rel, loops):
    whole, arrays = rows()
    arrays = {leaf: numbers.astype(dtype) for leaf, numbers in arrays.items()}
    apart, run = (compiled(kind, dtype, width, loops=loops) for kind in ("apart", "summed"))
    cot = np.random.default_rng(6).normal(size=(8, 1))
    for f in asked_of(dtype, width):
        if not f.adds:
            continue
        terms = apart(f.name, [whole, cot], [np.zeros((8, f.outputs[0].size))])[0]
        held, left = summed_of(run, f, whole, cot, arrays, dtype)
        for leaf, total in held.items():
            each = terms[:, start_of(leaf) : start_of(leaf) + leaf.size].astype(float)
            np.testing.assert_allclose(total, 1.0 + each.sum(0), rtol=rel, atol=rel * (1 + np.abs(each).max()))
        np.testing.assert_array_equal(left[:, : X.size], (1.0 + terms[:, : X.size].astype(dtype)).astype(dtype))


@pytest.mark.parametrize("loops", [False, True], ids=["written out", "looped"])
def test_a_lane_without_cotangents_adds_nothing_whatever_it_holds(loops):
    whole, arrays = rows()
    run = compiled("summed", loops=loops)
    cot = np.random.default_rng(6).normal(size=(8, 1))
    cot[[1, 4, 7]] = 0.0
    broken = whole.copy()
    broken[1, : X.size], broken[4, : X.size], broken[7, : X.size] = np.nan, np.inf, 1e300
    for f in graphs():
        if f.adds:
            plain = summed_of(run, f, whole, cot, arrays)[0]
            spoilt = summed_of(run, f, broken, cot, arrays)[0]
            for leaf in plain:
                np.testing.assert_array_equal(plain[leaf], spoilt[leaf], err_msg=f.name)


def products():
    """Name → node of weights W and states, whose cotangent by W is a product of the kinds that are made in tiles."""
    for rows_, columns in ((33, 21), (4, 16), (5, 7), (1, 9), (9, 1), (16, 70)):
        w, z = b.leaf("param", "W", (rows_, columns)), b.leaf("state", "z", (columns,))
        yield f"vector_{rows_}_{columns}", w, z, b.matmul(w, z)
    w = b.leaf("param", "W", (6, 11))
    yield "transposed", w, b.leaf("state", "z", (6,)), b.matmul(b.transpose(w), b.leaf("state", "z", (6,)))
    z = b.leaf("state", "z", (11, 5))
    yield "matrix", w, z, b.matmul(w, z)
    z = b.leaf("state", "z", (3, 11))
    yield "rows", w, z, b.matmul(z, b.transpose(w))
    w, z = b.leaf("param", "W", (3, 6, 11)), b.leaf("state", "z", (3, 11))
    yield "batched", w, z, b.contract("bij,bj->bi", w, z)
    z = b.leaf("state", "z", (11,))
    yield "used twice", w, z, b.add(b.contract("bij,j->bi", w, z), b.apply("sin", b.contract("bij,j->bi", w, z)))
    w = b.leaf("param", "W", (12, 11))
    yield "a part", w, z, b.matmul(b.pick(w, ((2, 9), (0, 11))), z)
    yield "reshaped", w, b.leaf("state", "z", (33,)), b.matmul(b.reshape(w, (4, 33)), b.leaf("state", "z", (33,)))


PRODUCTS = {name: parts for name, *parts in products()}


@functools.cache
def pulled(name):
    """The vjp of a product."""
    w, z, value = PRODUCTS[name]
    f = Derived(name.replace(" ", "_"), (group("z", (z,)), group("p", (w,))), (group("out", (value,)),))
    return simplified(transpose(f, ("z", "p")))


@functools.cache
def tiles(dtype, width, *, summed):
    weights = {w for w, _, _ in PRODUCTS.values()} if summed else ()
    return Compiled([pulled(name) for name in PRODUCTS], dtype, width, shared=weights, summed=weights)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_summed_in_tiles(name, dtype):
    (w, z, value), back = PRODUCTS[name], pulled(name)
    assert any(t.is_product for t in emit_sums.terms(back.outputs[1].members[0], plain(Store(), w.shape)))
    rng = np.random.default_rng(3)
    weights = (0.3 * rng.normal(size=w.size)).astype(dtype)
    given, cot = rng.normal(size=(16, z.size)).astype(dtype), rng.normal(size=(16, value.size)).astype(dtype)
    cot[[3, 10]] = 0.0
    spoilt = given.copy()
    spoilt[3], spoilt[10] = np.nan, -np.inf
    apart = tiles(dtype, 8, summed=False)
    many = np.tile(weights, (16, 1))
    nothing = [np.zeros((16, z.size)), np.zeros((16, w.size))]
    terms = apart(back.name, [given, many, cot], nothing)[1].astype(float)
    found = []
    for width in (4, 8, 16):
        run = tiles(dtype, width, summed=True)
        total = np.full(w.size + 16, 0.5, dtype)
        rows_ = run.pointing(np.zeros((16, w.size)), [(0, weights)])
        out = run.pointing(np.zeros((16, w.size)), [(0, total[: w.size])])
        run(back.name, [spoilt, rows_, cot], [np.zeros((16, z.size)), out])
        assert (total[w.size :] == 0.5).all()
        found.append(total[: w.size])
    rel = 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found[0], 0.5 + terms.sum(0), rtol=rel, atol=rel * 10)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_functions_that_overwrite_clear_the_sums_first():
    w, z = b.leaf("param", "W", (5, 7)), b.leaf("state", "z", (7,))
    f = Derived("f", (group("z", (z,)), group("p", (w, S))), (group("out", (b.matmul(w, z),)),))
    back = transpose(f, ("p",))
    back = Derived(back.name, back.inputs, back.outputs, adds=False)
    run = Compiled([back], summed={w, S})
    total, none = np.full(w.size, np.nan), np.full(1, np.nan)
    out = run.pointing(np.zeros((8, w.size + 1)), [(0, total), (w.size, none)])
    rng = np.random.default_rng(1)
    given, cot = rng.normal(size=(8, 7)), rng.normal(size=(8, 5))
    run(back.name, [given, np.zeros((8, w.size + 1)), cot], [out])
    np.testing.assert_allclose(total, np.einsum("li,lj->ij", cot, given).reshape(-1), rtol=1e-13)
    assert none[0] == 0.0


def test_a_place_too_small_for_an_address_is_refused():
    f = Derived("f", (group("p", (S,)),), (group("out", (b.mul(S, S),)),))
    with pytest.raises(ValueError, match="no room for the address of `s`"):
        emit.emit_functions([f], "float32", 1, shared={S})


def test_rows_far_apart_are_gone_through_in_chunks_with_the_same_bits():
    w, lam = b.leaf("param", "W", (43, 301)), b.leaf("state", "lam", (43,))
    value = b.apply("sin", b.matmul(b.transpose(w), lam))
    f = Derived("f", (group("y", (lam,)), group("p", (w,))), (group("out", (value, b.matmul(b.transpose(w), lam))),))
    rng = np.random.default_rng(7)
    weights, given = rng.normal(size=w.size), rng.normal(size=(8, 43))
    run, apart = Compiled([f], shared={w}), Compiled([f])
    got = run("f", [given, run.pointing(np.zeros((8, w.size)), [(0, weights)])])[0]
    np.testing.assert_array_equal(got, apart("f", [given, np.tile(weights, (8, 1))])[0])
    np.testing.assert_allclose(got[:, 301:], given @ weights.reshape(w.shape), rtol=1e-12, atol=1e-12)
