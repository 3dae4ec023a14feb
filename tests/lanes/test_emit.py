"""Graphs on lanes against the NumPy evaluator: every kind of node, written out and in loops, at every width."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from implicitdsl.backends.lanes import emit, emit_algebra, emit_nodes
from implicitdsl.backends.lanes.target import Device, made_for
from implicitdsl.ir import build as b
from implicitdsl.ir import node
from implicitdsl.ir.evaluate import function
from implicitdsl.ir.folding import fold_constants
from implicitdsl.ir.node import walk
from implicitdsl.problems.derived import Derived, Group, group, simplified, tangent, transpose
from tests.ir.ir_graphs import LEAVES, grow, random_values, scalar_output
from tests.lanes.jit import Compiled

SEEDS = tuple(range(24))
FEW = (3, 4, 5, 8, 11, 19)
"""Graphs that meet every kind of node too: what is asked of every width and type is asked of these."""


def flat(values, leaves=LEAVES):
    return np.concatenate([np.asarray(values[leaf], float).reshape(-1) for leaf in leaves])


def wanted(f, rows):
    """The flat outputs of every sample by NumPy, one array a group."""
    leaves = [leaf for g in f.inputs for leaf in g.leaves]
    core = function(leaves, f.nodes)
    found = []
    for row in rows:
        values, start = [], 0
        for leaf in leaves:
            values.append(row[start : start + leaf.size].reshape(leaf.shape))
            start += leaf.size
        found.append(np.concatenate([np.asarray(o).reshape(-1) for o in core(*values)]))
    return np.array(found)


@functools.cache
def graphs(seeds=SEEDS):
    """Nodes of random graphs, and the vjp of a scalar of them: what solvers ask for."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        nodes = grow(rng, 12)
        found.append(simplified(Derived(f"values{seed}", (group("p", LEAVES),), (group("out", nodes),))))
        whole = Derived(f"scalar{seed}", (group("p", LEAVES),), (group("out", (scalar_output(rng, nodes),)),))
        if seed % 4 == 0:
            found.append(simplified(transpose(tangent(whole, ("p",)), ("p", "p_dot"))))
    return tuple(found)


@functools.cache
def rows(count=8):
    rng = np.random.default_rng(5)
    return np.array([flat(random_values(rng)) for _ in range(count)])


def inputs(f, dtype="float64"):
    rng = np.random.default_rng(6)
    given = [rows()] + [rng.normal(size=(8, g.size)) for g in f.inputs[1:]]
    return [g.astype(dtype) for g in given]


@functools.cache
def compiled(dtype, width, *, looped=False, seeds=SEEDS):
    with pytest.MonkeyPatch.context() as patch:
        if looped:
            for name in ("SMALL", "NODE_BUDGET", "FUNCTION_BUDGET"):
                patch.setattr(emit_nodes, name, 0)
            patch.setattr(emit_algebra, "UNROLLED", 0)
        return Compiled(graphs(seeds), dtype, width)


@pytest.mark.parametrize("seeds", [SEEDS, FEW], ids=["all", "few"])
def test_the_graphs_meet_every_kind_of_node(seeds):
    kinds = {k for k in vars(node).values() if isinstance(k, type) and issubclass(k, node.Node)} - {node.Node}
    assert {type(n) for f in graphs(seeds) for n in walk(f.nodes)} == kinds


@pytest.mark.parametrize("looped", [False, True], ids=["written out", "looped"])
def test_graphs_have_the_values_of_numpy(looped):
    run = compiled("float64", 8, looped=looped)
    for f in graphs():
        given = inputs(f)
        want = wanted(Derived(f.name, f.inputs, f.outputs), np.concatenate(given, axis=1))
        start = [np.zeros((8, g.size)) for g in f.outputs]
        got = np.concatenate(run(f.name, given, start if f.adds else None), axis=1)
        kept = np.concatenate([np.repeat([m is not None for m in g.members], g.sizes) for g in f.outputs])
        np.testing.assert_allclose(got[:, kept], want, rtol=1e-11, atol=1e-11, err_msg=f.name)
        assert (got[:, ~kept] == 0.0).all()


def test_float32_graphs_have_the_values_of_numpy():
    run = compiled("float32", 8, seeds=FEW)
    for f in graphs(FEW):
        given = inputs(f, "float32")
        want = wanted(f, np.concatenate(given, axis=1).astype(float))
        got = np.concatenate(run(f.name, given, [np.zeros((8, g.size)) for g in f.outputs]), axis=1)
        kept = np.concatenate([np.repeat([m is not None for m in g.members], g.sizes) for g in f.outputs])
        error = np.abs(got[:, kept] - want) / (1.0 + np.abs(want).max())
        assert error.max() < 2e-4, f.name


@pytest.mark.parametrize("looped", [False, True], ids=["written out", "looped"])
def test_bits_do_not_depend_on_the_width(looped):
    for f in graphs(FEW):
        given, start = inputs(f), [np.ones((8, g.size)) for g in f.outputs]
        wide = compiled("float64", 8, looped=looped)(f.name, given, start)
        for width in (1, 4) if not looped else (4,):
            other = compiled("float64", width, looped=looped, seeds=FEW)(f.name, given, start)
            for a, c in zip(wide, other, strict=True):
                np.testing.assert_array_equal(a.view(np.int64), c.view(np.int64), err_msg=f"{f.name} {width}")


def test_folded_constants_have_the_bits_of_what_they_replace():
    n = 40
    c, d = (b.constant(np.random.default_rng(k).normal(size=n)) for k in (1, 2))
    x = b.leaf("input", "x", (n,))
    moved = b.add(
        b.place(b.pick(c, ((9, n),)), ((0, n - 9),), (n,)), b.place(b.pick(c, ((0, 9),)), ((n - 9, n),), (n,))
    )
    output = b.apply("tanh", b.mul(x, b.sub(b.div(moved, d), b.mul(0.1, b.mul(moved, c)))))
    whole = Derived("whole", (group("x", (x,)),), (group("out", (output,)),))
    folded = Derived("folded", whole.inputs, (group("out", fold_constants((output,))),))
    assert len(list(walk(folded.nodes))) < len(list(walk(whole.nodes)))
    given = np.random.default_rng(3).normal(size=(8, n))
    run = Compiled((whole, folded), "float64", 8)
    before, after = (run(f.name, [given], None)[0] for f in (whole, folded))
    np.testing.assert_array_equal(before.view(np.int64), after.view(np.int64))
    before, after = (wanted(f, given) for f in (whole, folded))
    np.testing.assert_array_equal(before.view(np.int64), after.view(np.int64))


A = b.leaf("input", "A", (6, 6))
V = b.leaf("input", "v", (6,))


def linear_algebra():
    spd = b.add(b.matmul(A, b.transpose(A)), b.delta(6))
    chol, lu = b.factor("cholesky", spd), b.factor("lu", A)
    parts = (
        b.solve(chol, V), b.solve(lu, V), b.solve(lu, V, transposed=True), b.solve(lu, spd), b.log_det(lu), b.det(lu),
        b.cholesky(spd),
    )  # fmt: skip
    return Derived("algebra", (group("p", (A, V)),), (group("out", parts),))


def test_pivots_are_chosen_for_every_lane_and_failures_stay_in_theirs():
    f = linear_algebra()
    rng = np.random.default_rng(3)
    given = rng.normal(size=(8, 42))
    for lane in range(6):  # a row exchange at another place in every lane
        given[lane, :36].reshape(6, 6)[lane, lane] = 0.0
        given[lane, :36].reshape(6, 6)[0, 0] = 1e-18
    given[6, :36] = np.eye(6)[::-1].reshape(-1)
    given[7, :36] = 0.0
    got = Compiled([f])("algebra", [given])[0]
    for row in range(8):
        matrix, v = given[row, :36].reshape(6, 6), given[row, 36:]
        spd = matrix @ matrix.T + np.eye(6)
        parts = np.split(got[row], np.cumsum([6, 6, 6, 36, 1, 1]))
        np.testing.assert_allclose(parts[0], np.linalg.solve(spd, v), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(parts[6].reshape(6, 6), np.linalg.cholesky(spd), rtol=1e-10, atol=1e-12)
        if row == 7:
            assert np.isnan(np.concatenate(parts[1:4])).all()
            assert parts[4] == -np.inf
            assert parts[5] == 0.0
            continue
        np.testing.assert_allclose(parts[1], np.linalg.solve(matrix, v), rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(parts[2], np.linalg.solve(matrix.T, v), rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(parts[3].reshape(6, 6), np.linalg.solve(matrix, spd), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose([parts[4][0], parts[5][0]], [np.linalg.slogdet(matrix)[1], np.linalg.det(matrix)])


def test_a_matrix_that_is_not_positive_definite_has_no_cholesky_factor():
    f = Derived("c", (group("p", (A, V)),), (group("out", (b.cholesky(A), b.solve(b.factor("cholesky", A), V))),))
    given = np.tile(np.concatenate([np.eye(6).reshape(-1), np.arange(6.0)]), (4, 1))
    given[2, 35] = -1.0
    got = Compiled([f], width=4)("c", [given])[0]
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(got[[0, 1, 3], 36:], np.tile(np.arange(6.0), (3, 1)))


W = b.leaf("param", "W", (33, 21))
X = b.leaf("input", "x", (21,))


def test_products_of_shared_weights_read_one_array_for_all_lanes():
    f = Derived("net", (group("p", (X, W)),), (group("out", (b.apply("tanh", b.matmul(W, X)),)),))
    back = transpose(f, ("p",))
    rng = np.random.default_rng(4)
    x, w, cot = rng.normal(size=(8, 21)), 0.3 * rng.normal(size=(33, 21)), rng.normal(size=(8, 33))
    per_lane = np.concatenate([x, np.tile(w.reshape(-1), (8, 1))], axis=1)
    plain_run, run = Compiled([f, back]), Compiled([f, back], shared={W})
    given = per_lane.copy()
    given[:, 21:] = np.nan
    weights = np.ascontiguousarray(w)
    given[0, 21] = np.array([weights.ctypes.data], np.int64).view(np.float64)[0]
    np.testing.assert_allclose(run("net", [given])[0], np.tanh(x @ w.T), rtol=1e-13)
    start = [np.full((8, 21 + w.size), 2.0)]
    (shared,) = run(back.name, [given, cot], start)
    (apart,) = plain_run(back.name, [per_lane, cot], start)
    np.testing.assert_array_equal(shared, apart)
    inner = cot * (1.0 - np.tanh(x @ w.T) ** 2)
    np.testing.assert_allclose(shared[:, :21], 2.0 + inner @ w, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shared[:, 21:].reshape(8, 33, 21), 2.0 + inner[:, :, None] * x[:, None], atol=1e-12)


def test_times_come_by_value_and_missing_members_are_zero():
    t = b.leaf("time", "t", ())
    inner = (b.mul(t, X), b.sub(X, t))
    f = Derived("rhs", (group("t", (t,)), group("y", (X,))), (Group("out", (inner[0], None, inner[1]), (21, 3, 21)),))
    rng = np.random.default_rng(2)
    x, times = rng.normal(size=(4, 21)), rng.normal(size=(4, 1))
    (got,) = Compiled([f], width=4)("rhs", [times, x])
    np.testing.assert_array_equal(got, np.concatenate([times * x, np.zeros((4, 3)), x - times], axis=1))


def attributes(f):
    """How LLVM is told to call the function."""
    text = emit.emit_functions([f], "float64", 8)
    (line,) = [line for line in text.splitlines() if line.startswith("define") and f.name in line]
    return line


@pytest.mark.parametrize(("size", "kind"), [(8, "alwaysinline"), (40, "noinline")])
def test_of_a_dear_function_there_is_one_copy(size, kind):
    W, y = node.Leaf("input", "W", (size, size)), node.Leaf("state", "y", (size,))
    product = b.matmul(W, y)
    given = (group("y", (y,)), group("p", (W,)))
    assert kind in attributes(Derived("rhs", given, (group("out", (product,)),)))
    # Its transpose too, where the gradient of a matrix is the dearest part of it.
    assert kind in attributes(simplified(transpose(Derived("rhs", given, (group("out", (product,)),)), ("y", "p"))))


def test_on_a_gpu_functions_are_part_of_their_callers():
    W, y = node.Leaf("input", "W", (40, 40)), node.Leaf("state", "y", (40,))
    f = Derived("rhs", (group("y", (y,)), group("p", (W,))), (group("out", (b.matmul(W, y),)),))
    with made_for(Device(1, lambda modules, entries, sizes: b"")):
        assert "alwaysinline" in attributes(f)


def test_what_is_not_used_of_an_argument_is_not_loaded():
    y = node.Leaf("state", "y", (50,))
    f = Derived("rhs", (group("y", (y,)),), (group("out", (b.mul(b.pick(y, ((7, 8),)), b.pick(y, ((9, 10),))),)),))
    assert emit.emit_functions([f], "float64", 8).count(" load ") == 2


def test_a_leaf_that_is_no_input_is_refused():
    f = Derived("f", (group("p", (V,)),), (group("out", (b.matmul(A, V),)),))
    with pytest.raises(ValueError, match="f depends on input `A`"):
        emit.emit_functions([f], "float64", 8)


def test_large_arrays_take_the_heap_and_sums_of_many_operands_are_ordered():
    n = 300
    big = b.leaf("input", "big", (n,))
    parts = b.total(b.mul(b.apply("sin", b.outer(big, big)), b.outer(big, big)))
    triple = b.contract("ij,jk,kl->il", *(b.leaf("input", name, (24, 24)) for name in "ABC"))
    leaves = [big, *(b.leaf("input", name, (24, 24)) for name in "ABC")]
    f = Derived("big", (group("p", leaves),), (group("out", (parts, triple)),))
    given = np.random.default_rng(1).normal(size=(4, n + 3 * 576))
    (got,) = Compiled([f], width=4)("big", [given])
    np.testing.assert_allclose(got, wanted(f, given), rtol=1e-10, atol=1e-10)
