"""Derivatives that do not exist: a gradient that is infinite or NaN, though what it was asked for is a number.

A solve may stand at a point where a function has no slope (`sqrt` at 0): its output is a number, its derivative none.
That is a failure of the backward pass, of the samples that have it and of no other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, is_per_sample
from implicitdsl.layers.bodies import Batch, poison, report_rows, rows_of, take, touched_by
from implicitdsl.layers.registry import Entry
from implicitdsl.solvers.status import NONFINITE

Gradients = Sequence[Array | None]


def exist(gradients: Gradients, wanted: Sequence[bool]) -> bool:
    """Whether all gradients that are wanted are numbers."""
    return all(g is None or not wants or _is_finite(g) for g, wants in zip(gradients, wanted, strict=True))


def _is_finite(value: Array) -> bool:
    # A sum of squares is finite only where all numbers are, but may overflow.
    return math.isfinite(np.vdot(value, value)) or bool(np.isfinite(value).all())


def report_missing(
    entry: Entry,
    gradients: Gradients,
    wanted: Sequence[bool],
    cotangents: list[Array],
    args: list[Array],
    status: NDArray[np.int32],
    saved: Sequence[Array],
    shape: Batch,
    on_fail: str,
) -> list[Array | None]:
    """The gradients, after the failures among them were treated as `on_fail` says; for gradients that do not `exist`.

    Raises SolveError that names the samples without a derivative. Samples that failed before, and those whose
    cotangents are no numbers, are not among them."""
    engine, batch = entry.engine, math.prod(shape)
    asked = touched_by(cotangents, batch) & (status == 0)
    for value in cotangents:
        asked &= _finite_rows(value, batch)
    lost = np.zeros(batch, np.bool_)
    shared = [False] * len(args)
    for i, (grad, wants, arg, argument) in enumerate(zip(gradients, wanted, args, engine.arguments, strict=True)):
        if grad is None or not wants:
            continue
        if is_per_sample(arg, argument):
            lost |= asked & ~_finite_rows(grad, batch)
        else:
            shared[i] = not np.isfinite(grad).all()

    def look(rows: NDArray[np.int64]) -> None:
        """Marks those whose own terms of a shared gradient are no numbers, by halves and halves of these."""
        if not rows.size:
            return
        given, held, cots = rows_of(engine, args, rows, batch), take(saved, rows), take(cotangents, rows)
        found = engine.pullback(given, rows.size, held, status[rows], cots)
        if exist(found.grads, shared) or (found.status.any() and rows.size == 1):
            return
        if rows.size == 1:
            lost[rows] = True
            return
        for half in np.array_split(rows, 2):
            look(half)

    if any(shared):
        look(np.flatnonzero(asked & ~lost))
    failed = report_rows(entry, lost[lost] * NONFINITE, np.flatnonzero(lost), shape, on_fail, "backward")
    whole = [np.zeros(a.shape, engine.dtype) if g is None else g for g, a in zip(gradients, args, strict=True)]
    return list(poison(engine, args, whole, failed))


def _finite_rows(value: Array, batch: int) -> NDArray[np.bool_]:
    return np.logical_and.reduce(np.isfinite(value.reshape(batch, -1)), axis=1)
