"""Memory for one run: arrays cut from one aligned piece that each thread keeps for its next run."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
ALIGNMENT = 64
KEPT = 1 << 26
"""Bytes up to which a thread keeps its piece."""

_local = threading.local()


class Arena:
    """Hands out arrays, each on a cache line of its own; they live until the thread's next `Arena`."""

    def __init__(self, size: int) -> None:
        """`size` bytes, as `room` counts them."""
        held: Any = getattr(_local, "held", None)
        if held is None or held.size < size + ALIGNMENT:
            held = np.empty(size + ALIGNMENT, np.uint8)
            if size <= KEPT:
                _local.held = held
        # Two arenas of one thread never live at once; an exception in between must not leave both with one piece.
        self._memory = held
        self._base = held.__array_interface__["data"][0]
        self._next = -self._base % ALIGNMENT

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[Array, int]:
        """An uninitialised array and its address."""
        kind = np.dtype(dtype)
        count = 1
        for n in shape:
            count *= n
        start = self._next
        self._next = start + room(count, kind.itemsize)
        found = self._memory[start : start + count * kind.itemsize].view(kind).reshape(shape)
        return found, self._base + start


def room(count: int, itemsize: int) -> int:
    """Bytes that an array takes in an arena; at least one line."""
    return max(-(-count * itemsize // ALIGNMENT), 1) * ALIGNMENT
