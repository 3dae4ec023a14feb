"""Memory for one run: arrays cut from one aligned piece that each thread keeps for its next run."""

from __future__ import annotations

import math
import threading
from ctypes import addressof, c_char
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ALIGNMENT = 64
KEPT = 1 << 26
"""Bytes up to which a thread keeps its piece."""

_local = threading.local()


def address_of(array: Array) -> int:
    """Where the numbers of an array lie."""
    try:
        # A third of the time of what follows, which serves arrays that are empty, read only or not contiguous too.
        return addressof(c_char.from_buffer(array))
    except (TypeError, ValueError, BufferError):
        return array.__array_interface__["data"][0]


@dataclass(frozen=True, eq=False)
class Places:
    """Arrays of elements of some shapes in one piece of memory: the bytes of all, and where each begins; each is on a
    cache line of its own."""

    dtype: np.dtype[Any]
    shapes: tuple[tuple[int, ...], ...]
    size: int
    starts: tuple[int, ...]


@lru_cache(maxsize=1024)
def places_of(dtype: np.dtype[Any], shapes: tuple[tuple[int, ...], ...]) -> Places:
    """The places of arrays of these shapes."""
    starts: list[int] = []
    at = 0
    for shape in shapes:
        starts.append(at)
        at += max(-(-math.prod(shape) * dtype.itemsize // ALIGNMENT), 1) * ALIGNMENT
    return Places(dtype, shapes, at, tuple(starts))


class Arena:
    """Uninitialised arrays; they live until the thread makes its next arena, or, `lasting`, as long as this one."""

    def __init__(self, places: Places, *, lasting: bool = False) -> None:
        held: Any = None if lasting else getattr(_local, "held", None)
        size = places.size + ALIGNMENT
        if held is None or held[0].size < size:
            memory = np.empty(size, np.uint8)
            held = (memory, address_of(memory))
            if size <= KEPT and not lasting:
                _local.held = held
        self._places = places
        self._memory, base = held
        self._skip = -base % ALIGNMENT
        base += self._skip
        self.addresses = [base + start for start in places.starts]
        """Where each array lies."""

    def array(self, k: int) -> Array:
        """The array of shape k."""
        places = self._places
        return np.ndarray(places.shapes[k], places.dtype, self._memory, self._skip + places.starts[k])
