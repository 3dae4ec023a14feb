"""From what `forward` was given to the flat arguments of engines: types, shapes, batch dimensions, call sizes."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from implicitdsl.layers.blueprint import InputSpec

FLOATS = (torch.float32, torch.float64)


def in_order(layer: str, specs: Sequence[InputSpec], given: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """The inputs in the order of the signature, where some were given by name. Raises TypeError for a name that is no
    input, one given twice and one that is missing."""
    names = [spec.name for spec in specs]
    for name in named:
        if name not in names:
            raise TypeError(f"{layer} has no input `{name}` (its inputs: {', '.join(names)})")
        if name in names[: len(given)]:
            raise TypeError(f"{layer}: the input `{name}` is given twice, by place and by name")
    missing = [name for name in names[len(given) :] if name not in named]
    if missing:
        raise TypeError(f"{layer} takes {len(specs)} inputs ({', '.join(names)}); missing: {', '.join(missing)}")
    return (*given, *(named[name] for name in names[len(given) :]))


def read_inputs(layer: str, specs: Sequence[InputSpec], given: Sequence[Any]) -> list[tuple[Tensor, bool]]:
    """Each input as a CPU tensor, and whether its type takes part in promotion (Python numbers, integer and bool
    tensors do not). Raises TypeError for a wrong number of inputs and for half, complex or sparse ones, ValueError for
    another device."""
    if len(given) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise TypeError(f"{layer} takes {len(specs)} inputs ({names}), not {len(given)}")
    return [_read(layer, spec, value) for spec, value in zip(specs, given, strict=True)]


def _read(layer: str, spec: InputSpec, value: Any) -> tuple[Tensor, bool]:
    if isinstance(value, Tensor):
        if value.dtype in FLOATS and value.is_cpu and value.layout is torch.strided and not value.is_nested:
            return value, True
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
    if tensor.layout is not torch.strided or tensor.is_nested:
        kind, cure = ("nested", "unbind") if tensor.is_nested else ("sparse", "to_dense")
        raise TypeError(f"{layer}: input `{spec.name}` is {kind}; layers compute with dense tensors (`.{cure}()`)")
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
            found = _broadcast(found, lead)
        except (RuntimeError, ValueError):
            others = ", ".join(
                f"`{s.name}` {_list(h[: len(h) - len(s.shape)])}" for s, h in zip(specs[:index], shapes, strict=False)
            )
            raise ValueError(
                f"{layer}: the batch dimensions {_list(lead)} of `{spec.name}` do not broadcast with those of {others}"
            ) from None
    return torch.Size(found)


def _broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    # torch's own function knows symbolic sizes, and imports sympy at its first call: only a trace needs it.
    if torch.compiler.is_compiling() or any(isinstance(size, torch.SymInt) for size in (*one, *other)):
        return tuple(torch.broadcast_shapes(one, other))
    return np.broadcast_shapes(one, other)


@dataclass(frozen=True)
class Call:
    """What follows from the types and shapes of a call: the type it computes in, its call sizes and batch shape, and
    the shape in which each input goes to the engines (None: as it is)."""

    dtype: torch.dtype
    sizes: Mapping[str, int]
    batch: torch.Size
    inputs: tuple[tuple[str, tuple[int, ...] | None], ...]

    def slots(self, read: Sequence[tuple[Tensor, bool]]) -> dict[str, Tensor]:
        """The inputs by name, flat and of the type of the call."""
        found: dict[str, Tensor] = {}
        for k, ((name, own), (tensor, _)) in enumerate(zip(self.inputs, read, strict=True)):
            value = tensor if tensor.dtype == self.dtype else tensor.to(self.dtype)
            if own is not None and not self.batch:
                value = value.unsqueeze(0)
            elif own is not None:
                value = self.made(k, value)
            found[name] = value
        return found

    def made(self, k: int, value: Tensor) -> Tensor:
        """Input k spread over the batch, flat."""
        own = self.inputs[k][1]
        assert own is not None
        return value.expand((*self.batch, *own)).reshape((math.prod(self.batch), *own))

    def is_made(self, k: int, shape: Sequence[int]) -> bool:
        """Whether input k, of that shape, is spread over the batch; else its numbers lie as an engine wants them."""
        own = self.inputs[k][1]
        return own is not None and tuple(shape) != (*self.batch, *own)

    def flat(self, k: int, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The shape in which input k goes to an engine that is given it as it is, where that is another one."""
        own = self.inputs[k][1]
        return None if own is None or self.is_made(k, shape) else (math.prod(self.batch), *own)


def plan_call(layer: str, specs: Sequence[InputSpec], shapes: Sequence[Sequence[int]], dtype: torch.dtype) -> Call:
    """The plan of a call with inputs of these shapes. Raises ValueError for shapes that do not fit.

    An input goes per sample, [B, *shape], or shared, [*shape]: without batch dimensions it stays shared, and its
    gradient is summed by the engine, in order. In a call without any batch, scalars and vectors go as the one sample
    that they are, the layout that batches have too."""
    sizes = bind_sizes(layer, specs, shapes)
    batch = batch_shape(layer, specs, shapes)
    flat: list[tuple[str, tuple[int, ...] | None]] = []
    for spec, shape in zip(specs, shapes, strict=True):
        rank = len(spec.shape)
        own = tuple(shape[len(shape) - rank :]) if rank else ()
        shared = len(shape) == rank and (batch or rank >= 2)
        as_it_is = shared or (len(batch) == 1 and tuple(shape) == (*batch, *own))
        flat.append((spec.name, None if as_it_is else own))
    return Call(dtype, sizes, batch, tuple(flat))
