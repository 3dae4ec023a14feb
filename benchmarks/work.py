"""What a work is: the same question put to us and to every peer, with an outside reference for the answer.

A work is a `Comparison` or a `Study`; both are run by name and yield rows. The values of a comparison are compared with
its reference before any time is taken; a contender whose values are wrong is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.row import Goal, Row

Array = NDArray[Any]
Values = Mapping[str, Array]
Mode = Literal["forward", "gradient"]

OURS = "implicitdsl"


@dataclass(frozen=True)
class Settings:
    """How a run is made: `threads` for every library alike, `seconds` of timing a contender, `backend` of our layers
    ("" for their default), which `peers` take part by the beginning of their names (None: all), and which parts of a
    work that has many, by the beginning of their names (`only`; None: all)."""

    threads: int = 1
    seconds: float = 2.0
    backend: str = ""
    peers: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None

    def takes(self, peer: str) -> bool:
        """Whether a peer takes part."""
        return self.peers is None or any(peer.startswith(name) for name in self.peers)

    def has(self, part: str) -> bool:
        """Whether a part of a work is run."""
        return self.only is None or any(part.startswith(name) for name in self.only)

    def layer(self) -> dict[str, Any]:
        """The keywords that every layer of ours takes in this run."""
        chosen: dict[str, Any] = {"threads": self.threads}
        return {**chosen, "backend": self.backend} if self.backend else chosen


@dataclass(frozen=True)
class Call:
    """`run` is timed; `read` turns what it returned into arrays by name, and is not."""

    run: Callable[[], Any]
    read: Callable[[Any], Values]


@dataclass(frozen=True)
class Contender:
    """One library on one work, ready to be called. `about` says its settings; `facts` what is known after a call
    (back end, steps)."""

    name: str
    calls: Mapping[Mode, Call]
    about: str = ""
    facts: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Floor:
    """The least that the work needs: floating point operations and bytes moved to and from memory."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Comparison:
    """One work for several contenders.

    `reference` gives, for each mode, arrays by name; one that holds fewer samples speaks of the first ones. `bounds` is
    the largest error of a right answer, max |found - reference| / max |reference|. `floor` is told the contender that
    is ours, after its calls, because the count of steps is a fact of the run."""

    name: str
    title: str
    dtype: Literal["float32", "float64"]
    ours: Callable[[Settings], Contender]
    peers: Mapping[str, Callable[[Settings], Contender]]
    reference: Callable[[], Mapping[Mode, Values]]
    bounds: Mapping[Mode, float]
    floor: Callable[[Mode, dict[str, Any]], Floor | None] = lambda mode, facts: None
    goals: Mapping[Mode, tuple[Goal, ...]] = field(default_factory=dict[Mode, "tuple[Goal, ...]"])


@dataclass(frozen=True)
class Study:
    """A work with a shape of its own: how something grows, what a new process costs, what memory does."""

    name: str
    title: str
    rows: Callable[[Settings], Iterator[Row]]


Work = Comparison | Study


def worst_error(found: Values, expected: Values) -> float:
    """max |found - expected| / max |expected| over all arrays; infinite where anything found is not finite."""
    worst = 0.0
    for name, right in expected.items():
        given = np.asarray(found[name], np.float64)
        given = given[: len(right)] if given.ndim and given.shape[1:] == right.shape[1:] else given
        if given.shape != right.shape:
            raise ValueError(f"`{name}` has shape {given.shape}, the reference {right.shape}")
        if not np.isfinite(given).all():
            return float("inf")
        worst = max(worst, float(np.abs(given - right).max() / max(np.abs(right).max(), 1e-300)))
    return worst


def facts_of(layer: Any) -> Callable[[], dict[str, Any]]:
    """The facts of a layer of ours after a call: its back end and the work that the last call did."""

    def read() -> dict[str, Any]:
        found: dict[str, Any] = {"backend": back_end(layer)}
        if layer.last is not None:
            steps = layer.last.steps.double()
            found |= {"steps": float(steps.mean()), "total_steps": float(steps.sum())}
        return found

    return read


def back_end(layer: Any) -> str:
    """The back end of the engines that the layer has made, by the package that they come from."""
    kinds = {type(entry.engine).__module__.split(".")[2] for entry in layer._binding._entries.values()}
    return ", ".join(sorted(kinds))
