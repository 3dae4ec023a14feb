"""The sets of the language: one record each, in one table.

For a `param` a set is a smooth map from unconstrained storage onto the set's interior, with its inverse; for an input it
is a test per sample, closed, with a tolerance where a set has no interior or a float cannot lie on it exactly.
`positive nonneg interval` are elementwise; `simplex soc ordered` concern the last axis, `spd psd orthogonal` the last two;
axes before those hold several members.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from implicitdsl.problems.signature import MemberSet

Args = tuple[float, ...]
Shape = tuple[int, ...]
Floats = NDArray[Any]


@dataclass(frozen=True)
class SetRecord:
    """One set. `value(raw, base, args, shape)` maps storage to the interior; `raw(value, args)` is its inverse, and gives
    the base too where the set has one; `inside(array, args, tolerance)` tests the closed set and `interior(array, args)` what
    the map reaches, both over the set's own axes (`axes`: 0 elementwise, else the last one or two); `stored(shape)` is the
    shape of the storage; `centre(shape, args)` a member to start from."""

    name: str
    axes: int
    interior_is: str
    value: Callable[[Tensor, Tensor | None, Args, Shape], Tensor]
    raw: Callable[[Tensor, Args], tuple[Tensor, Tensor | None]]
    inside: Callable[[Floats, Args, float], NDArray[np.bool_]]
    interior: Callable[[Floats, Args], NDArray[np.bool_]]
    centre: Callable[[Shape, Args], Floats]
    stored: Callable[[Shape], Shape] = lambda shape: shape


def contains(which: MemberSet, value: Floats, rank: int) -> NDArray[np.bool_]:
    """Whether each member of an array of shape [*batch, *shape] with `rank` own axes lies in the closed set; shape
    [*batch]. The tolerance is relative to the member's size: 1e-6 in float64 (data that was float32 once still passes),
    4e-4 in float32. NaN lies in no set."""
    record = SETS[which.name]
    tolerance = 1e-6 if value.dtype == np.float64 else 4e-4
    with np.errstate(invalid="ignore", over="ignore"):
        found = record.inside(value, which.args, tolerance)
    return found.all(axis=tuple(range(value.ndim - rank, found.ndim)))


def in_interior(which: MemberSet, value: Floats) -> bool:
    """Whether the whole array lies where the map of a `param` reaches."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(value).all() and SETS[which.name].interior(value, which.args).all())


def _softplus(raw: Tensor) -> Tensor:
    # From 40 on softplus(x) = x in float64 too; torch's default of 20 is off by 1e-10. `tiny` keeps what underflows inside.
    return F.softplus(raw, threshold=40) + torch.finfo(raw.dtype).tiny


def _softplus_inverse(value: Tensor) -> Tensor:
    # log(exp(v) - 1) = v + log(1 - exp(-v)): no overflow for large v, full relative precision for small v.
    return value + torch.log(-torch.expm1(-value))


def _held(value: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """The value moved off a boundary that rounding put it on; its derivative stays that of the smooth map."""
    with torch.no_grad():
        kept = value
        if low is not None:
            kept = torch.maximum(kept, low)
        if high is not None:
            kept = torch.minimum(kept, high)
        shift = kept - value
    return value + shift


def _next(value: Tensor, towards: float) -> Tensor:
    return torch.nextafter(value, torch.full_like(value, towards))


def _positive_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    return _softplus(raw)


def _interval_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    low, high = args
    if math.isinf(low) and math.isinf(high):
        return raw
    bottom, top = torch.full_like(raw, low), torch.full_like(raw, high)
    if math.isinf(high):
        return _held(low + _softplus(raw), low=_next(bottom, math.inf))
    if math.isinf(low):
        return _held(high - _softplus(raw), high=_next(top, -math.inf))
    width = high - low
    value = torch.where(raw < 0, low + width * torch.sigmoid(raw), high - width * torch.sigmoid(-raw))
    return _held(value, low=_next(bottom, math.inf), high=_next(top, -math.inf))


def _interval_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    low, high = args
    if math.isinf(low) and math.isinf(high):
        return value, None
    if math.isinf(high):
        return _softplus_inverse(value - low), None
    if math.isinf(low):
        return _softplus_inverse(high - value), None
    return torch.log(value - low) - torch.log(high - value), None


def _interval_centre(shape: Shape, args: Args) -> Floats:
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


def _simplex_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    value = torch.softmax(raw, -1)
    return _held(value, low=torch.full_like(value, torch.finfo(raw.dtype).tiny))


def _simplex_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    logs = torch.log(value)
    return logs - logs.mean(-1, keepdim=True), None


def _simplex_inside(value: Floats, args: Args, tolerance: float) -> NDArray[np.bool_]:
    return (value >= -tolerance).all(-1) & (np.abs(value.sum(-1) - 1) <= tolerance)


def _simplex_interior(value: Floats, args: Args) -> NDArray[np.bool_]:
    tolerance = 1e-6 if value.dtype == np.float64 else 4e-4
    return (value > 0).all(-1) & (np.abs(value.sum(-1) - 1) <= tolerance)


def _ordered_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    return torch.cumsum(torch.cat([raw[..., :1], _softplus(raw[..., 1:])], -1), -1)


def _ordered_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    return torch.cat([value[..., :1], _softplus_inverse(value.diff(dim=-1))], -1), None


def _lower(raw: Tensor, n: int) -> Tensor:
    """The lower triangle held row by row in the last axis."""
    i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    place = torch.where(j <= i, i * (i + 1) // 2 + j, 0)
    return raw[..., place.reshape(-1)].reshape(*raw.shape[:-1], n, n) * (j <= i).to(raw.dtype)


def _spd_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    n = shape[-1]
    full = _lower(raw, n)
    diagonal = torch.diagonal(full, dim1=-2, dim2=-1)
    factor = full - torch.diag_embed(diagonal) + torch.diag_embed(_softplus(diagonal))
    return factor @ factor.mT


def _spd_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    n = value.shape[-1]
    factor = torch.linalg.cholesky((value + value.mT) / 2)
    diagonal = torch.diagonal(factor, dim1=-2, dim2=-1)
    full = factor - torch.diag_embed(diagonal) + torch.diag_embed(_softplus_inverse(diagonal))
    i, j = torch.tril_indices(n, n)
    return full[..., i, j], None


def _symmetric(value: Floats, tolerance: float) -> NDArray[np.bool_]:
    size = np.abs(value).max((-2, -1), initial=0)
    return np.abs(value - np.swapaxes(value, -1, -2)).max((-2, -1), initial=0) <= tolerance * size


def _least(value: Floats) -> Floats:
    """The least eigenvalue of the symmetric part; NaN where the matrix is not finite."""
    fine = np.isfinite(value).all((-2, -1))
    half = np.where(fine[..., None, None], (value + np.swapaxes(value, -1, -2)) / 2, 0)
    return np.where(fine, np.linalg.eigvalsh(half)[..., 0], np.nan)


def _psd_inside(value: Floats, args: Args, tolerance: float) -> NDArray[np.bool_]:
    size = np.abs(value).max((-2, -1), initial=0)
    return _symmetric(value, tolerance) & (_least(value) >= -tolerance * size)


def _spd_interior(value: Floats, args: Args) -> NDArray[np.bool_]:
    size = np.abs(value).max((-2, -1), initial=0)
    # A Cholesky factor exists from here on: n eps bounds the rounding of the factorisation (Higham, theorem 10.7).
    floor = value.shape[-1] * np.finfo(value.dtype).eps * size
    return _symmetric(value, 1e-6 if value.dtype == np.float64 else 4e-4) & (_least(value) > floor)


def _soc_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    # t = sqrt(|x|^2 + p^2) with p > 0 reaches every t > |x| and is smooth at x = 0, which |x| + p is not.
    gap, rest = _softplus(raw[..., :1]), raw[..., 1:]
    top = torch.linalg.vector_norm(torch.cat([gap, rest], -1), dim=-1, keepdim=True)
    with torch.no_grad():
        least = _next(torch.linalg.vector_norm(rest, dim=-1, keepdim=True), math.inf)
    return torch.cat([_held(top, low=least), rest], -1)


def _soc_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    top, rest = value[..., :1], value[..., 1:]
    norm = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
    return torch.cat([_softplus_inverse(torch.sqrt(top - norm) * torch.sqrt(top + norm)), rest], -1), None


def _soc_centre(shape: Shape, args: Args) -> Floats:
    centre = np.zeros(shape)
    centre[..., 0] = 1
    return centre


def _norm(value: Floats) -> Floats:
    return np.linalg.norm(value[..., 1:], axis=-1)


def _orthogonal_value(raw: Tensor, base: Tensor | None, args: Args, shape: Shape) -> Tensor:
    rows, columns = shape[-2:]
    n = max(rows, columns)
    assert base is not None
    # Strictly lower, then skew: raw holds the lower triangle without its diagonal.
    below = _lower(F.pad(raw, (0, n)), n) if n == 1 else _strictly_lower(raw, n)
    turned = base @ torch.linalg.matrix_exp(below - below.mT)
    return turned[..., :columns] if rows >= columns else turned[..., :rows].mT


def _strictly_lower(raw: Tensor, n: int) -> Tensor:
    return F.pad(_lower(raw, n - 1), (0, 1, 1, 0))


def _orthogonal_raw(value: Tensor, args: Args) -> tuple[Tensor, Tensor | None]:
    tall = value if value.shape[-2] >= value.shape[-1] else value.mT
    n, columns = tall.shape[-2:]
    q, r = torch.linalg.qr(tall, mode="complete")
    signs = torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))
    base = torch.cat([q[..., :columns] * signs[..., None, :], q[..., columns:]], -1)
    return value.new_zeros(*value.shape[:-2], n * (n - 1) // 2), base


def _orthogonal_inside(value: Floats, args: Args, tolerance: float) -> NDArray[np.bool_]:
    tall = value if value.shape[-2] >= value.shape[-1] else np.swapaxes(value, -1, -2)
    gram = np.swapaxes(tall, -1, -2) @ tall
    return (np.abs(gram - np.eye(gram.shape[-1])) <= tolerance).all((-2, -1))


def _triangle(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1] * (shape[-1] + 1) // 2)


def _skew(shape: Shape) -> Shape:
    n = max(shape[-2:])
    return (*shape[:-2], n * (n - 1) // 2)


def _eye(shape: Shape, args: Args) -> Floats:
    return np.broadcast_to(np.eye(*shape[-2:]), shape).copy()


_RECORDS = (
    SetRecord(
        "positive", 0, "every element above 0", _positive_value, lambda v, a: (_softplus_inverse(v), None),
        lambda v, a, tol: v >= 0, lambda v, a: v > 0, lambda s, a: np.ones(s),
    ),
    SetRecord(
        "nonneg", 0, "every element above 0 (0 itself is the boundary, which a smooth map never reaches)", _positive_value,
        lambda v, a: (_softplus_inverse(v), None), lambda v, a, tol: v >= 0, lambda v, a: v > 0, lambda s, a: np.ones(s),
    ),
    SetRecord(
        "interval", 0, "every element strictly between the ends", _interval_value, _interval_raw,
        lambda v, a, tol: (v >= a[0]) & (v <= a[1]), lambda v, a: (v > a[0]) & (v < a[1]), _interval_centre,
    ),
    SetRecord(
        "simplex", 1, "elements above 0 with sum 1", _simplex_value, _simplex_raw, _simplex_inside, _simplex_interior,
        lambda s, a: np.full(s, 1 / s[-1]),
    ),
    SetRecord(
        "spd", 2, "symmetric with eigenvalues above 0", _spd_value, _spd_raw, _psd_inside, _spd_interior, _eye, _triangle
    ),
    SetRecord(
        "psd", 2, "symmetric with eigenvalues above 0 (a smooth map reaches no singular matrix)", _spd_value, _spd_raw,
        _psd_inside, _spd_interior, _eye, _triangle,
    ),
    SetRecord(
        "soc", 1, "first element above the norm of the others", _soc_value, _soc_raw,
        lambda v, a, tol: v[..., 0] >= _norm(v) - tol * np.abs(v[..., 0]), lambda v, a: v[..., 0] > _norm(v), _soc_centre,
    ),
    SetRecord(
        "ordered", 1, "elements that rise strictly", _ordered_value, _ordered_raw,
        lambda v, a, tol: (v[..., 1:] >= v[..., :-1]).all(-1), lambda v, a: (v[..., 1:] > v[..., :-1]).all(-1),
        lambda s, a: np.broadcast_to(np.arange(s[-1], dtype=np.float64), s).copy(),
    ),
    SetRecord(
        "orthogonal", 2, "columns (of a wide matrix: rows) of length 1 at right angles", _orthogonal_value, _orthogonal_raw,
        _orthogonal_inside, lambda v, a: _orthogonal_inside(v, a, 1e-6 if v.dtype == np.float64 else 4e-4), _eye, _skew,
    ),
)

SETS: dict[str, SetRecord] = {record.name: record for record in _RECORDS}
