"""Events in a `dae` against closed forms, with first and second derivatives through them."""

from __future__ import annotations

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import NO_ROOT, SUCCESS, ZENO
from tests.reference.cases import f64, leaf

TIGHT = {"rtol": 1e-10, "atol": 1e-11, "dtype": torch.float64}

MODELS = implicitdsl.loads("""
# A pendulum of small swings between a wall and its turning point; the force in the thread is algebraic.
dae Pendulum(a, e, w, ts[T]) -> [T, 3] {
  state x = a, v = 0
  var pull = 0
  dx/dt = v
  dv/dt = pull
  pull + 0.5*sin(pull) = -w^2*x + 0.5*sin(-w^2*x)
  when x < -0.3 { v := -e*v }
  return [x, v, pull] at ts
}

# A capacitor behind a diode of two resistances, under a falling voltage: the diode's voltage is algebraic, and read by a guard.
dae Diode(x0, r, blocked) -> (x, i) {
  state x = x0
  var u = 0.1, i = 0
  dx/dt = i
  u = 1 - t - x
  i = if u > 0 then u/r else u/blocked
  from t = 0 to 2
  return x, i
}

# The conductance changes at an event: the current jumps there, though the charge does not.
dae Switch(x0, low, ts[T]) -> [T, 2] {
  state x = x0, s = 1
  var i = 1
  dx/dt = i
  ds/dt = 0
  i = s*(1 - x)
  when i < 0.5 { s := low }
  return [x, i] at ts
}

# The run ends where an algebraic unknown says so.
dae Until(x0) -> (when_, x) {
  state x = x0
  var y = 1
  dx/dt = -x
  y^3 + y = x
  from t = 0 to 10
  when y < 0.5 { stop }
  return t, x
}

# After its event nothing solves the equation; or nothing from the start on; or only modes that contradict themselves.
dae Lost(level) -> (x, y) {
  state x = 1, s = 0
  var y = 1
  dx/dt = -x
  ds/dt = 0
  exp(y) = level - s
  from t = 0 to 1
  when x < 0.5 { s := 2 }
  return x, y
}

dae Contrary(x0) -> y {
  state x = x0
  var y = 1
  dx/dt = 1
  y = if y > 0 then x - 1 else x + 1
  from t = 0 to 1
  return y
}
""")


@pytest.fixture(autouse=True, params=["lanes", "python"])
def back_end(request, monkeypatch):
    """Everything here holds on both back ends."""
    monkeypatch.setenv("IMPLICITDSL_BACKEND", request.param)
    return request.param


def assert_agree(layer, closed, *values, second=True, tolerance=1e-8):
    """Values, gradient and, by every pair of inputs, second derivatives of the weighted sum of the outputs."""

    def summed(function):
        inputs = [leaf(v) for v in values]
        found = function(*inputs)
        flat = torch.cat([f.reshape(-1) for f in found]) if isinstance(found, tuple) else found.reshape(-1)
        total = flat @ torch.linspace(1.0, 2.0, flat.numel(), dtype=torch.float64)
        slopes = torch.autograd.grad(total, inputs, create_graph=second)
        return flat, inputs, slopes

    found, inputs, slopes = summed(layer)
    wanted, known, exact = summed(closed)
    assert torch.allclose(found, wanted, rtol=tolerance, atol=tolerance)
    for a, b in zip(slopes, exact, strict=True):
        assert torch.allclose(a, b, rtol=10 * tolerance, atol=10 * tolerance), (slopes, exact)
    if second:
        ahead = sum((0.7 + 0.3 * i) * s.sum() for i, s in enumerate(slopes))
        truth = sum((0.7 + 0.3 * i) * s.sum() for i, s in enumerate(exact))
        for a, b in zip(torch.autograd.grad(ahead, inputs), torch.autograd.grad(truth, known), strict=True):
            assert torch.allclose(a, b, rtol=100 * tolerance, atol=100 * tolerance), (a, b)


def pendulum(a, e, w, ts):
    hit = torch.arccos(-0.3 / a) / w
    speed = e * w * a * torch.sin(w * hit)
    rows = []
    for t in ts - ts[0]:
        since = t - hit
        if since < 0:
            x, v = a * torch.cos(w * t), -a * w * torch.sin(w * t)
        else:
            x = -0.3 * torch.cos(w * since) + speed / w * torch.sin(w * since)
            v = 0.3 * w * torch.sin(w * since) + speed * torch.cos(w * since)
        rows.append(torch.stack([x, v, -w * w * x]))
    return torch.stack(rows)


@pytest.mark.parametrize(("solver", "tolerance"), [("rodas5p", 1e-8), ("kvaerno5", 1e-8), ("bdf", 3e-8)])
def test_a_pendulum_rebounds_from_a_wall(solver, tolerance):
    layer = MODELS.Pendulum(solver=solver, **TIGHT)
    assert_agree(layer, pendulum, 1.0, 0.8, 1.7, [0.0, 0.6, 1.15, 2.0], tolerance=tolerance)
    assert layer.last.fired.item() == 1


def diode(x0, r, blocked):
    turn = r * torch.log((1 + r - x0) / r)
    x = (1 - 2 + blocked) - blocked * torch.exp(-(2 - turn) / blocked)
    return x, (1 - 2 - x) / blocked


def test_a_diode_turns_where_its_algebraic_voltage_does():
    layer = MODELS.Diode(**TIGHT)
    assert_agree(layer, diode, 0.2, 0.5, 30.0)


def switch(x0, low, ts):
    # i = 1 - x falls to 1/2; from then on it falls at the rate `low`.
    hit = torch.log(2 * (1 - x0))
    rows = []
    for t in ts - ts[0]:
        rest = (1 - x0) * torch.exp(-t) if t < hit else 0.5 * torch.exp(-low * (t - hit))
        rows.append(torch.stack([1 - rest, rest if t < hit else low * rest]))
    return torch.stack(rows)


def test_an_algebraic_unknown_jumps_with_what_it_depends_on():
    layer = MODELS.Switch(**TIGHT)
    assert_agree(layer, switch, 0.1, 0.4, [0.0, 0.3, 0.9, 2.0])
    # At the event itself the values are those after it.
    hit = torch.log(f64(1.8)).item()
    before, after = layer(f64(0.1), f64(0.4), f64([0.0, hit - 1e-6, hit + 1e-6, 1.0]))[1:3, 1].tolist()
    assert abs(before - 0.5) <= 1e-5 and abs(after - 0.2) <= 1e-5


def test_a_run_stops_where_an_algebraic_unknown_says_so():
    layer = MODELS.Until(**TIGHT)
    assert_agree(layer, lambda x0: (torch.log(x0 / 0.625), 0.625 + 0.0 * x0), 2.0)
    assert layer.last.stopped.item()


def test_an_event_that_does_not_come_changes_nothing():
    found = []
    for event in ("  when x < 0.1 { x := 2 }\n", ""):
        layer = implicitdsl.loads(
            "dae Quiet(x0, a, b) -> [2] {\n  state x = x0\n  var y = 1\n  dx/dt = -x*y\n  y + y^3 = x + t\n"
            f"  from t = a to b\n{event}  return [x, y]\n}}\n"
        ).Quiet(**TIGHT)
        for end in (0.3, 0.0):
            inputs = [leaf(v) for v in (1.0, 0.0, end)]
            slopes = torch.autograd.grad(layer(*inputs)[1], inputs, create_graph=True)
            rows = [torch.autograd.grad(s, inputs, retain_graph=True) for s in slopes]
            found.append(torch.stack([torch.stack([*slopes, *(v for row in rows for v in row)])]))
    half = len(found) // 2
    for a, b in zip(found[:half], found[half:], strict=True):
        # In a run of no time some second derivatives are not computed: NaN in both.
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_samples_have_events_of_their_own_and_lose_their_roots_alone():
    layer = MODELS.Lost(on_fail="nan", **TIGHT)
    level = leaf([3.0, 1.0, 2.5, -1.0, 4.0])
    _, y = layer(level)
    assert layer.last.status.tolist() == [SUCCESS, NO_ROOT, SUCCESS, NO_ROOT, SUCCESS]
    good = [0, 2, 4]
    assert torch.allclose(y[good], torch.log(level[good] - 2), rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(y[good].sum(), level)
    assert torch.allclose(slope[good], 1 / (level[good] - 2), rtol=1e-9)
    for i in good:
        alone = leaf(level[i].item())
        _, value = layer(alone)
        assert torch.equal(value, y[i]) and torch.equal(torch.autograd.grad(value, alone)[0], slope[i])


def test_modes_that_contradict_themselves_are_zeno():
    layer = MODELS.Contrary(on_fail="nan", **TIGHT)
    # With 0 < x < 1 the equation has no solution on the side that its condition says.
    layer(f64([0.5, -1.5]))
    assert layer.last.status.tolist()[0] == ZENO


def test_differences_through_a_nonlinear_start_and_event():
    layer = MODELS.Pendulum(dt=0.05, dtype=torch.float64)
    values = [f64(1.0), f64(0.8), f64(1.7), f64([0.0, 0.5, 1.0, 1.4])]

    def gradient(moved):
        inputs = [leaf(v) for v in moved]
        return torch.stack(torch.autograd.grad(layer(*inputs)[-1].sum(), inputs[:3], create_graph=True)), inputs

    slopes, inputs = gradient(values)
    for i in range(3):
        sides = []
        for sign in (1, -1):
            moved = [v.clone() for v in values]
            moved[i] += sign * 1e-6
            sides.append((gradient(moved)[0].detach(), layer(*moved)[-1].sum()))
        (up, high), (down, low) = sides
        assert abs((high - low) / 2e-6 - slopes[i]) <= 1e-6 * max(1.0, abs(slopes[i]))
        row = torch.stack(torch.autograd.grad(slopes[i], inputs[:3], retain_graph=True))
        assert torch.allclose(row, (up - down) / 2e-6, rtol=1e-5, atol=1e-5)
