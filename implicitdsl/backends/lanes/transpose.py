"""Rows of samples into lanes and out of them, by machine code: squares of `width` numbers and samples, turned in
registers.

NumPy goes over the numbers of such a copy one by one, and twice where samples have an order of their own. The code
knows no model: one object for each dtype, kept on disk, loaded when so many numbers were moved that it would have paid.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.lanes.arena import address_of
from implicitdsl.backends.lanes.cache import fingerprint, kept_object
from implicitdsl.backends.lanes.link import PIPELINE, compiled, keep_inside, linked, processor
from implicitdsl.backends.lanes.loaded import Loaded

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]

MANY = 256
"""Numbers from which on the code is asked."""
PATIENCE = 1 << 22
"""Numbers that NumPy moves first, in about the time that it takes to load the code."""
SHORT = 1 << 14
"""Numbers that are moved in some microseconds: with several threads, Python's lock is not given away for that."""
BYTES = 64
"""Those of an element: eight numbers of float64, or sixteen of float32."""
SYMBOLS = ("imp_into_lanes", "imp_out_lanes")
SOURCES = tuple(f"backends/lanes/{name}.py" for name in ("emit_transpose", "lane_code"))


_moved = 0


def moves(lanes: Array, rows: Array) -> bool:
    """Whether the code moves numbers between these blocks (blocks, size, width) and rows (batch, size)."""
    global _moved
    if lanes.size < MANY:
        return False
    if _moved < PATIENCE:
        _moved += lanes.size
        return False
    return fits(lanes, rows)


def fits(lanes: Array, rows: Array) -> bool:
    """Whether there is code for blocks and rows of this kind."""
    return (
        lanes.dtype == rows.dtype
        and lanes.shape[2] * lanes.itemsize == BYTES
        and lanes.strides[1:] == (BYTES, lanes.itemsize)
        and rows.strides[1:] == (rows.itemsize,)
    )


def into_lanes(lanes: Array, value: Array, rows: Rows, *, zeros: bool) -> None:
    """`lanes` := the rows of `value`; the lanes left over get copies of the last, or 0 where `zeros`."""
    _move(0, lanes, value, rows, int(zeros))


def out_of_lanes(lanes: Array, value: Array, rows: Rows) -> None:
    """The rows of `value` := what stands in the lanes."""
    _move(1, lanes, value, rows, 0)


def _move(way: int, lanes: Array, value: Array, rows: Rows, zeros: int) -> None:
    if isinstance(rows, slice):
        places, first, count = _counting(rows.stop), rows.start, rows.stop - rows.start
    else:
        places, first, count = rows, 0, len(rows)
    size = lanes.itemsize
    # Rows of both lie side by side, so that the address of the first is soon found.
    _entries(size)[way, count * lanes.shape[1] < SHORT](
        count, address_of(places) + 8 * first, address_of(lanes[0]), lanes.strides[0] // size, address_of(value[0]),
        value.strides[0] // size, lanes.shape[1], zeros,
    )  # fmt: skip


_numbers = np.arange(0)


def _counting(stop: int) -> NDArray[np.int64]:
    """0, 1, … as far as `stop` - 1 and beyond."""
    global _numbers
    numbers = _numbers
    if len(numbers) < stop:
        numbers = _numbers = np.arange(2 * stop)
    return numbers


@cache
def _entries(itemsize: int) -> dict[tuple[int, bool], Callable[..., int]]:
    made_by = (fingerprint((*PIPELINE, *SOURCES)), processor("native"), itemsize)
    loaded = Loaded(kept_object(hashlib.sha256(repr(made_by).encode()).hexdigest(), lambda: _make(itemsize)))
    number, address = ctypes.c_int64, ctypes.c_void_p
    kinds = (number, address, address, number, address, number, number, number)
    return {
        (way, short): loaded.function(symbol, ctypes.c_int64, *kinds, locked=short)
        for way, symbol in enumerate(SYMBOLS)
        for short in (False, True)
    }


def _make(itemsize: int) -> bytes:
    # Imported here: where the code is on disk, nothing is emitted.
    from implicitdsl.backends.lanes.emit_transpose import code_of

    module = linked([code_of("float64" if itemsize == 8 else "float32", BYTES // itemsize)], SYMBOLS)
    keep_inside(module, SYMBOLS)
    return compiled(module, "native")
