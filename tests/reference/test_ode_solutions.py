"""Differential equations with known answers, through the language: values, gradients, second derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from tests.reference.cases import Case, dot, error, f64, gradients_of

pytestmark = pytest.mark.usefixtures("backend")

RTOL = 1e-10
TIGHT = {"rtol": RTOL, "atol": RTOL}
# On orbits the error of a method without conserved quantities grows with the square of time: SciPy's RK45 stands at 260 here.
ORBIT = 200.0


def ode(layer, given, **rest):
    return Case("ode", layer, given, options={**TIGHT, **rest.pop("sizes", {})}, **rest)


def decay(k, y0, T):
    return (y0 * torch.exp(-k * T)).reshape(1)


def logistic(r, K, y0, T):
    grown = torch.exp(r * T)
    return (K * y0 * grown / (K + y0 * (grown - 1))).reshape(1)


def linear(A, y0, T):
    return torch.linalg.matrix_exp(A * T) @ y0


def linear_flow(x, A, T):
    return torch.cat([torch.linalg.matrix_exp(A * T) @ x, -torch.trace(A).reshape(1) * T])


def sine(y0, ts):
    def particular(t):
        return (
            -(t**4) * torch.cos(2 * t) / 2 + t**3 * torch.sin(2 * t) / 2 + t**2 * torch.cos(2 * t) / 4 - t**3 + 2 * t**4
        )

    return particular(ts) + (y0 - particular(ts[0])) * (ts / ts[0]) ** 2


def prothero_robinson(k, T):
    numerator = k**2 * torch.cos(T) + k * torch.sin(T) - k**2 * torch.exp(-k * T)
    return (numerator / (1 + k**2)).reshape(1)


def free_fall(h0, v0, g, T):
    return torch.stack([h0 + v0 * T - g * T**2 / 2, v0 - g * T])


MATRIX = torch.randn(10, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 3
SINE_START = (math.pi - 0.25) + (-math.cos(2) / 2 + math.sin(2) / 2 + math.cos(2) / 4 - 1 + 2)
NETWORK = {
    "f.W1": [[1, -0.5], [0.3, 0.8], [-0.7, 0.2]],
    "f.b1": [0.1, -0.2, 0.05],
    "f.W2": [[-0.6, 0.4, 0.9], [0.5, -1, 0.3]],
    "f.b2": [0.05, -0.1],
}

CLOSED = [
    ode(
        "Decay",
        {"k": 2, "y0": 3, "T": 1.5},
        closed=decay,
        values=[0.14936120510359183],
        slopes={0: {"k": -0.22404180765538775}},
    ),
    ode("Logistic", {"r": 1.3, "K": 2, "y0": 0.2, "T": 2.5}, closed=logistic),
    ode("Linear", {"A": MATRIX, "y0": MATRIX[0] + 1, "T": 1.2}, closed=linear, sizes={"n": 10}, note="expm"),
    ode(
        "LinearFlow", {"x": [0.4, -1.0], "A": [[-0.5, 1.1], [-0.7, 0.3]], "T": 1.5}, closed=linear_flow, sizes={"n": 2}
    ),
    ode("Sine", {"y0": SINE_START, "ts": torch.linspace(1, 8, 8)}, closed=sine, note="forward"),
    ode("Sine", {"y0": 1.5, "ts": torch.linspace(8, 1, 8)}, closed=sine, note="backward"),
    ode("ProtheroRobinson", {"k": 5, "T": 2}, closed=prothero_robinson, slopes={0: {"k": -0.03835213}}),
    ode("FreeFall", {"h0": 10, "v0": 1.5, "g": 9.8, "T": 1.1}, closed=free_fall),
    ode(
        "Rotation",
        {"T": 1},
        closed=lambda T: torch.stack([torch.cos(2 * T), torch.sin(2 * T)]),
        values=[-0.4161468365471424, 0.9092974268256817],
    ),
    ode("BlowUp", {"y0": 0.3, "a": 1}, closed=lambda y0, a: (y0 / (1 - 2 * a * y0)).reshape(1)),
]

KNOWN = [
    ode(
        "KeplerOrbit",
        {"e": 0.1, "T": 20},
        note="0.1",
        bound=ORBIT,
        values=[
            0.21988353520083965,
            0.94270768463418131,
            -0.97876598410581765,
            0.32879779909620360,
            -0.5,
            math.sqrt(0.99),
        ],
    ),
    ode(
        "KeplerOrbit",
        {"e": 0.5, "T": 20},
        note="0.5",
        bound=ORBIT,
        values=[
            -0.57804329530353613,
            0.86338400091941928,
            -0.95950837303807273,
            -0.065049151267120905,
            -0.5,
            math.sqrt(0.75),
        ],
    ),
    ode(
        "VanDerPol",
        {"x0": 2, "v0": 0, "mu": 1, "T": 20},
        values=[2.0081497621749486, -0.042508875273202147],
        slopes={0: {"x0": 0.057643468257115478, "v0": 0.021254437636601074, "mu": 0.10581863701706616}},
    ),
    ode("Bessel", {"T": 20}, values=[0.14567236007282468, None]),
    ode(
        "LotkaVolterra",
        {"y0": [1, 1], "p": [1.5, 1, 3, 1], "ts": [0, 10]},
        values=[1, 1, 1.0263447675750893, 0.90969107813604162],
        slopes={
            2: {
                "y0": [1.9659960547281691, 0.18856877707805931],
                "p": [2.1605575235626180, 0.18856877707805931, 0.56318279416819772, 0.93965128715307976],
            },
            3: {
                "y0": [-2.7439791559201811, 0.21171348914668314],
                "p": [-6.2567705172208160, -0.69797758898935848, -1.7090176805979348, -2.7439791559201811],
            },
        },
    ),
    ode(
        "Lorenz",
        {"p": [10, 28, 8 / 3], "T": 1},
        note="28",
        values=[-9.4084505670560362, -9.0961990711864790, 28.581627624392336],
        slopes={0: {"p": [-0.059964713298692077, 0.23383729165769114, -3.8878553648506891]}},
    ),
    ode(
        "Lorenz",
        {"p": [10, 21, 8 / 3], "T": 1},
        note="21",
        values=[-6.4505791473189070, -8.8952114786677926, 14.649145866644606],
    ),
    ode(
        "Spiral",
        {"A": [[-0.1, 2], [-2, -0.1]], "T": 1.5},
        note="short",
        values=[1.2919915629767864, 0.97258607443451643],
    ),
    ode(
        "Spiral",
        {"A": [[-0.1, 2], [-2, -0.1]], "T": 25},
        note="long",
        values=[-0.44362348669863495, 0.27944064161893900],
    ),
    ode(
        "Pleiades",
        {
            "x0": [3, 3, -1, -3, 2, -2, 2],
            "y0": [3, -3, 2, 0, 0, -4, 4],
            "u0": [0, 0, 0, 0, 0, 1.75, -1.5],
            "v0": [0, 0, 0, -1.25, 1, 0, 0],
        },
        bound=ORBIT,
        values=[
            0.37061391439705116,
            3.2372840920572331,
            -3.2225590324183233,
            0.65970914557753081,
            0.34255817071565804,
            1.5621721014006310,
            -0.70030929222124957,
            -3.9434375855173925,
            -3.2713809739725499,
            5.2250818434565440,
            -2.5906124349774695,
            1.1982136933922747,
            -0.24296823449358235,
            1.0914492404289799,
        ],
    ),
    ode("TinyNeural", {"y0": [0.5, -0.25]}, params=NETWORK, values=[0.042089930622152926, 0.10439610086504382]),
    ode(
        "Fifth",
        {"y0": 3, "a": 0.2, "b": 3, "ts": torch.linspace(0, 7, 8)},
        note="forward",
        values=0.2 * torch.linspace(0, 7, 8, dtype=torch.float64) + 3,
    ),
    ode(
        "Fifth",
        {"y0": 4.6, "a": 0.2, "b": 3, "ts": torch.linspace(8, 1, 8)},
        note="backward",
        values=0.2 * torch.linspace(8, 1, 8, dtype=torch.float64) + 3,
    ),
]
ALL = CLOSED + KNOWN
each = pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)


@pytest.mark.parametrize("case", [c for c in ALL if c.values is not None], ids=lambda c: c.name)
def test_the_value_is_the_known_one(case):
    for found, wanted in zip(case.solved.tolist(), list(case.values), strict=True):
        if wanted is not None:
            assert abs(found - float(wanted)) <= case.bound * RTOL * max(1.0, abs(float(wanted)))


@pytest.mark.parametrize("case", CLOSED, ids=lambda c: c.name)
def test_the_value_and_both_derivatives_are_those_of_the_closed_form(case):
    answer = case.closed(*case.arguments.values())
    assert error(case.solved, answer) <= 50 * RTOL
    arguments = list(case.arguments.values())
    slopes = torch.autograd.grad(case.weights @ answer, arguments, create_graph=True)
    for name, wanted in zip(case.arguments, slopes, strict=True):
        assert error(case.derivatives[name], wanted) <= 1e-7
    curvatures = gradients_of(dot(dict(zip(case.arguments, slopes, strict=True)), case.directions), arguments)
    largest = max(c.abs().max().item() for c in curvatures)
    for name, wanted in zip(case.arguments, curvatures, strict=True):
        # A save time acts through the dense output, whose second derivative in time is two orders less accurate.
        bound = 1e-4 if "ts" in case.given else 1e-6
        assert (case.curvatures[name] - wanted).abs().max().item() <= bound * largest


SLOPES = [(c, i) for c in ALL for i in c.slopes]


@pytest.mark.parametrize(("case", "output"), SLOPES, ids=[f"{c.name}-{i}" for c, i in SLOPES])
def test_the_gradient_is_the_known_one(case, output):
    wanted = case.slopes[output]
    found = gradients_of(case.solved[output], [case.arguments[n] for n in wanted])
    for grad, reference in zip(found, wanted.values(), strict=True):
        assert error(grad, reference) <= 1e-6


@each
def test_the_gradient_is_that_of_finite_differences(case):
    found, _ = case.differences
    terms = sum((case.derivatives[n] * d).abs().sum().item() for n, d in case.directions.items())
    assert abs(found - dot(case.derivatives, case.directions).item()) <= 1e-5 * terms + 1e-6


@each
def test_the_second_derivative_is_that_of_finite_differences_of_the_gradient(case):
    _, found = case.differences
    largest = max(c.abs().max().item() for c in case.curvatures.values())
    slope = max(d.abs().max().item() for d in case.derivatives.values())
    for name in case.moving:
        # Moving a save time moves steps, and with them the dense output that is read there.
        bound = 1e-3 if "ts" in case.given else 1e-4
        assert (case.curvatures[name] - found[name]).abs().max().item() <= bound * largest + 1e-5 * slope


def test_the_invariants_of_the_orbit_hold():
    for case in (c for c in KNOWN if c.layer == "KeplerOrbit"):
        _, _, _, _, energy, momentum = case.solved.tolist()
        assert abs(energy + 0.5) <= 100 * RTOL
        assert abs(momentum - math.sqrt(1 - case.given["e"] ** 2)) <= 50 * RTOL
        # Energy is -1/2 and momentum sqrt(1 - e²) at all times: so are their derivatives in e and T.
        e, T = case.arguments["e"], case.arguments["T"]
        for index, wanted in ((4, (0.0, 0.0)), (5, (-case.given["e"] / math.sqrt(1 - case.given["e"] ** 2), 0.0))):
            found = gradients_of(case.solved[index], [e, T])
            assert all(abs(f.item() - w) <= 1e-6 for f, w in zip(found, wanted, strict=True))


def test_the_loss_of_a_hundred_and_one_times_has_its_known_gradient():
    case = ode(
        "LotkaVolterra",
        {"y0": [1, 1], "p": [1.5, 1, 3, 1], "ts": torch.arange(101, dtype=torch.float64) / 10},
        fixed=("ts",),
    )
    loss = case.solved.sum()
    assert abs(loss.item() - 450.76406403953881) <= 50 * RTOL * 450
    start, params = gradients_of(loss, [case.arguments["y0"], case.arguments["p"]])
    assert error(start, [-39.12754122266809, -8.78778021899264]) <= 1e-7
    assert error(params, [8.30536266231655, -159.48429271513864, 75.20350821377277, -339.19509276606091]) <= 1e-7


def test_every_weight_of_a_network_inside_an_equation_has_its_known_gradient():
    case = next(c for c in KNOWN if c.layer == "TinyNeural")
    loss = case.solved @ case.solved / 2
    assert abs(loss.item() - 0.0063350540678010247) <= 50 * RTOL
    wanted = {
        "y0": [0.00333862, 0.02378143],
        "f.W1": [
            [0.00388550587967, 0.00044518073129],
            [-0.01104618479851, -0.00139284571566],
            [0.00642349694025, 0.00163653861374],
        ],
        "f.b1": [0.03351232460342, -0.09540917019019, 0.0623441236346],
        "f.W2": [
            [0.00559256266131, -0.0046701217442, -0.00026375685291],
            [0.02199468978066, -0.01680541455891, -0.00291135107353],
        ],
        "f.b2": [0.03276846983306, 0.11095010682255],
    }
    found = gradients_of(loss, [case.arguments[n] for n in wanted])
    for grad, reference in zip(found, wanted.values(), strict=True):
        assert (grad - f64(reference)).abs().max().item() <= 1e-8
