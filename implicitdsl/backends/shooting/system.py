"""The equations of multiple shooting for a batch of samples: residual, matrix, and what outputs are read from.

Every integration is a *leg* of the flow: from a node to the next, from a node to a place where a condition reads the
states, from a node to a time at which outputs are read. A leg begins at the last node that is not behind its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.shooting.matrix import Factors, all_finite, factor
from implicitdsl.backends.shooting.part import Given, Part
from implicitdsl.backends.shooting.spec import PartEngine, ShootingSpec
from implicitdsl.solvers import status as codes

Rows = NDArray[np.int64]
FIELDS = ("s", "c", "g", "by", "v", "status", "steps")
"""The arrays of a sweep."""


@dataclass(frozen=True)
class Times:
    """The nodes (batch, N+1), the places (batch, P) and reading times (batch, m), the node that the leg to each begins
    at and the time there, and a status where the reading times are not in order or not within the interval."""

    mesh: Array
    places: Array
    place_nodes: Rows
    place_from: Array
    reads: Array
    read_nodes: Rows
    read_from: Array
    status: NDArray[np.int32]

    def rows(self, rows: Rows) -> Times:
        """The same for some of the samples."""
        return (
            self if len(rows) == len(self.mesh) else replace(self, **{name: a[rows] for name, a in vars(self).items()})
        )


@dataclass(frozen=True)
class Sweep:
    """All legs from the states at the nodes: the defects `c` (batch, N, n), the residual `g` (batch, n) of the
    conditions, its derivative `by` (batch, n, P, n) by the values `v` (batch, P, n), a status, and what the legs
    keep."""

    s: Array
    c: Array
    g: Array
    by: Array
    v: Array
    status: NDArray[np.int32]
    steps: NDArray[np.int64]
    saved: list[Array]

    def rows(self, rows: Rows) -> Sweep:
        """The same for some of the samples."""
        if len(rows) == len(self.s):
            return self
        kept = {name: getattr(self, name)[rows] for name in FIELDS}
        return replace(self, **kept, saved=[a[rows] for a in self.saved])

    def put(self, rows: Rows, other: Sweep) -> None:
        """Takes over other samples in the places named."""
        for name in FIELDS:
            getattr(self, name)[rows] = getattr(other, name)
        for mine, theirs in zip(self.saved, other.saved, strict=True):
            mine[rows] = theirs


class System:
    """The parts of a problem, and what multiple shooting makes of them."""

    def __init__(self, spec: ShootingSpec, part: PartEngine) -> None:
        self._part = part
        self.arguments = spec.arguments
        self.n, self.places, self.reads = spec.states, spec.places, spec.reads
        self.rtol, self.atol = spec.rtol, spec.atol

    @cached_property
    def flow(self) -> Part:
        return Part(self._part("flow"), 3, self.arguments)

    @cached_property
    def guess(self) -> Part:
        return Part(self._part("guess"), 1, self.arguments)

    @cached_property
    def instants(self) -> Part:
        return Part(self._part("instants"), 0, self.arguments)

    @cached_property
    def conditions(self) -> Part:
        return Part(self._part("conditions"), 1, self.arguments)

    @cached_property
    def linear_conditions(self) -> Part:
        return Part(self._part("linear_conditions"), 1, self.arguments)

    @cached_property
    def reading(self) -> Part:
        return Part(self._part("reading"), 2, self.arguments)

    # ------------------------------------------------------------ times

    def times(self, given: Given, segments: int) -> Times:
        """The nodes and everything that legs lead to."""
        ends, within, places, reads = (o[:, 0] for o in self.instants.solve((), given, 1).outputs)
        mesh = on_mesh(ends, segments)
        rise = np.diff(reads, axis=1)
        good = ((rise >= 0).all(axis=1) | (rise <= 0).all(axis=1)) & np.isfinite(reads).all(axis=1)
        good &= (reads >= within[:, :1]).all(axis=1) & (reads <= within[:, 1:]).all(axis=1)
        status = np.where(good, codes.SUCCESS, codes.BAD_TIMES)
        lost = ~np.isfinite(ends).all(axis=1)
        status = np.where(lost, codes.BAD_TIMES, status).astype(np.int32)
        return Times(mesh, places, *_node_before(mesh, places), reads, *_node_before(mesh, reads), status)

    # ------------------------------------------------------------ residual

    def first(self, given: Given, times: Times) -> Array:
        """The guess at the nodes."""
        return self.guess.solve((times.mesh,), given, times.mesh.shape[1]).outputs[0]

    def sweep(self, s: Array, given: Given, times: Times) -> Sweep:
        """Every leg of the equations from the states s."""
        segments = s.shape[1] - 1
        legs = self.flow.solve(self.own(s, times), given, segments + self.places)
        (ends,) = legs.outputs
        v = np.ascontiguousarray(ends[:, segments:])
        g, by = self.linear_conditions.solve((v[:, None],), given, 1).outputs
        c = ends[:, :segments] - s[:, 1:]
        status = _first(legs.status)
        finite = all_finite(c) & all_finite(g) & all_finite(by)
        status = np.where((status == codes.SUCCESS) & ~finite, codes.NONFINITE, status).astype(np.int32)
        steps = legs.steps[:, :segments].sum(axis=1)
        return Sweep(s, c, g[:, 0].copy(), by[:, 0].copy(), v, status, steps, legs.saved)

    def own(self, s: Array, times: Times) -> list[Array]:
        """The inputs of the legs of the equations: their starts and between which times they go."""
        return [
            np.concatenate([s[:, :-1], at_nodes(s, times.place_nodes)], axis=1),
            np.concatenate([times.mesh[:, :-1], times.place_from], axis=1),
            np.concatenate([times.mesh[:, 1:], times.places], axis=1),
        ]

    def own_reads(self, s: Array, times: Times) -> list[Array]:
        """The inputs of the legs to the reading times."""
        return [at_nodes(s, times.read_nodes), times.read_from, times.reads]

    def scale(self, s: Array) -> Array:
        """The size of every scalar state over the nodes, (batch, 1, n)."""
        return np.maximum(np.abs(s).max(axis=1, keepdims=True), np.asarray(self.atol / self.rtol, s.dtype))

    def defect(self, sweep: Sweep) -> Array:
        """The largest defect and residual (batch,), 1 being what a step of the integration may be wrong by."""
        unit = self.rtol * self.scale(sweep.s)
        worst = np.abs(sweep.c / unit).max(axis=(1, 2))
        rows = np.abs(sweep.by).reshape(len(unit), self.n, -1)
        reach = (rows @ np.tile(unit, (1, 1, self.places)).swapaxes(1, 2))[..., 0]
        worst_g = np.abs(sweep.g / np.where(reach > 0, reach, np.asarray(self.atol, reach.dtype))).max(axis=1)
        return np.where(sweep.status == codes.SUCCESS, np.maximum(worst, worst_g), np.inf)

    # ------------------------------------------------------------ matrix

    def columns(self, sweep: Sweep, given: Given, times: Times) -> Array:
        """The derivative of every leg of the equations by its start, (batch, N+P, n, n)."""
        return self.flow.columns(self.own(sweep.s, times), given, sweep.saved)

    def matrix(self, columns: Array, by: Array, times: Times) -> Factors:
        """The matrix of the equations, factored."""
        segments = times.mesh.shape[1] - 1
        rows = np.zeros((len(by), segments + 1, self.n, self.n), by.dtype)
        every = np.arange(len(by))
        for k in range(self.places):
            rows[every, times.place_nodes[:, k]] += by[:, :, k] @ columns[:, segments + k]
        return factor(columns[:, :segments], rows)

    def sensitivity(self, factors: Factors, s: Array) -> Array:
        """How far the states move, in units of their size, where every segment is wrong by rtol of that size: at 1 the
        equations cannot be told from ones without a unique solution. (W. W. Hager's estimate, SIAM J. Sci. Stat.
        Comput. 5 (1984) 311-316, of the norm of the inverse.)"""
        size = self.scale(s)
        wrong = np.broadcast_to(self.rtol * size, (len(s), s.shape[1] - 1, self.n))
        none = np.zeros((len(s), self.n), s.dtype)
        moved = np.abs(factors.solve(wrong, none) / size)
        worst = moved.reshape(len(s), -1).argmax(axis=1)
        one = np.zeros((len(s), s.shape[1] * self.n), s.dtype)
        one[np.arange(len(s)), worst] = 1.0
        mu, _ = factors.solve_transposed(one.reshape(s.shape) / size)
        again = np.abs(factors.solve(np.where(mu < 0, -wrong, wrong), none) / size)
        return np.maximum(moved.max(axis=(1, 2)), again.max(axis=(1, 2)))


def on_mesh(ends: Array, segments: int) -> Array:
    """The nodes between two ends (batch, 2), evenly; a tangent of the ends gives that of the nodes."""
    part = np.arange(segments + 1, dtype=ends.dtype) / segments
    mesh = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * part
    mesh[:, -1] = ends[:, 1]
    return mesh


def off_mesh(bars: Array) -> Array:
    """The transpose of `on_mesh`."""
    segments = bars.shape[1] - 1
    ends = np.zeros((len(bars), 2), bars.dtype)
    for k in range(segments + 1):
        ends[:, 0] += bars[:, k] * ((segments - k) / segments)
        ends[:, 1] += bars[:, k] * (k / segments)
    return ends


def at_nodes(values: Array, nodes: Rows) -> Array:
    """The values at some nodes of each sample."""
    return values[np.arange(len(values))[:, None], nodes]


def add_at_nodes(whole: Array, nodes: Rows, parts: Array) -> None:
    """Adds parts to the nodes that they belong to, in order."""
    every = np.arange(len(whole))
    for k in range(nodes.shape[1]):
        whole[every, nodes[:, k]] += parts[:, k]


def _node_before(mesh: Array, times: Array) -> tuple[Rows, Array]:
    """The last node that is not behind each time, and when the leg begins: at the node, but where only rounding is
    between the two, at the time itself, because an integration over a few units in the last place has no steps."""
    nodes = np.maximum((mesh[:, None] <= times[..., None]).sum(axis=2) - 1, 0)
    begin = at_nodes(mesh, nodes)
    rounding = 32 * np.finfo(mesh.dtype).eps * np.abs(mesh[:, [0, -1]]).max(axis=1, keepdims=True)
    return nodes, np.where(np.abs(times - begin) <= rounding, times, begin)


def _first(status: NDArray[np.int32]) -> NDArray[np.int32]:
    """The status of the first leg that failed."""
    found = np.zeros(len(status), np.int32)
    for leg in range(status.shape[1]):
        found = np.where(found == codes.SUCCESS, status[:, leg], found)
    return found
