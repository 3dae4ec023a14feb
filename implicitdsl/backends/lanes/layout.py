"""How the arguments of an engine lie in memory: one element a number and sample, or one array that all samples share.

A flat group (`p`, `q`) holds its own members first, one element (a vector of lanes) for each of their numbers, and
then one element for each shared member, whose first bytes are the address of its floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Argument, is_per_sample
from implicitdsl.backends.lanes import transpose
from implicitdsl.backends.lanes.arena import address_of

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]

LARGE = 4
"""Numbers from which on a shared array is read where it lies; fewer are put into every lane."""


def shared_arguments(arguments: Sequence[Argument], args: Sequence[Array], batch: int) -> tuple[int, ...]:
    """Which arguments are read as shared arrays. An input of rank below 2, and every input of a single sample, lies in
    the lanes, so that a sample alone runs the code that it runs in a batch."""
    found: list[int] = []
    for i, (argument, value) in enumerate(zip(arguments, args, strict=True)):
        if value.ndim != len(argument.shape) or value.size < LARGE:
            continue
        if argument.role != "input" or (batch > 1 and len(argument.shape) > 1):
            found.append(i)
    return tuple(found)


def count_of(rows: Rows) -> int:
    """How many samples there are in a part of the batch."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def flat_values(arguments: Sequence[Argument], args: Sequence[Array], dtype: np.dtype[Any], batch: int) -> list[Array]:
    """The arguments as (batch, size), or (size,) where shared, contiguous."""
    found: list[Array] = []
    for argument, value in zip(arguments, args, strict=True):
        if value.dtype is not dtype or not value.flags.c_contiguous:
            value = np.ascontiguousarray(value, dtype)
        rank = 2 if is_per_sample(value, argument) else 1
        found.append(value if value.ndim == rank else value.reshape((batch, -1) if rank == 2 else -1))
    return found


@dataclass(frozen=True)
class Packing:
    """A flat group: the numbers of its arguments in order, own ones first, and their sizes."""

    own: tuple[int, ...]
    shared: tuple[int, ...]
    sizes: tuple[int, ...]

    @cached_property
    def own_size(self) -> int:
        """Elements of the own members."""
        return sum(self.sizes[: len(self.own)])

    @cached_property
    def size(self) -> int:
        """Elements of the whole group."""
        return self.own_size + len(self.shared)

    @property
    def members(self) -> tuple[int, ...]:
        """All members in the order in which they lie."""
        return (*self.own, *self.shared)

    def pack(self, values: Sequence[Array | None], rows: Rows, into: Array, start: int = 0) -> None:
        """Writes the group for some samples into blocks (blocks, size, width) from an element on; the last block is
        filled up with copies of the last sample. What is None is left to be written."""
        for i, size in zip(self.own, self.sizes, strict=False):
            value = values[i]
            if value is not None:
                fill_lanes(into[:, start : start + size], value, rows)
            start += size
        if self.shared:
            set_addresses(into, start, [address_of(value) for i in self.shared if (value := values[i]) is not None])


def packing(members: Iterable[int], sizes: Sequence[int], shared: Sequence[int]) -> Packing:
    """The group of some arguments (their numbers), `sizes[i]` being the size of argument i."""
    given = list(members)
    own, common = [i for i in given if i not in shared], [i for i in given if i in shared]
    return Packing(tuple(own), tuple(common), tuple(sizes[i] for i in (*own, *common)))


def set_addresses(into: Array, place: int, addresses: Sequence[int] | NDArray[np.int64]) -> None:
    """Addresses in the first bytes of the elements from `place` on of every block; those of a block are a row."""
    count = addresses.shape[1] if isinstance(addresses, np.ndarray) else len(addresses)
    into[:, place : place + count].view(np.int64)[:, :, 0] = addresses


def fill_lanes(into: Array, value: Array, rows: Rows, *, fill: float | None = None) -> None:
    """Puts (batch, size) or (size,) into blocks (blocks, size, width); the lanes left over get copies of the last
    sample, or `fill`."""
    if value.ndim == 1:
        into[...] = value[None, :, None]
        return
    if len(value) == 1 and len(into) == 1:
        if fill is None:
            into[...] = value[:, :, None]
        else:
            into.fill(fill)
            into[:, :, 0] = value
        return
    if (fill is None or fill == 0.0) and transpose.moves(into, value):
        transpose.into_lanes(into, value, rows, zeros=fill is not None)
        return
    picked = value[rows]
    blocks, size, width = into.shape
    full = len(picked) // width
    if full:
        into[:full] = picked[: full * width].reshape(full, width, size).transpose(0, 2, 1)
    if full < blocks:
        rest = len(picked) - full * width
        into[full, :, :rest] = picked[full * width :].T
        into[full, :, rest:] = picked[-1][:, None] if fill is None else fill


def put_rows(whole: Array, rows: Rows, found: Array) -> None:
    """Puts what stands in blocks (blocks, size, width) into the rows (size) of these samples."""
    if len(whole) == 1 and len(found) == 1:
        whole[...] = found[:, :, 0]
        return
    if transpose.moves(found, whole):
        transpose.out_of_lanes(found, whole, rows)
        return
    blocks, size, width = found.shape
    whole[rows] = found.transpose(0, 2, 1).reshape(blocks * width, size)[: count_of(rows)]


def take_lanes(found: Array, count: int) -> Array:
    """(blocks, size, width) as (count, size), never a view: rooms are used again by the next blocks."""
    blocks, size, width = found.shape
    return np.array(found.transpose(0, 2, 1), order="C").reshape(blocks * width, size)[:count]
