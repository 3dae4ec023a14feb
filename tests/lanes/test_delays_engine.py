"""Delays on the back end `lanes`: what one sample at a time computes, in samples that each read rows of their own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.backends.lanes import delay_engine, ode_tape
from implicitdsl.solvers.status import BAD_INPUT, MAX_STEPS, SUCCESS
from tests.reference.cases import models

DELAYS = models("delays")
F64 = torch.float64
# Six times in every test, as in those of the solutions: what is compiled knows their number.
TIMES = [0.0, 0.4, 0.4, 1.7, 2.5, 3.1]


def draw(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def both(make, **options) -> dict[str, implicitdsl.Layer]:
    return {name: make(backend=name, dtype=F64, **options) for name in ("lanes", "python")}


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    assert torch.allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1.0, wanted.abs().max().item()))


def derivatives(layer: implicitdsl.Layer, given: list[Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Values, the gradient of a weighted sum by inputs and params, and the gradient of its square."""
    sources = [*given, *layer.parameters()]
    found = layer(*given)
    weights = torch.linspace(-1.0, 1.0, found[0].numel(), dtype=F64).reshape(found[0].shape)
    first = torch.autograd.grad((found * weights).sum(), sources, create_graph=True)
    second = torch.autograd.grad(sum((g * g).sum() for g in first), sources)
    return found.detach(), [g.detach() for g in first], list(second)


# 21 samples fill no whole number of vectors, and their lags end steps at times of their own.
CASES = {
    "lags of their own": ("Delayed", (draw(21, seed=1, low=0.2, high=4.0), 1.1, draw(21, seed=2), 1.3, TIMES)),
    "a lag that all have": ("Delayed", (0.7, draw(9, seed=3, low=0.5, high=1.5), 0.4, draw(9, seed=4), TIMES)),
    "two lags": ("Two", (draw(9, seed=5), draw(9, seed=6, low=0.3), 1.7, draw(9, 2, seed=7), 0.1, 3.3)),
    "backwards": ("Two", (draw(9, seed=5), -draw(9, seed=6, low=0.3), 1.7, draw(9, 2, seed=7), 1.1, -0.6)),
    "weights that all share": ("Neural", (draw(11, 2, seed=8, low=-1.0), draw(11, seed=9, low=0.3, high=1.9), TIMES)),
}


@pytest.mark.parametrize("case", CASES)
def test_both_back_ends_give_the_same_at_fixed_steps(case):
    name, inputs = CASES[case]
    results = {}
    for back_end, layer in both(getattr(DELAYS, name), dt=0.13, **({"d": 2} if name == "Neural" else {})).items():
        with torch.no_grad():
            for k, weight in enumerate(layer.parameters()):
                weight.copy_(draw(*weight.shape, seed=20 + k, low=-0.8, high=0.8))
        given = [torch.as_tensor(v, dtype=F64).clone().requires_grad_() for v in inputs]
        parts = derivatives(layer, given)
        last = layer.last
        results[back_end] = (parts, (last.status, last.notes, last.steps, last.t_end))
    (found, facts), (wanted, wanted_facts) = results["lanes"], results["python"]
    close(found[0], wanted[0])
    for a, b in zip(facts, wanted_facts, strict=True):
        close(a.double(), b.double())
    for a, b in zip((*found[1], *found[2]), (*wanted[1], *wanted[2]), strict=True):
        close(a, b, 1e-9)
    if case == "lags of their own":
        assert len(set(wanted_facts[2].tolist())) > 3


def test_steps_of_their_own_agree_too():
    tau, x0 = draw(19, seed=10, low=5.0, high=20.0), draw(19, seed=11, low=0.4, high=1.4)
    found = {}
    for back_end, layer in both(DELAYS.MackeyGlass, rtol=1e-6).items():
        given = [x0.clone().requires_grad_(), tau.clone().requires_grad_()]
        out = layer(*given, torch.tensor([0.0, 12.0, 24.0, 36.0, 48.0, 60.0], dtype=F64))
        found[back_end] = (layer.last.steps, out, *torch.autograd.grad(out.sum(), given))
    assert torch.equal(found["lanes"][0], found["python"][0])
    for a, b in zip(found["lanes"][1:], found["python"][1:], strict=True):
        close(a, b, 1e-8)


def test_a_sample_has_the_same_bits_alone_and_at_any_place():
    layer = DELAYS.Two(dtype=F64, rtol=1e-7)
    parts = [draw(21, seed=5), draw(21, seed=6, low=0.2), draw(21, seed=12, low=0.7, high=2.4), draw(21, 2, seed=7)]

    def run(rows: Tensor) -> list[Tensor]:
        given = [part[rows].clone().requires_grad_() for part in parts]
        found = layer(*given, 0.1, 3.3)
        first = torch.autograd.grad((found**2).sum(), given, create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), given)
        return [found.detach(), *(g.detach() for g in first), *second]

    whole = run(torch.arange(21))
    shuffled = torch.randperm(21, generator=torch.Generator().manual_seed(0))
    for rows in (shuffled, torch.arange(20, -1, -1)[:11], torch.tensor([17]), torch.tensor([3])):
        for part, all_ in zip(run(rows), whole, strict=True):
            assert torch.equal(part, all_[rows])


def test_threads_and_what_is_kept_change_no_bit(monkeypatch):
    tau = draw(600, seed=14, low=0.1, high=3.0)
    ts = torch.linspace(0, 3, 6, dtype=F64)
    found = []
    for threads, kept in ((1, ode_tape.BYTES), (2, ode_tape.BYTES), (1, 0)):
        monkeypatch.setattr(ode_tape, "BYTES", kept)
        layer = DELAYS.Delayed(dtype=F64, threads=threads)
        for _ in range(2):
            lag, a = tau.clone().requires_grad_(), torch.tensor(1.2, dtype=F64, requires_grad=True)
            out = layer(lag, a, 0.7, 1.3, ts)
            found.append((out.detach(), *torch.autograd.grad((out**2).sum(), (lag, a))))
    for run in found[1:]:
        assert torch.equal(run[0], found[0][0]) and torch.equal(run[1], found[0][1])
        close(run[2], found[0][2])


def test_a_tape_grows_until_the_longest_run_fits(monkeypatch):
    tau, ts = draw(20, seed=15, low=0.3, high=2.0), torch.tensor([0.0, 1.0, 2.0, 3.0, 3.5, 4.0], dtype=F64)
    given = tau, 1.0, 1.0, 1.0, ts
    with torch.no_grad():
        known = DELAYS.Delayed(dtype=F64, dt=0.02)(*given)
        monkeypatch.setattr(delay_engine, "FIRST_ROOM", 3)
        layer = DELAYS.Delayed(dtype=F64, dt=0.02)
        grown = [layer(*given) for _ in range(2)]
    assert layer.last.steps.max().item() >= 200
    assert torch.equal(grown[0], known) and torch.equal(grown[1], known)


def test_a_failing_sample_changes_no_bit_of_another():
    layer = DELAYS.Delayed(dtype=F64, on_fail="nan", max_steps=300)
    good = draw(17, seed=16, low=0.4, high=3.0)
    ts = torch.tensor([0.0, 0.7, 1.0, 1.3, 1.6, 1.9], dtype=F64)
    bad = {2: -0.5, 5: 0.0, 9: math.nan, 11: 1e-4, 12: math.inf, 14: -1e-9}
    mixed = good.clone()
    for place, value in bad.items():
        mixed[place] = value
    kept = torch.ones(17, dtype=torch.bool)
    kept[list(bad)] = False
    outputs, slopes = [], []
    for given in (good, mixed):
        lags = given.clone().requires_grad_()
        a = torch.tensor(1.1, dtype=F64, requires_grad=True)
        found = layer(lags, a, 0.5, 1.0, ts)
        first = torch.autograd.grad((found[kept] ** 2).sum(), (lags, a), create_graph=True)
        second = torch.autograd.grad((first[0][kept] ** 2).sum(), lags)
        outputs.append(found[kept].detach())
        slopes.append((first[0][kept].detach(), second[0][kept], first[1].detach()))
    status = layer.last.status
    wanted = [BAD_INPUT, BAD_INPUT, BAD_INPUT, MAX_STEPS, BAD_INPUT, BAD_INPUT]
    assert [status[place].item() for place in bad] == wanted
    assert (status[kept] == SUCCESS).all()
    assert torch.equal(*outputs)
    assert torch.equal(slopes[0][0], slopes[1][0]) and torch.equal(slopes[0][1], slopes[1][1])
    # The sum is over the good samples, in their order; how they fall into lanes is another one.
    close(slopes[1][2], slopes[0][2])


def test_gradients_of_a_batch_are_finite_differences():
    layer = DELAYS.Delayed(dtype=F64, dt=0.21)
    given = [v.requires_grad_() for v in (draw(3, seed=17, low=0.3, high=2.0), draw(3, seed=18), draw(3, seed=19))]
    y0 = torch.tensor(1.2, dtype=F64, requires_grad=True)
    ts = torch.tensor([0.0, 0.5, 1.01, 1.45, 2.2, 2.9], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (*given, y0, ts), eps=1e-6, atol=1e-6, rtol=1e-4)
    assert torch.autograd.gradgradcheck(layer, (*given, y0, ts), eps=1e-6, atol=1e-5, rtol=1e-4)


def test_float32_is_that_of_one_sample_at_fixed_steps():
    tau, ts = draw(11, seed=21, low=0.2, high=3.0).float(), torch.tensor([0.0, 0.9, 1.5, 2.0, 2.5, 3.1])
    found = []
    for back_end in ("lanes", "python"):
        lag = tau.clone().requires_grad_()
        out = DELAYS.Delayed(dtype=torch.float32, dt=0.11, backend=back_end)(lag, 1.1, 0.6, 1.3, ts)
        found.append((out.detach(), *torch.autograd.grad(out.sum(), lag)))
    assert torch.allclose(found[0][0], found[1][0], atol=2e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-3)


def test_the_default_runs_on_lanes_and_says_so():
    from implicitdsl.compiler import back_end_of

    assert back_end_of(DELAYS.Delayed(dtype=F64).blueprint) == "lanes"
