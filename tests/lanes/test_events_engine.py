"""Events on the back end `lanes`: what one sample at a time computes, in samples whose events come at times of their own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.solvers.status import SUCCESS, ZENO
from tests.reference.cases import models

EVENTS = models("events")
FIXED = {"dt": 0.11, "dtype": torch.float64}
TIGHT = {"rtol": 1e-10, "atol": 1e-10, "dtype": torch.float64}

# Weights that all samples share stand in the right-hand side, in a condition and in a reset.
SHARED = """
ode Kicked[n = 3](x0[n], k) -> (x[n], hits) {
  param W[n, n], V[n, n], c[n] = 0
  state x[n] = x0, hits = 0
  dx/dt = tanh(W @ x) - 0.3*x + k
  dhits/dt = 0
  when x[0] > 0.4 + c[1] {
    x := V @ x - c
    hits := hits + 1
  }
  when x[1] + x[2] < 0.1*k { x[1] := x[1] + 0.5 + c[0]*x[2] }
  when hits > 2.5 { stop }
  from t = 0 to 3
  return x, hits
}
"""


def draw(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def both(make, **options) -> dict[str, implicitdsl.Layer]:
    return {name: make(backend=name, **options) for name in ("lanes", "python")}


def flat(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    parts = found if isinstance(found, tuple) else (found,)
    return torch.cat([p.reshape(parts[0].shape[0], -1) for p in parts], dim=1)


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    assert torch.allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1.0, wanted.abs().max().item()))


def kicked(**options) -> dict[str, implicitdsl.Layer]:
    layers = both(implicitdsl.loads(SHARED).Kicked, **options)
    with torch.no_grad():
        for layer in layers.values():
            layer.W.copy_(draw(3, 3, seed=1, low=-1.0, high=1.5))
            layer.V.copy_(draw(3, 3, seed=2, low=-0.6, high=0.6))
            layer.c.copy_(draw(3, seed=3, low=-0.1, high=0.1))
    return layers


CASES = {
    # Seven times of the ball in every test, as in those of the solutions: what is compiled knows their number.
    # 21 samples fill no whole number of vectors, and bounce between no time and many times.
    "Ball": (draw(21, seed=4, low=0.5, high=9.0), 0.3, 9.8, 0.85, 0.2, [0.0, 0.5, 0.8, 1.1, 1.5, 1.9, 2.4]),
    "ThirdBounce": (draw(9, seed=5, low=1.0, high=9.0), 0.0, 9.8, 0.8, 0.2),
    "Fall": (draw(9, seed=6, low=1.0, high=9.0),),
    "Assigned": (draw(9, seed=7, low=0.5, high=1.0), 1.5, 2.5, draw(9, seed=8, low=3.0, high=4.0), 5.5),
    "Stairs": (draw(9, seed=9, low=0.5, high=3.0), 4.3),
    "Jumps": (draw(9, seed=10, low=0.5, high=1.5), 0.1, [0.3, 0.5]),
    "Held": (draw(9, seed=11, low=0.2, high=1.9), [0.0, 0.5, 1.0, 2.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_both_back_ends_give_the_same_at_fixed_steps(name):
    results = {}
    for back_end, layer in both(getattr(EVENTS, name), **FIXED).items():
        given = [torch.as_tensor(v, dtype=torch.float64).clone().requires_grad_() for v in CASES[name]]
        found = flat(layer(*given))
        last = layer.last
        facts = (last.status, last.notes, last.steps, last.fired, last.stopped, last.t_end)
        weights = torch.linspace(-1.0, 1.0, found.numel(), dtype=torch.float64).reshape(found.shape)
        first = torch.autograd.grad((found * weights).sum(), given, create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), given, allow_unused=True)
        results[back_end] = (found, facts, first, second)
    found, wanted = results["lanes"], results["python"]
    close(found[0], wanted[0])
    for a, b in zip(found[1], wanted[1], strict=True):
        close(a.double(), b.double())
    for a, b in zip((*found[2], *found[3]), (*wanted[2], *wanted[3]), strict=True):
        close(a, b, 1e-9)
    if name == "Ball":
        assert len(set(found[1][3].tolist())) > 2


def test_weights_that_all_samples_share_get_the_sum_of_the_gradients():
    results = {}
    for back_end, layer in kicked(**FIXED).items():
        x0, k = draw(19, 3, seed=12, low=-0.5, high=0.35).requires_grad_(), draw(19, seed=13).requires_grad_()
        found = flat(layer(x0, k))
        fired = layer.last.fired
        given = [x0, k, *layer.parameters()]
        first = torch.autograd.grad((found**2).sum(), given, create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), given)
        results[back_end] = (found, fired, (*first, *second))
    found, wanted = results["lanes"], results["python"]
    assert len(set(wanted[1].tolist())) > 2 and torch.equal(found[1], wanted[1])
    close(found[0], wanted[0])
    for a, b in zip(found[2], wanted[2], strict=True):
        close(a, b, 1e-9)


def test_a_sample_has_the_same_bits_alone_and_at_any_place():
    layer = kicked(**TIGHT)["lanes"]
    x0, k = draw(21, 3, seed=12, low=-0.5, high=0.35), draw(21, seed=13)

    def run(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b = x0[rows].clone().requires_grad_(), k[rows].clone().requires_grad_()
        found = flat(layer(a, b))
        first = torch.autograd.grad((found**2).sum(), (a, b), create_graph=True)
        second = torch.autograd.grad((first[0] ** 2).sum() + first[1].sum(), (a, b))
        return (
            found.detach(),
            torch.cat([first[0], first[1][:, None]], 1),
            torch.cat([second[0], second[1][:, None]], 1),
        )

    whole = run(torch.arange(21))
    shuffled = torch.randperm(21, generator=torch.Generator().manual_seed(0))
    for rows in (shuffled, torch.arange(20, -1, -1)[:11], torch.tensor([17]), torch.tensor([3])):
        for part, all_ in zip(run(rows), whole, strict=True):
            assert torch.equal(part, all_[rows])


def test_threads_change_no_bit():
    found = []
    for threads in (1, 2):
        layer = EVENTS.Ball(threads=threads, **TIGHT)
        h0 = draw(4000, seed=14, low=2.0, high=9.0).requires_grad_()
        ts = torch.linspace(0, 2, 7, dtype=torch.float64)
        out = layer(h0, 0.3, 9.8, 0.85, 0.2, ts)
        out = layer(h0, 0.3, 9.8, 0.85, 0.2, ts)
        found.append((out.detach(), *torch.autograd.grad((out**2).sum(), h0)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_failing_sample_changes_no_bit_of_another():
    layer = EVENTS.Ball(on_fail="nan", **TIGHT)
    good = draw(17, seed=15, low=3.0, high=9.0)
    ts = torch.tensor([0.0, 0.3, 0.7, 1.0, 1.3, 1.6, 1.9], dtype=torch.float64)
    bad = [(2, 0.2001), (9, math.nan), (11, 0.2002), (14, math.inf)]
    mixed = good.clone()
    for place, value in bad:
        mixed[place] = value
    e = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    outputs, slopes = [], []
    for starts in (good, mixed):
        h0 = starts.clone().requires_grad_()
        found = layer(h0, 0.0, 9.8, e, 0.2, ts)
        kept = torch.ones(17, dtype=torch.bool)
        kept[[place for place, _ in bad]] = False
        first = torch.autograd.grad((found[kept] ** 2).sum(), (h0, e))
        outputs.append(found[kept].detach())
        slopes.append((first[0][kept], first[1]))
    status = layer.last.status
    assert [status[place].item() for place, _ in bad][0::2] == [ZENO, ZENO]
    assert (status[[9, 14]] != SUCCESS).all() and (status[kept] == SUCCESS).all()
    assert torch.equal(*outputs) and torch.equal(slopes[0][0], slopes[1][0])
    # The sum is over the good samples, in their order; how they fall into lanes is another one.
    close(slopes[1][1], slopes[0][1])


@pytest.mark.parametrize("backend", ["lanes", "python"])
def test_an_event_time_without_derivative_is_singular_backward(backend):
    # A jump inside a used net is not looked into, so this guard has the slope 0 where it changes sign.
    layer = (
        implicitdsl.loads(
            "net Side(x) -> y { return sign(x) }\n"
            "ode Sharp(a) -> x {\n  use side = Side\n  state x = 0\n  dx/dt = 1\n"
            "  when side(t - a) > 0 { x := x + t^2 }\n  from t = 0 to 2\n  return x\n}\n"
        )
    ).Sharp(backend=backend, **TIGHT)
    a = torch.tensor([2.5, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    found = layer(a)
    close(found.detach(), torch.tensor([2.0, 2.25, 2.0], dtype=torch.float64), 1e-11)
    assert torch.autograd.grad(found[[0, 2]].sum(), a, retain_graph=True)[0].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(implicitdsl.SolveError, match="singular"):
        torch.autograd.grad(found.sum(), a)


def test_torch_finds_the_derivatives_right():
    layer = EVENTS.ThirdBounce(**TIGHT)
    h0 = torch.tensor([10.0, 4.0, 7.0], dtype=torch.float64, requires_grad=True)
    e = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    run = lambda h0, e: layer(h0, 0.0, 9.8, e, 0.2)  # noqa: E731 - a function of what moves
    assert torch.autograd.gradcheck(run, (h0, e), eps=1e-6, atol=1e-6)
    assert torch.autograd.gradgradcheck(run, (h0, e), eps=1e-6, atol=1e-5)


def test_the_default_runs_on_lanes_and_says_so():
    from implicitdsl.compiler import back_end_of

    assert back_end_of(EVENTS.Ball(dtype=torch.float64).blueprint) == "lanes"
