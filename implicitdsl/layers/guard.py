"""The engine that does nothing: it hands its inputs on, so that their tests have a place.

A `net` that is cut into pieces may hand an input straight to another layer; no engine of its own would see the input
and test that it lies in its set.
"""

from __future__ import annotations

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
    sum_in_order,
)


class Guard:
    """The identity of its arguments, each output per sample."""

    saved: tuple[tuple[Shape, np.dtype[Any]], ...] = ()

    def __init__(self, layer: str, arguments: tuple[Argument, ...], dtype: np.dtype[Any]) -> None:
        self.layer_name = layer
        self.arguments = arguments
        self.outputs = tuple(argument.shape for argument in arguments)
        self.dtype = dtype

    def solve(self, args: list[Array], batch: int, run: RunOptions) -> Solution:
        nothing = np.zeros(batch, np.int64)
        return Solution(self._spread(args, batch), np.zeros(batch, np.int32), nothing, nothing.copy())

    def pullback(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], cotangents: list[Array]
    ) -> Gradient:
        grads: list[Array | None] = [
            cotangent.copy() if is_per_sample(value, argument) else sum_in_order(cotangent)
            for value, argument, cotangent in zip(args, self.arguments, cotangents, strict=True)
        ]
        return Gradient(grads, np.zeros(batch, np.int32))

    def pullback_pullback(
        self,
        args: list[Array],
        batch: int,
        saved: list[Array],
        status: NDArray[np.int32],
        cotangents: list[Array],
        directions: list[Array],
    ) -> Second:
        return Second(self._spread(directions, batch), [None] * len(args), np.zeros(batch, np.int32))

    def pushforward(
        self, args: list[Array], batch: int, saved: list[Array], status: NDArray[np.int32], tangents: list[Array]
    ) -> Tangents:
        return Tangents(self._spread(tangents, batch), np.zeros(batch, np.int32))

    def _spread(self, values: list[Array], batch: int) -> list[Array]:
        return [np.broadcast_to(v, (batch, *s)).copy() for v, s in zip(values, self.outputs, strict=True)]
