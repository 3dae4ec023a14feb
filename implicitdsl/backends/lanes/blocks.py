"""Samples to blocks of lanes and back: (batch, size) to (blocks, size, width), in memory aligned for vectors.

The last block is filled up with copies of the last sample, whose results are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
ALIGNMENT = 64


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An uninitialised array whose first element lies on a cache line; at least one line of memory."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.empty(count * kind.itemsize + 2 * ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + count * kind.itemsize].view(kind).reshape(shape)


def count(batch: int, width: int) -> int:
    """The number of blocks that hold `batch` samples."""
    return -(-batch // width)


def pack(values: Sequence[Array], sizes: Sequence[int], batch: int, width: int, dtype: DTypeLike) -> Array:
    """Flat arguments in blocks. Each value is (batch, size), or (size,) for one that all samples share."""
    blocks = count(batch, width)
    found = aligned((blocks, sum(sizes), width), dtype)
    start = 0
    for value, size in zip(values, sizes, strict=True):
        part = found[:, start : start + size, :]
        start += size
        if value.ndim == 1:
            part[...] = value[None, :, None]
            continue
        full = batch // width
        part[:full] = value[: full * width].reshape(full, width, size).transpose(0, 2, 1)
        if full < blocks:
            rest = batch - full * width
            part[full, :, :rest] = value[full * width :].T
            part[full, :, rest:] = value[-1][:, None]
    return found


def unpack(found: Array, batch: int) -> Array:
    """(blocks, size, width) as (batch, size)."""
    blocks, size, width = found.shape
    whole = np.ascontiguousarray(found.transpose(0, 2, 1)).reshape(blocks * width, size)
    return whole[:batch]


def sum_over_samples(terms: Array, working: NDArray[np.bool_]) -> Array:
    """The sum of the rows that are at work, first to last, one addition after the other."""
    if not working.any():
        return np.zeros(terms.shape[1:], terms.dtype)
    chosen = terms if working.all() else terms[working]
    if chosen.shape[1] > 64:
        total = np.zeros(chosen.shape[1], chosen.dtype)
        for row in chosen:
            total += row
        return total
    return np.cumsum(chosen, axis=0, dtype=chosen.dtype)[-1] + 0.0
