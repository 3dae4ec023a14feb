"""From what `forward` was given to the flat arguments of engines: types, shapes, batch dimensions, call sizes."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from implicitdsl.layers.blueprint import InputSpec

FLOATS = (torch.float32, torch.float64)


def read_inputs(layer: str, specs: Sequence[InputSpec], given: Sequence[Any]) -> list[tuple[Tensor, bool]]:
    """Each input as a CPU tensor, and whether its type takes part in promotion (Python numbers, integer and bool
    tensors do not). Raises TypeError for a wrong number of inputs and for half or complex ones, ValueError for another
    device."""
    if len(given) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise TypeError(f"{layer} takes {len(specs)} inputs ({names}), not {len(given)}")
    return [_read(layer, spec, value) for spec, value in zip(specs, given, strict=True)]


def _read(layer: str, spec: InputSpec, value: Any) -> tuple[Tensor, bool]:
    if isinstance(value, Tensor):
        tensor = value
    elif isinstance(value, (bool, int, float)):
        return torch.tensor(float(value), dtype=torch.float64), False
    else:
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            kind = type(value).__name__
            raise TypeError(f"{layer}: input `{spec.name}` is a {kind}, not a tensor, array or number") from error
        plain = isinstance(value, (numbers.Number, list, tuple)) and not hasattr(value, "dtype")
        if plain and tensor.dtype in FLOATS:
            return torch.as_tensor(value, dtype=torch.float64), False
    if tensor.dtype.is_complex or (tensor.dtype.is_floating_point and tensor.dtype not in FLOATS):
        advice = "take its real and imaginary parts" if tensor.dtype.is_complex else f"use `{spec.name}.float()`"
        raise TypeError(
            f"{layer}: input `{spec.name}` is {_plain(tensor.dtype)}; layers compute in float32 or float64 ({advice})"
        )
    if tensor.device.type != "cpu":
        raise ValueError(f"{layer}: input `{spec.name}` is on {tensor.device}; layers are solved on the CPU (`.cpu()`)")
    return tensor, tensor.dtype.is_floating_point


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_values(layer: str, values: Mapping[str, Tensor]) -> None:
    """Raises TypeError for params and consts of a type, ValueError for ones on a device, that no layer computes in."""
    for name, value in values.items():
        if value.dtype not in FLOATS:
            raise TypeError(
                f"{layer}: `{name}` is {_plain(value.dtype)}; layers compute in float32 or float64 "
                "(`layer.float()`, `layer.double()`)"
            )
        if value.device.type != "cpu":
            raise ValueError(f"{layer}: `{name}` is on {value.device}; layers are solved on the CPU (`layer.cpu()`)")


def promote(dtypes: Sequence[torch.dtype], default: torch.dtype) -> torch.dtype:
    """float64 if any is, else float32; `default` if there are none."""
    if not dtypes:
        return default
    return torch.float64 if torch.float64 in dtypes else torch.float32


def bind_sizes(layer: str, specs: Sequence[InputSpec], shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """The call sizes, read off the trailing dimensions. Raises ValueError naming the input, what was expected and what
    came, or the two inputs that disagree."""
    sizes: dict[str, int] = {}
    bound_by: dict[str, str] = {}
    for spec, shape in zip(specs, shapes, strict=True):
        rank = len(spec.shape)
        own = tuple(shape[len(shape) - rank :]) if rank else ()
        if len(shape) < rank:
            raise ValueError(_mismatch(layer, spec, shape))
        for expected, got in zip(spec.shape, own, strict=True):
            if isinstance(expected, str):
                if expected not in sizes:
                    # An engine is built for the size; `index` makes a trace take it as a number too.
                    sizes[expected], bound_by[expected] = operator.index(got), spec.name
                elif sizes[expected] != got:
                    raise ValueError(
                        f"{layer}: `{bound_by[expected]}` has {expected} = {sizes[expected]}, "
                        f"`{spec.name}` has {expected} = {int(got)} (its shape is {_list(shape)})"
                    )
            elif expected != got:
                raise ValueError(_mismatch(layer, spec, shape))
    return sizes


def _mismatch(layer: str, spec: InputSpec, shape: Sequence[int]) -> str:
    wanted = ", ".join(["...", *map(str, spec.shape)])
    return f"{layer}: input `{spec.name}` has shape {_list(shape)}, expected [{wanted}]"


def _list(shape: Sequence[int]) -> str:
    return "[" + ", ".join(str(int(d)) for d in shape) + "]"


def batch_shape(layer: str, specs: Sequence[InputSpec], shapes: Sequence[Sequence[int]]) -> torch.Size:
    """The broadcast of all leading dimensions. Raises ValueError naming two inputs that do not broadcast."""
    found: tuple[int, ...] = ()
    for index, (spec, shape) in enumerate(zip(specs, shapes, strict=True)):
        lead = tuple(shape[: len(shape) - len(spec.shape)])
        try:
            found = tuple(torch.broadcast_shapes(found, lead))
        except RuntimeError:
            others = ", ".join(
                f"`{s.name}` {_list(h[: len(h) - len(s.shape)])}" for s, h in zip(specs[:index], shapes, strict=False)
            )
            raise ValueError(
                f"{layer}: the batch dimensions {_list(lead)} of `{spec.name}` do not broadcast with those of {others}"
            ) from None
    return torch.Size(found)


def flatten(tensor: Tensor, rank: int, batch: tuple[int, ...]) -> Tensor:
    """The argument of an engine: per sample, [B, *shape], or shared, [*shape].

    An input without batch dimensions stays shared: its gradient is then summed by the engine, in order. In a call
    without any batch, scalars and vectors go as the one sample that they are, the layout that batches have too."""
    own = tuple(tensor.shape[tensor.ndim - rank :]) if rank else ()
    if tensor.ndim == rank and (batch or rank >= 2):
        return tensor
    return tensor.expand((*batch, *own)).reshape((math.prod(batch), *own))
