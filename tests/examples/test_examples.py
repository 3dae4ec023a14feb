"""The examples run and their answers are right."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize

from implicitdsl.layers.options import BACKEND
from tests.examples.loading import load

EVERY = pytest.mark.usefixtures("backend")

# ---------------------------------------------------------------- hares and lynxes


@pytest.fixture(scope="module")
def fit():
    return load("lotka_volterra/fit")


@pytest.fixture(scope="module", params=["lanes", "python"])
def back_end(request):
    return request.param


@pytest.fixture(scope="module")
def start(fit, back_end):
    """Counts, layer, loss and free numbers where the fit starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BACKEND, back_end)
        counts, layer = fit.read_counts(), fit.make_layer()
    return counts, layer, fit.negative_log_likelihood(layer, counts), fit.free(layer)


@pytest.fixture(scope="module")
def fitted(fit, back_end):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BACKEND, back_end)
        return fit.fit(fit.read_counts(), tolerance=1e-4)


def loss_by_scipy(values: np.ndarray, counts) -> float:
    """The profiled negative log likelihood with SciPy's integrator."""
    a, b, g, d, hare, lynx = values
    years = (counts.years - counts.years[0]).numpy()
    found = solve_ivp(
        lambda _, x: [a * x[0] - b * x[0] * x[1], d * x[0] * x[1] - g * x[1]],
        (0, years[-1]),
        [hare, lynx],
        t_eval=years,
        rtol=1e-10,
        atol=1e-11,
        method="DOP853",
    )
    left = np.log(counts.pelts.numpy()) - np.log(found.y.T)
    return 0.5 * len(years) * np.log((left**2).mean(axis=0)).sum()


def test_the_loss_is_that_of_another_integrator(fit, start) -> None:
    counts, layer, loss, _ = start
    values = np.array([getattr(layer, name).item() for name in fit.NAMES])
    assert loss.item() == pytest.approx(loss_by_scipy(values, counts), rel=1e-6)


def test_the_hessian_is_that_of_finite_differences(fit, start) -> None:
    counts, layer, loss, numbers = start
    _, hessian = fit.derivatives(loss, numbers)
    step = 1e-4
    found = torch.zeros(6, 6, dtype=torch.float64)
    for i, number in enumerate(numbers):
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                number += sign * step
            loss = fit.negative_log_likelihood(layer, counts)
            sides.append(torch.stack(torch.autograd.grad(loss, numbers)))
            with torch.no_grad():
                number -= sign * step
        found[i] = (sides[0] - sides[1]) / (2 * step)
    assert float((hessian - found).abs().max()) < 1e-4 * float(hessian.abs().max())


def test_the_fit_is_the_maximum_and_its_errors_are_those_of_another_integrator(fit, fitted) -> None:
    counts = fit.read_counts()
    _, found = fitted
    assert found.gradient <= 1e-4
    # Maximum likelihood by SciPy's Nelder-Mead on SciPy's integrator.
    known = {"alpha": 0.54001, "beta": 0.027156, "gamma": 0.79660, "delta": 0.023702, "hare0": 34.599, "lynx0": 5.8437}
    for name, value in known.items():
        assert found.values[name] == pytest.approx(value, rel=1e-3), name
    # Standard errors from that likelihood's Hessian by finite differences.
    errors = {"alpha": 0.05486, "beta": 0.003572, "gamma": 0.07795, "delta": 0.003048, "hare0": 2.5962, "lynx0": 0.4493}
    for name, value in errors.items():
        assert found.errors[name] == pytest.approx(value, rel=5e-3), name
    values = np.array(list(found.values.values()))
    best = loss_by_scipy(values, counts)
    assert best == pytest.approx(found.loss, rel=1e-6)
    for i in range(6):
        for factor in (0.98, 1.02):
            moved = values.copy()
            moved[i] *= factor
            assert loss_by_scipy(moved, counts) > best


def test_the_fit_is_told_and_drawn(fit, fitted, tmp_path: Path) -> None:
    from rich.console import Console

    layer, found = fitted
    console = Console(record=True, width=120)
    console.print(fit.table(found))
    text = console.export_text()
    assert all(name in text for name in fit.NAMES)
    fit.draw(layer, fit.read_counts(), tmp_path / "out" / "picture.png")
    assert (tmp_path / "out" / "picture.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------- Kepler


def test_orbits_obey_newtons_law(tmp_path: Path) -> None:
    kepler = load("kepler/orbit")
    layer = kepler.implicitdsl.load(kepler.HERE / "kepler.imp").Kepler(dtype=torch.float64)
    times = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)
    eccentricity = torch.tensor(0.6, dtype=torch.float64)
    place, speed, force = kepler.motion(layer, times, eccentricity)
    assert kepler.law_error(place, force) < 1e-9
    energy = speed.square().sum(-1) / 2 - 1 / place.norm(dim=-1)
    torch.testing.assert_close(energy, torch.full_like(energy, -0.5), rtol=0, atol=1e-10)
    anomaly = brentq(lambda angle: angle - 0.6 * math.sin(angle) - float(times[3]), 0, 2 * math.pi, xtol=1e-14)
    assert float(layer(times[3], eccentricity)) == pytest.approx(anomaly, abs=1e-11)
    kepler.draw(tmp_path / "out" / "orbits.png", [(0.6, place)])
    assert (tmp_path / "out" / "orbits.png").exists()


# ---------------------------------------------------------------- a delayed feedback


def test_a_delay_is_found_from_a_noisy_series(tmp_path: Path) -> None:
    mackey = load("mackey_glass/fit")
    layer = mackey.make_layer()
    times, seen = mackey.observe(count=16, end=60.0)
    left = mackey.fit(layer, times, seen, rounds=15)
    assert left < 1.5 * mackey.NOISE
    errors = mackey.standard_errors(layer, times)
    for name, value in mackey.TRUTH.items():
        assert abs(float(getattr(layer, name).detach()) - value) <= 4 * errors[name]
    mackey.draw(tmp_path / "out" / "mackey_glass.png", layer, times, seen)
    assert (tmp_path / "out" / "mackey_glass.png").exists()


# ---------------------------------------------------------------- bouncing ball


def test_gravity_is_found_from_a_bouncing_ball(tmp_path: Path) -> None:
    ball = load("bouncing_ball/fit")
    layer = ball.make_layer()
    times, seen = ball.observe(layer)
    values, covariance = ball.fit(layer, times, seen)
    truth = torch.tensor(list(ball.TRUTH.values()), dtype=torch.float64)
    errors = covariance.diagonal().sqrt()
    assert ((values - truth).abs() <= 3 * errors).all()

    # Least squares by the closed form agrees, where the bounces are known one by one.
    def heights(h0: float, g: float, e: float) -> np.ndarray:
        found = []
        for t in times.tolist():
            since, h, v = 0.0, h0, 0.0
            while since + (flight := (v + math.sqrt(v * v + 2 * g * h)) / g) <= t:
                since, h, v = since + flight, 0.0, e * (g * flight - v)
            found.append(h + v * (t - since) - g * (t - since) ** 2 / 2)
        return np.array(found)

    def left(point: np.ndarray) -> float:
        return float(((heights(*point) - seen.numpy()) ** 2).sum())

    best = minimize(left, values.numpy(), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    np.testing.assert_allclose(values.numpy(), best.x, rtol=1e-5)
    ball.draw(tmp_path / "out" / "ball.png", layer, values, times, seen)
    assert (tmp_path / "out" / "ball.png").exists()


# ---------------------------------------------------------------- a pendulum beside a wall


def test_a_wall_is_found_from_a_pendulum(tmp_path: Path) -> None:
    tether = load("tether/fit")
    layer = tether.make_layer()
    times, seen = tether.observe(layer, count=16)
    wall, rest, gravity = tether.TRUTH.values()

    def hit(_: float, angle: np.ndarray) -> float:
        return angle[0] - math.asin(wall)

    hit.terminal, hit.direction = True, -1
    # In the angle, between the bounces, by SciPy; the tension is that which holds the bob on its circle.
    since, angle, wanted = 0.0, [math.asin(0.6), 0.0], []
    while len(wanted) < len(times):
        run = solve_ivp(
            lambda _, a: [a[1], -gravity * math.sin(a[0])], (since, 3.1), angle, method="DOP853", events=hit,
            dense_output=True, rtol=1e-11, atol=1e-12,
        )  # fmt: skip
        reached = run.t[-1] if run.t_events[0].size else math.inf
        for t in times[len(wanted) :].tolist():
            if t < reached:
                a, speed = run.sol(t)
                wanted.append((math.sin(a), speed**2 + gravity * math.cos(a)))
        since, angle = run.t[-1], [math.asin(wall), -rest * run.y[1, -1]]
    found = layer(wall, rest, gravity, times)
    assert layer.last.fired.item() == 2
    np.testing.assert_allclose(found.numpy(), np.array(wanted), rtol=0, atol=1e-6)

    values, errors = tether.fit(layer, times, seen)
    assert (np.abs(values - [wall, rest, gravity]) <= 3 * errors).all()
    tether.draw(tmp_path / "out" / "tether.png", layer, values, times, seen)
    assert (tmp_path / "out" / "tether.png").exists()


# ---------------------------------------------------------------- classifier


@EVERY
def test_the_classifier_learns() -> None:
    moons = load("deq_classifier/train")
    layer, losses, (points, label) = moons.train(steps=8, count=24)
    assert losses[-1] < 0.8 * losses[0]
    assert moons.accuracy(layer, points, label) > 0.7


# ---------------------------------------------------------------- portfolio


@EVERY
def test_the_frontier_is_that_of_another_solver() -> None:
    example = load("opt_layer/frontier")
    layer = example.make_layer()
    aversions = torch.tensor([0.5, 2.0, 10.0], dtype=torch.float64)
    shares, slopes = example.frontier(layer, aversions)
    covariance = (layer.F @ layer.F.T).detach().numpy()
    returns = example.RETURNS.numpy()
    for aversion, found in zip(aversions.tolist(), shares.numpy(), strict=True):
        reference = minimize(
            lambda w, a=aversion: a * w @ covariance @ w - returns @ w,
            np.full(4, 0.25),
            jac=lambda w, a=aversion: 2 * a * covariance @ w - returns,
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        np.testing.assert_allclose(found, reference.x, atol=1e-5)
    step = 1e-4
    above, _ = example.frontier(layer, aversions + step)
    below, _ = example.frontier(layer, aversions - step)
    torch.testing.assert_close(slopes, (above - below) / (2 * step), rtol=1e-5, atol=1e-7)
    assert float(slopes.sum(-1).abs().max()) < 1e-9


# ---------------------------------------------------------------- Bratu's problem


def test_the_fold_of_bratus_problem(tmp_path: Path) -> None:
    """strength = 8 (arcosh(exp(m/2)) / exp(m/2))^2 for a middle at m: both in the closed form of G. Bratu, 1914."""
    bratu = load("bratu/branches")
    layer = bratu.make_layer()
    middle = torch.tensor([0.1, 1.0, 2.5, 5.0], dtype=torch.float64, requires_grad=True)
    closed = 8 * (torch.acosh(torch.exp(middle / 2)) / torch.exp(middle / 2)) ** 2
    (wanted,) = torch.autograd.grad(closed.sum(), middle)
    found, slope = bratu.curve(layer, middle.detach())
    torch.testing.assert_close(found, closed.detach(), rtol=1e-8, atol=0)
    torch.testing.assert_close(slope, wanted, rtol=1e-6, atol=1e-8)
    hottest, largest = bratu.fold(layer)
    assert abs(largest - 3.513830719125161) < 1e-8
    assert abs(hottest - 2 * math.log(math.cosh(4.798714561030 / 4))) < 1e-6
    bratu.draw(tmp_path / "out" / "branches.png", layer)
    assert (tmp_path / "out" / "branches.png").exists()
