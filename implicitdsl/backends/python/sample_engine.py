"""The loop over samples of the back end `python`: one sample at a time, in order, each on its own arrays.

A subclass solves and differentiates one sample; here arguments are handed out, answers gathered, and gradients of
shared
arguments summed in the order of the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import (
    Argument,
    Array,
    Gradient,
    RunOptions,
    Second,
    Shape,
    Solution,
    Tangents,
    is_per_sample,
)
from implicitdsl.backends.python.twins import on_floats
from implicitdsl.ir.node import Leaf
from implicitdsl.problems.signature import Signature
from implicitdsl.solvers import status as codes

Saved = tuple[tuple[Shape, np.dtype[Any]], ...]


@dataclass
class Answer:
    """What solving one sample gives; `outputs` and `saved` in the shapes that the engine declares."""

    outputs: list[Array]
    saved: list[Array] = field(default_factory=list[Array])
    status: int = codes.SUCCESS
    notes: int = 0
    steps: int = 0
    extras: dict[str, Any] = field(default_factory=dict[str, Any])


class SampleEngine(ABC):
    """An engine that goes through the samples one by one."""

    def __init__(self, signature: Signature, outputs: tuple[Shape, ...], saved: Saved, dtype: np.dtype[Any]) -> None:
        inputs = [Argument(item.name, item.leaf.shape, "input") for item in signature.inputs]
        params = [Argument(item.name, item.leaf.shape, "param") for item in signature.params]
        consts = [Argument(item.name, item.leaf.shape, "const") for item in signature.consts]
        self._arguments = (*inputs, *params, *consts)
        self._leaves = signature.arguments
        self._outputs = outputs
        self._saved = saved
        self._dtype = dtype
        self._layer_name = signature.layer

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return self._arguments

    @property
    def outputs(self) -> tuple[Shape, ...]:
        return self._outputs

    @property
    def saved(self) -> Saved:
        return self._saved

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    def layer_name(self) -> str:
        return self._layer_name

    def runs(self, solver: Callable[..., Any]) -> Callable[..., Any]:
        """The function of a solver as it is run: on Python's floats, or on NumPy's where those are too long."""
        return on_floats(solver) if self._dtype == np.float64 else solver

    # ------------------------------------------------------------ one sample

    @abstractmethod
    def solve_sample(self, values: Sequence[Array]) -> Answer:
        """The answer for one sample, given the value of every argument."""

    @abstractmethod
    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        """Gradients for every argument (None: zero) and a status; `cotangent` is flat over all outputs."""

    @abstractmethod
    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Array, list[Array | None], int]:
        """The flat tangent of the outputs along the directions, the gradients of <cotangent, tangent>, and a status."""

    @abstractmethod
    def push_sample(
        self, values: Sequence[Array], saved: Sequence[Array], tangents: Sequence[Array]
    ) -> tuple[Array, int]:
        """The flat tangent of the outputs and a status."""

    # ------------------------------------------------------------ all samples

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        """See `Engine`."""
        outputs = [np.empty((batch, *shape), self._dtype) for shape in self._outputs]
        saved = [np.empty((batch, *shape), dtype) for shape, dtype in self._saved]
        status, notes, steps = np.empty(batch, np.int32), np.empty(batch, np.int64), np.empty(batch, np.int64)
        extras: dict[str, list[Any]] = {}
        for row in range(batch):
            with np.errstate(all="ignore"):
                answer = self.solve_sample(self._row(args, row))
            for whole, part in zip((*outputs, *saved), (*answer.outputs, *answer.saved), strict=True):
                whole[row] = part
            status[row], notes[row], steps[row] = answer.status, answer.notes, answer.steps
            for name, value in answer.extras.items():
                extras.setdefault(name, []).append(value)
        return Solution(outputs, status, notes, steps, saved, {name: np.asarray(rows) for name, rows in extras.items()})

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        """See `Engine`."""
        grads, found = self._zero_grads(args), np.zeros(batch, np.int32)
        for row, cotangent in self._rows_at_work(batch, cotangents):
            if status[row] != codes.SUCCESS:
                self._spoil(args, grads, row)
                continue
            with np.errstate(all="ignore"):
                parts, found[row] = self.pull_sample(self._row(args, row), [s[row] for s in saved], cotangent)
            self._gather(args, grads, row, parts)
        return Gradient(list(grads), found)

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        """See `Engine`."""
        grads, found = self._zero_grads(args), np.zeros(batch, np.int32)
        pushed = [np.zeros((batch, *shape), self._dtype) for shape in self._outputs]
        flat = self._flat_rows(batch, cotangents)
        for row in range(batch):
            if status[row] != codes.SUCCESS:
                if flat[row].any():
                    self._spoil(args, grads, row)
                for whole in pushed:
                    whole[row] = np.nan
                continue
            with np.errstate(all="ignore"):
                tangent, parts, found[row] = self.second_sample(
                    self._row(args, row), [s[row] for s in saved], flat[row], self._row(directions, row)
                )
            self._spread(pushed, row, tangent)
            if flat[row].any():
                self._gather(args, grads, row, parts)
        return Second(pushed, list(grads), found)

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        """See `Engine`."""
        pushed = [np.zeros((batch, *shape), self._dtype) for shape in self._outputs]
        found = np.zeros(batch, np.int32)
        for row in range(batch):
            if status[row] != codes.SUCCESS:
                for whole in pushed:
                    whole[row] = np.nan
                continue
            with np.errstate(all="ignore"):
                tangent, found[row] = self.push_sample(
                    self._row(args, row), [s[row] for s in saved], self._row(tangents, row)
                )
            self._spread(pushed, row, tangent)
        return Tangents(pushed, found)

    # ------------------------------------------------------------ arrays

    def _row(self, args: Sequence[Array], row: int) -> list[Array]:
        return [a[row] if is_per_sample(a, spec) else a for a, spec in zip(args, self._arguments, strict=True)]

    def _zero_grads(self, args: Sequence[Array]) -> list[Array]:
        return [np.zeros(a.shape, self._dtype) for a in args]

    def _flat_rows(self, batch: int, cotangents: Sequence[Array]) -> Array:
        parts = [np.asarray(c, self._dtype).reshape(batch, -1) for c in cotangents]
        return np.ascontiguousarray(np.concatenate(parts, axis=1)) if parts else np.zeros((batch, 0), self._dtype)

    def _rows_at_work(self, batch: int, cotangents: Sequence[Array]):
        flat = self._flat_rows(batch, cotangents)
        return [(row, flat[row]) for row in range(batch) if flat[row].any()]

    def _gather(self, args: Sequence[Array], grads: Sequence[Array], row: int, parts: Sequence[Array | None]) -> None:
        for arg, grad, spec, part in zip(args, grads, self._arguments, parts, strict=True):
            if part is None:
                continue
            shaped = np.asarray(part).reshape(spec.shape)
            if is_per_sample(arg, spec):
                grad[row] = shaped
            else:
                grad += shaped

    def _spoil(self, args: Sequence[Array], grads: Sequence[Array], row: int) -> None:
        """A failed sample that a cotangent asks about has no gradient."""
        for arg, grad, spec in zip(args, grads, self._arguments, strict=True):
            if is_per_sample(arg, spec):
                grad[row] = np.nan
            else:
                grad += np.nan

    def _spread(self, wholes: Sequence[Array], row: int, flat: Array) -> None:
        start = 0
        for whole in wholes:
            size = int(np.prod(whole.shape[1:], dtype=np.int64))
            whole[row] = flat[start : start + size].reshape(whole.shape[1:])
            start += size

    def pack(self, values: Sequence[Array], leaves: Sequence[Leaf]) -> Array:
        """The flat vector of the values of some argument leaves."""
        by_leaf = dict(zip(self._leaves, values, strict=True))
        parts = [np.asarray(by_leaf[leaf], self._dtype).reshape(-1) for leaf in leaves]
        return np.ascontiguousarray(np.concatenate(parts)) if parts else np.zeros(0, self._dtype)

    def unpack(self, flat: Array, leaves: Sequence[Leaf]) -> list[Array | None]:
        """The gradients of all arguments from the flat vector over some of them."""
        found: dict[Leaf, Array] = {}
        start = 0
        for leaf in leaves:
            found[leaf] = flat[start : start + leaf.size].reshape(leaf.shape)
            start += leaf.size
        return [found.get(leaf) for leaf in self._leaves]


def split(flat: Array, shapes: Sequence[Shape]) -> list[Array]:
    """A flat vector as arrays of the shapes."""
    found: list[Array] = []
    start = 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=np.int64))
        found.append(flat[start : start + size].reshape(shape))
        start += size
    return found
