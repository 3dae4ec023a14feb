"""The costate equation through events, of an `ode` and of a `dae`: against closed forms, the exact derivative of the computed
steps, and differences; both back ends; what fails, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import implicitdsl
from implicitdsl.solvers.status import SUCCESS, ZENO, note_names
from tests.reference import test_dae_events as algebraic
from tests.reference.cases import error, f64, flat, leaf, models
from tests.reference.test_ode_events import ball

TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11, "dtype": torch.float64}
EVENTS = models("events")
OWN = implicitdsl.loads("""
# One event makes the next at the same instant, both depend on everything; and one more lies in the same step.
ode Chained(x0, k, T) -> (x, y) {
  state x = x0, y = 0.1
  from t = 0.1*k to T
  dx/dt = k
  dy/dt = x - 0.1*y
  when x > 1 + 0.1*k { y := y + k*x*t }
  when y > 0.8 { x := x^2*k + t }
  when t > 0.62*k { y := y/k }
  return x*t, y
}

# The end of the run, and what is asked there, depend on all arguments; the state is stiff.
ode Charge(a, rate) -> (when_, y) {
  state y = 0
  dy/dt = -rate*(y - 2*sin(t))
  from t = 0 to 10
  when y > a {
    y := a*t
    stop
  }
  return a*t, y
}
""")


def gradients(built: Callable[..., Any], values: Any, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Of the outputs' sum with weights of its own for each."""
    inputs = [torch.as_tensor(v, dtype=dtype).clone().requires_grad_() for v in values]
    found = flat(built(*inputs))
    weights = torch.cos(torch.arange(found.numel())).to(dtype)
    return list(torch.autograd.grad(weights @ found, inputs))


def largest(one: list[Tensor], two: list[Tensor]) -> float:
    """The largest error, relative to the largest number of the gradient."""
    size = max(t.abs().max().item() for t in two)
    return max(((a - b).abs().max() / max(size, 1e-3)).item() for a, b in zip(one, two, strict=True))


BALL = (10.0, 0.3, 9.8, 0.8, 0.2, [0.0, 0.5, 1.6, 2.9, 4.1, 5.9, 7.3])
# Every event model on one method at least, and every method and adjoint on some.
CASES: list[tuple[Any, str, tuple[Any, ...], str, str]] = [
    (EVENTS, "Ball", BALL, "tsit5", "interpolated"),
    (EVENTS, "Ball", BALL, "kvaerno5", "gauss"),
    (EVENTS, "ThirdBounce", (10.0, 0.0, 9.8, 0.8, 0.2), "rodas5p", "interpolated"),
    (EVENTS, "Assigned", (1.0, 1.5, 2.5, 3.5, 5.5), "auto", "gauss"),
    (EVENTS, "Stairs", (1.5, 4.3), "dopri5", "interpolated"),
    (OWN, "Chained", (0.4, 1.2, 2.0), "bdf", "gauss"),
    (EVENTS, "Jumps", (1.0, 0.1, [0.3, 0.5]), "tsit5", "gauss"),
    (EVENTS, "Held", (1.0, [0.0, 0.5, 1.0, 2.0]), "rodas5p", "gauss"),
    (EVENTS, "Ties", ([3.0, 2.0, 1.5, 1.0, 0.5],), "tsit5", "interpolated"),
    (OWN, "Chained", (0.4, 1.2, 2.0), "tsit5", "interpolated"),
    (OWN, "Chained", (0.4, 1.2, 2.0), "rodas5p", "gauss"),
    (OWN, "Charge", (1.1, 1e4), "kvaerno5", "interpolated"),
    (algebraic.MODELS, "Pendulum", (1.0, 0.8, 1.7, [0.0, 0.6, 1.15, 2.0]), "rodas5p", "interpolated"),
    (algebraic.MODELS, "Diode", (0.2, 0.5, 30.0), "kvaerno5", "gauss"),
    (algebraic.MODELS, "Switch", (0.1, 0.4, [0.0, 0.3, 0.9, 2.0]), "rodas5p", "gauss"),
    (algebraic.MODELS, "Until", (2.0,), "rodas5p", "interpolated"),
]


@pytest.mark.parametrize(
    ("file", "name", "values", "solver", "adjoint"), CASES, ids=[f"{c[1]}-{c[3]}-{c[4]}" for c in CASES]
)
def test_the_gradient_is_that_of_the_computed_map(
    file: Any, name: str, values: tuple[Any, ...], solver: str, adjoint: str
) -> None:
    found, exact = (
        gradients(getattr(file, name)(solver=solver, adjoint=a, backend="python", **TIGHT), values)
        for a in (adjoint, "discrete")
    )
    assert largest(found, exact) <= 1e-7


@pytest.mark.parametrize("name", ["Chained", "Charge"])
def test_the_gradient_is_that_of_differences(name: str) -> None:
    values, solver = {"Chained": ((0.4, 1.2, 2.0), "tsit5"), "Charge": ((1.1, 1e3), "rodas5p")}[name]
    built = getattr(OWN, name)(solver=solver, adjoint="gauss", backend="python", **TIGHT)
    found = gradients(built, values)

    def loss(moved: list[float]) -> float:
        answer = flat(built(*map(f64, moved)))
        return (torch.cos(torch.arange(2)).double() @ answer).item()

    for i, value in enumerate(values):
        step = 1e-5 * max(1.0, value)
        high, low = (loss([v + (j == i) * s for j, v in enumerate(values)]) for s in (step, -step))
        assert abs((high - low) / (2 * step) - found[i].item()) <= 1e-6 * max(1.0, abs(found[i].item()))


@pytest.mark.parametrize("back_end", ["python", "lanes"])
def test_the_bouncing_ball_has_the_gradient_of_its_closed_form(back_end: str) -> None:
    # Starts of which one bounces five times, one twice and one never.
    starts, ts = [10.0, 2.0, 40.0], f64([0.0, 0.5, 1.6, 2.8])
    built = EVENTS.Ball(adjoint="interpolated", backend=back_end, solver="tsit5", **TIGHT)
    h0 = leaf(starts)
    rest = (leaf(BALL[1]), leaf(BALL[2]), leaf(BALL[3]), leaf(BALL[4]))
    answer = built(h0, *rest, ts)
    assert len(set(built.last.fired.tolist())) == 3 and note_names(int(built.last.notes[0])) == (
        "approximate_gradient",
    )
    weights = torch.cos(torch.arange(answer.numel(), dtype=torch.float64)).reshape(answer.shape)
    found = torch.autograd.grad((weights * answer).sum(), [h0, *rest], retain_graph=True)
    known = torch.stack([ball(h, *rest, ts) for h in h0.unbind()])
    wanted = torch.autograd.grad((weights * known).sum(), [h0, *rest])
    for one, two in zip(found, wanted, strict=True):
        assert error(one, two) <= 1e-9
    # A sample alone has the bits that it has among others.
    alone = leaf(starts[1])
    (own,) = torch.autograd.grad((weights[1] * built(alone, *rest, ts)).sum(), alone)
    assert torch.equal(own, found[0][1])


def test_a_dae_with_events_is_the_same_on_lanes() -> None:
    name, values = "Pendulum", ([1.0, 0.5], 0.8, 1.7, [0.0, 0.6, 1.15, 2.0])
    found, oracle = (
        gradients(getattr(algebraic.MODELS, name)(solver="rodas5p", adjoint="gauss", backend=back_end, **TIGHT), values)
        for back_end in ("lanes", "python")
    )
    assert largest(found, oracle) <= 1e-8


def test_a_single_precision_layer() -> None:
    built = EVENTS.ThirdBounce(adjoint="gauss", backend="python", dtype=torch.float32)
    found = gradients(built, (10.0, 0.0, 9.8, 0.8, 0.2), torch.float32)
    wanted = (0.27995656234732698, 0.10204081632653061, -0.27995656234732698, 7.3539105243400943, -0.27995656234732698)
    for one, two in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32 and abs(one.item() - two) <= 1e-3 * max(1.0, abs(two))


def test_a_failed_sample_and_one_without_derivative() -> None:
    built = EVENTS.Ball(adjoint="gauss", backend="lanes", on_fail="nan", solver="tsit5", **TIGHT)
    h0, ts = leaf([10.0, 0.2001, 3.0]), f64([0.0, 0.7, 1.9])
    answer = built(h0, 0.0, 9.8, 0.5, 0.2, ts)
    assert built.last.status.tolist() == [SUCCESS, ZENO, SUCCESS]
    (found,) = torch.autograd.grad(answer[[0, 2]].sum(), h0)
    alone = leaf([10.0, 3.0])
    (own,) = torch.autograd.grad(built(alone, 0.0, 9.8, 0.5, 0.2, ts).sum(), alone)
    assert found[1] == 0 and torch.equal(own, found[[0, 2]])
    # A jump inside a used net is not looked into: the guard has the slope 0 where it changes sign.
    sharp = implicitdsl.loads(
        "net Side(x) -> y { return sign(x) }\n"
        "ode Sharp(a) -> x {\n  use side = Side\n  state x = 0\n  dx/dt = 1\n"
        "  when side(t - a) > 0 { x := x + t^2 }\n  from t = 0 to 2\n  return x\n}\n"
    ).Sharp(adjoint="interpolated", backend="python", **TIGHT)
    a = leaf([2.5, 0.5])
    answer = sharp(a)
    assert torch.autograd.grad(answer[0], a, retain_graph=True)[0].tolist() == [0.0, 0.0]
    with pytest.raises(implicitdsl.SolveError, match="singular"):
        torch.autograd.grad(answer.sum(), a)


def test_what_a_reset_forgets_does_not_run_backwards() -> None:
    with pytest.raises(implicitdsl.ImpError, match=r"E613[\s\S]*overwritten"):
        EVENTS.Fall(adjoint="backsolve")
    inputs = leaf(3.0)
    (grad,) = torch.autograd.grad(
        EVENTS.Fall(adjoint="gauss", backend="python", **TIGHT)(inputs)[0], inputs, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="`adjoint discrete` and `adjoint forward`"):
        grad.backward()
