"""A layer on given inputs, with what is known about its answer: the tests of a table of cases share their solves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import implicitdsl
from implicitdsl.layers.options import named_by_environment

MODELS = Path(__file__).parent / "models"


@cache
def models(file: str) -> Any:
    """The definitions of models/FILE.imp."""
    return implicitdsl.load(MODELS / f"{file}.imp")


def f64(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def leaf(value: Any) -> Tensor:
    """A tensor of its own that asks for a gradient."""
    return f64(value).clone().requires_grad_()


def flat(outputs: Any) -> Tensor:
    """All outputs of one sample in one vector."""
    return torch.cat([o.reshape(-1) for o in (outputs if isinstance(outputs, tuple) else (outputs,))])


class on_each_back_end:
    """A property that is computed once on every back end that the environment names."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute = compute

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        key = f"{self.compute.__name__} on {named_by_environment()}"
        if key not in owner.__dict__:
            owner.__dict__[key] = self.compute(owner)
        return owner.__dict__[key]


@dataclass(frozen=True, eq=False)
class Case:
    """`values` are all outputs, flat. `slopes[i]` maps an argument to the gradient of output i. `closed` computes the flat
    outputs from the arguments in torch, so that torch's own derivatives are the reference. `bound` is the error of the values
    allowed, in units of rtol, `step` that of the finite differences."""

    file: str
    layer: str
    given: Mapping[str, Any]
    values: Any = None
    slopes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Mapping[str, Any]])
    seconds: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Mapping[str, Any]])
    closed: Callable[..., Tensor] | None = None
    fixed: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""
    bound: float = 50.0
    step: float = 3e-5

    @property
    def name(self) -> str:
        return f"{self.layer}-{self.note}" if self.note else self.layer

    @on_each_back_end
    def built(self) -> Any:
        built = getattr(models(self.file), self.layer)(dtype=torch.float64, **self.options)
        with torch.no_grad():
            for name, value in self.params.items():
                built.get_parameter(name).copy_(f64(value))
        return built

    @on_each_back_end
    def arguments(self) -> dict[str, Tensor]:
        """Inputs by name, then params by name."""
        inputs = {n: f64(v) if n in self.fixed else leaf(v) for n, v in self.given.items()}
        return inputs | {n: self.built.get_parameter(n) for n in self.params}

    @on_each_back_end
    def moving(self) -> list[str]:
        return [n for n, v in self.arguments.items() if v.requires_grad]

    @on_each_back_end
    def solved(self) -> Tensor:
        """All outputs, flat, on the graph."""
        answer = flat(self.built(*(self.arguments[n] for n in self.given)))
        assert not self.built.last.status.any()
        return answer

    def at(self, arguments: Mapping[str, Tensor]) -> Tensor:
        """The flat outputs for other arguments, params included."""
        inputs = tuple(arguments[n] for n in self.given)
        return flat(torch.func.functional_call(self.built, {n: arguments[n] for n in self.params}, inputs))

    def shifted(self, directions: Mapping[str, Tensor], step: float) -> dict[str, Tensor]:
        moved = {n: (v + step * directions[n] if n in directions else v) for n, v in self.arguments.items()}
        return {n: v.detach().requires_grad_(n in directions) for n, v in moved.items()}

    @on_each_back_end
    def directions(self) -> dict[str, Tensor]:
        """One direction for every moving argument, of the argument's own size."""
        draw = torch.Generator().manual_seed(7)
        found: dict[str, Tensor] = {}
        for name in self.moving:
            value = self.arguments[name].detach()
            found[name] = (
                torch.randn(value.shape, generator=draw, dtype=value.dtype) * value.abs().clamp(min=1e-9).mean()
            )
        return found

    @on_each_back_end
    def weights(self) -> Tensor:
        """The weights of a scalar made of all outputs."""
        return torch.cos(torch.arange(self.solved.numel(), dtype=torch.float64))

    @on_each_back_end
    def differences(self) -> tuple[float, dict[str, Tensor]]:
        """Central differences along the directions: of the weighted sum of all outputs, and of its gradient."""
        values: list[Tensor] = []
        slopes: list[tuple[Tensor, ...]] = []
        for step in (self.step, -self.step):
            arguments = self.shifted(self.directions, step)
            values.append(self.weights @ self.at(arguments))
            slopes.append(torch.autograd.grad(values[-1], [arguments[n] for n in self.moving]))
        ratio = 1 / (2 * self.step)
        bends = [(a - b) * ratio for a, b in zip(*slopes, strict=True)]
        return (values[0] - values[1]).item() * ratio, dict(zip(self.moving, bends, strict=True))

    @on_each_back_end
    def derivatives(self) -> dict[str, Tensor]:
        """The gradient of the weighted sum at the case itself, on the graph."""
        arguments = [self.arguments[n] for n in self.moving]
        found = torch.autograd.grad(self.weights @ self.solved, arguments, create_graph=True, retain_graph=True)
        return dict(zip(self.moving, found, strict=True))

    @on_each_back_end
    def curvatures(self) -> dict[str, Tensor]:
        """The Hessian of the weighted sum times the directions."""
        slope = dot(self.derivatives, self.directions)
        arguments = [self.arguments[n] for n in self.moving]
        found = torch.autograd.grad(slope, arguments, retain_graph=True, materialize_grads=True)
        return dict(zip(self.moving, found, strict=True))


def dot(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([(left[n] * right[n]).sum() for n in right]).sum()


def gradients_of(output: Tensor, arguments: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, arguments, retain_graph=True, materialize_grads=True)


def error(found: Tensor, wanted: Any) -> float:
    """The largest difference, relative to the largest number wanted."""
    reference = f64(wanted)
    assert found.shape == reference.shape
    scale = reference.abs().max().item() if reference.numel() else 0.0
    return (found.detach() - reference).abs().max().item() / (scale or 1.0)
