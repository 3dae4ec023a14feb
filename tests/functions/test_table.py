"""Every function of the language: size rule, builder, value and derivatives against torch, shape facts, LaTeX."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy
import torch

from implicitdsl.functions.shapes import SizeMismatch, SizeUndecided, broadcast, convolution
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.ir import build, derive, evaluate

LANGUAGE = """sin cos tan asin acos atan atan2 sinh cosh tanh exp expm1 log log1p sqrt abs sign floor min max relu softplus
sigmoid gelu silu elu erf softmax logsumexp sum mean prod dot norm normsq cumsum outer diag trace eye zeros ones reshape
concat stack det logdet inv solve cholesky heaviside clip entropy conv1d conv2d grad div jacobian""".split()

ALL = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
TENSOR = [f for f in FUNCTIONS.values() if f.scalar is None]
OF_VALUES = [
    f for f in TENSOR if f.family != "calculus" and f.name not in ("eye", "zeros", "ones", "reshape", "heaviside")
]
VALUES = pytest.mark.parametrize("function", OF_VALUES, ids=[f.name for f in OF_VALUES])

TORCH = {
    "sum": torch.sum,
    "mean": torch.mean,
    "prod": torch.prod,
    "dot": torch.dot,
    "norm": torch.linalg.vector_norm,
    "normsq": lambda x: (x * x).sum(),
    "max": lambda *a: torch.amax(a[0]) if len(a) == 1 else torch.maximum(*a),
    "min": lambda *a: torch.amin(a[0]) if len(a) == 1 else torch.minimum(*a),
    "softmax": lambda x: torch.softmax(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, -1),
    "cumsum": lambda x: torch.cumsum(x, -1),
    "outer": torch.outer,
    "diag": torch.diag,
    "trace": torch.trace,
    "det": torch.det,
    "logdet": torch.logdet,
    "inv": torch.linalg.inv,
    "solve": torch.linalg.solve,
    "cholesky": lambda a: torch.linalg.cholesky((a + a.T) / 2),
    "concat": lambda *a: torch.cat([p.reshape(1) if p.ndim == 0 else p for p in a]),
    "stack": lambda *a: torch.stack(a),
    "conv1d": lambda x, k: torch.nn.functional.conv1d(x[None], k)[0],
    "conv2d": lambda x, k: torch.nn.functional.conv2d(x[None], k)[0],
}
DEFINITE = {"logdet", "cholesky", "inv", "solve", "det"}


def leaves(shapes):
    return tuple(build.leaf("input", f"x{i}", s) for i, s in enumerate(shapes))


def arrays(function, shapes, seed=0):
    rng = np.random.default_rng(seed)
    found = [rng.normal(size=s) for s in shapes]
    if function.name in DEFINITE:
        n = shapes[0][0]
        found[0] = (
            found[0] @ found[0].T
            + n * np.eye(n)
            + (0.1 * rng.normal(size=(n, n)) if function.name != "cholesky" else 0.0)
        )
    return [np.asarray(a) for a in found]


def computed(inputs, outputs, values):
    return [np.asarray(v) for v in evaluate.function(inputs, outputs, name="table")(*values)]


def test_the_table_is_the_list_of_the_language():
    assert sorted(FUNCTIONS) == sorted(LANGUAGE)
    assert len(LANGUAGE) == len(set(LANGUAGE))


@ALL
def test_the_record_is_whole(function):
    fewest, most = function.arity
    assert function.takes(fewest)
    assert not function.takes(fewest - 1)
    assert (most is None) or not function.takes(most + 1)
    assert function.signature.startswith(function.name + "(")
    assert f"{function.name}(" in function.example
    assert function.doc.endswith(".")
    for count in {fewest, most or fewest + 2}:
        latex = function.write_latex(*["x", "y", "z"][:count])
        assert latex.strip()
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
    if most is not None and not function.form:
        assert len(function.monotonicity) == len(function.affine_in) == most


@ALL
def test_size_rule(function):
    for given, result in function.fits:
        assert function.shape(*given) == result
    for given in function.misfits:
        with pytest.raises(SizeMismatch) as caught:
            function.shape(*given)
        assert str(caught.value)
        assert isinstance(caught.value.help, str)
    assert function.fits or function.name in ("eye", "zeros", "ones")
    assert function.misfits or function.arity == (1, 1) or function.form


@ALL
def test_size_rule_takes_polynomials_for_sizes(function):
    """The rules that hold for numbers hold for names: n for 3, n + k for 5 and so on."""
    n, k = sympy.symbols("n k", positive=True, integer=True)
    names = {2: k, 3: n, 4: n + 1, 5: n + k, 6: n * k, 7: n + 2 * k}
    for given, result in function.fits:
        symbolic = [tuple(names.get(s, s) for s in shape) for shape in given]
        found = function.shape(*symbolic)
        values = {n: 3, k: 2}
        assert tuple(int(sympy.sympify(s).subs(values)) for s in found) == result


@ALL
def test_the_node_has_the_shape_of_the_rule(function):
    if function.name in ("eye", "zeros", "ones"):
        sizes = (3,) if function.name == "eye" else (2, 3)
        assert function.build(*sizes).shape == function.shape(*sizes)
        wanted = {"eye": np.eye(3), "zeros": np.zeros((2, 3)), "ones": np.ones((2, 3))}[function.name]
        np.testing.assert_array_equal(computed((), (function.build(*sizes),), [])[0], wanted)
        return
    for given, result in function.fits:
        if function.name == "reshape":
            assert function.build(*leaves(given[:1]), given[1]).shape == result
        else:
            assert function.build(*leaves(given)).shape == result
    for given in function.misfits:
        with pytest.raises((SizeMismatch, build.ShapeError)):
            function.build(*(leaves(given[:1]) + given[1:] if function.name == "reshape" else leaves(given)))


def test_every_tensor_function_has_its_outside_reference():
    assert {f.name for f in OF_VALUES} == set(TORCH)


@VALUES
def test_value_first_and_second_derivative_against_torch(function):
    for given, _ in function.fits:
        inputs = leaves(given)
        values = arrays(function, given)
        output = function.build(*inputs)
        tensors = [torch.tensor(v, requires_grad=True) for v in values]
        truth = TORCH[function.name](*tensors)
        np.testing.assert_allclose(
            computed(inputs, (output,), values)[0], truth.detach().numpy(), rtol=1e-12, atol=1e-13
        )

        rng = np.random.default_rng(5)
        cotangent = rng.normal(size=output.shape)
        grads = derive.pullback((output,), (build.constant(cotangent),), inputs)
        truths = torch.autograd.grad(truth, tensors, torch.tensor(cotangent), create_graph=True)
        live = [(i, g) for i, g in enumerate(grads) if g is not None]
        for (i, _g), found in zip(live, computed(inputs, tuple(g for _, g in live), values), strict=True):
            np.testing.assert_allclose(found, truths[i].detach().numpy(), rtol=1e-11, atol=1e-12)

        directions = [rng.normal(size=s) for s in given]
        along = sum((t * torch.tensor(d)).sum() for t, d in zip(truths, directions, strict=True))
        scalar = build.constant(0.0)
        for i, g in live:
            scalar = build.add(scalar, build.total(build.mul(g, build.constant(directions[i]))))
        second = derive.pullback((scalar,), (build.constant(1.0),), inputs)
        if along.requires_grad:
            truths = torch.autograd.grad(along, tensors, allow_unused=True)
        else:
            truths = [None] * len(tensors)
        for leaf, found, true in zip(inputs, second, truths, strict=True):
            got = np.zeros(leaf.shape) if found is None else computed(inputs, (found,), values)[0]
            np.testing.assert_allclose(got, 0.0 if true is None else true.numpy(), rtol=1e-9, atol=1e-10)


@VALUES
def test_gradient_agrees_with_finite_differences(function):
    for given, _ in function.fits:
        inputs, values = leaves(given), arrays(function, given, seed=7)
        output = function.build(*inputs)
        weights = np.random.default_rng(8).normal(size=output.shape)
        forward = evaluate.function(inputs, (output,), name="forward")
        grads = derive.pullback((output,), (build.constant(weights),), inputs)
        for i, g in enumerate(grads):
            if g is None:
                continue
            found = computed(inputs, (g,), values)[0]
            direction = np.random.default_rng(9).normal(size=given[i])
            ends = []
            for sign in (1, -1):
                moved = [v + sign * 1e-6 * direction if k == i else v for k, v in enumerate(values)]
                ends.append(np.sum(weights * forward(*moved)[0]))
            assert np.sum(found * direction) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7)


@VALUES
def test_shape_facts_by_sampling(function):
    """Curvature, monotonicity, affinity and sign that the record claims, at random pairs of points."""
    for given, _ in function.fits:
        inputs = leaves(given)
        output = function.build(*inputs)
        forward = evaluate.function(inputs, (output,), name="facts")

        def value(arguments, forward=forward):
            return forward(*arguments)[0]

        for seed in range(30):
            a, b = arrays(function, given, seed=seed), arrays(function, given, seed=seed + 1000)
            middle = value([(p + q) / 2 for p, q in zip(a, b, strict=True)])
            gap = (value(a) + value(b)) / 2 - middle
            if function.curvature in ("convex", "affine"):
                assert np.all(gap >= -1e-10)
            if function.curvature in ("concave", "affine"):
                assert np.all(gap <= 1e-10)
            for i, affine in enumerate(function.affine_in[: len(given)]):
                if affine:
                    part = [p if k != i else b[i] for k, p in enumerate(a)]
                    half = [p if k != i else (a[i] + b[i]) / 2 for k, p in enumerate(a)]
                    np.testing.assert_allclose((value(a) + value(part)) / 2, value(half), rtol=1e-9, atol=1e-9)
            for i, claim in enumerate(function.monotonicity[: len(given)]):
                signs = {"increasing": (1, 0), "decreasing": (-1, 0), "by_sign": (1, 1), None: (0, 0)}[claim]
                low = [np.abs(p) if signs[1] and k == i else p for k, p in enumerate(a)]
                high = [p + np.abs(b[i]) if k == i else p for k, p in enumerate(low)]
                assert np.all(signs[0] * (value(high) - value(low)) >= -1e-10)
                if signs[1]:
                    assert np.all(value([-p for p in high]) - value([-p for p in low]) >= -1e-10)
            if function.name in DEFINITE:
                continue
            for claimed in itertools.product(("zero", "nonneg", "nonpos", "unknown"), repeat=len(given)):
                points = [
                    {"zero": 0 * p, "nonneg": abs(p), "nonpos": -abs(p), "unknown": p}[s]
                    for p, s in zip(a, claimed, strict=True)
                ]
                found = function.sign(*claimed)
                if found in ("zero", "nonneg"):
                    assert np.all(value(points) >= 0), claimed
                if found in ("zero", "nonpos"):
                    assert np.all(value(points) <= 0), claimed


def test_norm_and_ties_at_kinks_take_the_derivative_of_torch():
    cases = [
        ("norm", torch.linalg.vector_norm, np.zeros(3)),
        ("max", torch.amax, np.array([1.0, 3.0, 3.0])),
        ("min", torch.amin, np.array([1.0, 1.0, 3.0])),
        ("prod", torch.prod, np.array([0.0, 2.0, 3.0])),
        ("prod", torch.prod, np.array([0.0, 0.0, 3.0])),
    ]
    for name, truth, point in cases:
        x = build.leaf("input", "x", (3,))
        (grad,) = derive.pullback((FUNCTIONS[name].build(x),), (build.constant(1.0),), (x,))
        tensor = torch.tensor(point, requires_grad=True)
        wanted = torch.autograd.grad(truth(tensor), tensor)[0].numpy()
        np.testing.assert_array_equal(computed((x,), (grad,), [point])[0], wanted, err_msg=name)
    x = build.leaf("input", "x", (3,))
    hessian = derive.jacobian(derive.jacobian(FUNCTIONS["norm"].build(x), x), x)
    np.testing.assert_array_equal(computed((x,), (hessian,), [np.zeros(3)])[0], np.zeros((3, 3)))


def test_extremes_of_softmax_logsumexp_and_logdet():
    x = build.leaf("input", "x", (3,))
    outputs = (FUNCTIONS["softmax"].build(x), FUNCTIONS["logsumexp"].build(x))
    for point in ([800.0, 800.0, -800.0], [1e300, 0.0, -1e300], [-np.inf, 0.0, 0.0], [-800.0, -801.0, -802.0]):
        soft, total = computed((x,), outputs, [np.array(point)])
        tensor = torch.tensor(point, dtype=torch.float64)
        np.testing.assert_allclose(soft, torch.softmax(tensor, -1).numpy(), rtol=1e-12, atol=0.0)
        np.testing.assert_allclose(total, torch.logsumexp(tensor, -1).numpy(), rtol=1e-15)
    a = build.leaf("input", "a", (2, 2))
    logdet = FUNCTIONS["logdet"].build(a)
    for matrix in (
        [[0.0, 1.0], [1.0, 0.0]],
        [[0.0, 1.0], [-1.0, 0.0]],
        [[1.0, 2.0], [2.0, 4.0]],
        [[2.0, 0.0], [0.0, 3.0]],
    ):
        truth = torch.logdet(torch.tensor(matrix, dtype=torch.float64)).numpy()
        np.testing.assert_allclose(computed((a,), (logdet,), [np.array(matrix)])[0], truth, rtol=1e-14)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("axes", [1, 2])
def test_convolutions_with_stride_and_padding(axes, stride, padding):
    rng = np.random.default_rng(0)
    shapes = ((2, 7, 6)[: axes + 1], (3, 2, 3, 2)[: axes + 2])
    values = [rng.normal(size=s) for s in shapes]
    function = FUNCTIONS[f"conv{axes}d"]
    node = function.build(*leaves(shapes), stride=stride, padding=padding)
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[axes - 1]
    truth = convolve(torch.tensor(values[0])[None], torch.tensor(values[1]), stride=stride, padding=padding)[0].numpy()
    assert function.shape(*shapes, stride=stride, padding=padding) == node.shape == truth.shape
    np.testing.assert_allclose(computed(leaves(shapes), (node,), values)[0], truth, rtol=1e-13, atol=1e-14)


def test_a_strided_length_of_names_is_asked_again_later():
    n = sympy.Symbol("n")
    assert convolution(1, (2, n), (3, 2, 3), padding=1) == (3, n)
    with pytest.raises(SizeUndecided):
        convolution(1, (2, n), (3, 2, 3), stride=2)


def test_heaviside_with_and_without_its_value_at_zero():
    x = build.leaf("input", "x", (3,))
    outputs = (FUNCTIONS["heaviside"].build(x), FUNCTIONS["heaviside"].build(x, build.constant(0.5)))
    point = np.array([-1.0, 0.0, 2.0])
    one, half = computed((x,), outputs, [point])
    np.testing.assert_array_equal(one, [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        half, torch.heaviside(torch.tensor(point), torch.tensor(0.5, dtype=torch.float64)).numpy()
    )
    assert derive.pullback((outputs[0],), (build.ones((3,)),), (x,)) == (None,)


def test_calculus_in_expressions():
    x = build.leaf("input", "x", (3,))
    field = build.mul(build.apply("sin", x), build.total(x))
    point = np.array([0.3, -0.7, 1.1])
    tensor = torch.tensor(point)
    truth = torch.autograd.functional.jacobian(lambda v: torch.sin(v) * v.sum(), tensor).numpy()
    jacobian = FUNCTIONS["jacobian"].build(field, x)
    np.testing.assert_allclose(computed((x,), (jacobian,), [point])[0], truth, rtol=1e-14)
    divergence = FUNCTIONS["div"].build(field, x)
    np.testing.assert_allclose(computed((x,), (divergence,), [point])[0], np.trace(truth), rtol=1e-14)
    gradient = FUNCTIONS["grad"].build(build.total(field), x)
    np.testing.assert_allclose(computed((x,), (gradient,), [point])[0], truth.sum(axis=0), rtol=1e-14)
    other = build.leaf("input", "y", (2,))
    np.testing.assert_array_equal(
        computed((), (FUNCTIONS["grad"].build(build.total(field), other),), [])[0], np.zeros(2)
    )


def test_broadcasting_matches_axes_from_the_last_and_tells_what_helps():
    assert broadcast((2, 1), (3,), ()) == (2, 3)
    with pytest.raises(SizeMismatch, match=r"\[2, 3\] and \[2\]") as caught:
        broadcast((2, 3), (2,))
    assert "reshape" in caught.value.help
