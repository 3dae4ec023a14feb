"""The gradient by tangents, `adjoint forward`: J'g entry by entry, a pushforward along each number of the arguments.

On the frozen steps of the run, as the discrete adjoint: the two agree to rounding, and so do their second derivatives.
It costs one run with tangents for each number of inputs and params, and there is no reverse sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Argument,
    Array,
    Engine,
    Gradient,
    RunOptions,
    Solution,
    Tangents,
    is_per_sample,
    sum_in_order,
)
from implicitdsl.solvers import status as codes


class Pushing(Protocol):
    """What the gradient by tangents asks of an engine."""

    @property
    def arguments(self) -> tuple[Argument, ...]: ...

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents: ...


def pullback_by_tangents(
    engine: Pushing, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32],
    cotangents: list[Array], times: int | None,
) -> Gradient:  # fmt: skip
    """As `Engine.pullback`. `times` is the number of the argument that is the vector of save times and nothing else:
    each of them moves its own instant alone, but for the first and the last, so that three directions serve for all."""
    asked = np.zeros(batch, np.bool_)
    for cot in cotangents:
        asked |= (cot.reshape(batch, -1) != 0).any(axis=1)
    rows = np.flatnonzero(asked & (status == codes.SUCCESS))
    lost = asked & (status != codes.SUCCESS)
    found = np.zeros(batch, np.int32)
    grads = [np.zeros(a.shape, a.dtype) for a in args]
    tangents = [np.zeros(a.shape, a.dtype) for a in args]
    for i, argument in enumerate(engine.arguments):
        if argument.role == "const" or not argument.differentiable:
            continue
        own = is_per_sample(args[i], argument)
        shape = (batch, -1) if own else (1, -1)
        along, into = tangents[i].reshape(shape), grads[i].reshape(shape)
        for places in _directions(along.shape[1], whole=i != times):
            along[:, places] = 1.0
            pushed = engine.pushforward(args, batch, saved, status, tangents)
            along[:, places] = 0.0
            found = np.where(found == 0, pushed.status, found)
            slopes = _contracted(pushed.outputs, cotangents, rows, places, instants=i == times)
            into[:, places] = _gathered(slopes, rows, batch) if own else sum_in_order(slopes)
        if lost.any():
            grads[i][lost if own else ...] = np.nan
    return Gradient(list(grads), np.where(asked, found, 0).astype(np.int32))


class ByTangents:
    """Before an engine's class: that engine with a gradient by tangents. Its `spec.more` tells which argument is the
    save times."""

    spec: Any

    def solve(self: Any, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`; no tape is kept."""
        return super().solve(args, batch, replace(run, keep=False))  # type: ignore[misc] - the engine behind

    def pullback(
        self: Any, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32],
        cotangents: list[Array],
    ) -> Gradient:  # fmt: skip
        """See `Engine`."""
        times = self.spec.more["save_times"]
        return pullback_by_tangents(self, args, batch, saved, status, cotangents, times)


def by_tangents(engine: Engine, times: int | None) -> Engine:
    """An engine of the back end `python` with a gradient by tangents."""

    def pullback(
        args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        return pullback_by_tangents(engine, args, batch, saved, status, cotangents, times)

    setattr(engine, "pullback", pullback)  # noqa: B010 - a protocol says that methods are not assigned
    return engine


def _directions(size: int, *, whole: bool) -> Iterator[list[int]]:
    """The entries that move together."""
    if whole or size < 4:
        yield from ([k] for k in range(size))
        return
    yield from ([0], [size - 1], list(range(1, size - 1)))


def _contracted(
    outputs: list[Array], cotangents: list[Array], rows: NDArray[np.int64], places: list[int], *, instants: bool
) -> Array:
    """<g, J v> of every sample at work (samples, places); of the instants apart, where several times moved."""
    apart = instants and len(places) > 1
    total = np.zeros((len(rows), len(places)), outputs[0].dtype)
    for out, cot in zip(outputs, cotangents, strict=True):
        product = out[rows] * cot[rows]
        if apart:
            total += product[:, places].reshape(len(rows), len(places), -1).sum(axis=2)
        else:
            total += product.reshape(len(rows), -1).sum(axis=1)[:, None]
    return total


def _gathered(slopes: Array, rows: NDArray[np.int64], batch: int) -> Array:
    whole = np.zeros((batch, slopes.shape[1]), slopes.dtype)
    whole[rows] = slopes
    return whole
