"""The tests of inputs, sample by sample: no NaN, and membership of the set that the signature names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.layers.errors import where
from implicitdsl.layers.registry import Check, Entry
from implicitdsl.layers.sets import contains


def passing(entry: Entry, args: Sequence[Array], batch: int) -> NDArray[np.bool_] | None:
    """Which samples have inputs that pass the tests; None where all have."""
    good: NDArray[np.bool_] | None = None
    for check in entry.checks:
        value = args[check.argument]
        # A sum of squares is NaN only where a number is.
        if check.set is None and not math.isnan(np.vdot(value, value)):
            continue
        rank = len(entry.engine.arguments[check.argument].shape)
        inside = ~_has_nan(value, rank)
        if check.set is not None:
            inside = inside & contains(check.set, value, rank)
        good = np.full(batch, inside) if good is None else good & inside
    return good


def reasons(entry: Entry, args: Sequence[Array], shape: tuple[int, ...]) -> tuple[str, ...]:
    """What the tests found, a line an input: its name, what is wrong, and which samples of the batch's shape."""
    return tuple(line for check in entry.checks for line in _reasons(entry, check, args[check.argument], shape))


def _reasons(entry: Entry, check: Check, value: Array, shape: tuple[int, ...]) -> Iterator[str]:
    argument = entry.engine.arguments[check.argument]
    rank = len(argument.shape)
    missing = _has_nan(value, rank)
    if missing.any():
        yield f"input `{argument.name}` {'has elements that are' if rank else 'is'} NaN{_places(missing, shape)}"
    if check.set is None:
        return
    outside = ~contains(check.set, value, rank) & ~missing
    if outside.any():
        shown = "" if rank else f": {value[outside].flat[0]:g}"
        yield f"input `{argument.name}` is outside `{check.set}`{_places(outside, shape)}{shown}"


def _has_nan(value: Array, rank: int) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(value).any(axis=tuple(range(value.ndim - rank, value.ndim))))


def _places(found: NDArray[np.bool_], shape: tuple[int, ...]) -> str:
    """Where in the batch, for an input of each sample; nothing for one that all samples share."""
    if found.shape != (math.prod(shape),) or not shape:
        return ""
    return where([tuple(int(i) for i in place) for place in np.argwhere(found.reshape(shape))])
