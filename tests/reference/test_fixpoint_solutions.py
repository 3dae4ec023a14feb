"""Fixed points with known answers, through the language: values, gradients, second derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from tests.reference.cases import Case, dot, error, f64, gradients_of, leaf, models

pytestmark = pytest.mark.usefixtures("backend")


def fixpoint(layer, given, **rest):
    return Case("fixpoint", layer, given, options=rest.pop("sizes", {}), step=1e-5, **rest)


def affine(A, b):
    return torch.linalg.solve(torch.eye(b.numel(), dtype=b.dtype) - A, b)


def hysteresis(z):
    """dz/dx of z = tanh(2z + x) at a known z."""
    s = 1 - z * z
    return s / (1 - 2 * s)


DRAW = torch.Generator().manual_seed(3)
W, U, B, X = (
    torch.randn(*shape, generator=DRAW, dtype=torch.float64) * size
    for shape, size in (((5, 5), 0.4), ((5, 3), 0.5), ((5,), 0.2), ((3,), 1.0))
)

CASES = [
    fixpoint(
        "TanhScalar",
        {"a": 0.9, "x": 0.3},
        values=[0.75146958787774490941],
        slopes={0: {"x": 0.71566552968133826439, "a": 0.53780088064794328267}},
        seconds={0: {"x": -2.9074176513797536544}},
    ),
    fixpoint(
        "Affine",
        {"A": [[0.5, 0.2], [-0.3, 0.4]], "b": [1, 2]},
        sizes={"n": 2},
        note="contracting",
        values=[25 / 9, 35 / 18],
        closed=affine,
    ),
    fixpoint("Affine", {"A": [[3, 0.2], [-0.3, -4]], "b": [1, 2]}, sizes={"n": 2}, note="expanding", closed=affine),
    fixpoint("Doubling", {"x": 1}, values=[-1], slopes={0: {"x": -1}}),
    fixpoint(
        "Cosine",
        {"a": 1, "c": 0},
        values=[0.73908513321516064166],
        slopes={0: {"a": -0.29747434150983226056, "c": 0.59751004567530346504}},
    ),
    fixpoint(
        "LogisticMap",
        {"r": 3.95},
        values=[0.74683544303797468354],
        slopes={0: {"r": 0.064092292901778561128}},
        seconds={0: {"r": -2 / 3.95**3}},
    ),
    *(
        fixpoint(
            "Hysteresis",
            {"x": x, "start": start},
            fixed=("start",),
            note=f"{x} from {start}",
            values=[z],
            slopes={0: {"x": hysteresis(z)}},
        )
        for x, start, z in (
            (0, 1, 0.95750402407726874068),
            (0, -1, -0.95750402407726874068),
            (-0.5, 1, 0.80175948351292916682),
            (-0.5, -1, -0.98583975881887127064),
        )
    ),
    fixpoint("DEQ", {"x": X}, sizes={"n": 5, "m": 3}, params={"W": W, "U": U, "b": B}),
    fixpoint("Head", {"x": X}, sizes={"n": 5, "m": 3}, params={"w": B + 0.5, "core.W": W, "core.U": U, "core.b": B}),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@pytest.mark.parametrize("case", [c for c in CASES if c.values is not None], ids=lambda c: c.name)
def test_the_value_is_the_known_one(case):
    assert case.solved.tolist() == pytest.approx(case.values, rel=1e-9)


SLOPES = [(c, i) for c in CASES for i in c.slopes]


@pytest.mark.parametrize(("case", "output"), SLOPES, ids=[f"{c.name}-{i}" for c, i in SLOPES])
def test_the_derivatives_are_the_known_ones(case, output):
    for name, wanted in case.slopes[output].items():
        (first,) = torch.autograd.grad(case.solved[output], case.arguments[name], create_graph=True, retain_graph=True)
        assert error(first, wanted) <= 1e-7
        if name in case.seconds.get(output, {}):
            (second,) = torch.autograd.grad(first, case.arguments[name], retain_graph=True)
            assert error(second, case.seconds[output][name]) <= 1e-7


@pytest.mark.parametrize("case", [c for c in CASES if c.closed], ids=lambda c: c.name)
def test_a_linear_fixed_point_is_that_of_linear_algebra_to_second_order(case):
    answer = case.closed(*case.arguments.values())
    assert error(case.solved, answer) <= 1e-12
    arguments = list(case.arguments.values())
    slopes = dict(
        zip(case.arguments, torch.autograd.grad(case.weights @ answer, arguments, create_graph=True), strict=True)
    )
    curvatures = gradients_of(dot(slopes, case.directions), arguments)
    for name, wanted in zip(case.arguments, curvatures, strict=True):
        assert error(case.derivatives[name], slopes[name]) <= 1e-12
        assert error(case.curvatures[name], wanted) <= 1e-11


@each
def test_both_derivatives_are_those_of_finite_differences(case):
    slope, bends = case.differences
    terms = sum((case.derivatives[n] * d).abs().sum().item() for n, d in case.directions.items())
    assert abs(slope - dot(case.derivatives, case.directions).item()) <= 1e-6 * terms + 1e-9
    for name in case.moving:
        largest = max(case.curvatures[name].abs().max().item(), case.derivatives[name].abs().max().item())
        assert (case.curvatures[name] - bends[name]).abs().max().item() <= 1e-5 * largest + 1e-9


def test_the_known_adjoint_of_an_affine_map():
    case = CASES[1]
    grad_A, grad_b = gradients_of(case.solved.sum(), [case.arguments["A"], case.arguments["b"]])
    assert grad_b.tolist() == pytest.approx([5 / 6, 35 / 18], rel=1e-12)
    assert error(grad_A, torch.outer(f64([5 / 6, 35 / 18]), f64([25 / 9, 35 / 18]))) <= 1e-12


def test_the_gradients_of_an_equilibrium_model_are_those_of_dense_linear_algebra():
    case = next(c for c in CASES if c.layer == "DEQ")
    z = case.solved.detach()
    pre = W @ z + U @ X + B
    assert (z - torch.tanh(pre)).abs().max().item() <= 1e-14
    slope = 1 - torch.tanh(pre) ** 2
    adjoint = slope * torch.linalg.solve((torch.eye(5, dtype=torch.float64) - slope[:, None] * W).T, case.weights)
    wanted = {"W": torch.outer(adjoint, z), "U": torch.outer(adjoint, X), "b": adjoint, "x": U.T @ adjoint}
    for name, reference in wanted.items():
        assert error(case.derivatives[name], reference) <= 1e-11


def test_the_hessian_of_an_equilibrium_model_is_that_of_a_long_unrolled_iteration():
    case = next(c for c in CASES if c.layer == "DEQ")
    W_, x = leaf(W), leaf(X)
    z = torch.zeros(5, dtype=torch.float64)
    for _ in range(300):
        z = torch.tanh(W_ @ z + U @ x + B)
    slopes = dict(zip(("x", "W"), torch.autograd.grad(case.weights @ z, [x, W_], create_graph=True), strict=True))
    along = {n: case.directions[n] for n in slopes}
    wanted = gradients_of(dot(slopes, along), [x, W_])
    mine = torch.autograd.grad(
        dot(case.derivatives, along), [case.arguments["x"], case.arguments["W"]], retain_graph=True
    )
    for found, reference in zip(mine, wanted, strict=True):
        assert error(found, reference) <= 1e-10


def test_a_kink_takes_the_derivative_of_torch():
    layer = models("fixpoint").ReluNet(n=2, dtype=torch.float64)
    weights = leaf([[0.3, 0.2], [-0.1, 0.4]])
    p = leaf([0.0, 1.0])
    z = layer(weights, p)
    # No kink yet: the first unit has the pre-activation 0.3*z0 + 0.2*z1 > 0, so z0 = 0.2*z1/0.7.
    assert z[1].item() == pytest.approx(1 / (0.6 + 0.1 * 0.2 / 0.7), rel=1e-12)
    # One unit exactly on its kink, fed by one that is on: 0.25*1 - 0.25 = 0 in floats too. Its derivatives are those of off.
    fed, p0 = leaf([[0.0, 0.25], [0.0, 0.5]]), leaf([-0.25, 0.5])
    z = layer(fed, p0)
    assert z.tolist() == [0, 1]
    by_weight, by_p = torch.autograd.grad(z.sum(), [fed, p0])
    assert by_p.tolist() == [0, 2]
    assert by_weight.tolist() == [[0, 0], [0, 2]]
    # All zero: pre-activation exactly 0 in both units. relu'(0) = 0, as in torch.
    p00 = leaf([0.0, 0.0])
    z = layer(weights, p00)
    assert z.tolist() == [0, 0]
    grads = torch.autograd.grad(z.sum(), [weights, p00])
    assert all(torch.equal(g, torch.zeros_like(g)) for g in grads)


def test_a_positive_pre_activation_is_linear_and_a_negative_one_is_off():
    layer = models("fixpoint").ReluNet(n=2, dtype=torch.float64)
    weights, p = leaf([[0.3, 0.2], [-0.1, 0.4]]), leaf([0.5, -2.0])
    z = layer(weights, p)
    assert z.tolist() == pytest.approx([0.5 / 0.7, 0.0], rel=1e-14)
    found = torch.autograd.grad(z[0], [weights, p])
    assert found[1].tolist() == pytest.approx([1 / 0.7, 0], rel=1e-14)
    assert found[0].flatten().tolist() == pytest.approx([0.5 / 0.49, 0, 0, 0], rel=1e-14)


def test_the_derivative_grows_without_bound_towards_the_fold():
    layer = models("fixpoint").Hysteresis(dtype=torch.float64)
    fold, z_fold = 0.53283997535355202357, math.sqrt(0.5)
    # x = atanh(z) - 2z has a minimum there, with x'' = 2z/(1 - z²)² = 8z: dz/dx tends to 1/sqrt(2*x''*(x - x_fold)).
    for distance, bound in ((1e-2, 0.15), (1e-4, 0.015), (1e-6, 0.0015)):  # the next term is of order sqrt(distance)
        x = leaf(-fold + distance)
        z = layer(x, 1.0)
        assert z.item() > z_fold
        (slope,) = torch.autograd.grad(z, x)
        assert slope.item() == pytest.approx(hysteresis(z.item()), rel=1e-9)
        assert slope.item() == pytest.approx(1 / math.sqrt(16 * z_fold * distance), rel=bound)
