"""Gradients out of the lanes: by sample for arguments of their own, summed for what the samples share.

Sums run over chunks of blocks whose number depends on sizes alone, first inside a chunk, then chunk after chunk: their
bits do not depend on how many threads share the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Argument, Array, is_per_sample
from implicitdsl.backends.lanes.layout import Packing, Rows, count_of, put_rows, set_addresses, take_lanes

CHUNKS = 64
CHUNK_BYTES = 1 << 26
"""Bounds of the partial sums: their number and their memory."""


def chunk_of(arguments: Sequence[Argument], args: Sequence[Array], groups: Sequence[Packing], blocks: int) -> int:
    """Blocks whose sums are made together."""
    members = {i for packed in groups for i in packed.members}
    size = sum(args[i].nbytes for i in members if not is_per_sample(args[i], arguments[i]))
    count = max(min(blocks, CHUNKS, CHUNK_BYTES // max(size, 1)), 1)
    return max(-(-blocks // count), 1)


class Gradients:
    """The gradients of one call, being gathered."""

    def __init__(
        self,
        arguments: Sequence[Argument],
        args: Sequence[Array],
        groups: Sequence[Packing],
        blocks: int,
        width: int,
        wanted: Sequence[bool] | None = None,
        chunk: int | None = None,
    ) -> None:
        self._arguments, self._args, self._width = arguments, args, width
        members = sorted({i for packed in groups for i in packed.members})
        shared = [i for i in members if not is_per_sample(args[i], arguments[i])]
        self.chunk = chunk_of(arguments, args, groups, blocks) if chunk is None else chunk
        """Blocks of a chunk: no two threads may work on one."""
        self._skipped = {i for i in members if wanted is not None and not wanted[i]}
        chunks = max(-(-blocks // self.chunk), 1)
        self._sums = {i: np.zeros((chunks, args[i].size), args[i].dtype) for i in shared if i not in self._skipped}
        # What nobody wants is summed all the same: each chunk has one place for all of it.
        size = max((args[i].size for i in shared if i in self._skipped), default=0)
        self._waste, self._unwanted = np.zeros(0), np.zeros((chunks if size else 0, size))
        self._places = {i: (sums.__array_interface__["data"][0], sums.strides[0]) for i, sums in self._sums.items()}
        self._rest = self._unwanted.__array_interface__["data"][0], self._unwanted.strides[0]
        self._own = {
            i: np.zeros((len(args[i]), args[i][0].size), args[i].dtype)
            for i in members
            if i not in shared and i not in self._skipped
        }
        self._once = {i for i in members if i not in shared and sum(i in packed.members for packed in groups) == 1}
        """Arguments in one group alone: their gradients are no sums."""

    def set_addresses(self, packed: Packing, into: Array, first: int, start: int = 0) -> None:
        """Tells the code, for blocks from `first` on, where the sums of shared members are: addresses into the places
        of a group that begins at the element `start`."""
        if packed.shared:
            places = np.array([self._places.get(i, self._rest) for i in packed.shared])
            chunk = np.arange(first, first + len(into)) // self.chunk
            set_addresses(into, start + packed.own_size, places[:, 0] + chunk[:, None] * places[:, 1])

    def set_waste(self, packed: Packing, into: Array, start: int) -> None:
        """As `set_addresses`, for sums that nobody wants."""
        if packed.shared:
            size = max(self._args[i].size for i in packed.shared)
            self._waste = np.zeros(size, self._args[0].dtype)
            at = start + packed.own_size
            set_addresses(into, at, [self._waste.__array_interface__["data"][0]] * len(packed.shared))

    def gather(self, packed: Packing, bars: Array, first: int, rows: Rows) -> None:
        """As `add`, out of the lanes of blocks (blocks, size, width)."""
        if self._skipped.issuperset(packed.own):
            return
        if not self._once.issuperset(packed.own):
            self.add(packed, take_lanes(bars[:, : packed.own_size], count_of(rows)), first, rows)
            return
        start = 0
        for i, size in zip(packed.own, packed.sizes, strict=False):
            if i not in self._skipped:
                put_rows(self._own[i], rows, bars[:, start : start + size])
            start += size

    def add(self, packed: Packing, found: Array, first: int, rows: Rows) -> None:
        """The gradients of the own members (samples, own size) of blocks from `first` on; `rows` are their samples."""
        start = 0
        for i, size in zip(packed.own, packed.sizes, strict=False):
            part = found[:, start : start + size]
            start += size
            if i in self._skipped:
                continue
            if i in self._own:
                self._own[i][rows] += part
                continue
            step, sums = self.chunk * self._width, self._sums[i]
            chunk, whole = first // self.chunk, len(part) // step
            sums[chunk : chunk + whole] += np.add.reduce(part[: whole * step].reshape(whole, step, size), axis=1)
            if whole * step < len(part):
                sums[chunk + whole] += np.add.reduce(part[whole * step :], axis=0)

    def result(self, spoiled: NDArray[np.bool_] | None = None) -> list[Array | None]:
        """The gradient of every argument, None where it is not wanted; a spoiled sample has none."""
        grads: list[Array | None] = []
        any_spoiled = spoiled is not None and bool(spoiled.any())
        for i, (arg, argument) in enumerate(zip(self._args, self._arguments, strict=True)):
            if i in self._skipped:
                grads.append(None)
                continue
            if i in self._own:
                grad = self._own[i].reshape(arg.shape)
            elif i in self._sums:
                grad = np.add.reduce(self._sums[i], axis=0).reshape(arg.shape)
            else:
                grad = np.zeros(arg.shape, arg.dtype)
            if any_spoiled:
                grad[spoiled if is_per_sample(arg, argument) else ...] = np.nan
            grads.append(grad)
        return grads
