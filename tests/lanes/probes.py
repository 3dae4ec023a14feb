"""Small solver functions compiled all at once: one object for a whole file of tests, one entry a function and type."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from implicitdsl.backends.lanes.element import INT, element, pointer
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.lower import lower

Type = tuple[str, int]
"""A dtype, and the number of lanes."""


def compile_probes(
    functions: Mapping[str, Callable[..., Any]], types: Collection[Type], *, sizes: Iterable[int] = (),
    make: Callable[..., bytes] | None = None,
) -> dict[tuple[str, Type], Any]:  # fmt: skip
    """Every function for every type, by its name and the type. Functions take a whole number and then arrays of elements,
    and give a whole number; the entries take the number and the addresses. `sizes` are those that words are written
    out for; `make` is what makes the object instead, without sizes."""
    texts: list[str] = []
    kinds: dict[str, tuple[tuple[str, Type], int]] = {}
    for name, function in functions.items():
        for dtype, width in types:
            count = function.__code__.co_argcount - 1
            symbol = f"{name}_{dtype}_{width}"
            texts.append(lower(function, (INT, *[pointer(element(dtype, width))] * count), INT, symbol))
            kinds[symbol] = (name, (dtype, width)), count
    loaded = Loaded(make(texts, list(kinds)) if make else make_object(texts, list(kinds), sizes=sizes))
    return {
        key: loaded.function(symbol, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * count)
        for symbol, (key, count) in kinds.items()
    }


def aligned(a: np.ndarray) -> np.ndarray:
    """A copy where the elements of every width may lie."""
    raw = np.zeros(a.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    found = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    found[...] = a
    return found
