"""The adjoints by the costate equation and by tangents, on both back ends: where they agree, what they refuse, how they fail."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch

import implicitdsl
from implicitdsl.solvers.status import note_names

TEXT = """
ode At(x0[2], a, ts[T]) -> [T, 2] {
  param b[2] = [0.3, 0.2]
  state x[2] = x0
  dx/dt = [x[1] - b[0]*x[0]^3, -a*x[0] + b[1]*sin(t)]
  return x at ts
}

ode AtFromTo(x0[2], a, t1, ts[T]) -> (u[T], v[T]) {
  state x[2] = a*x0
  from t = 0.5*a to t1
  dx/dt = [x[1] + t, -a*x[0]]
  return x[0], t*x[1] at ts
}

ode End(x0[2], a, t1) -> [2] {
  state x[2] = x0
  from t = 0.5*a to t1
  dx/dt = [x[1] + t, -a*x[0]]
  return [x[0], t*x[1]]
}

ode Proth(k, T) -> y {
  state y = 0
  from t = 0 to T
  dy/dt = -k*(y - cos(t))
  return y
}

ode Growth(x0, r) -> y {
  state y = x0
  from t = 0 to 1
  dy/dt = r*y^2
  return y
}

ode Cost(x0, k) -> (x, cost) {
  state x = x0, cost = 0
  from t = 0 to 2
  dx/dt    = -k*x
  dcost/dt = x^2
  return x, cost
}

ode Switched(x0, k) -> x {
  state x = x0
  from t = 0 to 2
  dx/dt = if x > 1 then -k else -k*x
  return x
}
"""
MODELS = implicitdsl.loads(TEXT)
CONTINUOUS = ["backsolve", "interpolated", "gauss"]
EVERY = [*CONTINUOUS, "forward", "discrete", "auto"]
START = torch.tensor([[1.0, 0.3], [-0.4, 0.9], [0.2, -1.1]], dtype=torch.float64)
RATES = torch.tensor([1.0, 2.0, 0.7], dtype=torch.float64)
PATTERNS: dict[str, tuple[str, list[torch.Tensor]]] = {
    "times": ("At", [START, RATES, torch.tensor([0.0, 0.6, 1.1, 1.5, 2.0], dtype=torch.float64)]),
    "ties": ("At", [START, RATES, torch.tensor([0.0, 0.6, 0.6, 0.6, 2.0], dtype=torch.float64)]),
    "one time": ("At", [START, RATES, torch.tensor([0.4], dtype=torch.float64)]),
    "backwards": ("At", [START, RATES, torch.tensor([1.0, 0.5, 0.1, -0.4, -0.7], dtype=torch.float64)]),
    "from to": (
        "AtFromTo",
        [START, RATES, torch.tensor([2.0, 3.0, 2.5]).double(), torch.tensor([1.1, 1.2, 1.3, 1.9]).double()],
    ),
    "end": ("End", [START, RATES, torch.tensor([2.0, 3.0, -1.0], dtype=torch.float64)]),
    "no time": ("End", [START[:1], RATES[:1], torch.tensor([0.5], dtype=torch.float64)]),
}


def layer(name: str, adjoint: str, **options: Any) -> Any:
    return getattr(MODELS, name)(adjoint=adjoint, dtype=torch.float64, **options)


def gradients(built: Any, given: list[torch.Tensor]) -> list[torch.Tensor]:
    inputs = [g.clone().requires_grad_() for g in given]
    answer = built(*inputs)
    parts = torch.cat([a.reshape(-1) for a in (answer if isinstance(answer, tuple) else (answer,))])
    weights = torch.cos(torch.arange(parts.numel(), dtype=torch.float64))
    wanted = [*inputs, *built.parameters()]
    return list(torch.autograd.grad(weights @ parts, wanted, materialize_grads=True))


TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


@cache
def discrete(pattern: str, backend: str) -> list[torch.Tensor]:
    """The gradients that the others are compared with."""
    name, given = PATTERNS[pattern]
    return gradients(layer(name, "discrete", backend=backend, **TIGHT), given)


def largest(one: list[torch.Tensor], two: list[torch.Tensor]) -> float:
    return max(((a - b).abs().max() / b.abs().max().clamp(min=1e-3)).item() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("backend", ["python", "lanes"])
@pytest.mark.parametrize("adjoint", [*CONTINUOUS, "forward", "auto"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_adjoint_agrees_with_the_discrete_one(pattern: str, adjoint: str, backend: str) -> None:
    name, given = PATTERNS[pattern]
    found = gradients(layer(name, adjoint, backend=backend, **TIGHT), given)
    # Save times act through the dense output, two orders less accurate than the steps.
    assert largest(found, discrete(pattern, backend)) < 1e-7


# Every method with every adjoint on the pattern that has all: a moving start, interval ends, save times and two outputs. Every
# pattern with every adjoint on one method, for patterns and methods meet in the adjoint alone.
METHODS = ["tsit5", "dopri5", "bosh3", "dop853", "heun", "rk4(dt = 0.02)"]
GRID = [("from to", a, m) for a in [*CONTINUOUS, "forward"] for m in METHODS]
GRID += [(p, a, "tsit5") for a in [*CONTINUOUS, "forward"] for p in ["times", "ties", "one time", "end"]]


@pytest.mark.parametrize(("pattern", "adjoint", "solver"), GRID)
def test_every_method_with_every_adjoint_is_right_to_finite_differences(
    pattern: str, adjoint: str, solver: str
) -> None:
    name, given = PATTERNS[pattern]
    given = [g[:1] if len(g) == 3 else g for g in given]
    loose = solver in ("heun", "bosh3")
    options = {"rtol": 1e-4 if loose else 1e-9, "atol": 1e-6 if loose else 1e-11, "backend": "python", "solver": solver}
    built = layer(name, adjoint, **options)
    # A tie cannot be moved on one side alone.
    inputs = [g.clone().requires_grad_(pattern != "ties" or g is not given[-1]) for g in given]
    bound = 2e-2 if loose else 1e-5
    assert torch.autograd.gradcheck(built, inputs, eps=1e-4 if loose else 1e-5, atol=bound, rtol=bound)


@pytest.mark.parametrize("backend", ["python", "lanes"])
@pytest.mark.parametrize("adjoint", CONTINUOUS)
def test_both_back_ends_give_one_gradient_and_a_sample_alone_has_its_bits(adjoint: str, backend: str) -> None:
    name, given = PATTERNS["times"]
    built = layer(name, adjoint, backend=backend)
    whole = gradients(built, given[:2] + [given[2].expand(3, 5)])
    alone = gradients(built, [given[0][1:2], given[1][1:2], given[2].expand(1, 5)])
    weights = torch.cos(torch.arange(30, dtype=torch.float64))

    inputs = [g.clone().requires_grad_() for g in (given[0][1:2], given[1][1:2])]
    value = built(*inputs, given[2].expand(1, 5)).reshape(-1) @ weights[10:20]
    one = torch.autograd.grad(value, inputs)
    assert torch.equal(one[0][0], whole[0][1]) and torch.equal(one[1][0], whole[1][1])
    assert len(alone) == len(whole)


@pytest.mark.parametrize("adjoint", ["discrete", "forward"])
def test_second_derivatives_are_exact_by_discrete_and_forward(adjoint: str) -> None:
    name, given = PATTERNS["end"]
    built = layer(name, adjoint, rtol=1e-10, atol=1e-12, backend="python")
    assert torch.autograd.gradgradcheck(
        built, [g[:1].clone().requires_grad_() for g in given], eps=1e-5, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("backend", ["python", "lanes"])
@pytest.mark.parametrize("adjoint", CONTINUOUS)
def test_second_derivatives_by_a_costate_are_refused_in_words(adjoint: str, backend: str) -> None:
    name, given = PATTERNS["end"]
    inputs = [g[:1].clone().requires_grad_() for g in given]
    (grad,) = torch.autograd.grad(layer(name, adjoint, backend=backend)(*inputs).sum(), inputs[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="`adjoint discrete` and `adjoint forward`"):
        grad.sum().backward()


@pytest.mark.parametrize("adjoint", EVERY)
def test_last_and_inspect_tell_a_gradient_to_tolerance_from_an_exact_one(adjoint: str) -> None:
    built = layer("Proth", adjoint, backend="python")
    built(torch.tensor(2.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    approximate = "approximate_gradient" in note_names(int(built.last.notes))
    assert approximate == (adjoint in CONTINUOUS)
    from implicitdsl import compiler

    text = compiler.stages(built.blueprint)["bind"]
    line = next(part for part in text.splitlines() if part.startswith("adjoint"))
    assert ("(to tolerance)" in line) == (adjoint in CONTINUOUS)
    if adjoint == "auto":
        assert "auto: 1 states; a stage costs" in line


def test_the_gradient_does_not_depend_on_the_unit_of_the_loss() -> None:
    name, given = PATTERNS["times"]
    inputs = [g.clone().requires_grad_() for g in given]
    for adjoint in CONTINUOUS:
        value = layer(name, adjoint, backend="python")(*inputs).sum()
        small, usual = (torch.autograd.grad(s * value, inputs[0], retain_graph=True)[0] for s in (2.0**-40, 1.0))
        assert torch.equal(small * 2.0**40, usual)


@pytest.mark.parametrize("backend", ["python", "lanes"])
@pytest.mark.parametrize("adjoint", [*CONTINUOUS, "forward"])
def test_a_failed_sample_changes_no_bit_of_another(adjoint: str, backend: str) -> None:
    built = layer("Growth", adjoint, backend=backend, on_fail="nan")
    start = torch.tensor([0.5, 1.0, 0.3], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor([0.4, 1.5, 0.2], dtype=torch.float64, requires_grad=True)
    answer = built(start, rate)
    assert built.last.status.tolist()[1] != 0
    grads = torch.autograd.grad(answer[0] + answer[2], [start, rate])
    assert all(g[1] == 0 for g in grads)
    for i in (0, 2):
        one, r = start[i].detach().requires_grad_(), rate[i].detach().requires_grad_()
        alone = torch.autograd.grad(built(one, r), [one, r])
        assert all(torch.equal(a, b[i]) for a, b in zip(alone, grads, strict=True))
        exact = 1 / (1 - rate[i] * start[i]) ** 2
        assert abs(grads[0][i] - exact) < 1e-5


def closed(k: float, T: float = 2.0) -> float:
    """d y(T)/dk of y' = -k (y - cos t), y(0) = 0."""

    def value(k: torch.Tensor) -> torch.Tensor:
        return (k * k * math.cos(T) + k * math.sin(T) - k * k * torch.exp(-k * T)) / (1 + k * k)

    at = torch.tensor(k, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(value(at), at)[0].item()


def slope(adjoint: str, k: float) -> float:
    at = torch.tensor(k, dtype=torch.float64, requires_grad=True)
    value = layer("Proth", adjoint, backend="python", on_fail="warn", max_steps=20_000)(at, 2.0)
    return torch.autograd.grad(value, at)[0].item()


@pytest.mark.parametrize(("k", "published"), [(5, -0.03835213), (20, -0.002359784), (50, -0.0003699358)])
def test_prothero_and_robinson_is_what_backsolve_fails_on_and_auto_avoids(k: float, published: float) -> None:
    assert abs(closed(k) - published) < 1e-8
    for adjoint in ("discrete", "forward", "interpolated", "gauss", "auto"):
        assert abs(slope(adjoint, k) - closed(k)) < 2e-6
    # Backwards the solution grows like exp(k t): what the forward run rounds, backsolve multiplies.
    wrong = [abs(slope("backsolve", float(q)) - closed(q)) for q in (5, 20)] if k == 20 else []
    assert not wrong or wrong[1] > 30 * abs(slope("interpolated", 20.0) - closed(20))


def test_a_running_cost_is_a_state() -> None:
    k, x0 = 0.7, 1.5
    for adjoint in EVERY:
        start = torch.tensor(x0, dtype=torch.float64, requires_grad=True)
        rate = torch.tensor(k, dtype=torch.float64, requires_grad=True)
        _, cost = layer("Cost", adjoint, backend="python", rtol=1e-9, atol=1e-12)(start, rate)
        exact = x0**2 * (1 - math.exp(-4 * k)) / (2 * k)
        assert abs(cost.item() - exact) < 1e-8
        by_start, by_rate = torch.autograd.grad(cost, [start, rate])
        assert abs(by_start.item() - 2 * exact / x0) < 1e-7
        assert abs(by_rate.item() - (x0**2 * 4 * math.exp(-4 * k) / (2 * k) - exact / k)) < 1e-7


def test_what_does_not_run_backwards_is_refused_at_construction() -> None:
    with pytest.raises(implicitdsl.ImpError, match="overwritten"):
        layer("Switched", "backsolve")
    given = [torch.tensor(1.7, dtype=torch.float64), torch.tensor(0.6, dtype=torch.float64)]
    one, two = (gradients(layer("Switched", a, backend="python", rtol=1e-9), given) for a in ("forward", "discrete"))
    assert largest(one, two) < 1e-10
