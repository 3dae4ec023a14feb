"""How long a layer takes: construction, first calls, then forward and gradient, again and again, by batch size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from implicitdsl.cli.calls import Call, silenced_warnings
from implicitdsl.cli.data import Array, UsageError
from implicitdsl.cli.inputs import draw, times_input
from implicitdsl.layers.module import Layer

FEWEST, MOST = 5, 10_000


@dataclass(frozen=True)
class Spread:
    """Seconds of some repeats of one thing: the quartiles and the shortest."""

    repeats: int
    best: float
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """The spread of measured times."""
        low, median, high = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
        return cls(len(seconds), min(seconds), low, median, high)


@dataclass(frozen=True)
class Timing:
    """One batch size; `failed` counts samples that were not solved."""

    batch: int
    failed: int
    first_forward: float
    first_gradient: float
    forward: Spread
    gradient: Spread

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def make_layer(call: Call) -> tuple[Layer, float]:
    """A layer like that of the call, made anew, and the seconds that took."""
    options = call.layer.blueprint.options
    keywords = {name: value for name, value in vars(options).items() if value is not None}
    began = time.perf_counter()
    with silenced_warnings():
        layer = call.template(**call.layer.blueprint.sizes, **keywords)
    seconds = time.perf_counter() - began
    layer.load_state_dict(call.layer.state_dict())
    return layer, seconds


def measure(call: Call, layer: Layer, inputs: Mapping[str, Array], seconds: float) -> Timing:
    """Times of a layer on some inputs; the repeats of each go on for so many seconds."""
    times = times_input(call.template.definition)
    tensors = [torch.tensor(value, dtype=call.dtype) for value in inputs.values()]
    wrt = [t.requires_grad_() for name, t in zip(inputs, tensors, strict=True) if name != times]
    wrt += list(layer.parameters())

    def forward() -> None:
        with torch.no_grad():
            layer(*tensors)

    def gradient() -> None:
        found = layer(*tensors)
        found = found if isinstance(found, tuple) else (found,)
        total = torch.stack([value.sum() for value in found]).sum()
        if total.requires_grad:
            torch.autograd.grad(total, wrt, allow_unused=True)

    with silenced_warnings():
        first_forward = _seconds(forward)
        failed = 0 if layer.last is None else int(layer.last.failed().sum())
        samples = 1 if layer.last is None else layer.last.status.numel()
        first_gradient = _seconds(gradient)
        return Timing(
            samples, failed, first_forward, first_gradient, _repeat(forward, seconds), _repeat(gradient, seconds)
        )


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _repeat(function: Callable[[], None], seconds: float) -> Spread:
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < FEWEST or (time.perf_counter() < end and len(found) < MOST):
        found.append(_seconds(function))
    return Spread.of(found)


def batched(call: Call, number: int, seed: int) -> dict[str, Array]:
    """Inputs for so many samples: those that were not named are drawn for each, scalars and vectors that were named are
    repeated, times and what has two axes or more are shared. Raises UsageError for inputs that are a batch already."""
    generator = np.random.default_rng(seed)
    times = times_input(call.template.definition)
    found: dict[str, Array] = {}
    for spec in call.layer.blueprint.inputs:
        value = call.inputs[spec.name]
        if value.ndim > len(spec.shape):
            raise UsageError(f"{spec.name} is a batch of its own; give one sample, or leave --batch out")
        if spec.name == times or (spec.name not in call.drawn and value.ndim > 1):
            found[spec.name] = value
        elif spec.name in call.drawn:
            found[spec.name] = np.stack([draw(value.shape, spec.set, generator) for _ in range(number)])
        else:
            found[spec.name] = np.repeat(value[None], number, axis=0)
    return found
