"""What every engine of the back end `lanes` does: arguments into lanes, tasks to threads, gradients out of lanes.

A subclass says which arguments its flat groups hold, which parts its machine code has, and what a task does with its
blocks.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends import interrupt, threads
from implicitdsl.backends.engine import Argument, Array, Shape
from implicitdsl.backends.lanes.arena import Arena, Places, places_of
from implicitdsl.backends.lanes.data import Data, Value, blank, changed
from implicitdsl.backends.lanes.layout import LARGE, Packing, Rows, flat_values, packing, shared_arguments
from implicitdsl.backends.lanes.machine_code import Key, MachineCode
from implicitdsl.backends.lanes.open_numbers import open_data
from implicitdsl.backends.lanes.tasks import block_costs, cut, tasks_for
from implicitdsl.solvers import status as codes

WIDTH = {"float64": 8, "float32": 16}
"""Lanes of straight-line and sparse work."""
TASK_BYTES = 1 << 22
"""Bytes of packed arrays of one task: they stay in the cache."""


SHORT = 1 << 16
"""What a number of 16 bits is below."""
MOST_CHOSEN = 3
"""Matrices among the inputs up to which every choice of shared ones is a layout to compile ahead."""
APART = ("one", "program")
"""How the names of parts begin that know no model, or take a sample's arguments one by one: they have one layout."""
LATER = re.compile("one|push|bend|thin|picard_rest|.*second")
"""Parts that a forward and a backward pass do not call, or seldom."""


@dataclass(frozen=True)
class Spec:
    """What an engine is, in plain data: enough to run machine code that is at hand."""

    layer_name: str
    dtype: str
    width: int
    arguments: tuple[Argument, ...]
    outputs: tuple[Shape, ...]
    saved: tuple[tuple[Shape, str], ...]
    groups: dict[str, tuple[int, ...]]
    """The arguments that each flat group holds, by number."""
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    """Further sizes and switches of the kind."""
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further plain data of the kind."""
    data: Data = field(default_factory=dict[str, Value])
    """Values that machine code is loaded with, and does not know when it is made."""

    @property
    def blank(self) -> Spec:
        """As this without the values of data: what machine code is made for."""
        more = {name: held.blank if isinstance(held, Spec) else held for name, held in self.more.items()}
        return replace(self, more=more, data=blank(self.data))

    def with_values(self, values: Mapping[str, int | float]) -> Spec:
        """As this with other values of data, by the names of a layer's options. Raises KeyError for one that the code
        does not read."""
        more = {name: held.with_values(values) if isinstance(held, Spec) else held for name, held in self.more.items()}
        return replace(self, more=more, data=changed(self.data, values, np.dtype(self.dtype).type))


class BlockEngine:
    """An engine over blocks of lanes; see `Engine` for its duties."""

    def __init__(self, spec: Spec, code: MachineCode, threads_wanted: int | None = None) -> None:
        self.spec = spec
        self.code = code
        self.arguments = spec.arguments
        self.outputs = spec.outputs
        self.saved = tuple((shape, np.dtype(kind)) for shape, kind in spec.saved)
        self.dtype = np.dtype(spec.dtype)
        self.layer_name = spec.layer_name
        self.width = spec.width
        self.take_sizes([math.prod(a.shape) for a in spec.arguments])
        self.threads = threads_wanted
        self._seconds: dict[str, float] = {}
        self._layouts: dict[tuple[bool | int, ...], tuple[int, ...]] = {}
        self._packings: dict[tuple[str, tuple[int, ...]], Packing] = {}
        self._ordered: tuple[Array, NDArray[np.int64] | None] = (np.zeros(0), None)

    @property
    def room(self) -> int:
        """Bytes that a sample works in while it is solved and differentiated, as far as the engine can say."""
        return self.spec.more.get("room", 0)

    @property
    def step_matrix(self) -> str:
        """How the matrix of an implicit step is held, with its costs; empty where there is none."""
        return self.spec.more.get("step_matrix", "")

    # ------------------------------------------------------------ arguments

    def take_sizes(self, sizes: Sequence[int]) -> None:
        """Sets the sizes of the arguments, as the code counts them."""
        self._sizes = tuple(sizes)
        self.code.layout_data = partial(open_data, self.spec.numbers, self.spec.groups, self._sizes)

    def layout(self, args: Sequence[Array], batch: int) -> tuple[int, ...]:
        """The arguments that the code reads as shared arrays."""
        case = (batch > 1, *(value.ndim for value in args))
        found = self._layouts.get(case)
        if found is None:
            found = self._layouts[case] = self.choose_layout(args, batch)
        return found

    def choose_layout(self, args: Sequence[Array], batch: int) -> tuple[int, ...]:
        """As `layout`; a subclass may keep some arguments in the lanes."""
        return shared_arguments(self.arguments, args, batch)

    def values(self, args: Sequence[Array], batch: int) -> list[Array]:
        """The arguments flat; keep them for as long as code runs on packed addresses of them."""
        return flat_values(self.arguments, args, self.dtype, batch)

    def packing(self, group: str, shared: tuple[int, ...]) -> Packing:
        """The layout of a flat group."""
        found = self._packings.get((group, shared))
        if found is None:
            found = packing(self.spec.groups[group], self._sizes, shared)
            self._packings[group, shared] = found
        return found

    def is_common(self, group: str, values: Sequence[Array]) -> bool:
        """Whether all samples have the same values of a group, so that one block holds them."""
        return all(values[i].ndim == 1 for i in self.spec.groups[group])

    # ------------------------------------------------------------ before the first call

    def layouts(self, *, every: bool = True) -> tuple[tuple[int, ...], ...]:
        """The layouts that calls meet with shared params: those of every choice of inputs, matrices or more, that the
        samples share (of none and of all where there are more than three such inputs, or not `every`)."""
        matrices = [
            i
            for i, a in enumerate(self.arguments)
            if a.role == "input" and len(a.shape) > 1 and self._sizes[i] >= LARGE
        ]
        choices = {(), tuple(matrices)}
        if every and len(matrices) <= MOST_CHOSEN:
            choices |= {c for k in range(len(matrices)) for c in combinations(matrices, k)}
        found = [
            self.layout(
                [
                    np.broadcast_to(
                        np.zeros((), self.dtype), a.shape if a.role != "input" or i in chosen else (2, *a.shape)
                    )
                    for i, a in enumerate(self.arguments)
                ],
                2,
            )
            for chosen in sorted(choices)
        ]
        return tuple(dict.fromkeys(found))

    def entries(self, *, every: bool = True) -> list[Key]:
        """The parts of the engine with the layouts of `layouts`."""
        layouts = self.layouts(every=every)
        return [(p, shared) for p in self.code.parts for shared in (((),) if p.startswith(APART) else layouts)]

    def prepare(self, *, batch: bool) -> None:
        """Machine code now, for solve and pullback: of samples that share params alone and, for batches, of samples
        that share all their matrices too."""
        first = self.layouts(every=False)[0]
        for part, shared in self.entries(every=False):
            if not LATER.match(part) and (batch or shared in ((), first)):
                self.code.spend(part, np.inf)
                self.code.load(part, shared)

    # ------------------------------------------------------------ tasks

    def blocks_of(self, samples: int) -> int:
        """The number of blocks that hold so many samples."""
        return -(-samples // self.width)

    def run_tasks(
        self, part: str, samples: int, block_bytes: int, work: Callable[[int, int], None], *, whole: int = 1,
        costs: Array | None = None, order: NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        """`work(first, last)` over ranges of blocks, of a bounded size, by as many threads as pay; a range begins at a
        multiple of `whole`. `costs` are what samples cost, where that is known; `order` as for `samples_of`."""
        blocks = self.blocks_of(samples)
        most = max(TASK_BYTES // max(block_bytes, 1), 1)
        # The first run of a part may take any time.
        seconds = self._seconds.get(part, np.inf) * blocks
        pieces = 1 if blocks == 1 else tasks_for(seconds, self._hands(seconds))
        if pieces == 1 and blocks <= max(most, whole) and seconds < threads.LONG:
            self._run_one(part, 0, blocks, work)
            return
        known = None
        if costs is not None and pieces > 1:
            known = block_costs(costs if order is None else costs[order], self.width)
        self.run_these(part, cut(blocks, pieces, most=most, whole=whole, costs=known), work)

    def run_these(self, part: str, tasks: Sequence[tuple[int, int]], work: Callable[[int, int], None]) -> None:
        """`work(first, last)` for ranges of blocks, by as many threads as pay."""
        blocks = sum([last - first for first, last in tasks])
        if len(tasks) == 1 and self._seconds.get(part, np.inf) * blocks < threads.LONG:
            self._run_one(part, *tasks[0], work)
            return
        seconds = self._seconds.get(part, np.inf) * blocks
        self._tell(part, threads.run(tasks, work, self._hands(seconds), seconds=seconds), blocks)

    def _run_one(self, part: str, first: int, last: int, work: Callable[[int, int], None]) -> None:
        """The only task of a run, if a short one: nothing is handed over."""
        before, begun = interrupt.begun(), time.perf_counter()
        try:
            work(first, last)
        except Exception:
            interrupt.check(before)
            raise
        interrupt.check(before)
        self._tell(part, time.perf_counter() - begun, last - first)

    def _tell(self, part: str, seconds: float, blocks: int) -> None:
        self._seconds[part] = seconds / blocks
        self.code.spend(part, seconds)

    def _hands(self, seconds: float) -> int:
        """The threads for work of so many seconds, those of the last call: the first runs on one."""
        if seconds == np.inf:
            return 1
        most = threads.default() if self.threads is None else self.threads
        return max(min(most, int(seconds / threads.WORTHWHILE)), 1)

    def places(self, *shapes: tuple[int, ...]) -> Places:
        """Places of arrays of elements of these shapes."""
        return places_of(self.dtype, tuple((*shape, self.width) for shape in shapes))

    def arena(self, *shapes: tuple[int, ...]) -> Arena:
        """Arrays of elements of these shapes, for one task."""
        return Arena(self.places(*shapes))

    def in_order(self, cost: Array | None) -> NDArray[np.int64] | None:
        """See `in_order_of_cost`; what was found for the last costs is known for the same ones."""
        if cost is None or len(cost) <= self.width:
            return None
        known, order = self._ordered
        if not np.array_equal(cost, known):
            order = in_order_of_cost(cost, self.width)
            self._ordered = cost.copy(), order
        return order

    def samples_of(self, rows: NDArray[np.int64] | None, first: int, last: int, samples: int) -> Rows:
        """The samples in a range of blocks; `rows` is their order, None the given one."""
        place = slice(first * self.width, min(last * self.width, samples))
        return place if rows is None else rows[place]


def in_order_of_cost(cost: Array, width: int) -> NDArray[np.int64] | None:
    """The order of samples by cost, where a block of lanes in the given order would wait much for its slowest."""
    blocks = len(cost) // width
    waiting = cost[: blocks * width].reshape(blocks, width).max(axis=1).sum() * width
    if waiting <= 1.05 * max(cost[: blocks * width].sum(), 1):
        return None
    # NumPy sorts short numbers by their digits.
    return np.argsort(cost.astype(np.uint16) if cost.max() < SHORT else cost, kind="stable")


def of_batch(cost: Array | None, batch: int) -> Array | None:
    """The costs that were noted last, if of as many samples; another thread may note others at any time."""
    return cost if cost is not None and len(cost) == batch else None


def lane_steps(steps: Array, order: NDArray[np.int64] | None, width: int) -> int:
    """The steps that all lanes take, those in which they wait for the slowest of their block included; `order` as for
    `samples_of`."""
    placed = steps if order is None else steps[order]
    full = -(-len(placed) // width) * width
    # A short block is filled with copies of its last sample.
    blocks = np.concatenate([placed, np.repeat(placed[-1:], full - len(placed))]).reshape(-1, width)
    return int(blocks.max(axis=1).sum()) * width


def spread(whole: Sequence[Array], rows: Rows, flat: Array) -> None:
    """Flat results of some samples into the arrays of all outputs."""
    start = 0
    for array in whole:
        size = math.prod(array.shape[1:])
        array[rows] = flat[:, start : start + size].reshape(len(flat), *array.shape[1:])
        start += size


def failed(status: NDArray[np.int32], asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Samples that a cotangent asks about and that have no derivative."""
    return asked & (status != codes.SUCCESS)


def split(flat: Array, shapes: Sequence[Shape]) -> list[Array]:
    """Flat results (batch, size) as arrays of the shapes."""
    if len(shapes) == 1:
        return [flat.reshape(len(flat), *shapes[0])]
    found = [np.empty((len(flat), *shape), flat.dtype) for shape in shapes]
    spread(found, slice(None), flat)
    return found


def flat_rows(arrays: Sequence[Array], batch: int, dtype: np.dtype[Any]) -> Array:
    """Arrays of all outputs as (batch, size)."""
    parts = [np.asarray(a, dtype).reshape(batch, -1) for a in arrays]
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
