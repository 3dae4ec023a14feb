"""A part of a boundary value problem: an engine that every sample calls several times at once (its *legs*).

An outer argument that is given per sample is repeated for the legs of the sample, one that is shared stays so.
Gradients come back the same way, those of the legs of one sample added in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Argument, Array, Engine, RunOptions, is_per_sample
from implicitdsl.solvers import status as codes


@dataclass(frozen=True)
class Given:
    """The outer arguments of some samples: arrays as an engine takes them, and how many samples there are."""

    args: list[Array]
    batch: int

    def rows(self, rows: NDArray[np.int64], arguments: Sequence[Argument]) -> Given:
        """The same for some of the samples."""
        if len(rows) == self.batch:
            return self
        return Given(
            [a[rows] if is_per_sample(a, s) else a for a, s in zip(self.args, arguments, strict=True)], len(rows)
        )


@dataclass(frozen=True)
class Leg:
    """What a call left: outputs (batch, legs, …), a status and the steps of each leg, and what its pullback needs."""

    outputs: list[Array]
    status: NDArray[np.int32]
    steps: NDArray[np.int64]
    saved: list[Array]


class Part:
    """An engine with `own` inputs in front of those that it shares with the whole problem."""

    def __init__(self, engine: Engine, own: int, arguments: Sequence[Argument]) -> None:
        self.engine = engine
        self.own = own
        self._outer = tuple(arguments)
        place = {a.name: k for k, a in enumerate(arguments)}
        self.places = tuple(place[a.name] for a in engine.arguments[own:])

    def _flat(self, array: Array) -> Array:
        return np.ascontiguousarray(array).reshape(array.shape[0] * array.shape[1], *array.shape[2:])

    def _args(self, own: Sequence[Array], outer: Sequence[Array], legs: int) -> list[Array]:
        """Inputs (batch, legs, …) and the outer arguments, for a batch of all legs."""
        found = [self._flat(a) for a in own]
        for k in self.places:
            value = outer[k]
            found.append(np.repeat(value, legs, axis=0) if is_per_sample(value, self._outer[k]) else value)
        return found

    def solve(self, own: Sequence[Array], given: Given, legs: int) -> Leg:
        """The legs of all samples; `own` are the inputs of each, (batch, legs, …)."""
        lead = (given.batch, legs)
        if not given.batch * legs:
            outputs = [np.zeros((*lead, *s), self.engine.dtype) for s in self.engine.outputs]
            saved = [np.zeros((*lead, *s), t) for s, t in self.engine.saved]
            return Leg(outputs, np.zeros(lead, np.int32), np.zeros(lead, np.int64), saved)
        found = self.engine.solve(self._args(own, given.args, legs), given.batch * legs, RunOptions())
        outputs = [o.reshape(*lead, *o.shape[1:]) for o in found.outputs]
        saved = [s.reshape(*lead, *s.shape[1:]) for s in found.saved]
        return Leg(outputs, found.status.reshape(lead), found.steps.reshape(lead), saved)

    def push(
        self, own: Sequence[Array], given: Given, saved: Sequence[Array], dots: Sequence[Array | None],
        outer: Sequence[Array] | None, lead: tuple[int, int] | None = None,
    ) -> list[Array]:  # fmt: skip
        """The tangents of the outputs, (batch, legs, …), along those of the own and the outer arguments (None: 0). A
        part without own inputs is told (batch, legs)."""
        batch, legs = lead or own[0].shape[:2]
        args = self._args(own, given.args, legs)
        directions = self._directions(args, dots, outer, legs)
        if not batch * legs:
            return [np.zeros((batch, legs, *s), self.engine.dtype) for s in self.engine.outputs]
        good = np.zeros(batch * legs, np.int32)
        found = self.engine.pushforward(args, batch * legs, [self._flat(s) for s in saved], good, directions)
        return [o.reshape(batch, legs, *o.shape[1:]) for o in found.outputs]

    def _directions(
        self, args: Sequence[Array], dots: Sequence[Array | None], outer: Sequence[Array] | None, legs: int
    ) -> list[Array]:
        own = [
            np.zeros(a.shape, self.engine.dtype) if d is None else self._flat(d)
            for a, d in zip(args[: self.own], dots, strict=True)
        ]
        if outer is None:
            return own + [np.zeros(a.shape, self.engine.dtype) for a in args[self.own :]]
        return own + self._args((), outer, legs)

    def columns(self, own: Sequence[Array], given: Given, saved: Sequence[Array]) -> Array:
        """The derivative of the first output (n) by the first own input (n) of each leg: (batch, legs, n, n)."""
        batch, legs, n = own[0].shape
        unit = np.broadcast_to(np.eye(n, dtype=self.engine.dtype), (batch, legs, n, n)).reshape(batch, legs * n, n)
        spread = [np.repeat(a, n, axis=1) for a in own]
        kept = [np.repeat(s, n, axis=1) for s in saved]
        rest: list[Array | None] = [None] * (self.own - 1)
        (found,) = self.push(spread, given, kept, [unit, *rest], None)
        return np.ascontiguousarray(np.swapaxes(found.reshape(batch, legs, n, n), 2, 3))

    def pull(
        self, own: Sequence[Array], given: Given, saved: Sequence[Array], cotangents: Sequence[Array], sums: Sums
    ) -> list[Array]:
        """The gradients of the own inputs, (batch, legs, …); those of the outer arguments are added to `sums`."""
        batch, legs = cotangents[0].shape[:2]
        args = self._args(own, given.args, legs)
        good = np.zeros(batch * legs, np.int32)
        found = self.engine.pullback(
            args, batch * legs, [self._flat(s) for s in saved], good, [self._flat(c) for c in cotangents]
        )
        sums.refuse(found.status.reshape(batch, legs))
        return self._own(found.grads, args, (batch, legs), sums)

    def second(
        self, own: Sequence[Array], given: Given, saved: Sequence[Array], cotangents: Sequence[Array],
        dots: Sequence[Array | None], outer: Sequence[Array], sums: Sums,
    ) -> tuple[list[Array], list[Array]]:  # fmt: skip
        """The tangents of the outputs, and the gradients of <cotangents, tangents> as `pull` gives them."""
        batch, legs = cotangents[0].shape[:2]
        args = self._args(own, given.args, legs)
        good = np.zeros(batch * legs, np.int32)
        found = self.engine.pullback_pullback(
            args, batch * legs, [self._flat(s) for s in saved], good, [self._flat(c) for c in cotangents],
            self._directions(args, dots, outer, legs),
        )  # fmt: skip
        sums.refuse(found.status.reshape(batch, legs))
        tangents = [o.reshape(batch, legs, *o.shape[1:]) for o in found.cotangents]
        return tangents, self._own(found.grads, args, (batch, legs), sums)

    def _own(
        self, grads: Sequence[Array | None], args: Sequence[Array], lead: tuple[int, int], sums: Sums
    ) -> list[Array]:
        whole = [np.zeros(a.shape, self.engine.dtype) if g is None else g for g, a in zip(grads, args, strict=True)]
        for k, grad in zip(self.places, whole[self.own :], strict=True):
            sums.add(k, grad, lead[1])
        return [g.reshape(*lead, *g.shape[1:]) for g in whole[: self.own]]


class Sums:
    """Gradients of the outer arguments, and the status of samples without a derivative."""

    def __init__(self, given: Given, arguments: Sequence[Argument], dtype: np.dtype[Any]) -> None:
        self._arguments = tuple(arguments)
        self.grads = [np.zeros(a.shape, dtype) for a in given.args]
        self.status = np.zeros(given.batch, np.int32)

    def add(self, k: int, grad: Array, legs: int) -> None:
        """Adds the gradient of argument k over all legs."""
        if not is_per_sample(self.grads[k], self._arguments[k]):
            self.grads[k] += grad
            return
        parts = grad.reshape(len(self.grads[k]), legs, *grad.shape[1:])
        for leg in range(legs):
            self.grads[k] += parts[:, leg]

    def refuse(self, status: NDArray[np.int32]) -> None:
        """Takes note of the legs whose derivative failed."""
        for leg in range(status.shape[1]):
            self.status = np.where(self.status == codes.SUCCESS, status[:, leg], self.status)
