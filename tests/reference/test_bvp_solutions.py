"""Boundary value problems: closed forms and published values, both derivatives, branches, layers, failures."""

from __future__ import annotations

import math

import pytest
import scipy.special
import torch
from torch.autograd import gradcheck, gradgradcheck

import implicitdsl
from implicitdsl.solvers.status import NEAR_SINGULAR, status_name
from tests.reference.cases import error, f64, leaf, models

pytestmark = pytest.mark.usefixtures("backend")

ENDS = f64([0.0, 0.5, 1.0])
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def build(name, **options):
    return getattr(models("bvp"), name)(**{"dtype": torch.float64, **options})


def told(layer):
    return [status_name(int(s)) for s in layer.last.status.reshape(-1)]


def swing(a, b, ts, w):
    """u'' = -w^2 u, u(0) = a, u'(1) = b."""
    c = (b + a * w * torch.sin(w)) / (w * torch.cos(w))
    return a * torch.cos(w * ts) + c * torch.sin(w * ts)


def test_a_value_at_one_end_and_a_slope_at_the_other():
    layer = build("Swing", **TIGHT)
    a, b, ts = leaf(0.7), leaf(-0.4), leaf([0.0, 0.2, 0.4, 0.55, 1.0])
    u, v = layer(a, b, ts)
    w = leaf(1.5)
    wanted = swing(a, b, ts, w)
    assert error(u, wanted) < 1e-8
    assert error(v[-1], b) < 1e-12
    found = torch.autograd.grad(u.pow(2).sum(), (a, b, ts, layer.w))
    for one, other in zip(found, torch.autograd.grad(wanted.pow(2).sum(), (a, b, ts, w)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


def test_the_ends_of_the_interval_have_gradients():
    layer = build("Between", **TIGHT)
    given = tuple(leaf(x) for x in (0.3, 0.9, -0.4, 1.3, 0.8))

    def closed(a, b, t0, t1, w):
        # The middle of a cosine that is a and b at the ends.
        half = (t1 - t0) / 2
        return torch.stack([(a + b) / 2 / torch.cos(w * half), (b - a) / 2 * w / torch.sin(w * half)])

    torch.testing.assert_close(layer(*given), closed(*given), rtol=1e-8, atol=1e-9)
    for k in range(2):
        found = torch.autograd.grad(layer(*given)[k], given, create_graph=True)
        wanted = torch.autograd.grad(closed(*given)[k], given, create_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(
                torch.autograd.grad(one, given, retain_graph=True, materialize_grads=True),
                torch.autograd.grad(other, given, retain_graph=True, materialize_grads=True),
                rtol=1e-5, atol=1e-6,
            )  # fmt: skip


BRATU = [  # lam, height of the guess, u(1/2), its first and second derivative by lam (mpmath, 30 digits)
    (1.0, 0.0, 0.140539214400471798, 0.159202806197079, 0.0451166766284626),
    (1.0, 4.0, 4.09146724618926032, -1.58420607470222, 1.30140216540128),
    (2.0, 0.0, 0.328952421341113574, 0.226801632362547, 0.102386551999753),
    (2.0, 3.0, 2.89553126549276896, -0.968519783227835, 0.245948064887668),
    (3.5, 1.0, 1.08515894779401229, 3.57485957983251, 136.270906533587),
    (3.5, 1.4, 1.29458547909386389, -4.01383048491723, -136.153573025327),
]


def test_both_branches_of_bratu_with_two_derivatives():
    """The guess decides; the branches are beside each other in one batch."""
    lam, height, *known = (f64(column) for column in zip(*BRATU, strict=True))
    lam.requires_grad_()
    u = build("Bratu", **TIGHT)(lam, height, ENDS)[:, 1]
    torch.testing.assert_close(u, known[0], rtol=1e-8, atol=0)
    (first,) = torch.autograd.grad(u.sum(), lam, create_graph=True)
    torch.testing.assert_close(first, known[1], rtol=1e-6, atol=0)
    (second,) = torch.autograd.grad(first.sum(), lam)
    torch.testing.assert_close(second, known[2], rtol=1e-4, atol=0)


def test_bratu_beyond_the_fold_is_no_success_and_touches_no_neighbour():
    layer = build("Bratu", on_fail="nan")
    lam = leaf([3.0, 3.52, 1.0, 10.0, 3.5138])
    u = layer(lam, torch.ones(5, dtype=torch.float64), ENDS)
    assert told(layer) == ["success", "no_root", "success", "no_root", "success"]
    assert u[[1, 3]].isnan().all()
    (grad,) = torch.autograd.grad(u[[0, 2, 4]].sum(), lam)
    assert grad[1] == 0
    assert grad[3] == 0
    for k in (0, 2, 4):
        one = lam[k].detach().requires_grad_()
        alone = layer(one, f64(1.0), ENDS)
        assert torch.equal(alone, u[k])
        assert torch.equal(torch.autograd.grad(alone.sum(), one)[0], grad[k])


def test_troesch_published_slopes():
    """u'(0) and u'(1) from Jacobi's elliptic function sc (S. M. Roberts & J. S. Shipman, J. Comput. Phys. 10, 1972)."""
    layer = build("Troesch", **TIGHT)
    lam = leaf([1.0, 5.0])
    _, v = layer(lam, f64([0.0, 1.0]))
    known = f64([[0.8452026853099511, 1.34183786236849], [0.04575046140631874, 12.10049545077781]])
    torch.testing.assert_close(v, known, rtol=1e-8, atol=0)
    (grad,) = torch.autograd.grad(v[:, 0].sum(), lam)
    torch.testing.assert_close(grad, f64([-0.284986925382, -0.0420099158427]), rtol=1e-6, atol=0)


def test_troesch_from_a_guess_that_no_integration_survives(backend):
    # 10 takes 64 segments and a quarter of a minute as Python.
    lam, known = 8.0, [0.0025871694189625793, 54.579834455573441]
    if backend == "lanes":
        lam, known = 10.0, [3.583377846308137e-4, 148.4064211560101]
    _, v = build("Troesch")(f64(lam), f64([0.0, 1.0]))
    torch.testing.assert_close(v, f64(known), rtol=1e-4, atol=0)


def cash_1(t, eps):
    r = 1 / math.sqrt(eps)
    return (torch.exp(-t * r) - torch.exp((t - 2) * r)) / (1 - math.exp(-2 * r))


def cash_2(t, eps):
    return (1 - torch.exp((t - 1) / eps)) / (1 - math.exp(-1 / eps))


def cash_3(t, eps):
    return torch.cos(math.pi * t)


def cash_7(t, eps):
    def part(x):
        return x * torch.erf(x / math.sqrt(2 * eps)) + math.sqrt(2 * eps / math.pi) * torch.exp(-(x**2) / (2 * eps))

    return torch.cos(math.pi * t) + t + part(t) / part(f64(1.0))


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("1", cash_1),
        ("2", cash_2),
        ("3", cash_3),
        ("7", cash_7),
    ],
)
def test_the_test_set_of_cash(name, closed, backend):
    """J. R. Cash, a test set for boundary value problem solvers: layers at an end and inside."""
    t = torch.linspace(0 if name in "12" else -1, 1, 41, dtype=torch.float64)
    # The thinnest layers of three of them take some seconds as Python.
    for eps in (0.1, 1e-2, 1e-3) if backend == "lanes" or name == "1" else (0.1, 1e-2):
        # A layer of width 1/1000 is beyond the 16 segments that are tried first; 7 is too steep for 64 of them.
        layer = build(f"Cash{name}", **({"solver": "shooting(segments = 256)"} if name == "7" and eps < 1e-2 else {}))
        tolerance = 2e-6 if eps > 1e-3 else 2e-5
        assert error(layer(f64(eps), t), closed(t, eps)) < tolerance, eps


def test_a_gradient_through_a_boundary_layer():
    layer, eps, t = build("Cash1", **TIGHT), leaf(1e-2), torch.linspace(0.05, 0.3, 41, dtype=torch.float64)
    root = eps.sqrt()
    wanted = (torch.exp(-t / root) - torch.exp((t - 2) / root)) / (1 - torch.exp(-2 / root))
    found = torch.autograd.grad(layer(eps, t).sum(), eps)[0]
    torch.testing.assert_close(found, torch.autograd.grad(wanted.sum(), eps)[0], rtol=1e-7, atol=0)


def test_an_eigenvalue_is_a_state_that_stands_still():
    layer = build("Mathieu", **TIGHT)
    q = leaf([5.0, 1.0, 0.1])
    a = layer(q)[:, 0]
    known = [scipy.special.mathieu_a(4, x) for x in q.tolist()]
    torch.testing.assert_close(a, f64(known), rtol=1e-8, atol=0)
    h = 1e-4
    slopes = [(scipy.special.mathieu_a(4, x + h) - scipy.special.mathieu_a(4, x - h)) / (2 * h) for x in q.tolist()]
    torch.testing.assert_close(torch.autograd.grad(a.sum(), q)[0], f64(slopes), rtol=1e-5, atol=1e-8)


def test_a_period_is_found_with_periodic_conditions():
    """Amplitude and period of van der Pol's cycle at mu = 1 (P. Amore, J. P. Boyd & F. M. Fernández, J. Math. Phys. 59,
    2018)."""
    layer = build("VanDerPol", **TIGHT)
    mu = leaf(1.0)
    x, period = layer(mu)
    assert abs(x.item() - 2.0086198608748431) < 1e-8
    assert abs(period.item() - 6.6632868593231302) < 1e-8
    h = 1e-4
    difference = (layer(mu + h)[1] - layer(mu - h)[1]) / (2 * h)
    torch.testing.assert_close(torch.autograd.grad(period, mu)[0], difference.detach(), rtol=1e-6, atol=0)


def test_a_chain_between_two_points():
    layer = build("Catenary", **TIGHT)
    a, b, c = leaf([1.0, 0.5]), leaf([2.0, 0.7]), leaf([0.7, 1.3])
    ts = f64([0.25, 0.8])
    y = layer(a, b, c, ts)
    # y = c cosh((t - m)/c) + k through both points: sinh((1/2 - m)/c) = (b - a)/(2 c sinh(1/(2 c))).
    m = 0.5 - c * torch.asinh((b - a) / (2 * c * torch.sinh(0.5 / c)))
    wanted = a[:, None] + c[:, None] * (torch.cosh((ts - m[:, None]) / c[:, None]) - torch.cosh(m / c)[:, None])
    torch.testing.assert_close(y, wanted, rtol=1e-8, atol=1e-9)
    found = torch.autograd.grad(y.pow(2).sum(), (a, b, c))
    torch.testing.assert_close(found, torch.autograd.grad(wanted.pow(2).sum(), (a, b, c)), rtol=1e-7, atol=1e-8)


def test_a_condition_inside_and_one_that_is_not_linear():
    layer = build("Radiating", **TIGHT)
    inside, place, k = leaf(1.1), leaf(0.3), leaf(0.8)
    ts = f64([0.0, 0.3, 1.0])
    u = layer(inside, place, k, ts)
    assert abs(u[1] - inside) < 1e-12
    # u = inside + s (t - place) with s = -k u(1)^4.
    s = (u[2] - u[0]).item()
    assert abs(s + 0.8 * u[2].item() ** 4) < 1e-9
    given = (inside, place, k)
    assert gradcheck(lambda *g: layer(*g, ts), given, eps=1e-5, atol=1e-7)
    assert gradgradcheck(lambda *g: layer(*g, ts), given, eps=1e-5, atol=1e-6)


def test_all_conditions_at_one_place_are_an_initial_value_problem():
    layer = build("Initial", **TIGHT)
    a, k = leaf(2.0), leaf(0.3)
    wanted = torch.stack([a * torch.exp(-k), a * (1 - torch.exp(-k)) / k])
    found = layer(a, k)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(found.sum(), (a, k)), torch.autograd.grad(wanted.sum(), (a, k)), rtol=1e-8, atol=0
    )


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-10])
def test_what_is_not_unique_is_singular(rtol):
    """u'' = -pi^2 u: u(1) = 1 has no solution, u(1) = 0 every multiple of sin; u'' = 0 insulated: any level, or none."""
    resonant = build("Resonant", on_fail="nan", rtol=rtol, atol=rtol / 100)
    resonant(f64([0.0, 1.0]))
    assert told(resonant) == ["singular", "singular"]
    insulated = build("Insulated", on_fail="nan", rtol=rtol, atol=rtol / 100)
    insulated(f64([0.0, 1.0]))
    assert told(insulated) == ["singular", "singular"]


def test_what_is_nearly_so_is_noted():
    layer = build("Between", on_fail="nan")
    u = layer(1.0, 1.0, 0.0, 1.0, f64([math.pi * (1 - 3e-4), 2.0]))
    assert told(layer) == ["success", "success"]
    assert (layer.last.notes & NEAR_SINGULAR != 0).tolist() == [True, False]
    assert u[0, 0] > 1e3


def test_times_outside_and_out_of_order():
    layer = build("Swing", on_fail="nan")
    falling, equal = [1.0, 0.8, 0.5, 0.2, 0.0], [0.5] * 5
    for times, name in (([0.2, 0.1, 0.3, 0.4, 0.5], "bad_times"), (falling, "success"), (equal, "success")):
        layer(1.0, 2.0, f64(times))
        assert told(layer) == [name]
    more = layer(1.0, 2.0, f64([0.0, 0.1, 0.3, 0.31, 1.0]))[0]
    assert torch.equal(more[[0, 2, 4]], layer(1.0, 2.0, f64([0.0, 0.3, 1.0]))[0])
    assert layer(1.0, 2.0, f64([]))[0].shape == (0,)


def test_single_precision():
    layer = build("Bratu", dtype=torch.float32)
    lam = torch.tensor([1.0, 1.0, 3.0], requires_grad=True)
    u = layer(lam, torch.tensor([0.0, 4.0, 1.0]), torch.tensor([0.5]))
    assert u.dtype == torch.float32
    torch.testing.assert_close(u[:2, 0], torch.tensor([0.1405392144, 4.09146725]), rtol=2e-4, atol=0)
    (grad,) = torch.autograd.grad(u[:2].sum(), lam)
    torch.testing.assert_close(grad[:2], torch.tensor([0.15920281, -1.5842061]), rtol=2e-3, atol=0)


@pytest.mark.parametrize("method", ["dopri5", "rodas5p", "rk4(dt)"])
def test_the_method_of_the_segments_is_an_option(method):
    named = "shooting(method = rk4, dt = 0.01)" if method == "rk4(dt)" else f"shooting(method = {method})"
    layer = build("Bratu", solver=named)
    assert abs(layer(1.0, 0.0, ENDS)[1].item() - 0.140539214400471798) < 1e-6


@pytest.mark.parametrize(
    ("solver", "code"),
    [
        ("tsit5", "E610"),
        ("shooting(method = foo)", "E610"),
        ("shooting(method = rk4)", "E612"),
        ("shooting(segments = 0)", "E610"),
        ("shooting(segments = 2.5)", "E610"),
        ("shooting(nodes = 3)", "E610"),
    ],
)
def test_options_that_are_none(solver, code):
    with pytest.raises(implicitdsl.ImpError, match=code):
        build("Swing", solver=solver)


def test_weights_of_a_net_inside_have_gradients(backend):
    torch.manual_seed(0)
    layer = build("Steered", n=2, rtol=1e-9, atol=1e-11, solver="shooting(segments = 4)")
    # Samples, and weights of each array that are moved: fewer as Python.
    batch, moved = (3, 3) if backend == "lanes" else (2, 1)
    x0, x1 = f64([[0.3, -0.2], [0.1, 0.5], [-0.4, 0.2]])[:batch], f64([[0.5, 0.1], [0.2, 0.2], [0.0, 0.7]])[:batch]
    layer(x0, x1, ENDS).pow(2).sum().backward()
    for parameter in layer.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for k in range(min(moved, flat.numel())):
            values = []
            for h in (1e-5, -1e-5):
                flat[k] += h
                values.append(layer(x0, x1, ENDS).detach().pow(2).sum().item())
                flat[k] -= h
            assert abs((values[0] - values[1]) / 2e-5 - grad[k].item()) < 1e-6
