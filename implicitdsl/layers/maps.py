"""The mathematics of the sets: smooth maps onto interiors, their inverses, and tests of membership.

Each `X_value(raw, base, args, shape)` maps storage to a member, `X_raw(value, args)` back; see `SetRecord`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Args = tuple[float, ...]
Shape = tuple[int, ...]
Floats = NDArray[Any]
Truths = NDArray[np.bool_]


def softplus(raw: Tensor) -> Tensor:
    # From 40 on softplus(x) = x in float64 too; torch's default of 20 is off by 1e-10. `tiny` keeps what underflows
    # inside.
    return torch.nn.functional.softplus(raw, threshold=40) + torch.finfo(raw.dtype).tiny


def softplus_inverse(value: Tensor) -> Tensor:
    # log(exp(v) - 1) = v + log(1 - exp(-v)): no overflow for large v, full relative precision for small v.
    return value + torch.log(-torch.expm1(-value))


def held(value: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """The value moved off a boundary that rounding put it on; its derivative stays that of the smooth map."""
    with torch.no_grad():
        kept = value
        if low is not None:
            kept = torch.maximum(kept, low)
        if high is not None:
            kept = torch.minimum(kept, high)
        shift = kept - value
    return value + shift


def next(value: Tensor, towards: float) -> Tensor:
    return torch.nextafter(value, torch.full_like(value, towards))


def positive_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    return softplus(raw)


def interval_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    low, high = args
    if math.isinf(low) and math.isinf(high):
        return raw
    bottom, top = torch.full_like(raw, low), torch.full_like(raw, high)
    if math.isinf(high):
        return held(low + softplus(raw), low=next(bottom, math.inf))
    if math.isinf(low):
        return held(high - softplus(raw), high=next(top, -math.inf))
    width = high - low
    value = torch.where(raw < 0, low + width * torch.sigmoid(raw), high - width * torch.sigmoid(-raw))
    return held(value, low=next(bottom, math.inf), high=next(top, -math.inf))


def interval_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    low, high = args
    if math.isinf(low) and math.isinf(high):
        return value, None
    if math.isinf(high):
        return softplus_inverse(value - low), None
    if math.isinf(low):
        return softplus_inverse(high - value), None
    return torch.log(value - low) - torch.log(high - value), None


def interval_centre(shape: Shape, args: Args) -> Floats:
    low, high = args
    match math.isinf(low), math.isinf(high):
        case True, True:
            middle = 0.0
        case True, False:
            middle = high - 1
        case False, True:
            middle = low + 1
        case _:
            middle = low + (high - low) / 2
    return np.full(shape, middle)


def simplex_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    value = torch.softmax(raw, -1)
    return held(value, low=torch.full_like(value, torch.finfo(raw.dtype).tiny))


def simplex_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    logs = torch.log(value)
    return logs - logs.mean(-1, keepdim=True), None


def simplex_inside(value: Floats, args: Args, tolerance: float) -> Truths:
    return (value >= -tolerance).all(-1) & (np.abs(value.sum(-1) - 1) <= tolerance)


def simplex_interior(value: Floats, args: Args) -> Truths:
    tolerance = 1e-6 if value.dtype == np.float64 else 4e-4
    return (value > 0).all(-1) & (np.abs(value.sum(-1) - 1) <= tolerance)


def ordered_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    return torch.cumsum(torch.cat([raw[..., :1], softplus(raw[..., 1:])], -1), -1)


def ordered_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    return torch.cat([value[..., :1], softplus_inverse(value.diff(dim=-1))], -1), None


def lower(raw: Tensor, n: int) -> Tensor:
    """The lower triangle held row by row in the last axis."""
    i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    place = torch.where(j <= i, i * (i + 1) // 2 + j, 0)
    return raw[..., place.reshape(-1)].reshape(*raw.shape[:-1], n, n) * (j <= i).to(raw.dtype)


def spd_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    n = shape[-1]
    full = lower(raw, n)
    diagonal = torch.diagonal(full, dim1=-2, dim2=-1)
    factor = full - torch.diag_embed(diagonal) + torch.diag_embed(softplus(diagonal))
    return factor @ factor.mT


def spd_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    n = value.shape[-1]
    factor = torch.linalg.cholesky((value + value.mT) / 2)
    diagonal = torch.diagonal(factor, dim1=-2, dim2=-1)
    full = factor - torch.diag_embed(diagonal) + torch.diag_embed(softplus_inverse(diagonal))
    i, j = torch.tril_indices(n, n)
    return full[..., i, j], None


def symmetric(value: Floats, tolerance: float) -> Truths:
    size = np.abs(value).max((-2, -1), initial=0)
    return np.abs(value - np.swapaxes(value, -1, -2)).max((-2, -1), initial=0) <= tolerance * size


def least(value: Floats) -> Floats:
    """The least eigenvalue of the symmetric part; NaN where the matrix is not finite."""
    fine = np.isfinite(value).all((-2, -1))
    half = np.where(np.asarray(fine)[..., None, None], (value + np.swapaxes(value, -1, -2)) / 2, 0)
    return np.where(fine, np.linalg.eigvalsh(half)[..., 0], np.nan)


def psd_inside(value: Floats, args: Args, tolerance: float) -> Truths:
    size = np.abs(value).max((-2, -1), initial=0)
    return symmetric(value, tolerance) & (least(value) >= -tolerance * size)


def spd_interior(value: Floats, args: Args) -> Truths:
    size = np.abs(value).max((-2, -1), initial=0)
    # A Cholesky factor exists from here on: n eps bounds the rounding of the factorisation (Higham, theorem 10.7).
    floor = value.shape[-1] * np.finfo(value.dtype).eps * size
    return symmetric(value, 1e-6 if value.dtype == np.float64 else 4e-4) & (least(value) > floor)


def soc_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    # t = sqrt(|x|^2 + p^2) with p > 0 reaches every t > |x| and is smooth at x = 0, which |x| + p is not.
    gap, rest = softplus(raw[..., :1]), raw[..., 1:]
    top = torch.linalg.vector_norm(torch.cat([gap, rest], -1), dim=-1, keepdim=True)
    with torch.no_grad():
        least = next(torch.linalg.vector_norm(rest, dim=-1, keepdim=True), math.inf)
    return torch.cat([held(top, low=least), rest], -1)


def soc_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    top, rest = value[..., :1], value[..., 1:]
    norm = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
    return torch.cat([softplus_inverse(torch.sqrt(top - norm) * torch.sqrt(top + norm)), rest], -1), None


def soc_centre(shape: Shape, args: Args) -> Floats:
    centre = np.zeros(shape)
    centre[..., 0] = 1
    return centre


def norm(value: Floats) -> Floats:
    return np.linalg.norm(value[..., 1:], axis=-1)


def orthogonal_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    rows, columns = shape[-2:]
    n = max(rows, columns)
    assert base is not None
    # Strictly lower, then skew: raw holds the lower triangle without its diagonal.
    below = lower(torch.nn.functional.pad(raw, (0, n)), n) if n == 1 else strictly_lower(raw, n)
    turned = base @ torch.linalg.matrix_exp(below - below.mT)
    return turned[..., :columns] if rows >= columns else turned[..., :rows].mT


def strictly_lower(raw: Tensor, n: int) -> Tensor:
    return torch.nn.functional.pad(lower(raw, n - 1), (0, 1, 1, 0))


def orthogonal_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    tall = value if value.shape[-2] >= value.shape[-1] else value.mT
    n, columns = tall.shape[-2:]
    q, r = torch.linalg.qr(tall, mode="complete")
    signs = torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))
    base = torch.cat([q[..., :columns] * signs[..., None, :], q[..., columns:]], -1)
    return value.new_zeros(*value.shape[:-2], n * (n - 1) // 2), base


def orthogonal_inside(value: Floats, args: Args, tolerance: float) -> Truths:
    tall = value if value.shape[-2] >= value.shape[-1] else np.swapaxes(value, -1, -2)
    gram = np.swapaxes(tall, -1, -2) @ tall
    return np.asarray((np.abs(gram - np.eye(gram.shape[-1])) <= tolerance).all((-2, -1)))


def triangle(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1] * (shape[-1] + 1) // 2)


def skew(shape: Shape) -> Shape:
    n = max(shape[-2:])
    return (*shape[:-2], n * (n - 1) // 2)


def eye(shape: Shape, args: Args) -> Floats:
    return np.broadcast_to(np.eye(shape[-2], shape[-1]), shape).copy()
