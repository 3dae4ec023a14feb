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
ALIGNED = 16
"""Numbers between whose multiples a vector is read at once."""


def chunk_of(arguments: Sequence[Argument], args: Sequence[Array], groups: Sequence[Packing], blocks: int) -> int:
    """Blocks whose sums are made together."""
    members = {i for packed in groups for i in packed.members}
    size = sum(args[i].nbytes for i in members if not is_per_sample(args[i], arguments[i]))
    count = max(min(blocks, CHUNKS, CHUNK_BYTES // max(size, 1)), 1)
    return max(-(-blocks // count), 1)


@dataclass(frozen=True, eq=False)
class Way:
    """How gradients of a group come out of the lanes. `own` has the number of a member, the element where its numbers
    begin, and how many they are, of all members that are wanted and lie in the lanes; `places` the bytes from the
    beginning of a chunk's sums to those of each shared member, -1 where nobody wants it."""

    packed: Packing
    own: tuple[tuple[int, int, int], ...]
    places: NDArray[np.int64]


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
    length: int
    """Numbers of all sums of a chunk, each from a multiple of `ALIGNED` on."""
    starts: dict[int, int]
    """Where each of them begins."""
    ways: tuple[Way, ...]

    def way(self, packed: Packing) -> Way:
        """That of a group."""
        return next(way for way in self.ways if way.packed is packed)


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
    sums = {i: args[i].size for i in shared if i not in skipped}
    *starts, length = accumulate((-(-size // ALIGNED) * ALIGNED for size in sums.values()), initial=0)
    begins = dict(zip(sums, starts, strict=True))
    return Members(
        own={i: math.prod(args[i].shape[1:]) for i in own if i not in skipped},
        sums=sums,
        skipped=skipped,
        once=once,
        chunk=chunk,
        chunks=max(-(-blocks // chunk), 1),
        largest=max((args[i].size for i in shared), default=0),
        length=length,
        starts=begins,
        ways=tuple(_way(packed, skipped, {i: k * args[i].itemsize for i, k in begins.items()}) for packed in groups),
    )


def _way(packed: Packing, skipped: frozenset[int], begins: dict[int, int]) -> Way:
    firsts = accumulate(packed.sizes, initial=0)
    own = [(i, k, n) for i, k, n in zip(packed.own, firsts, packed.sizes, strict=False) if i not in skipped]
    return Way(packed, tuple(own), np.array([begins.get(i, -1) for i in packed.shared], np.int64))


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
        self._dtype = args[0].dtype if args else np.dtype(np.float64)
        # One piece of memory: a row of sums a chunk.
        self._sums = np.zeros((members.chunks, members.length), self._dtype)
        self._own = {i: np.zeros((len(args[i]), size), self._dtype) for i, size in members.own.items()}

    def set_addresses(self, packed: Packing, into: Array, first: int, waste: int = 0) -> None:
        """Tells the code, for blocks from `first` on, where the sums of shared members are: addresses into the places
        of a group. `waste` is where those may be summed that nobody wants."""
        if not packed.shared:
            return
        if not self._members.sums:
            set_addresses(into, packed.own_size, [waste] * len(packed.shared))
            return
        places = self._members.way(packed).places
        chunk = np.arange(first, first + len(into))[:, None]
        if self.chunk > 1:
            chunk //= self.chunk
        addresses = chunk * self._sums.strides[0] + (places + address_of(self._sums))
        if len(self._members.skipped):
            addresses[:, places < 0] = waste
        set_addresses(into, packed.own_size, addresses)

    def set_waste(self, packed: Packing, into: Array, start: int, waste: int) -> None:
        """As `set_addresses` where nobody wants any, for places of a group that begin at the element `start`."""
        if packed.shared:
            set_addresses(into, start + packed.own_size, [waste] * len(packed.shared))

    def gather(self, packed: Packing, bars: Array, first: int, rows: Rows) -> None:
        """As `add`, out of the lanes of blocks (blocks, size, width)."""
        for i, start, size in self._members.way(packed).own:
            lanes = bars[:, start : start + size]
            if i in self._members.once:
                put_rows(self._own[i], rows, lanes)
            else:
                self._add(i, take_lanes(lanes, count_of(rows)), first, rows)

    def add(self, packed: Packing, found: Array, first: int, rows: Rows) -> None:
        """The gradients of the own members (samples, own size) of blocks from `first` on; `rows` are their samples."""
        for i, start, size in self._members.way(packed).own:
            self._add(i, found[:, start : start + size], first, rows)

    def _add(self, i: int, part: Array, first: int, rows: Rows) -> None:
        if i in self._own:
            self._own[i][rows] += part
            return
        step, size = self.chunk * self._width, part.shape[1]
        sums = self._sum_of(i)
        chunk, whole = first // self.chunk, len(part) // step
        sums[chunk : chunk + whole] += np.add.reduce(part[: whole * step].reshape(whole, step, size), axis=1)
        if whole * step < len(part):
            sums[chunk + whole] += np.add.reduce(part[whole * step :], axis=0)

    def _sum_of(self, i: int) -> Array:
        """The sums of an argument, a row a chunk."""
        start = self._members.starts[i]
        return self._sums[:, start : start + self._members.sums[i]]

    def result(self, spoiled: NDArray[np.bool_] | None = None) -> list[Array | None]:
        """The gradient of every argument, None where it is not wanted; a spoiled sample has none."""
        grads: list[Array | None] = []
        any_spoiled = spoiled is not None and bool(spoiled.any())
        # Row by row, whatever the sizes: chunk after chunk.
        sums, starts = np.add.reduce(self._sums, axis=0), self._members.starts
        for i, (arg, argument) in enumerate(zip(self._args, self._arguments, strict=True)):
            if i in self._members.skipped:
                grads.append(None)
                continue
            if i in self._own:
                grad = self._own[i].reshape(arg.shape)
            elif i in starts:
                grad = sums[starts[i] : starts[i] + arg.size].reshape(arg.shape)
            else:
                grad = np.zeros(arg.shape, arg.dtype)
            if any_spoiled:
                grad[spoiled if is_per_sample(arg, argument) else ...] = np.nan
            grads.append(grad)
        return grads
