"""Gradients out of the lanes: by sample for arguments of their own, summed for what the samples share.

Sums run over chunks of blocks whose number depends on sizes alone, first inside a chunk, then chunk after chunk: their
bits do not depend on how many threads share the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Argument, Array, is_per_sample
from implicitdsl.backends.lanes.arena import address_of
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


Way = tuple[tuple[int, int, int], ...]
"""The number of a member, the element where its numbers begin, and how many they are, of all that are wanted."""


@dataclass(frozen=True, eq=False)
class Members:
    """What is known of the gradients of a call before it: which are made by sample, with their sizes, which are summed,
    which nobody wants, and which of the first are in one group alone, so that they are no sums."""

    own: dict[int, int]
    sums: dict[int, int]
    skipped: frozenset[int]
    once: frozenset[int]
    chunk: int
    """Blocks whose sums are made together: no two threads may work on a chunk."""
    chunks: int
    largest: int
    """The size of the largest gradient of an argument that the samples share."""
    ways: tuple[tuple[Packing, Way | None], ...]
    """How the own members of each group come out of the lanes; None where some of them are sums."""

    def way(self, packed: Packing) -> Way | None:
        """That of a group."""
        return next(way for group, way in self.ways if group is packed)


def members_of(
    arguments: Sequence[Argument],
    args: Sequence[Array],
    groups: Sequence[Packing],
    blocks: int,
    wanted: Sequence[bool] | None = None,
) -> Members:
    """The members of calls with arguments of these shapes."""
    chosen = sorted({i for packed in groups for i in packed.members})
    shared = [i for i in chosen if not is_per_sample(args[i], arguments[i])]
    skipped = frozenset(i for i in chosen if wanted is not None and not wanted[i])
    own = [i for i in chosen if i not in shared]
    chunk = chunk_of(arguments, args, groups, blocks)
    once = frozenset(i for i in own if sum(i in packed.members for packed in groups) == 1)
    return Members(
        own={i: math.prod(args[i].shape[1:]) for i in own if i not in skipped},
        sums={i: args[i].size for i in shared if i not in skipped},
        skipped=skipped,
        once=once,
        chunk=chunk,
        chunks=max(-(-blocks // chunk), 1),
        largest=max((args[i].size for i in shared), default=0),
        ways=tuple((packed, _way(packed, skipped, once)) for packed in groups),
    )


def _way(packed: Packing, skipped: frozenset[int], once: frozenset[int]) -> Way | None:
    wanted = [i for i in packed.own if i not in skipped]
    if not once.issuperset(wanted):
        return None
    starts = dict(zip(packed.own, accumulate(packed.sizes, initial=0), strict=False))
    sizes = dict(zip(packed.own, packed.sizes, strict=False))
    return tuple((i, starts[i], sizes[i]) for i in wanted)


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
        members: Members | None = None,
    ) -> None:
        """`members` is what `members_of` says of the same arguments, where that is known."""
        if members is None:
            members = members_of(arguments, args, groups, blocks, wanted)
        self._members, self._arguments, self._args, self._width = members, arguments, args, width
        self.chunk = members.chunk
        self.waste = -(-members.largest // width)
        """Elements of room for a sum that nobody wants, which a task brings: two threads must not share it."""
        self._sums = {i: np.zeros((members.chunks, size), args[i].dtype) for i, size in members.sums.items()}
        self._places = {i: (address_of(sums), sums.strides[0]) for i, sums in self._sums.items()}
        self._own = {i: np.zeros((len(args[i]), size), args[i].dtype) for i, size in members.own.items()}

    def set_addresses(self, packed: Packing, into: Array, first: int, waste: int = 0) -> None:
        """Tells the code, for blocks from `first` on, where the sums of shared members are: addresses into the places
        of a group. `waste` is where those may be summed that nobody wants."""
        if not packed.shared:
            return
        if not self._places:
            set_addresses(into, packed.own_size, [waste] * len(packed.shared))
            return
        places = np.array([self._places.get(i, (waste, 0)) for i in packed.shared])
        chunk = np.arange(first, first + len(into)) // self.chunk
        set_addresses(into, packed.own_size, places[:, 0] + chunk[:, None] * places[:, 1])

    def set_waste(self, packed: Packing, into: Array, start: int, waste: int) -> None:
        """As `set_addresses` where nobody wants any, for places of a group that begin at the element `start`."""
        if packed.shared:
            set_addresses(into, start + packed.own_size, [waste] * len(packed.shared))

    def gather(self, packed: Packing, bars: Array, first: int, rows: Rows) -> None:
        """As `add`, out of the lanes of blocks (blocks, size, width)."""
        way = self._members.way(packed)
        if way is None:
            self.add(packed, take_lanes(bars[:, : packed.own_size], count_of(rows)), first, rows)
            return
        for i, start, size in way:
            put_rows(self._own[i], rows, bars[:, start : start + size])

    def add(self, packed: Packing, found: Array, first: int, rows: Rows) -> None:
        """The gradients of the own members (samples, own size) of blocks from `first` on; `rows` are their samples."""
        start = 0
        for i, size in zip(packed.own, packed.sizes, strict=False):
            part = found[:, start : start + size]
            start += size
            if i in self._members.skipped:
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
            if i in self._members.skipped:
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
