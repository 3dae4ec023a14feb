"""What the reference tests of `argmin` share: the models, calls in float64, derivatives both ways."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import implicitdsl

FOLDER = Path(__file__).parent / "models"


@cache
def models(name: str) -> Any:
    """The definitions of a file beside this one; what it warns of is tested with curvature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return implicitdsl.load(FOLDER / f"{name}.imp")


def read(text: str) -> Any:
    """The definitions of a text, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return implicitdsl.load(text)


def tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values, float))


def outputs(result: Any) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def jacobian(layer: Any, inputs: list[Any], *, wrt: int = 0, output: int = 0) -> np.ndarray:
    """d output / d input by backward passes, shape output + input."""
    given = [tensor(v) for v in inputs]

    def only(value: Tensor) -> Tensor:
        return outputs(layer(*given[:wrt], value, *given[wrt + 1 :]))[output]

    return torch.autograd.functional.jacobian(only, given[wrt]).numpy()


def differences(layer: Any, inputs: list[Any], *, wrt: int = 0, output: int = 0, step: float = 1e-5) -> np.ndarray:
    """The same by central differences."""
    given = [tensor(v) for v in inputs]
    base = given[wrt]
    columns = []
    for k in range(base.numel()):
        bump = torch.zeros(base.numel(), dtype=torch.float64)
        bump[k] = step
        bump = bump.reshape(base.shape)
        with torch.no_grad():
            high, low = (outputs(layer(*given[:wrt], base + s * bump, *given[wrt + 1 :]))[output] for s in (1, -1))
        columns.append(((high - low) / (2 * step)).numpy())
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *base.shape))


def second_error(
    layer: Any, inputs: list[Any], *, step: float = 1e-5, seed: int = 0, held: tuple[int, ...] = ()
) -> float:
    """The largest difference between the Hessian of a random combination of the outputs and the central differences
    of its gradient, in a random direction of all inputs but those
    held, relative to the larger of 1 and the Hessian's size."""
    r = np.random.default_rng(seed)
    given = [tensor(v).requires_grad_() for v in inputs]
    directions = [tensor(r.standard_normal(v.shape)) * (k not in held) for k, v in enumerate(given)]
    with torch.no_grad():
        weights = [tensor(r.standard_normal(o.shape)) for o in outputs(layer(*given))]

    def gradient(values: list[Tensor], *, again: bool) -> tuple[Tensor, ...]:
        results = outputs(layer(*values))
        # Quadratic in the outputs, so that first derivatives enter the second order too.
        total = sum((w * o + 0.5 * w * o * o).sum() for w, o in zip(weights, results, strict=True))
        found = torch.autograd.grad(total, values, create_graph=again, allow_unused=True)
        return tuple(torch.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True))

    first = gradient(given, again=True)
    product = sum((g * d).sum() for g, d in zip(first, directions, strict=True))
    exact = torch.autograd.grad(product, given, allow_unused=True)
    moved = [
        gradient(
            [(v + s * step * d).detach().requires_grad_() for v, d in zip(given, directions, strict=True)], again=False
        )
        for s in (1, -1)
    ]
    worst = 0.0
    for value, e, high, low in zip(given, exact, *moved, strict=True):
        have = torch.zeros_like(value) if e is None else e
        want = (high - low) / (2 * step)
        size = max(1.0, float(want.abs().max()) if want.numel() else 0.0)
        worst = max(worst, float((have - want).abs().max()) / size if want.numel() else 0.0)
    return worst
