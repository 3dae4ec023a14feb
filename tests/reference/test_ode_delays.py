"""Delays against closed forms and published equations, and every derivative through them."""

from __future__ import annotations

import math

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import BAD_INPUT, MAX_STEPS, SUCCESS
from tests.reference.cases import f64, leaf, models

DELAYS = models("delays")
F64 = torch.float64
# Most tests ask for six times, whatever they ask: what is compiled knows their number.


@pytest.fixture(params=("python", "lanes"))
def backend(request):
    """Each back end."""
    return request.param


def linear(tau, a, h0, y0, ts):
    """u' = -a*u(t - tau), u = h0 before 0, u(0) = y0: with the fundamental solution S(t) = sum (-a)^k (t - k*tau)^k/k! over
    k*tau <= t, u = y0*S(t) - a*h0*(I(t) - I(t - tau)), I the integral of S (Hale & Verduyn Lunel, section 1.6)."""

    def sums(t, power):
        terms = [
            (-a) ** k * (t - k * tau) ** (k + power) / math.factorial(k + power)
            for k in range(60)
            if t.item() >= k * tau.item()
        ]
        return sum(terms, torch.zeros((), dtype=F64))

    return torch.stack([y0 * sums(t, 0) - a * h0 * (sums(t, 1) - sums(t - tau, 1)) for t in ts])


def test_the_textbook_delay(backend):
    layer = DELAYS.Delayed(dtype=F64, backend=backend)
    found = layer(f64(1), f64(1), f64(1), f64(1), torch.arange(6, dtype=F64))
    assert torch.allclose(found, f64([1, 0, -1 / 2, -1 / 6, 5 / 24, 19 / 120]), atol=1e-7)
    tight = DELAYS.Delayed(dtype=F64, rtol=1e-11, atol=1e-13, backend=backend)
    found = tight(f64(1), f64(1), f64(1), f64(1), torch.arange(6, dtype=F64))
    assert torch.allclose(found, f64([1, 0, -1 / 2, -1 / 6, 5 / 24, 19 / 120]), atol=1e-12)


def test_values_and_gradients_of_lag_history_and_start_are_those_of_the_closed_form(backend):
    inputs = [leaf(v) for v in (0.8, 1.1, 0.7, 1.3, [0.0, 0.3, 1.4, 2.7, 3.3, 4.9])]
    layer = DELAYS.Delayed(dtype=F64, rtol=1e-11, atol=1e-13, backend=backend)
    found, exact = layer(*inputs), linear(*inputs)
    assert torch.allclose(found, exact, atol=1e-11)
    weights = f64([0.3, -1.0, 0.7, 1.1, -0.4, 0.9])
    for got, wanted in zip(
        torch.autograd.grad(found @ weights, inputs[:4], create_graph=True),
        torch.autograd.grad(exact @ weights, inputs[:4], create_graph=True),
        strict=True,
    ):
        assert torch.allclose(got, wanted, atol=1e-9)
        kept = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        seconds = [torch.autograd.grad(g, inputs[:4], **kept) for g in (got, wanted)]
        for a, b in zip(*seconds, strict=True):
            assert torch.allclose(a, b, atol=1e-7)


def test_mackey_glass_against_scipy(backend):
    """x, dx/dtau and dx/dx0 by SciPy's DOP853 at rtol 1e-13 on the stacked segments, derivatives by complex steps."""
    wanted = [
        (10.0, 0.6524042925050045, 0.0, -0.9698033475251239),
        (30.0, 1.023838254995081, -0.015480684833348624, -1.3464344667809027),
        (50.0, 1.060954362897518, 0.04581300003319644, 2.0443199723580574),
        (75.0, 0.8760429232120445, -0.17139450013796356, -7.7741674151065725),
        (100.0, 1.0137240165240382, 0.2968992974850555, 10.189078366622246),
    ]
    layer = DELAYS.MackeyGlass(dtype=F64, rtol=1e-10, atol=1e-12, backend=backend)
    x0, tau = leaf(1.2), leaf(17.0)
    found = layer(x0, tau, f64([0.0, *(row[0] for row in wanted)]))
    for value, (_, x, by_tau, by_x0) in zip(found[1:], wanted, strict=True):
        slopes = torch.autograd.grad(value, (tau, x0), retain_graph=True)
        assert value.item() == pytest.approx(x, abs=1e-10)
        assert slopes[0].item() == pytest.approx(by_tau, abs=2e-8)
        assert slopes[1].item() == pytest.approx(by_x0, abs=2e-8)


# On lanes all explicit methods are one source with other numbers.
@pytest.mark.parametrize(
    ("solver", "backend"),
    [(s, "python") for s in ("euler", "heun", "midpoint", "bosh3", "rk4", "dopri5", "tsit5")]
    + [(s, "lanes") for s in ("rk4", "tsit5")],
)
def test_a_method_keeps_its_order_through_the_kinks(solver, backend):
    order = {"euler": 1, "heun": 2, "midpoint": 2, "bosh3": 3, "rk4": 4, "dopri5": 5, "tsit5": 5}[solver]
    errors = []
    # 17 is no multiple of the steps: those that end at a kink are shorter.
    for dt in (0.9, 0.45) if order > 2 else (0.3, 0.15):
        layer = DELAYS.MackeyGlass(dtype=F64, solver=solver, dt=dt, backend=backend)
        found = layer(f64(1.2), f64(17.0), f64([0.0, 30.0, 50.0]))
        errors.append((found[1:] - f64([1.023838254995081, 1.060954362897518])).abs().max().item())
    assert math.log2(errors[0] / errors[1]) > order - 0.5


def test_dop853_reads_its_own_dense_output(backend):
    layer = DELAYS.MackeyGlass(dtype=F64, solver="dop853(rtol = 1e-10, atol = 1e-12)", backend=backend)
    x0, tau = leaf(1.2), leaf(17.0)
    found = layer(x0, tau, f64([0.0, 50.0]))[1]
    slopes = torch.autograd.grad(found, (tau, x0))
    assert found.item() == pytest.approx(1.060954362897518, abs=1e-10)
    assert slopes[0].item() == pytest.approx(0.04581300003319644, abs=2e-8)
    assert slopes[1].item() == pytest.approx(2.0443199723580574, abs=2e-8)


def test_a_rotation_keeps_turning(backend):
    """z(t) = (sin t, cos t) for every lag: a vector state, a history that joins its start smoothly."""
    ts = torch.linspace(0, 12, 25, dtype=F64)
    layer = DELAYS.Rotation(dtype=F64, rtol=1e-9, atol=1e-11, backend=backend)
    tau = leaf(0.9)
    found = layer(tau, ts)
    assert torch.allclose(found, torch.stack([ts.sin(), ts.cos()], 1), atol=1e-7)
    (slope,) = torch.autograd.grad(found[-1].sum(), tau)
    assert abs(slope.item()) < 1e-6


@pytest.mark.parametrize("dt", [None, 0.2])
def test_derivatives_of_two_lags_and_a_history_in_time(dt, backend):
    rtol = None if dt else 1e-10
    layer = DELAYS.Two(dtype=F64, dt=dt, rtol=rtol, backend=backend)
    # No lag is a multiple of dt: a read at the very end of a step has second derivatives from one side only.
    forwards = [leaf(v) for v in (0.83, 0.57, 1.7, [1.0, 0.3], 0.1, 3.3)]
    assert torch.autograd.gradcheck(layer, forwards, eps=1e-6, atol=1e-6, rtol=1e-4)
    assert torch.autograd.gradgradcheck(layer, forwards, eps=1e-6, atol=1e-5, rtol=1e-4)
    # Backwards in time the past of the run lies at later times.
    backwards = [leaf(v) for v in (0.8, -0.6, 1.7, [1.0, 0.3], 1.1, -0.6)]
    assert torch.autograd.gradcheck(layer, backwards, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_derivatives_of_save_times(backend):
    layer = DELAYS.Delayed(dtype=F64, dt=0.25, backend=backend)
    given = [leaf(v) for v in (1.0, 1.1, 0.8, 1.2, [0.0, 0.3, 1.4, 2.7, 3.3, 4.9])]
    assert torch.autograd.gradcheck(layer, given, eps=1e-6, atol=1e-6, rtol=1e-4)
    assert torch.autograd.gradgradcheck(layer, given, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_a_net_that_sees_the_past(backend):
    torch.manual_seed(0)
    layer = DELAYS.Neural(d=2, dtype=F64, dt=0.3, backend=backend)
    given = [leaf(v) for v in ([0.8, -0.4], 0.7, [0.0, 0.5, 1.1, 1.6, 1.9, 2.4])]
    assert torch.autograd.gradcheck(layer, given, eps=1e-6, atol=1e-6, rtol=1e-4)
    assert torch.autograd.gradgradcheck(layer, given, eps=1e-6, atol=1e-5, rtol=1e-4)
    layer(*given).square().sum().backward()
    weight, slope = layer.f.W, layer.f.W.grad.clone()
    sides = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight[1, 2] += step
            sides.append(layer(*given).square().sum())
            weight[1, 2] -= step
    assert slope[1, 2].item() == pytest.approx(((sides[0] - sides[1]) / 2e-6).item(), rel=1e-6)


def test_every_sample_has_its_own_lag_and_none_disturbs_another(backend):
    ts = f64([0.0, 0.9, 2.2, 3.1, 4.3, 5.0])
    taus = f64([0.3, 1.0, 0.0, 2.4, math.nan, -1.0, 0.57, 7.0, 1.1, 0.8, 0.31, 5.0])
    layer = DELAYS.Delayed(dtype=F64, on_fail="nan", backend=backend)
    given = [f64(v) for v in (1.2, 0.7, 1.3)]
    taus.requires_grad_()
    found = layer(taus, *given, ts)
    status = layer.last.status.tolist()
    assert status == [BAD_INPUT if not tau > 0 else SUCCESS for tau in taus.tolist()]
    good = [i for i, s in enumerate(status) if s == SUCCESS]
    (slopes,) = torch.autograd.grad(found[good].sum(), taus)
    for i in good:
        alone = leaf(taus[i].item())
        value = layer(alone, *given, ts)
        assert torch.equal(value, found[i])
        (slope,) = torch.autograd.grad(value.sum(), alone)
        assert torch.equal(slope, slopes[i])
        assert torch.allclose(found[i], linear(alone.detach(), *given, ts), atol=1e-5)
    assert found[[i for i in range(len(status)) if i not in good]].isnan().all()


def test_a_long_run_outgrows_its_first_tape_and_a_short_lag_its_steps(backend):
    layer = DELAYS.Delayed(dtype=F64, dt=0.005, backend=backend)
    ts = f64([0.0, 0.8, 1.6, 2.4, 3.2, 4.0])
    found = layer(f64(1.0), f64(1), f64(1), f64(1), ts)
    assert layer.last.steps.item() == 800
    assert found[-1].item() == pytest.approx(5 / 24, abs=1e-10)
    few = DELAYS.Delayed(dtype=F64, max_steps=100, on_fail="nan", backend=backend)
    few(f64(1e-3), f64(1), f64(1), f64(1), ts)
    assert few.last.status.item() == MAX_STEPS


def test_no_time_passes(backend):
    layer = DELAYS.Delayed(dtype=F64, backend=backend)
    given = [leaf(v) for v in (1.0, 1.1, 0.8, 1.2, [2.0] * 6)]
    found = layer(*given)
    assert found.tolist() == [1.2] * 6
    assert [g.item() for g in torch.autograd.grad(found.sum(), given[:4])] == [0.0, 0.0, 0.0, 6.0]
    assert layer(*given[:4], torch.zeros(0, dtype=F64)).shape == (0,)


def test_a_lag_is_fitted(backend):
    ts = torch.linspace(0, 5, 21, dtype=F64)
    target = linear(f64(1.0), f64(1.0), f64(1.0), f64(1.0), ts)
    layer = DELAYS.Fitted(dtype=F64, backend=backend)
    optimiser = torch.optim.LBFGS(
        layer.parameters(), max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure():
        optimiser.zero_grad()
        loss = (layer(f64(1.0), ts) - target).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert layer.tau.item() == pytest.approx(1.0, abs=1e-5)
    assert layer.h.item() == pytest.approx(1.0, abs=1e-5)


def test_float32(backend):
    layer = DELAYS.Delayed(dtype=torch.float32, backend=backend)
    found = layer(*(torch.ones(()) for _ in range(4)), torch.arange(6.0) + 100.0)
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.tensor([1, 0, -1 / 2, -1 / 6, 5 / 24, 19 / 120]), atol=1e-4)


REFUSED = {
    "a lag in time": "state x = 1\nhistory x = 1\ndx/dt = -x(t/2)\nreturn x at ts",
    "a lag by the state": "state x = 1\nhistory x = 1\ndx/dt = -x(t - x^2)\nreturn x at ts",
    "an event": "state x = 1\nhistory x = 1\ndx/dt = -x(t - 1)\nwhen x < 0 { x := 1 }\nreturn x at ts",
    "a jump": "state x = 1\nhistory x = 1\ndx/dt = if x(t - 1) > 0 then -1 else 1\nreturn x at ts",
    "an output": "state x = 1\nhistory x = 1\ndx/dt = -x(t - 1)\nreturn x(t - 1) at ts",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_no_solver_runs_is_refused(body):
    with pytest.raises(implicitdsl.ImpError, match="E603"):
        implicitdsl.loads(f"ode Layer(ts[T]) -> [T] {{\n{body}\n}}\n").Layer()


def test_a_stiff_method_is_refused_with_a_sentence():
    with pytest.raises(implicitdsl.ImpError, match="does not read a past"):
        DELAYS.Delayed(solver="rodas5p")
