"""Memory for one run: arrays cut from one aligned piece that each thread keeps for its next run."""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ALIGNMENT = 64
KEPT = 1 << 26
"""Bytes up to which a thread keeps its piece."""

_local = threading.local()


@lru_cache(maxsize=1024)
def _places(shapes: tuple[tuple[int, ...], ...], itemsize: int) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Bytes in all, and where each array begins and ends; each is on a cache line of its own."""
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for shape in shapes:
        starts.append(at)
        ends.append(at + math.prod(shape) * itemsize)
        at += max(-(-math.prod(shape) * itemsize // ALIGNMENT), 1) * ALIGNMENT
    return at, tuple(starts), tuple(ends)


class Arena:
    """Uninitialised arrays of some shapes; they live until the thread makes its next arena, or, `lasting`, as long as
    this one."""

    def __init__(self, dtype: np.dtype[Any], *shapes: tuple[int, ...], lasting: bool = False) -> None:
        self._dtype, self._shapes = dtype, shapes
        size, starts, self._ends = _places(shapes, dtype.itemsize)
        held: Any = None if lasting else getattr(_local, "held", None)
        if held is None or held[0].size < size + ALIGNMENT:
            memory = np.empty(size + ALIGNMENT, np.uint8)
            held = (memory, memory.__array_interface__["data"][0])
            if size <= KEPT and not lasting:
                _local.held = held
        self._memory, base = held
        self._skip = -base % ALIGNMENT
        self._starts = starts
        self.addresses = [base + self._skip + start for start in starts]
        """Where each array lies."""

    def array(self, k: int) -> Array:
        """The array of shape k."""
        part = self._memory[self._skip + self._starts[k] : self._skip + self._ends[k]]
        return part.view(self._dtype).reshape(self._shapes[k])
