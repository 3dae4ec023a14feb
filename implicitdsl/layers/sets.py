"""The sets of the language: one record each, in one table.

For a `param` a set is a smooth map from unconstrained storage onto the set's interior, with its inverse; for an input
it is a test per sample, closed, with a tolerance where a set has no interior or a float cannot lie on it exactly.
`positive nonneg interval` are elementwise; `simplex soc ordered` concern the last axis, `spd psd orthogonal` the last
two; axes before those hold several members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from implicitdsl.layers import maps
from implicitdsl.layers.maps import Args, Floats, Shape, Truths
from implicitdsl.problems.signature import MemberSet


@dataclass(frozen=True)
class SetRecord:
    """One set. `value(raw, base, args, shape)` maps storage to the interior; `raw(value, args)` is its inverse, and
    gives the base too where the set has one; `inside(array, args, tolerance)` tests the closed set and
    `interior(array, args)` what the map reaches, both over the set's own axes (`axes`: 0 elementwise, else the last
    one or two); `stored(shape)` is the shape of the storage; `centre(shape, args)` a member to start from."""

    name: str
    axes: int
    interior_is: str
    value: Callable[[Tensor, Tensor | None, Args, Shape], Tensor]
    raw: Callable[[Tensor, Args], tuple[Tensor, Tensor | None]]
    inside: Callable[[Floats, Args, float], Truths]
    interior: Callable[[Floats, Args], Truths]
    centre: Callable[[Shape, Args], Floats]
    stored: Callable[[Shape], Shape] = lambda shape: shape


def contains(which: MemberSet, value: Floats, rank: int) -> Truths:
    """Whether each member of an array of shape [*batch, *shape] with `rank` own axes lies in the closed set; shape
    [*batch]. The tolerance is relative to the member's size: 1e-6 in float64 (data that was float32 once still passes),
    4e-4 in float32. NaN lies in no set."""
    record = SETS[which.name]
    tolerance = 1e-6 if value.dtype == np.float64 else 4e-4
    with np.errstate(invalid="ignore", over="ignore"):
        found = record.inside(value, which.args, tolerance)
    return np.asarray(found.all(axis=tuple(range(value.ndim - rank, found.ndim))))


def in_interior(which: MemberSet, value: Floats) -> bool:
    """Whether the whole array lies where the map of a `param` reaches."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(value).all() and SETS[which.name].interior(value, which.args).all())


_RECORDS = (
    SetRecord(
        "positive",
        0,
        "every element above 0",
        maps.positive_value,
        lambda v, a: (maps.softplus_inverse(v), None),
        lambda v, a, tol: v >= 0,
        lambda v, a: v > 0,
        lambda s, a: np.ones(s),
    ),
    SetRecord(
        "nonneg",
        0,
        "every element above 0 (0 itself is the boundary, which a smooth map never reaches)",
        maps.positive_value,
        lambda v, a: (maps.softplus_inverse(v), None),
        lambda v, a, tol: v >= 0,
        lambda v, a: v > 0,
        lambda s, a: np.ones(s),
    ),
    SetRecord(
        "interval",
        0,
        "every element strictly between the ends",
        maps.interval_value,
        maps.interval_raw,
        lambda v, a, tol: (v >= a[0]) & (v <= a[1]),
        lambda v, a: (v > a[0]) & (v < a[1]),
        maps.interval_centre,
    ),
    SetRecord(
        "simplex",
        1,
        "elements above 0 with sum 1",
        maps.simplex_value,
        maps.simplex_raw,
        maps.simplex_inside,
        maps.simplex_interior,
        lambda s, a: np.full(s, 1 / s[-1]),
    ),
    SetRecord(
        "spd",
        2,
        "symmetric with eigenvalues above 0",
        maps.spd_value,
        maps.spd_raw,
        maps.psd_inside,
        maps.spd_interior,
        maps.eye,
        maps.triangle,
    ),
    SetRecord(
        "psd",
        2,
        "symmetric with eigenvalues above 0 (a smooth map reaches no singular matrix)",
        maps.spd_value,
        maps.spd_raw,
        maps.psd_inside,
        maps.spd_interior,
        maps.eye,
        maps.triangle,
    ),
    SetRecord(
        "soc",
        1,
        "first element above the norm of the others",
        maps.soc_value,
        maps.soc_raw,
        lambda v, a, tol: v[..., 0] >= maps.norm(v) - tol * np.abs(v[..., 0]),
        lambda v, a: v[..., 0] > maps.norm(v),
        maps.soc_centre,
    ),
    SetRecord(
        "ordered",
        1,
        "elements that rise strictly",
        maps.ordered_value,
        maps.ordered_raw,
        lambda v, a, tol: np.asarray((v[..., 1:] >= v[..., :-1]).all(-1)),
        lambda v, a: np.asarray((v[..., 1:] > v[..., :-1]).all(-1)),
        lambda s, a: np.broadcast_to(np.arange(s[-1], dtype=np.float64), s).copy(),
    ),
    SetRecord(
        "orthogonal",
        2,
        "columns (of a wide matrix: rows) of length 1 at right angles",
        maps.orthogonal_value,
        maps.orthogonal_raw,
        maps.orthogonal_inside,
        lambda v, a: maps.orthogonal_inside(v, a, 1e-6 if v.dtype == np.float64 else 4e-4),
        maps.eye,
        maps.skew,
    ),
)

SETS: dict[str, SetRecord] = {record.name: record for record in _RECORDS}
