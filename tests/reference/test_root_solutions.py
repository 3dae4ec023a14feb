"""Roots with known answers, through the language: values, gradients, second derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from tests.reference.cases import Case, dot, error, gradients_of

pytestmark = pytest.mark.usefixtures("backend")


def root(layer, given, **rest):
    return Case("root", layer, given, options=rest.pop("sizes", {}), step=rest.pop("step", 1e-5), **rest)


SCALAR = [
    root(
        "KeplerEquation",
        {"e": 0.1, "M": 1},
        note="0.1",
        values=[1.0885977523978936185],
        slopes={0: {"M": 1.0486278276356362972, "e": 0.92906068630403171768}},
        seconds={0: {"M": -0.10216140100016266}},
    ),
    root(
        "KeplerEquation",
        {"e": 0.8, "M": 0.5},
        note="0.8",
        values=[1.2622114491948167428],
        slopes={0: {"M": 1.3209490490491967887, "e": 1.2585531112353791847}},
        seconds={0: {"M": -1.756845892944431313}},
    ),
    root(
        "KeplerEquation",
        {"e": 0.99, "M": 0.05},
        note="0.99",
        values=[0.64589145695041152703],
        slopes={0: {"M": 4.775044590842646953, "e": 2.8741497760006410878}},
        seconds={0: {"M": -64.878298825622071583}},
    ),
    root(
        "Lambert",
        {"x": 1},
        note="1",
        values=[0.567143290409783873],
        slopes={0: {"x": 0.36189625663488922148}},
        seconds={0: {"x": -0.21454064628214370585}},
    ),
    root(
        "Lambert",
        {"x": 5},
        note="5",
        values=[1.3267246652422002236],
        slopes={0: {"x": 0.11404225734668909976}},
        seconds={0: {"x": -0.018595312220397536}},
    ),
    root(
        "Lambert",
        {"x": -0.3},
        note="-0.3",
        values=[-0.48940222718021496904],
        slopes={0: {"x": 3.1949625401972979333}},
        seconds={0: {"x": -30.199619081520702939}},
    ),
    root(
        "Colebrook",
        {"Re": 1e5, "e": 1e-4},
        note="1e5",
        values=[0.018513866077471642672],
        slopes={0: {"Re": -3.4602179397150064e-8, "e": 5.0696335336773553}},
    ),
    root(
        "Colebrook",
        {"Re": 1e7, "e": 1e-5},
        note="1e7",
        values=[0.0089957117448344413177],
        slopes={0: {"Re": -7.0456791784057206e-11, "e": 71.955696888251367}},
    ),
    root(
        "Colebrook",
        {"Re": 4000, "e": 0.05},
        note="4000",
        values=[0.076986834889224866736],
        slopes={0: {"Re": -1.2855580889383264e-6, "e": 0.61453196118260574}},
    ),
    root(
        "Dottie",
        {"a": 1, "c": 0},
        values=[0.73908513321516064166],
        slopes={0: {"a": -0.29747434150983226056, "c": 0.59751004567530346504}},
    ),
    root(
        "Fold",
        {"d": 0.3},
        note="0.3",
        values=[0.30253439183032696515],
        slopes={0: {"d": 1.0437171489748776426}},
        seconds={0: {"d": 0.62965507696470027703}},
    ),
    root("Fold", {"d": 0.5}, note="0.5", values=[0.5506065793341349683], slopes={0: {"d": 1.8503201439249635357}}),
    root(
        "SoftTopK",
        {"x": [1, 2, -0.5, 0.3], "k": 2},
        sizes={"n": 4},
        values=[
            -0.69165422204900903822,
            0.57648143302544286526,
            0.78723621301650285524,
            0.2329632100297799798,
            0.4033191439282742997,
        ],
        slopes={
            0: {
                "x": [
                    -0.29380685344190690846,
                    -0.20156119220930648398,
                    -0.21503427051979126903,
                    -0.28959768382899533853,
                ],
                "k": 1.2033837516333494649,
            }
        },
    ),
    root(
        "WeakAcid",
        {"C": 0.1, "Ka": 1.8e-5},
        note="strong",
        values=[10**-2.8752770603192665363, 2.8752770603192665363],
        slopes={0: {"C": 0.0067080529838670662196, "Ka": 36.770315050790931}, 1: {"C": -2.1860387491015883814}},
    ),
    root(
        "WeakAcid",
        {"C": 1e-6, "Ka": 1.8e-5},
        note="weak",
        values=[10**-6.0178209858237531434, 6.0178209858237531434],
        slopes={1: {"C": -404909.55796846315}},
    ),
    root("GasShift", {"K": 4}, values=[5 / 6], slopes={0: {"K": 0.027386541471048513302}}),
    root(
        "Hysteresis",
        {"x": 0, "start": 1},
        fixed=("start",),
        note="upper",
        values=[0.95750402407726874068],
        slopes={0: {"x": 0.099787978129812485167}},
    ),
    root(
        "Hysteresis",
        {"x": 0, "start": -1},
        fixed=("start",),
        note="lower",
        values=[-0.95750402407726874068],
        slopes={0: {"x": 0.099787978129812485167}},
    ),
    root(
        "Hysteresis",
        {"x": -0.5, "start": 1},
        fixed=("start",),
        note="upper -0.5",
        values=[0.80175948351292916682],
        slopes={0: {"x": 1.2504763294302351404}},
    ),
    root(
        "Hysteresis",
        {"x": -0.5, "start": -1},
        fixed=("start",),
        note="lower -0.5",
        values=[-0.98583975881887127064],
        slopes={0: {"x": 0.029795677015505950438}},
    ),
]

BANDED = [
    -0.42830286358725027,
    -0.47659642435629024,
    -0.51965246364686173,
    -0.5580993248321809,
    -0.59250615682945735,
    -0.62450368219946792,
    -0.62323947144059109,
    -0.6213938417965735,
    -0.62045359665908736,
    -0.58646927072043507,
]
DISCRETE = [
    -0.043164982518764871,
    -0.081577156535386882,
    -0.11448571438052929,
    -0.14097357686259668,
    -0.15990869618198312,
    -0.16987720231277492,
    -0.16908998378120835,
    -0.15524953522183182,
    -0.12535589167893499,
    -0.075416533685892084,
]

SYSTEM = [
    root(
        "RosenbrockGradient",
        {"a": 1, "b": 100},
        values=[1, 1],
        slopes={0: {"a": 1, "b": 0}, 1: {"a": 2, "b": 0}},
        seconds={1: {"a": 2}},
    ),
    root(
        "RosenbrockResidual",
        {"a": 1, "b": 10},
        values=[1, 1],
        slopes={0: {"a": 1, "b": 0}, 1: {"a": 2, "b": 0}},
        seconds={1: {"a": 2}},
    ),
    root("BroydenBanded", {"p": 1}, sizes={"n": 10}, values=BANDED),
    root("DiscreteBoundary", {"p": 1}, sizes={"n": 10}, values=DISCRETE),
    root("DiscreteIntegral", {"p": 1}, sizes={"n": 10}, values=DISCRETE),
    root(
        "Propane",
        {"R": 10},
        values=[
            0.00311410226598496003,
            34.5979245302901255,
            0.06504177869743797,
            0.859378050577940581,
            0.0369518591480460245,
        ],
        slopes={
            i: {"R": v}
            for i, v in enumerate(
                [
                    -0.0115962258773796548,
                    129.505370457026969,
                    -0.124099867582904285,
                    0.00501174410476919872,
                    -0.00316953534056965494,
                ]
            )
        },
    ),
    root(
        "Conserved",
        {"k": [2, 3], "x0": [1, 0]},
        values=[0.6, 0.4],
        slopes={0: {"k": [-0.12, 0.08], "x0": [0.6, 0.6]}, 1: {"k": [0.12, -0.08], "x0": [0.4, 0.4]}},
    ),
    root(
        "SteadyState",
        {"p": [2, -4, 3, -5]},
        values=[0.5, 0.3],
        slopes={0: {"p": [0.25, 0.125, 0, 0]}, 1: {"p": [0.15, 0.075, 0.1, 0.06]}},
    ),
    root("Coupled", {"A": [[0.5, -0.2], [0.7, 0.1]], "x": [1.0, -0.4]}, sizes={"n": 2}, params={"b": [0.1, 0.3]}),
]
ALL = SCALAR + SYSTEM
each = pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)


@pytest.mark.parametrize("case", [c for c in ALL if c.values is not None], ids=lambda c: c.name)
def test_the_value_is_the_known_one(case):
    # Each number on its own: small components of a system are answers too.
    for found, wanted in zip(case.solved.tolist(), case.values, strict=True):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


SLOPES = [(c, i) for c in ALL for i in c.slopes]


@pytest.mark.parametrize(("case", "output"), SLOPES, ids=[f"{c.name}-{i}" for c, i in SLOPES])
def test_the_gradient_is_the_known_one(case, output):
    wanted = case.slopes[output]
    found = gradients_of(case.solved[output], [case.arguments[n] for n in wanted])
    for grad, reference in zip(found, wanted.values(), strict=True):
        assert error(grad, reference) <= 1e-7


SECONDS = [(c, i) for c in ALL for i in c.seconds]


@pytest.mark.parametrize(("case", "output"), SECONDS, ids=[f"{c.name}-{i}" for c, i in SECONDS])
def test_the_second_derivative_is_the_known_one(case, output):
    for name, wanted in case.seconds[output].items():
        (first,) = torch.autograd.grad(case.solved[output], case.arguments[name], create_graph=True, retain_graph=True)
        (second,) = torch.autograd.grad(first, case.arguments[name], retain_graph=True)
        assert error(second, wanted) <= 1e-7


@each
def test_both_derivatives_are_those_of_finite_differences(case):
    slope, bends = case.differences
    terms = sum((case.derivatives[n] * d).abs().sum().item() for n, d in case.directions.items())
    assert abs(slope - dot(case.derivatives, case.directions).item()) <= 1e-6 * terms + 1e-9
    for name in case.moving:
        size = case.derivatives[name].abs().max().item()
        assert (case.curvatures[name] - bends[name]).abs().max().item() <= 1e-5 * case.curvatures[
            name
        ].abs().max().item() + 1e-6 * size + 1e-10


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        ("BroydenBanded", -1.4358178484317378),
        ("DiscreteBoundary", -0.95709219714906122),
        ("DiscreteIntegral", -0.95709219714906122),
    ],
)
def test_the_sum_of_a_system_has_its_known_gradient(layer, wanted):
    case = next(c for c in SYSTEM if c.layer == layer)
    (found,) = gradients_of(case.solved.sum(), [case.arguments["p"]])
    assert error(found, wanted) <= 1e-9


def test_two_forms_of_one_equation_agree_to_second_order():
    first, second = (next(c for c in SYSTEM if c.layer == name) for name in ("DiscreteBoundary", "DiscreteIntegral"))
    assert error(first.solved, second.solved) <= 1e-12
    assert error(first.derivatives["p"], second.derivatives["p"]) <= 1e-11
    assert error(first.curvatures["p"], second.curvatures["p"]) <= 1e-10


def test_a_discrete_boundary_value_problem_tends_to_its_continuous_limit():
    errors = []
    for n in (9, 19, 39):
        s = torch.arange(1, n + 1, dtype=torch.float64) / (n + 1)
        found = root("DiscreteBoundary", {"p": 1}, sizes={"n": n}).solved
        errors.append((found - (2 / (2 - s) - s - 1)).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.1)


def test_brown_almost_linear_gives_one_of_its_roots():
    c = root("BrownAlmostLinear", {"c": 1}, sizes={"n": 5})
    known = [
        [1.0] * 5,
        [0.91635458253384934] * 4 + [1.4182270873307533],
        [-0.57904308849411580273] * 4 + [8.8952154424705790137],
    ]
    assert any(error(c.solved, k) <= 1e-9 for k in known)


def test_a_linear_system_takes_one_step():
    case = root("SteadyState", {"p": [2, -4, 3, -5]})
    assert case.solved.tolist() == pytest.approx([0.5, 0.3], rel=1e-15)
    assert case.built.last.steps.item() == 1
    assert root("RosenbrockResidual", {"a": 1, "b": 10}).built(1.0, 10.0).tolist() == [1, 1]


def test_the_gradient_of_a_system_is_that_of_dense_linear_algebra():
    case = next(c for c in SYSTEM if c.layer == "Coupled")
    A, x, b = (case.arguments[n].detach() for n in ("A", "x", "b"))
    z = case.solved.detach()
    K = torch.diag(3 * z**2 + 1) + A
    adjoint = torch.linalg.solve(K.T, case.weights)
    assert error(case.derivatives["x"], adjoint) <= 1e-12
    assert error(case.derivatives["b"], adjoint) <= 1e-12
    assert error(case.derivatives["A"], -torch.outer(adjoint, z)) <= 1e-12
    assert (z**3 + z + A @ z - x - b).abs().max().item() <= 1e-14
