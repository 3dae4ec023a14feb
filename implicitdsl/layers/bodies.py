"""What the ops do, on NumPy arrays: test inputs, leave out samples that need no work, call the engine, and treat
failures.

Leaving samples out is what keeps failures apart: a sample whose input is bad never reaches a solver, and one whose
cotangent is zero never reaches a pullback, so it adds exactly nothing to a shared gradient.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array, Engine, RunOptions, Tape, asked_rows, is_per_sample
from implicitdsl.layers.errors import SolveError, describe
from implicitdsl.layers.input_tests import passing, reasons
from implicitdsl.layers.registry import Entry
from implicitdsl.solvers.status import BAD_INPUT

Batch = tuple[int, ...]
Answers = tuple[list[Array], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], Sequence[Array], Tape | None]


@dataclass(frozen=True)
class Record:
    """What one solve found out, for `layer.last`; arrays have one axis of samples in front, `shape` is the batch's."""

    layer: str
    shape: Batch
    status: NDArray[np.int32]
    notes: NDArray[np.int64]
    steps: NDArray[np.int64]
    seed: int | None
    extras: Mapping[str, Array] = field(default_factory=dict[str, Array])


class _Listeners(threading.local):
    def __init__(self) -> None:
        self.stack: list[list[Record]] = []


_listeners = _Listeners()


class Listening:
    """Collects the records of the solves of this thread: under vmap and grad an op's own outputs are wrapped."""

    def __enter__(self) -> list[Record]:
        heard: list[Record] = []
        _listeners.stack.append(heard)
        return heard

    def __exit__(self, *raised: object) -> None:
        _listeners.stack.pop()


def solve(
    entry: Entry,
    args: list[Array],
    shape: Batch,
    on_fail: str,
    seed: int | None,
    first: int,
    *,
    keep: bool = False,
) -> Answers:
    """Outputs, status, notes, steps and what is saved, each with the leading axis B = prod(shape); then, where `keep`
    says that a pullback follows, a tape for it or None."""
    engine = entry.engine
    batch = math.prod(shape)
    good = passing(entry, args, batch)
    if batch and (good is None or good.all()):
        return _solve_all(entry, args, batch, shape, on_fail, _options(seed, first, batch, keep=keep))
    good = np.ones(batch, np.bool_) if good is None else good
    outputs = [np.full((batch, *s), np.nan, engine.dtype) for s in engine.outputs]
    saved = [np.zeros((batch, *s), t) for s, t in engine.saved]
    notes, steps = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
    status = np.where(good, 0, BAD_INPUT).astype(np.int32)
    rows = np.flatnonzero(status == 0)
    extras: dict[str, Array] = {}
    if rows.size:
        run = RunOptions(seed, rows + first)
        found = engine.solve(rows_of(engine, args, rows, batch), rows.size, run)
        outputs = _put_all(outputs, found.outputs, rows)
        saved = _put_all(saved, found.saved, rows)
        status = _put(status, found.status, rows)
        notes, steps = _put(notes, found.notes, rows), _put(steps, found.steps, rows)
        for name, value in found.extras.items():
            blank = np.zeros((batch, *np.shape(value)[1:]), np.asarray(value).dtype)
            extras[name] = _put(blank, np.asarray(value), rows)
    why = reasons(entry, args, shape)
    return _told(entry, outputs, status, notes, steps, saved, None, extras, shape, on_fail, seed, why)


@lru_cache(maxsize=8)
def _options(seed: int | None, first: int, batch: int, *, keep: bool) -> RunOptions:
    numbers = np.arange(first, first + batch)
    numbers.setflags(write=False)
    return RunOptions(seed, numbers, keep)


def _solve_all(entry: Entry, args: list[Array], batch: int, shape: Batch, on_fail: str, run: RunOptions) -> Answers:
    """As `solve`, where no input is bad: nothing is left out, nothing is copied."""
    found = entry.engine.solve(args, batch, run)
    status = np.ascontiguousarray(found.status, np.int32)
    return _told(
        entry, found.outputs, status, found.notes, found.steps, found.saved, found.tape, found.extras, shape, on_fail,
        run.seed,
    )  # fmt: skip


def _told(
    entry: Entry,
    outputs: list[Array],
    status: NDArray[np.int32],
    notes: NDArray[np.int64],
    steps: NDArray[np.int64],
    saved: Sequence[Array],
    tape: Tape | None,
    extras: Mapping[str, Array],
    shape: Batch,
    on_fail: str,
    seed: int | None,
    why: tuple[str, ...] = (),
) -> Answers:
    """The answer, after telling listeners and treating failures."""
    for heard in _listeners.stack:
        heard.append(Record(entry.layer, shape, status, notes, steps, seed, extras))
    if np.count_nonzero(status):
        _report(entry, status, shape, on_fail, "forward", why)
        if on_fail == "nan":
            for output in outputs:
                output[status != 0] = np.nan
    return outputs, status, notes, steps, saved, tape


def pullback(
    entry: Entry,
    cotangents: list[Array],
    args: list[Array],
    status: NDArray[np.int32],
    saved: Sequence[Array],
    shape: Batch,
    on_fail: str,
) -> list[Array]:
    """The gradient for every argument, in the argument's shape."""
    engine, batch = entry.engine, status.size
    touched = touched_by(cotangents, batch)
    lost = touched & _lost(status, on_fail)
    if batch and touched.all() and not lost.any():
        found = engine.pullback(args, batch, list(saved), status, cotangents)
        failed = found.status != 0
        if failed.any():
            failed = report_rows(entry, found.status, np.arange(batch), shape, on_fail, "backward")
        whole = [np.zeros(a.shape, engine.dtype) if g is None else g for g, a in zip(found.grads, args, strict=True)]
        return poison(engine, args, whole, failed)
    rows = np.flatnonzero(touched & ~lost)
    grads = [np.zeros(a.shape, engine.dtype) for a in args]
    failed = lost
    if rows.size:
        given = rows_of(engine, args, rows, batch)
        found = engine.pullback(given, rows.size, take(saved, rows), status[rows], take(cotangents, rows))
        grads = _scatter(engine, args, found.grads, rows)
        failed = failed | report_rows(entry, found.status, rows, shape, on_fail, "backward")
    return poison(engine, args, grads, failed)


def pullback_of_tape(
    tape: Tape, cotangents: list[Array], batch: int, wanted: Sequence[bool]
) -> list[Array | None] | None:
    """As `pullback` of the solve that left the tape; None where the tape does not serve. An argument that is not
    wanted, or that nothing depends on, may have None."""
    if not (_all_begin(cotangents, batch) or touched_by(cotangents, batch).all()):
        return None
    found = tape.pullback(cotangents, wanted)
    return None if found is None or np.count_nonzero(found.status) else found.grads


def pullback_pullback(
    entry: Entry,
    cotangents: list[Array],
    directions: list[Array],
    args: list[Array],
    status: NDArray[np.int32],
    saved: Sequence[Array],
    shape: Batch,
    on_fail: str,
) -> tuple[list[Array], list[Array]]:
    """(J v for every output, the gradient of <cotangents, J v> for every argument), v being the directions."""
    engine, batch = entry.engine, status.size
    moved = _moved(engine, directions, batch)
    touched = touched_by(cotangents, batch)
    failed = moved & _lost(status, on_fail)
    rows, rest = np.flatnonzero(moved & touched & ~failed), np.flatnonzero(moved & ~touched & ~failed)
    forward = [np.zeros(c.shape, engine.dtype) for c in cotangents]
    grads = [np.zeros(a.shape, engine.dtype) for a in args]
    if rest.size:
        # Without a cotangent only J v is asked for: a direction that is NaN must not reach a shared gradient as 0 NaN.
        pushed = engine.pushforward(
            rows_of(engine, args, rest, batch),
            rest.size,
            take(saved, rest),
            status[rest],
            rows_of(engine, directions, rest, batch),
        )
        forward = _put_all(forward, pushed.outputs, rest)
        failed = failed | report_rows(entry, pushed.status, rest, shape, on_fail, "second backward")
    if rows.size:
        found = engine.pullback_pullback(
            rows_of(engine, args, rows, batch),
            rows.size,
            take(saved, rows),
            status[rows],
            take(cotangents, rows),
            rows_of(engine, directions, rows, batch),
        )
        forward = _put_all(forward, found.cotangents, rows)
        grads = _scatter(engine, args, found.grads, rows)
        failed = failed | report_rows(entry, found.status, rows, shape, on_fail, "second backward")
    for value in forward:
        value[failed] = np.nan
    return forward, poison(engine, args, grads, failed & touched)


def pushforward(
    entry: Entry,
    args: list[Array],
    tangents: list[Array],
    status: NDArray[np.int32],
    saved: Sequence[Array],
    shape: Batch,
    on_fail: str,
) -> list[Array]:
    """J v for every output, v being the tangents."""
    engine, batch = entry.engine, status.size
    moved = _moved(engine, tangents, batch)
    failed = moved & _lost(status, on_fail)
    rows = np.flatnonzero(moved & ~failed)
    outputs = [np.zeros((batch, *s), engine.dtype) for s in engine.outputs]
    if rows.size:
        found = engine.pushforward(
            rows_of(engine, args, rows, batch),
            rows.size,
            take(saved, rows),
            status[rows],
            rows_of(engine, tangents, rows, batch),
        )
        outputs = _put_all(outputs, found.outputs, rows)
        failed = failed | report_rows(entry, found.status, rows, shape, on_fail, "backward")
    for output in outputs:
        output[failed] = np.nan
    return outputs


def _lost(status: NDArray[np.int32], on_fail: str) -> NDArray[np.bool_]:
    """Samples without a derivative: the failed ones, but under "warn" those alone that were never solved."""
    return status == BAD_INPUT if on_fail == "warn" else status != 0


def _all_begin(cotangents: Sequence[Array], batch: int) -> bool:
    """Whether the first number of a cotangent is not 0 for any sample, which most often tells that all are touched."""
    return any(v.size and np.count_nonzero(v.reshape(batch, -1)[:, 0]) == batch for v in cotangents)


def touched_by(cotangents: Sequence[Array], batch: int) -> NDArray[np.bool_]:
    """The samples with a cotangent that is not 0."""
    touched = np.zeros(batch, np.bool_)
    for value in cotangents:
        if value.size and not touched.all():
            touched |= asked_rows(value.reshape(batch, -1))
    return touched


def _moved(engine: Engine, directions: Sequence[Array], batch: int) -> NDArray[np.bool_]:
    moved = np.zeros(batch, np.bool_)
    for value, argument in zip(directions, engine.arguments, strict=True):
        if not value.size:
            continue
        if is_per_sample(value, argument):
            moved |= (value.reshape(batch, -1) != 0).any(axis=1)
        else:
            moved |= bool((value != 0).any())
    return moved


def take(values: Sequence[Array], rows: NDArray[np.int64]) -> list[Array]:
    return [v if len(v) == rows.size else v[rows] for v in values]


def rows_of(engine: Engine, values: Sequence[Array], rows: NDArray[np.int64], batch: int) -> list[Array]:
    if rows.size == batch:
        return list(values)
    return [v[rows] if is_per_sample(v, a) else v for v, a in zip(values, engine.arguments, strict=True)]


def _put(blank: Array, found: Array, rows: NDArray[np.int64]) -> Array:
    if rows.size == len(blank):
        return np.ascontiguousarray(found, blank.dtype).reshape(blank.shape)
    blank[rows] = found
    return blank


def _put_all(blanks: Sequence[Array], found: Sequence[Array], rows: NDArray[np.int64]) -> list[Array]:
    return [_put(b, f, rows) for b, f in zip(blanks, found, strict=True)]


def _scatter(
    engine: Engine, args: Sequence[Array], found: Sequence[Array | None], rows: NDArray[np.int64]
) -> list[Array]:
    grads: list[Array] = []
    for argument, value, grad in zip(engine.arguments, args, found, strict=True):
        blank = np.zeros(value.shape, engine.dtype)
        if grad is None:
            grads.append(blank)
        elif is_per_sample(value, argument):
            grads.append(_put(blank, grad, rows))
        else:
            grads.append(np.ascontiguousarray(grad, engine.dtype).reshape(value.shape))
    return grads


def poison(engine: Engine, args: Sequence[Array], grads: list[Array], failed: NDArray[np.bool_]) -> list[Array]:
    """NaN for the own gradients of failed samples, and for shared ones: their sum lacks a term that nobody knows."""
    if failed.any():
        for argument, value, grad in zip(engine.arguments, args, grads, strict=True):
            if argument.differentiable:
                grad[failed if is_per_sample(value, argument) else ...] = np.nan
    return grads


def report_rows(
    entry: Entry, found: NDArray[np.int32], rows: NDArray[np.int64], shape: Batch, on_fail: str, stage: str
) -> NDArray[np.bool_]:
    status = np.zeros(int(np.prod(shape, dtype=np.int64)), np.int32)
    status[rows] = found
    _report(entry, status, shape, on_fail, stage)
    return (status != 0) & (on_fail != "warn")


def _report(
    entry: Entry, status: NDArray[np.int32], shape: Batch, on_fail: str, stage: str, why: tuple[str, ...] = ()
) -> None:
    if not status.any():
        return
    if on_fail == "raise":
        raise SolveError(entry.layer, status.reshape(shape), stage=stage, why=why)
    if on_fail == "warn":
        placed: Any = status.reshape(shape)
        samples = tuple(tuple(int(i) for i in place) for place in np.argwhere(placed != 0))
        warnings.warn(describe(entry.layer, placed, samples, stage, why), RuntimeWarning, stacklevel=2)
