"""Events against closed forms, and every derivative through them against differences."""

from __future__ import annotations

import math

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import SUCCESS, ZENO
from tests.reference.cases import f64, leaf, models

TIGHT = {"rtol": 1e-10, "atol": 1e-10, "dtype": torch.float64}
EVENTS = models("events")


@pytest.fixture(autouse=True, params=["lanes", "python"])
def back_end(request, monkeypatch):
    """Everything here holds on both back ends."""
    monkeypatch.setenv("IMPLICITDSL_BACKEND", request.param)
    return request.param


def gradients(layer, *values):
    """The sum of a layer's outputs and its derivative by each input."""
    inputs = [leaf(v) for v in values]
    found = layer(*inputs)
    total = sum(out.sum() for out in found) if isinstance(found, tuple) else found.sum()
    return total, torch.autograd.grad(total, inputs)


def assert_differences_agree(layer, *values, step=1e-6, tolerance=1e-6):
    """The gradient of the sum of all outputs against central differences."""
    _, exact = gradients(layer, *values)
    for number, value in enumerate(values):
        flat = f64(value).reshape(-1)
        for place in range(flat.numel()):
            sides = []
            for sign in (1, -1):
                moved = [f64(v) for v in values]
                part = moved[number].reshape(-1).clone()
                part[place] += sign * step
                moved[number] = part.reshape(moved[number].shape)
                with torch.no_grad():
                    out = layer(*moved)
                sides.append(sum(o.sum() for o in out) if isinstance(out, tuple) else out.sum())
            difference = (sides[0] - sides[1]) / (2 * step)
            found = exact[number].reshape(-1)[place]
            assert abs(found - difference) <= tolerance * max(1.0, abs(difference)), (number, place, found, difference)


def ball(h0, v0, g, e, r, ts):
    """The closed form: parabolas between bounces, in torch, so that it is differentiated too."""
    rows = []
    for t in ts:
        h, v, since = h0, v0, torch.zeros((), dtype=torch.float64)
        while True:
            flight = (v + torch.sqrt(v * v + 2 * g * (h - r))) / g
            if since + flight > t:
                break
            since, h, v = since + flight, r, e * (g * flight - v)
        rows.append(torch.stack([h + v * (t - since) - g * (t - since) ** 2 / 2, v - g * (t - since)]))
    return torch.stack(rows)


def test_the_bouncing_ball_and_its_gradients_are_those_of_the_closed_form():
    layer = EVENTS.Ball(**TIGHT)
    values = (10.0, 0.3, 9.8, 0.8, 0.2)
    inputs = [leaf(v) for v in values]
    ts = leaf([0.0, 0.5, 1.6, 2.9, 4.1, 5.9, 7.3])
    found, wanted = layer(*inputs, ts), ball(*inputs, ts)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-9)
    assert layer.last.fired.item() == 4 and not layer.last.stopped.item()
    weights = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).reshape(found.shape)
    # The start holds at the first time, so its derivative is not that of the closed form, which starts at 0.
    exact = torch.autograd.grad((found * weights).sum(), [*inputs, ts])
    formula = torch.autograd.grad((wanted * weights).sum(), [*inputs, ts])
    for a, b in zip(exact[:-1], formula[:-1], strict=True):
        assert abs(a - b) <= 1e-8 * max(1.0, abs(b))
    assert torch.allclose(exact[-1][1:], formula[-1][1:], rtol=0, atol=1e-8)


def test_the_time_of_the_third_bounce():
    layer = EVENTS.ThirdBounce(**TIGHT)
    found, exact = gradients(layer, 10.0, 0.0, 9.8, 0.8, 0.2)
    assert abs(found - 5.4871486220076088) <= 1e-11
    wanted = (0.27995656234732698, 0.10204081632653061, -0.27995656234732698, 7.3539105243400943, -0.27995656234732698)
    assert all(abs(a - b) <= 1e-10 for a, b in zip(exact, wanted, strict=True))
    assert abs(layer.last.t_end - found) == 0 and layer.last.stopped.item()


@pytest.mark.parametrize(("x0", "slope"), [(1.0, 0.25), (3.0, 0.14433756729740643), (10.0, 0.07905694150420949)])
def test_free_fall_ends_at_the_ground(x0, slope):
    layer = EVENTS.Fall(**TIGHT)
    x = leaf(x0)
    when, v = layer(x)
    assert abs(when - 0.5 * math.sqrt(x0)) <= 1e-12 and abs(v + 8 * when) <= 1e-12
    (found,) = torch.autograd.grad(when, x)
    assert abs(found - slope) <= 1e-12


def test_an_event_that_switches_an_input_off():
    found, exact = gradients(EVENTS.Switch(**TIGHT), 2.0, 1.0, 1.0)
    assert abs(found - 0.5) <= 1e-13
    assert all(abs(a - b) <= 1e-12 for a, b in zip(exact, (-0.25, 0.5, 0.5), strict=True))


@pytest.mark.parametrize(
    "options", [TIGHT, {"dtype": torch.float64}, {"solver": "rk4", "dt": 0.3, "dtype": torch.float64}]
)
def test_a_jump_of_the_right_hand_side_has_its_gradient(options):
    # diffrax 0.7.2 gives 0.627 for this derivative.
    found, (exact,) = gradients(EVENTS.Kinked(**options), 0.98)
    assert abs(found - 0.98) <= 1e-12 and abs(exact - 1.0) <= 1e-12


def test_a_jump_that_is_waived_is_warned_of():
    with pytest.warns(UserWarning, match="W601"):
        layer = EVENTS.Kinked(solver="tsit5(kinks = none)", dtype=torch.float64)
    _, (exact,) = gradients(layer, 0.98)
    assert abs(exact - 1.0) > 0.1


def test_assignments_that_depend_on_state_time_and_parameters():
    found, exact = gradients(EVENTS.Assigned(**TIGHT), 1.0, 1.5, 2.5, 3.5, 5.5)
    assert abs(found - 1473.03125) <= 1e-9
    wanted = (895.125, 1790.25, 488.25, 107.5, 515.375)
    assert all(abs(a - b) <= 1e-9 for a, b in zip(exact, wanted, strict=True))


@pytest.mark.parametrize("options", [TIGHT, {"solver": "rk4", "dt": 10.0, "dtype": torch.float64}])
def test_two_crossings_inside_one_step_are_found(options):
    layer = EVENTS.Crossings(**options)
    assert layer(0.0).item() == 11.0
    # Both lie in one eighth of a step here.
    assert EVENTS.Crossings(solver="rk4", dt=100.0, dtype=torch.float64)(0.0).item() == 11.0


def test_conditions_true_at_one_instant_fire_in_text_order():
    a, b, c = EVENTS.Chain(**TIGHT)(0.0)
    assert (a.item(), b.item(), c.item()) == (5.0, 1.0, 10.0)


def test_a_block_reads_the_values_before_it():
    a, b = EVENTS.Swap(**TIGHT)(2.0, 3.0)
    assert (a.item(), b.item()) == (3.0, 2.0)


def test_what_is_true_or_0_at_the_start_does_not_fire():
    layer = EVENTS.FromTheGround(**TIGHT)
    # Up from the ground: `h > 0` holds from the start on, `h < 0` comes true on the way down.
    assert layer(3.0).item() == 1.0
    # Down from it: `h < 0` holds from the start on.
    assert layer(-1.0).item() == 0.0


@pytest.mark.parametrize("layer", [EVENTS.Rest, EVENTS.Endless])
def test_endless_events_are_a_status(layer):
    made = layer(on_fail="nan", **TIGHT)
    assert math.isnan(made(0.5).item())
    assert made.last.status.item() == ZENO


@pytest.mark.parametrize("options", [{}, {"solver": "rk4", "dt": 0.3}, {"solver": "dopri5"}])
def test_values_at_an_event_are_those_after_it(options):
    layer = EVENTS.Ties(dtype=torch.float64, **options)
    times = f64([0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 3.0])
    wanted = f64([0.0, 0.5, 11.0, 11.0, 11.5, 112.0, 113.0])
    assert torch.allclose(layer(times), wanted, rtol=0, atol=1e-12)
    # An interval that ends at the event, and one that begins there; seven times again, as that much is compiled.
    assert torch.allclose(layer(f64([0.0] * 6 + [1.0])), f64([0.0] * 6 + [11.0]), rtol=0, atol=1e-12)
    assert torch.allclose(layer(f64([1.0] * 6 + [1.5])), f64([0.0] * 6 + [0.5]), rtol=0, atol=1e-12)


def test_more_times_change_no_other_value():
    layer = EVENTS.Ball(dtype=torch.float64)
    given = (f64(10.0), f64(0.3), f64(9.8), f64(0.8), f64(0.2))
    few = f64([0.0, 0.9, 2.9, 4.1, 5.0, 6.1, 7.3])
    many = torch.sort(torch.cat([few, torch.linspace(0.1, 7.2, 40, dtype=torch.float64)])).values
    found = layer(*given, many)
    at = [int((many == t).nonzero()[0]) for t in few]
    assert torch.equal(layer(*given, few), found[at])


def test_the_state_is_held_after_a_stop():
    layer = EVENTS.Held(**TIGHT)
    a, ts = leaf(1.0), leaf([0.0, 0.5, 1.0, 2.0])
    found = layer(a, ts)
    root = math.exp(0.5)
    assert torch.allclose(found, f64([[1.0, 0.0], [root, 0.5], [2.0, 1.0], [2.0, 2.0]]), rtol=0, atol=1e-9)
    assert abs(layer.last.t_end - math.log(2)) <= 1e-10 and layer.last.stopped.item()
    by_a, by_ts = torch.autograd.grad(found[:, 0].sum(), (a, ts))
    assert abs(by_a - (1 + root)) <= 1e-8
    assert torch.allclose(by_ts, f64([-root, root, 0.0, 0.0]), rtol=0, atol=1e-8)


def test_a_staircase():
    # x(b) = sum over the steps below b of (b - n/a), for whole n from 1 on.
    a, b = 1.5, 4.3
    steps = [n for n in range(1, 10) if n < a * b]
    found, exact = gradients(EVENTS.Stairs(**TIGHT), a, b)
    assert abs(found - sum(b - n / a for n in steps)) <= 1e-12
    assert abs(exact[0] - sum(n / a**2 for n in steps)) <= 1e-12
    assert abs(exact[1] - len(steps)) <= 1e-12


@pytest.mark.parametrize("options", [TIGHT, {"solver": "rk4", "dt": 0.11, "dtype": torch.float64}])
def test_gradients_through_jumps_of_every_kind_are_differences(options):
    assert_differences_agree(EVENTS.Jumps(**options), 1.0, 0.1, [0.3, 0.5])


def test_at_fixed_steps_the_gradient_is_that_of_the_computed_map():
    # Steps so long that the method's error is some percent: only the derivative of the map itself agrees this well.
    layer = EVENTS.Ball(solver="heun", dt=0.37, dtype=torch.float64)
    assert_differences_agree(layer, 10.0, 0.3, 9.8, 0.8, 0.2, [0.0, 0.5, 1.6, 2.9, 4.1], tolerance=1e-7)


def test_continuous_kinks_are_tracked_when_asked_for():
    layer = EVENTS.Bent(solver="tsit5(kinks = all)", **TIGHT)
    # Steps over a kink are not smooth in what they begin with, so untracked ones lose the derivative to about 1e-4.
    assert_differences_agree(layer, 0.5, 1.2, step=1e-4, tolerance=1e-7)
    # Steps over a kink are judged as if there were none: those of a run without tracking are off by some rtol.
    untracked = EVENTS.Bent(**TIGHT | {"rtol": 1e-12, "atol": 1e-12})
    assert abs(layer(0.5, 1.2) - untracked(0.5, 1.2)).item() <= 1e-9


def test_a_sample_depends_on_no_other():
    layer = EVENTS.Ball(on_fail="nan", dtype=torch.float64)
    starts = leaf([10.0, 0.5, 3.0, 0.2001, 7.0])
    ts = f64([0.0, 0.3, 0.7, 1.0, 1.3, 1.6, 1.9])
    found = layer(starts, 0.0, 9.8, 0.5, 0.2, ts)
    assert layer.last.status.tolist() == [SUCCESS, ZENO, SUCCESS, ZENO, SUCCESS]
    good = [0, 2, 4]
    (together,) = torch.autograd.grad(found[good].sum(), starts)
    for i in good:
        alone = leaf(starts[i].item())
        value = layer(alone, 0.0, 9.8, 0.5, 0.2, ts)
        (by_start,) = torch.autograd.grad(value.sum(), alone)
        assert torch.equal(value, found[i]) and torch.equal(by_start, together[i])


def test_a_condition_without_time_and_states_never_becomes_true():
    layer = implicitdsl.loads(
        "ode Idle(k) -> x {\n  state x = 1\n  dx/dt = -x\n  from t = 0 to 1\n  when k > 1 { x := 5 }\n  return x\n}\n"
    ).Idle(**TIGHT)
    assert abs(layer(2.0).item() - math.exp(-1)) <= 1e-9


def test_no_times_at_all():
    layer = EVENTS.Ball(**TIGHT)
    assert layer(1.0, 0.0, 9.8, 0.8, 0.2, f64([])).shape == (0, 2)
    assert layer.last.fired.item() == 0 and not layer.last.stopped.item()


STIFF = {"solver": "rodas5p", **TIGHT}
MULTISTEP = {"solver": "bdf", **TIGHT}


# After an event `bdf` goes on at order 1, whose error is all of its tolerance.
@pytest.mark.parametrize(("solver", "within"), [("rodas5p", 1e-11), ("kvaerno5", 1e-11), ("bdf", 5e-9)])
def test_a_stiff_method_has_the_same_events(solver, within):
    stiff = STIFF | {"solver": solver}
    found, exact = gradients(EVENTS.ThirdBounce(**stiff), 10.0, 0.0, 9.8, 0.8, 0.2)
    assert abs(found - 5.4871486220076088) <= within
    wanted = (0.27995656234732698, 0.10204081632653061, -0.27995656234732698, 7.3539105243400943, -0.27995656234732698)
    assert all(abs(a - b) <= 10 * within for a, b in zip(exact, wanted, strict=True))
    found, exact = gradients(EVENTS.Assigned(**stiff), 1.0, 1.5, 2.5, 3.5, 5.5)
    assert abs(found - 1473.03125) <= 1e-9
    assert all(abs(a - b) <= 1e-9 for a, b in zip(exact, (895.125, 1790.25, 488.25, 107.5, 515.375), strict=True))
    assert abs(EVENTS.Crossings(**stiff)(0.0) - 11.0) == 0


RELAY = implicitdsl.loads(
    "ode Relay(a) -> t_ {\n  state y = 0, u = 1, n = 0\n  dy/dt = -100000*(y - u)\n  du/dt = 0\n  dn/dt = 0\n"
    "  from t = 0 to 1\n  when y*u > a {\n    u := -u\n    n := n + 1\n  }\n"
    "  when n > 2.5 { stop }\n  return t\n}\n"
)


@pytest.mark.parametrize("options", [STIFF, MULTISTEP], ids=["rodas5p", "bdf"])
def test_a_stiff_system_is_cut_at_its_events(options):
    # y follows a fast equilibrium that the jumps of u move; the closed form is made of exponentials.
    rate = 1e5

    def closed(a: float) -> float:
        y, t, u = 0.0, 0.0, 1.0
        for _ in range(3):
            # y - u decays; u is turned round where y comes to a*u.
            flight = -math.log((a * u - u) / (y - u)) / rate
            t, y, u = t + flight, a * u, -u
        return t

    layer = RELAY.Relay(**options)
    found, (slope,) = gradients(layer, 0.6)
    assert abs(found - closed(0.6)) <= 1e-9 * closed(0.6) * 100
    difference = (closed(0.6 + 1e-6) - closed(0.6 - 1e-6)) / 2e-6
    assert abs(slope - difference) <= 1e-5 * abs(difference)


def test_a_method_of_many_steps_forgets_at_each_sample_s_own_events():
    layer = RELAY.Relay(**MULTISTEP)
    starts = leaf([0.6, 0.2, 0.9, 0.5])
    (together,) = torch.autograd.grad(layer(starts).sum(), starts)
    steps = layer.last.steps.tolist()
    assert len(set(steps)) > 1
    for i in (0, 2):
        alone = leaf(starts[i].item())
        (by_start,) = torch.autograd.grad(layer(alone), alone)
        assert torch.equal(by_start, together[i]) and layer.last.steps.item() == steps[i]


def test_backwards_in_time():
    layer = EVENTS.Ties(**TIGHT)
    # Run from 3 down to 0, `t >= 1` is true at the start and never becomes true.
    times = f64([3.0, 2.0, 1.5, 1.0, 1.0, 0.5, 0.0])
    assert torch.allclose(layer(times), times - 3.0, rtol=0, atol=1e-12)


def test_float32_layers():
    layer = EVENTS.ThirdBounce(dtype=torch.float32)
    found = layer(*torch.tensor([10.0, 0.0, 9.8, 0.8, 0.2]).unbind())
    assert found.dtype == torch.float32 and abs(found.item() - 5.4871486) <= 2e-4
    with pytest.raises(implicitdsl.SolveError, match="zeno"):
        EVENTS.Rest(dtype=torch.float32)(torch.tensor(0.5))


def weighted(found):
    """One number of all outputs, with a weight of its own for each."""
    outputs = found if isinstance(found, tuple) else (found,)
    flat = torch.cat([o.reshape(-1) for o in outputs])
    return flat @ torch.linspace(-0.5, 1.2, flat.numel(), dtype=torch.float64)


SECOND = [
    ("Fall", (3.0,), TIGHT),
    ("ThirdBounce", (10.0, 0.0, 9.8, 0.8, 0.2), TIGHT),
    ("Switch", (2.0, 1.0, 1.0), TIGHT),
    ("Assigned", (1.0, 1.5, 2.5, 3.5, 5.5), TIGHT),
    ("Stairs", (1.5, 4.3), TIGHT),
    (
        "Ball",
        (10.0, 0.3, 9.8, 0.8, 0.2, [0.0, 0.5, 1.6, 2.9, 4.1]),
        {"solver": "heun", "dt": 0.37, "dtype": torch.float64},
    ),
    ("Held", (1.0, [0.0, 0.5, 1.0, 2.0]), {"solver": "heun", "dt": 0.37, "dtype": torch.float64}),
    ("Jumps", (1.0, 0.1, [0.3, 0.5]), {"solver": "rk4", "dt": 0.11, "dtype": torch.float64}),
    ("Jumps", (1.0, 0.1, [0.3, 0.5]), {"solver": "rodas5p", "dt": 0.11, "dtype": torch.float64}),
    ("ThirdBounce", (10.0, 0.0, 9.8, 0.8, 0.2), STIFF),
    # With times between the steps of orders 1 to 5, and starts anew.
    ("Jumps", (1.0, 0.1, [0.3, 0.5]), {"solver": "bdf", "dt": 0.11, "dtype": torch.float64}),
    ("ThirdBounce", (10.0, 0.0, 9.8, 0.8, 0.2), MULTISTEP),
]


@pytest.mark.parametrize(
    ("name", "values", "options"), SECOND, ids=[f"{name}-{o.get('solver', 'tsit5')}" for name, _, o in SECOND]
)
def test_second_derivatives_are_differences_of_first_ones(name, values, options):
    layer = getattr(EVENTS, name)(**options)
    inputs = [leaf(v) for v in values]
    first = torch.autograd.grad(weighted(layer(*inputs)), inputs, create_graph=True)
    along = [
        torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(i))
        for i, x in enumerate(inputs)
    ]
    exact = torch.autograd.grad(
        sum((g * v).sum() for g, v in zip(first, along, strict=True)), inputs, allow_unused=True
    )
    step, sides = 1e-5, []
    for sign in (step, -step):
        moved = [(x.detach() + sign * v).requires_grad_() for x, v in zip(inputs, along, strict=True)]
        sides.append(torch.autograd.grad(weighted(layer(*moved)), moved))
    for found, up, down in zip(exact, *sides, strict=True):
        difference = (up - down) / (2 * step)
        assert (found - difference).abs().max() <= 1e-8 * max(1.0, difference.abs().max().item())


def test_the_hessian_of_the_bouncing_ball_is_that_of_the_closed_form():
    layer = EVENTS.Ball(**TIGHT)
    ts = f64([0.0, 0.5, 1.6, 2.9, 4.1, 5.9, 7.3])
    point = leaf([10.0, 0.3, 9.8, 0.8, 0.2])
    found = torch.autograd.functional.hessian(lambda x: weighted(layer(*x.unbind(), ts)), point)
    wanted = torch.autograd.functional.hessian(lambda x: weighted(ball(*x.unbind(), ts)), point)
    assert (found - wanted).abs().max() <= 1e-8 * wanted.abs().max()


def test_forward_mode_goes_through_events():
    layer = EVENTS.ThirdBounce(**TIGHT)
    point = f64([10.0, 0.0, 9.8, 0.8, 0.2])
    _, slope = torch.func.jvp(lambda x: layer(*x.unbind()), (point,), (f64([1.0, -2.0, 0.5, 0.1, 0.3]),))
    wanted = (0.27995656234732698, 0.10204081632653061, -0.27995656234732698, 7.3539105243400943, -0.27995656234732698)
    assert abs(slope - f64(wanted) @ f64([1.0, -2.0, 0.5, 0.1, 0.3])) <= 1e-10
