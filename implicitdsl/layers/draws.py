"""The draws of the language: one record each, in one table. All take torch's generator (`torch.manual_seed`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from implicitdsl.problems.signature import Draw

Shape = tuple[int, ...]


@dataclass(frozen=True)
class DrawRecord:
    """`fill(values, args)` fills a tensor in place; `args` are `defaults` where the text gives none."""

    name: str
    defaults: tuple[float, ...]
    fill: Callable[[Tensor, tuple[float, ...]], object]
    doc: str


def draw(which: Draw, shape: Shape, dtype: torch.dtype) -> Tensor:
    """A new tensor drawn from a distribution. Raises ValueError for arguments or shapes that the draw does not take."""
    record = DRAWS[which.name]
    if len(which.args) > len(record.defaults):
        raise ValueError(f"{record.name} takes {len(record.defaults)} arguments, not {len(which.args)}")
    values = torch.zeros(shape, dtype=dtype)
    if values.numel():
        record.fill(values, (*which.args, *record.defaults[len(which.args) :]))
    return values


def fans(shape: Shape) -> tuple[int, int]:
    """(fan in, fan out) of a weight: torch's for rank ≥ 2 (rows are outputs); a vector maps n inputs to one output, a
    scalar one to one."""
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    field = 1
    for size in shape[2:]:
        field *= size
    return shape[1] * field, shape[0] * field


def _normal(values: Tensor, args: tuple[float, ...]) -> object:
    mean, std = args
    if not std >= 0:
        raise ValueError(f"normal(mean, std): std = {std:g} is negative")
    return values.normal_(mean, std)


def _uniform(values: Tensor, args: tuple[float, ...]) -> object:
    low, high = args
    if not low <= high:
        raise ValueError(f"uniform(a, b): a = {low:g} is above b = {high:g}")
    return values.uniform_(low, high)


def _glorot(values: Tensor, args: tuple[float, ...]) -> object:
    fan_in, fan_out = fans(tuple(values.shape))
    bound = (6 / (fan_in + fan_out)) ** 0.5
    return values.uniform_(-bound, bound)


def _kaiming(values: Tensor, args: tuple[float, ...]) -> object:
    fan_in, _ = fans(tuple(values.shape))
    return values.normal_(0, (2 / fan_in) ** 0.5)


def _identity(values: Tensor, args: tuple[float, ...]) -> object:
    if values.ndim < 2:
        raise ValueError(f"identity() fills matrices, not shape {list(values.shape)}")
    return values.copy_(torch.eye(*values.shape[-2:], dtype=values.dtype).expand_as(values))


def _orthogonal(values: Tensor, args: tuple[float, ...]) -> object:
    if values.ndim < 2:
        raise ValueError(f"orthogonal() fills matrices, not shape {list(values.shape)}")
    for matrix in values.reshape(-1, *values.shape[-2:]):
        torch.nn.init.orthogonal_(matrix)
    return values


_RECORDS = (
    DrawRecord("normal", (0.0, 1.0), _normal, "normal(mean = 0, std = 1)"),
    DrawRecord("uniform", (0.0, 1.0), _uniform, "uniform(a = 0, b = 1)"),
    DrawRecord("glorot", (), _glorot, "uniform with variance 2/(fan_in + fan_out) (Glorot & Bengio 2010)"),
    DrawRecord("kaiming", (), _kaiming, "normal with variance 2/fan_in (He et al. 2015)"),
    DrawRecord("identity", (), _identity, "1 on the diagonal of the last two axes, 0 elsewhere"),
    DrawRecord("zeros", (), lambda values, args: values, "0"),
    DrawRecord("orthogonal", (), _orthogonal, "orthogonal matrices, uniform (Saxe et al. 2014)"),
)

DRAWS: dict[str, DrawRecord] = {record.name: record for record in _RECORDS}
