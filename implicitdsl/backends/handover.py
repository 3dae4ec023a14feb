"""Two methods for one problem, sample by sample: what the first leaves as stiff, the second takes on from there.

The first engine solves the problem, and its last output is the end of the run (`solvers/stiffness.py`: state, time,
direction, steps, save times reached); samples that it leaves have the status `HANDED_OVER`. The second engine solves
the rest (`problems/handover.py`), with those ends as its first argument. So the answer is a composition of two maps, of
which each engine has the exact derivatives on its own steps: with z the end, o the outputs, g cotangents, v directions,

    pullback           g -> (g_z, g_p) by the second; then g_z, and g at times reached before, through the first
    pushforward        z' = z_p v by the first; then (z', v) through the second
    second order       <g, o_z z' + o_p v> has the gradient of the second in (z, p), the first's of <., z>, and that of
                       the first's own tangent for the cotangent of z', which is g_z.

Samples handed over are packed anew for the second engine; a batch in which nothing is stiff never makes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Argument,
    Array,
    Engine,
    Gradient,
    RunOptions,
    Second,
    Shape,
    Solution,
    Tangents,
    Tape,
    is_per_sample,
)
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.stiffness import END, END_TIME, HANDED_OVER, REACHED

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The samples handed over that a derivative is about, and what the second engine is asked about them."""

    rows: Rows
    args: list[Array]
    saved: list[Array]
    status: NDArray[np.int32]
    later: Array | None
    """(samples, times): the save times that the second engine reads; None where outputs are read at the end."""

    def cotangents(self, whole: Sequence[Array]) -> list[Array]:
        """Those that belong to the second engine."""
        return [_where(self.later, c[self.rows], 0.0) for c in whole]

    def rest(self, whole: Sequence[Array]) -> list[Array]:
        """Those that belong to the first engine, of all samples."""
        found = [np.array(c) for c in whole]
        for c in found:
            c[self.rows] = 0.0 if self.later is None else _where(~self.later, c[self.rows], 0.0)
        return found

    def put(self, into: Sequence[Array], found: Sequence[Array]) -> None:
        """The outputs of the second engine in their places."""
        for whole, part in zip(into, found, strict=True):
            whole[self.rows] = _where(self.later, part, whole[self.rows])


@dataclass(frozen=True)
class HandoverTape:
    """What the second engine kept of a solve; the first makes its steps, which are few, again. See `Tape`."""

    engine: HandoverEngine
    args: list[Array]
    begun: list[Array]
    status: NDArray[np.int32]
    end: Array
    part: Part
    tape: Tape

    def pullback(self, cotangents: list[Array], wanted: Sequence[bool]) -> Gradient | None:
        """See `Tape`."""
        own = self.part.cotangents(cotangents)
        if self.status.any() or not _asked(own, self.part.rows.size).all():
            return None
        later = self.tape.pullback(own, (True, *wanted))
        if later is None:
            return None
        return self.engine.pulled(self.args, self.begun, self.status, self.end, cotangents, self.part, later)


class HandoverEngine(ABC):
    """One engine of two; see `Engine` for its duties."""

    arguments: tuple[Argument, ...]
    outputs: tuple[Shape, ...]
    first: Engine
    """What all samples begin with; the end of its run is the last output."""
    reads_times: bool
    """Whether outputs are read at save times."""
    handed_over: int = 0
    """The number of samples that the second engine took on in the last solve."""

    @property
    @abstractmethod
    def second(self) -> Engine:
        """What solves the rest; the end of the first is its first argument."""

    # ------------------------------------------------------------ forward

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`. `saved` is what the first engine saves, the steps of the second, and the ends."""
        begun = self.first.solve(args, batch, run)
        *outputs, end = begun.outputs
        status, notes, steps = begun.status, begun.notes, begun.steps
        further, stiff_from = np.zeros(batch, np.int64), np.full(batch, np.nan, end.dtype)
        extras = {**begun.extras, "stiff_from": stiff_from}
        rows = np.flatnonzero(status == HANDED_OVER)
        self.handed_over = rows.size
        tape = begun.tape
        if rows.size:
            part = self._part(args, rows, end, further)
            found = self.second.solve(part.args, rows.size, run)
            part.put(outputs, found.outputs)
            status, notes, steps, extras = status.copy(), notes.copy(), steps.copy(), dict(extras)
            status[rows], further[rows] = found.status, found.saved[0]
            notes[rows] |= found.notes
            steps[rows] += found.steps
            for name, fact in found.extras.items():
                extras[name] = np.array(extras[name])
                extras[name][rows] = extras[name][rows] + fact if name in _ADDED else fact
            stiff_from[rows] = end[rows, self._states(end) + END_TIME]
            part = self._part(args, rows, end, further)
            tape = (
                None
                if found.tape is None
                else HandoverTape(self, args, list(begun.saved), status, end, part, found.tape)
            )
        return Solution(outputs, status, notes, steps, [*begun.saved, further, end], extras, tape)

    def _part(self, args: list[Array], rows: Rows, end: Array, further: Array) -> Part:
        ends = end[rows]
        later = None
        if self.reads_times:
            reached = ends[:, self._states(end) + REACHED].astype(np.int64)
            later = np.arange(self.outputs[0][0]) >= reached[:, None]
        given = [ends, *self._picked(args, rows)]
        return Part(rows, given, [further[rows]], np.zeros(rows.size, np.int32), later)

    def _states(self, end: Array) -> int:
        return end.shape[1] - END

    def _picked(self, args: Sequence[Array], rows: Rows) -> list[Array]:
        return [
            a[rows] if is_per_sample(a, argument) else a for a, argument in zip(args, self.first.arguments, strict=True)
        ]

    # ------------------------------------------------------------ derivatives

    def _handed_over(
        self, args: list[Array], saved: list[Array], status: NDArray[np.int32], asked: Array | None
    ) -> Part | None:
        """The samples that both engines solved, of those asked about (None: all)."""
        *_, further, end = saved
        chosen = (further > 0) & (status == codes.SUCCESS)
        rows = np.flatnonzero(chosen if asked is None else chosen & asked)
        return self._part(args, rows, end, further) if rows.size else None

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        *begun, _, end = saved
        part = self._handed_over(args, saved, status, _asked(cotangents, batch))
        if part is None:
            return self.first.pullback(args, batch, begun, status, [*cotangents, np.zeros_like(end)])
        own = part.cotangents(cotangents)
        later = self.second.pullback(part.args, part.rows.size, part.saved, part.status, own)
        return self.pulled(args, begun, status, end, cotangents, part, later)

    def pulled(
        self,
        args: list[Array],
        begun: list[Array],
        status: NDArray[np.int32],
        end: Array,
        cotangents: list[Array],
        part: Part,
        later: Gradient,
    ) -> Gradient:
        """The pullback, given what the second engine has of it."""
        end_bar = np.zeros_like(end)
        _put(end_bar, part.rows, later.grads[0])
        found = self.first.pullback(args, len(end), begun, status, [*part.rest(cotangents), end_bar])
        grads = self._joined(args, found.grads, part, later.grads[1:])
        return Gradient(grads, _worst(found.status, part.rows, later.status))

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        begun = self.first.pushforward(args, batch, saved[:-2], status, tangents)
        *outputs, end_dot = begun.outputs
        part = self._handed_over(args, saved, status, None)
        if part is None:
            return Tangents(outputs, begun.status)
        along = [end_dot[part.rows], *self._picked(tangents, part.rows)]
        found = self.second.pushforward(part.args, part.rows.size, part.saved, part.status, along)
        part.put(outputs, found.outputs)
        return Tangents(outputs, _worst(begun.status, part.rows, found.status))

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """See `Engine`."""
        *begun, _, end = saved
        end_bar = np.zeros_like(end)
        part = self._handed_over(args, saved, status, None)
        if part is None:
            found = self.first.pullback_pullback(args, batch, begun, status, [*cotangents, end_bar], directions)
            return Second(found.cotangents[:-1], found.grads, found.status)
        count, own = part.rows.size, part.cotangents(cotangents)
        end_dot = self.first.pushforward(args, batch, begun, status, directions).outputs[-1]
        along = [end_dot[part.rows], *self._picked(directions, part.rows)]
        later = self.second.pullback_pullback(part.args, count, part.saved, part.status, own, along)
        slope = self.second.pullback(part.args, count, part.saved, part.status, own)
        end_dot_bar = np.zeros_like(end)
        _put(end_bar, part.rows, later.grads[0])
        _put(end_dot_bar, part.rows, slope.grads[0])
        rest = part.rest(cotangents)
        bent = self.first.pullback_pullback(args, batch, begun, status, [*rest, end_dot_bar], directions)
        plain = self.first.pullback(args, batch, begun, status, [*(np.zeros_like(c) for c in rest), end_bar])
        *pushed, _ = bent.cotangents
        part.put(pushed, later.cotangents)
        once = [_sum(a, b) for a, b in zip(bent.grads, plain.grads, strict=True)]
        grads = self._joined(args, once, part, later.grads[1:])
        return Second(pushed, grads, _worst(_worst(bent.status, part.rows, later.status), part.rows, slope.status))

    def _joined(
        self, args: Sequence[Array], grads: Sequence[Array | None], part: Part, later: Sequence[Array | None]
    ) -> list[Array | None]:
        """The gradients of both engines together."""
        found: list[Array | None] = []
        for arg, argument, whole, more in zip(args, self.first.arguments, grads, later, strict=True):
            if more is None or not is_per_sample(arg, argument):
                found.append(_sum(whole, more))
            else:
                joined = np.zeros(arg.shape, more.dtype) if whole is None else np.array(whole)
                joined[part.rows] += more
                found.append(joined)
        return found


_ADDED = ("accepted",)
"""Facts that count what both engines did; the others are the last one's."""


def _where(mask: Array | None, found: Array, other: Any) -> Array:
    """`found` at the times of the mask (everywhere where it is None), elsewhere `other`."""
    return found if mask is None else np.where(mask.reshape(*mask.shape, *(1,) * (found.ndim - 2)), found, other)


def _asked(cotangents: Sequence[Array], batch: int) -> Array:
    found = np.zeros(batch, np.bool_)
    for c in cotangents:
        found |= np.asarray(c).reshape(batch, -1).any(axis=1)
    return found


def _put(into: Array, rows: Rows, part: Array | None) -> None:
    if part is not None:
        into[rows] = part


def _sum(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a + b


def _worst(status: NDArray[np.int32], rows: Rows, part: NDArray[np.int32]) -> NDArray[np.int32]:
    """The status of all samples; of those in both engines that of the first that failed."""
    found = np.array(status)
    found[rows] = np.where(found[rows] == codes.SUCCESS, part, found[rows])
    return found
