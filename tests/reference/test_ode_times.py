"""The interval of an equation and the times at which it is read: values, gradients in them, bits and statuses."""

from __future__ import annotations

from functools import cache

import pytest
import torch

import implicitdsl
from implicitdsl.layers.options import named_by_environment
from implicitdsl.solvers.status import BAD_TIMES, SUCCESS
from tests.reference.cases import f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

TIGHT = {"rtol": 1e-10, "atol": 1e-10, "dtype": torch.float64}
ODE = models("ode")


@cache
def made(name, backend):
    return getattr(ODE, name)(**TIGHT)


def of_the_moment(name):
    """A layer on the back end that the environment names at each call."""
    return lambda *given: made(name, named_by_environment())(*given)


INTERVAL, TIMES, WITHIN = map(of_the_moment, ("Interval", "Times", "TimesWithin"))


def slope(x, v, w, t):
    return torch.stack([v, -torch.sin(x) + w * torch.cos(t)])


@pytest.mark.parametrize(("start", "stop"), [(0.3, 2.1), (2.1, 0.3), (-1.5, 0.5)])
def test_the_gradient_in_the_end_is_the_slope_there(start, stop):
    x0, w, a, b = leaf(0.7), leaf(0.4), leaf(start), leaf(stop)
    x, v = INTERVAL(x0, w, a, b)
    wanted = slope(x, v, w, b)
    for value, derivative in ((x, wanted[0]), (v, wanted[1])):
        (found,) = torch.autograd.grad(value, b, retain_graph=True)
        assert abs(found - derivative).item() <= 1e-8
    # And once more: d²x/db² is the slope of the slope, here -sin(x) + w*cos(b).
    (first,) = torch.autograd.grad(x, b, create_graph=True)
    (second,) = torch.autograd.grad(first, b)
    assert abs(second - wanted[1]).item() <= 1e-6


@pytest.mark.parametrize(("start", "stop"), [(0.3, 2.1), (2.1, 0.3)])
def test_the_gradient_in_the_begin_is_that_of_moving_it(start, stop):
    inputs = [leaf(0.7), leaf(0.4), leaf(start), leaf(stop)]
    x, v = INTERVAL(*inputs)
    found = torch.autograd.grad(x + 2 * v, inputs, create_graph=True)
    # Starting later from the same state undoes the slope at the start: dx/da = -(dx/dx0)*x'(a) - (dx/dv0)*v'(a), where here
    # v0 = 0 is no input, so finite differences are the reference.
    step = 1e-5
    with torch.no_grad():
        up, down = (INTERVAL(0.7, 0.4, start + s, stop) for s in (step, -step))
        wanted = ((up[0] + 2 * up[1]) - (down[0] + 2 * down[1])) / (2 * step)
    assert abs(found[2] - wanted).item() <= 1e-5
    second = torch.autograd.grad(found[2], inputs)
    shifted = []
    for s in (step, -step):
        moved = [leaf(0.7), leaf(0.4), leaf(start + s), leaf(stop)]
        x, v = INTERVAL(*moved)
        shifted.append(torch.autograd.grad(x + 2 * v, moved))
    for exact, a, b in zip(second, *shifted, strict=True):
        assert abs(exact - (a - b) / (2 * step)).item() <= 1e-4


def test_the_start_and_the_end_of_an_autonomous_equation_pull_against_each_other():
    T, k = leaf(1.2), leaf(2.0)
    y = ODE.Decay(**TIGHT)(k, 3.0, T)
    (found,) = torch.autograd.grad(y, T)
    assert abs(found + k * y).item() <= 1e-8
    x0, w, a, b = leaf(0.7), torch.zeros((), dtype=torch.float64), leaf(0.2), leaf(1.9)
    x, _ = INTERVAL(x0, w, a, b)
    from_start, from_end = torch.autograd.grad(x, [a, b])
    assert abs(from_start + from_end).item() <= 1e-9


def test_an_interval_of_length_zero_gives_the_start_and_the_slope():
    x0, w, a, b = leaf(0.7), leaf(0.4), leaf(0.5), leaf(0.5)
    x, v = INTERVAL(x0, w, a, b)
    assert x.item() == 0.7
    assert v.item() == 0.0
    wanted = slope(x, v, w, b)
    of_x = torch.autograd.grad(x, [x0, w, a, b], retain_graph=True)
    of_v = torch.autograd.grad(v, [x0, w, a, b])
    assert [g.item() for g in of_x] == [1.0, 0.0, -wanted[0].item(), wanted[0].item()]
    assert of_v[2].item() == pytest.approx(-wanted[1].item(), abs=1e-15)
    assert of_v[3].item() == pytest.approx(wanted[1].item(), abs=1e-15)


def test_backwards_undoes_forwards():
    there = INTERVAL(0.7, 0.4, 0.0, 2.0)
    decay = ODE.Decay(**TIGHT)
    assert decay(2.0, decay(2.0, 3.0, 1.5), -1.5).item() == pytest.approx(3.0, rel=1e-8)
    times = TIMES(0.7, 0.4, torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert torch.stack(there).tolist() == pytest.approx(times[1].tolist(), abs=1e-12)


def test_no_time_and_one_time_are_valid():
    none = TIMES(0.7, 0.4, torch.zeros(0, dtype=torch.float64))
    assert none.shape == (0, 2)
    batch = TIMES(torch.tensor([0.7, 0.8], dtype=torch.float64), 0.4, torch.zeros(0, dtype=torch.float64))
    assert batch.shape == (2, 0, 2)
    x0 = leaf(0.7)
    one = TIMES(x0, 0.4, torch.tensor([3.0], dtype=torch.float64))
    assert one.tolist() == [[0.7, 0.0]]
    assert torch.autograd.grad(one.sum(), x0)[0].item() == 1.0
    inside = WITHIN(0.7, 0.4, torch.tensor([1.5], dtype=torch.float64))
    assert inside.item() == pytest.approx(INTERVAL(0.7, 0.4, 0.0, 1.5)[0].item(), abs=1e-8)


def test_equal_times_give_equal_values_and_share_nothing():
    ts = leaf([0.0, 0.5, 0.5, 0.5, 1.0, 1.0])
    values = TIMES(0.7, 0.4, ts)
    assert torch.equal(values[1], values[2])
    assert torch.equal(values[1], values[3])
    assert torch.equal(values[4], values[5])
    (found,) = torch.autograd.grad(values[2, 0], ts)
    assert found[[1, 3, 4, 5]].tolist() == [0, 0, 0, 0]
    assert found[2].item() == pytest.approx(values[2, 1].item(), abs=1e-7)
    alone = TIMES(0.7, 0.4, torch.full((3,), 0.5, dtype=torch.float64))
    assert alone.tolist() == [[0.7, 0.0]] * 3


def test_falling_times_run_backwards():
    ts = torch.tensor([2.0, 1.2, 0.1], dtype=torch.float64)
    values = TIMES(0.7, 0.4, ts)
    for time, value in zip(ts.tolist(), values, strict=True):
        x, v = INTERVAL(0.7, 0.4, 2.0, time)
        assert value.tolist() == pytest.approx([x.item(), v.item()], abs=1e-8)


def test_every_sample_may_have_its_own_times():
    ts = f64([[0.0, 0.4, 1.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    x0 = f64([0.7, 0.2, 0.5])
    whole = TIMES(x0, 0.4, ts)
    assert whole.shape == (3, 3, 2)
    for i in range(3):
        assert torch.equal(whole[i], TIMES(x0[i], 0.4, ts[i]))
    assert TIMES(0.7, f64([[0.1], [0.2]]), ts).shape == (2, 3, 3, 2)


def test_asking_for_more_times_changes_no_bit():
    few = f64([0.0, 0.7, 2.0])
    many = torch.cat([torch.linspace(0, 2, 41, dtype=torch.float64), few]).sort().values
    for layer in (TIMES, WITHIN):
        a, b = layer(0.7, 0.4, few), layer(0.7, 0.4, many)
        for time, value in zip(few, a, strict=True):
            assert torch.equal(b[many == time][0], value)
    # With `from`, the interval and so every step is the same for any times at all.
    assert torch.equal(WITHIN(0.7, 0.4, f64([0.7])), WITHIN(0.7, 0.4, few)[1:2])


def test_the_gradient_in_a_time_is_the_slope_there():
    ts = leaf([0.0, 0.3, 0.9, 1.7])
    values = TIMES(0.7, 0.4, ts)
    for j in (1, 2, 3):
        (found,) = torch.autograd.grad(values[j, 0], ts, retain_graph=True)
        assert found[j].item() == pytest.approx(values[j, 1].item(), abs=1e-6)
        assert all(found[k].item() == 0 for k in (1, 2, 3) if k != j)
    # The first time is where the start holds: it moves the whole solution.
    (found,) = torch.autograd.grad(values[3, 0], ts)
    step = 1e-5
    with torch.no_grad():
        up, down = (TIMES(0.7, 0.4, ts + f64([s, 0, 0, 0]))[3, 0] for s in (step, -step))
    assert found[0].item() == pytest.approx((up - down).item() / (2 * step), abs=1e-5)


BAD = {
    "turning": [0.0, 1.0, 0.5],
    "turning back": [1.0, 0.0, 0.5],
    "nan": [0.0, float("nan"), 1.0],
    "infinite": [0.0, 1.0, float("inf")],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_times_are_a_status_of_their_sample_alone(name):
    good = f64([0.0, 0.5, 1.0])
    quiet = ODE.Times(**TIGHT, on_fail="nan")
    ts = torch.stack([good, f64(BAD[name])])
    values = quiet(0.7, 0.4, ts)
    assert quiet.last.status[0] == SUCCESS
    assert quiet.last.status[1] != SUCCESS
    if name != "nan":  # NaN in any input is a bad input before it is a bad time
        assert quiet.last.status[1] == BAD_TIMES
    assert torch.isnan(values[1]).all()
    assert torch.equal(values[0], TIMES(0.7, 0.4, good))
    with pytest.raises(implicitdsl.SolveError, match=r"bad_times|bad_input"):
        TIMES(0.7, 0.4, ts)


def test_times_outside_the_interval_are_bad():
    quiet = ODE.TimesWithin(**TIGHT, on_fail="nan")
    quiet(0.7, 0.4, f64([[0.0, 2.0], [0.5, 2.5], [-0.1, 1.0], [2.0, 0.0]]))
    assert quiet.last.status.tolist()[:3] == [SUCCESS, BAD_TIMES, BAD_TIMES]


DECAY = "ode Decay(x0, ts[T]) -> [T] {\n  state x = x0\n  dx/dt = -x\n  return x at ts\n}"
FAR = [
    (torch.float32, 2.0**20, 1e-4),  # 1.8 roundings of a float32 for a tenth of the interval
    (torch.float64, 2.0**46, 2e-6),
]


@pytest.mark.parametrize("solver", ["tsit5", "rodas5p"])
@pytest.mark.parametrize(("dtype", "begin", "error"), FAR, ids=["float32", "float64"])
def test_an_interval_far_from_zero_is_measured_by_itself(solver, dtype, begin, error):
    layer = implicitdsl.loads(DECAY).Decay(solver=solver, dtype=dtype)
    ts = torch.tensor([begin, begin + 0.25, begin + 1], dtype=dtype)
    x0 = torch.tensor(1.0, dtype=dtype, requires_grad=True)
    found = layer(x0, ts)
    wanted = torch.exp(begin - ts)
    torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=error)
    (slope_in_x0,) = torch.autograd.grad(found.sum(), x0)
    torch.testing.assert_close(slope_in_x0, wanted.sum(), rtol=0, atol=10 * error)


@pytest.mark.parametrize("solver", ["tsit5", "rodas5p"])
@pytest.mark.parametrize("ts", [[0.3, 0.1 * 3], [0.1 * 3, 0.3], [1.0, 1.0 + 1e-15]])
def test_times_a_rounding_apart_are_an_interval(solver, ts):
    layer = implicitdsl.loads(DECAY).Decay(solver=solver, dtype=torch.float64)
    x0, times = leaf(0.7), f64(ts).requires_grad_()
    found = layer(x0, times)
    torch.testing.assert_close(found.detach(), f64([0.7, 0.7]), rtol=0, atol=1e-14)
    slopes = torch.autograd.grad(found[1], (x0, times))
    torch.testing.assert_close(slopes, (f64(1.0), f64([0.7, -0.7])), rtol=0, atol=1e-12)
