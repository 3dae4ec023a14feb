"""Plans of an engine: what its calls of one layout and batch have in common, found once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from implicitdsl.backends.engine import Array

P = TypeVar("P")

MOST = 64
"""Plans that an engine keeps."""


class Plans(Generic[P]):
    """Plans by the batch and by which arguments the samples share. It does not refer to the engine, which holds it."""

    def __init__(self, make: Callable[[Any, Sequence[Array], int], P]) -> None:
        """`make` gives the plan of a call from its engine, its arguments and its batch."""
        self._make = make
        self._made: dict[tuple[int, ...], P] = {}

    def of(self, engine: Any, args: Sequence[Array], batch: int) -> P:
        """The plan of a call."""
        case = (batch, *[value.ndim for value in args])
        found = self._made.get(case)
        if found is None:
            if len(self._made) >= MOST:
                self._made.clear()
            found = self._made[case] = self._make(engine, args, batch)
        return found
