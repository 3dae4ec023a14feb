"""Finite differences of a layer, beside its exact derivatives.

The layer's outputs are contracted with fixed random weights to one number L. First: dL/da for every argument a against
the five-point difference of L in each entry. Second: with fixed random directions u, the gradient of the sum of
<dL/da, u> against the five-point difference of dL/da along u.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

STEP = 1e-3
#: What the values that are subtracted are sure to: solves end at about this, relative to the largest.
SURE = 1e-10
#: Of a larger argument, this many entries are compared one by one, chosen by the seed.
MOST_ENTRIES = 64


@dataclass(frozen=True)
class Comparison:
    """The entry with the largest error: its exact and its difference value; and the largest errors of all entries."""

    exact: float
    difference: float
    absolute: float
    relative: float


@dataclass(frozen=True)
class Row:
    """The two comparisons of one argument."""

    name: str
    shape: tuple[int, ...]
    first: Comparison
    second: Comparison

    @property
    def worst(self) -> float:
        """The larger relative error; infinite where one is NaN."""
        errors = (self.first.relative, self.second.relative)
        return max(errors) if all(e == e for e in errors) else float("inf")

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "shape": list(self.shape)}


def compare(layer: torch.nn.Module, inputs: Mapping[str, NDArray[np.float64]], *, seed: int = 0) -> list[Row]:
    """One row for each input and param of the layer, in order, none for empty ones. Raises SolveError."""
    names = [*inputs, *(name for name, _ in layer.named_parameters())]
    given = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in inputs.values()]
    wrt = [*given, *layer.parameters()]
    generator = torch.Generator().manual_seed(seed)
    weights: list[torch.Tensor] = []

    def loss() -> torch.Tensor:
        outputs = layer(*given)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if not weights:
            weights.extend(torch.rand(o.shape, generator=generator, dtype=torch.float64) + 0.5 for o in outputs)
        return torch.stack([(w * o).sum() for w, o in zip(weights, outputs, strict=True)]).sum()

    value = loss()
    first = gradient(value, wrt, keep=True)
    directions = [torch.randn(a.shape, generator=generator, dtype=torch.float64) for a in wrt]
    product = torch.stack([(g * u).sum() for g, u in zip(first, directions, strict=True)]).sum()
    second = gradient(product, wrt, keep=False) if product.requires_grad else [torch.zeros_like(a) for a in wrt]
    along = five_point(lambda: gradient(loss(), wrt, keep=False), wrt, directions)
    scale = max([float(g.detach().abs().max()) for g in first if g.numel()], default=0.0)
    bend = max([float(g.detach().abs().max()) for g in second if g.numel()], default=0.0)
    rows: list[Row] = []
    for i, (name, argument) in enumerate(zip(names, wrt, strict=True)):
        if argument.numel() == 0:
            continue
        chosen = choose(argument.numel(), seed)
        found = torch.stack([entry_difference(loss, argument, int(j)) for j in chosen])
        exact = first[i].detach().reshape(-1)[chosen]
        rows.append(
            Row(
                readable(name),
                tuple(argument.shape),
                comparison(exact, found, scale, abs(float(value.detach()))),
                comparison(second[i].detach().reshape(-1), along[i].reshape(-1), bend, scale),
            )
        )
    return rows


def readable(name: str) -> str:
    """`parametrizations.alpha.original` is the free number behind `alpha`."""
    head, _, tail = name.rpartition("parametrizations.")
    return f"{head}{tail.removesuffix('.original')} (free)" if tail.endswith(".original") else name


def choose(entries: int, seed: int) -> torch.Tensor:
    """All entries, or a fixed selection of them."""
    if entries <= MOST_ENTRIES:
        return torch.arange(entries)
    return torch.randperm(entries, generator=torch.Generator().manual_seed(seed))[:MOST_ENTRIES].sort().values


def gradient(value: torch.Tensor, wrt: Sequence[torch.Tensor], *, keep: bool) -> list[torch.Tensor]:
    """The gradient for every argument, zeros where the value does not depend on it."""
    found = torch.autograd.grad(value, list(wrt), create_graph=keep, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(wrt, found, strict=True)]


def five_point(
    function: Callable[[], list[torch.Tensor]], wrt: Sequence[torch.Tensor], directions: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """The derivative of the function's values along the directions, with an error of the order STEP^4."""
    starts = [a.detach().clone() for a in wrt]
    total: list[torch.Tensor] | None = None
    for factor, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
        with torch.no_grad():
            for argument, start, direction in zip(wrt, starts, directions, strict=True):
                argument.copy_(start + factor * STEP * direction)
        values = [weight * v.detach() for v in function()]
        total = values if total is None else [t + v for t, v in zip(total, values, strict=True)]
    with torch.no_grad():
        for argument, start in zip(wrt, starts, strict=True):
            argument.copy_(start)
    assert total is not None
    return [t / (12 * STEP) for t in total]


def entry_difference(loss: Callable[[], torch.Tensor], argument: torch.Tensor, entry: int) -> torch.Tensor:
    """dL by one entry of one argument."""
    direction = torch.zeros_like(argument).reshape(-1)
    direction[entry] = 1.0
    return five_point(lambda: [loss()], [argument], [direction.reshape(argument.shape)])[0]


def comparison(exact: torch.Tensor, difference: torch.Tensor, scale: float, values: float) -> Comparison:
    """Errors relative to the argument's largest entry, or a thousandth of the largest of all arguments, or what
    differences of values of this size tell from 0."""
    errors = (exact - difference).abs()
    worst = int(torch.where(errors.isnan(), torch.inf, errors).argmax())
    size = max(float(exact.abs().max()), float(difference.abs().max()), 1e-3 * scale, SURE * values / STEP)
    absolute = float(errors[worst])
    relative = absolute / size if size > 0 or absolute != absolute else 0.0
    return Comparison(float(exact[worst]), float(difference[worst]), absolute, relative)
