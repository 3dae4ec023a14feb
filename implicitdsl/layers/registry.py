"""From the texts that torch's graphs may hold to engines.

A custom op takes tensors, numbers and texts, and a traced graph holds nothing else; so an op names its engine by a key.
The registry refers to engines weakly: a key lives as long as a layer (or a result that may yet be differentiated).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from implicitdsl.backends.engine import Engine
from implicitdsl.backends.forks import Lock
from implicitdsl.layers.options import DTYPES
from implicitdsl.problems.signature import PROBE, MemberSet

_count = itertools.count()
_lock = Lock()  # entered again: building an engine may build those of the layers inside it


@dataclass(frozen=True)
class Check:
    """What is tested of an argument, sample by sample: no NaN, and membership of `set`."""

    argument: int
    set: MemberSet | None


@dataclass(frozen=True, eq=False)
class Entry:
    """An engine with the tests of its inputs and the name that errors give it."""

    key: str
    engine: Engine
    checks: tuple[Check, ...]
    layer: str


class Source(Protocol):
    """Builds the engine and tests for a piece of a layer."""

    def entry(self, key: str, piece: int, dtype: torch.dtype, sizes: Mapping[str, int]) -> Entry:
        """A new entry under that key."""
        ...


class Binding:
    """The entries of one layer and of its copies, by (piece, dtype, call sizes). Not copied when a layer is."""

    def __init__(self, source: Source) -> None:
        self.token = f"layer {next(_count)}"
        self._source = source
        self._entries: dict[tuple[Any, ...], Entry] = {}
        _bindings[self.token] = self

    def entry(self, piece: int, dtype: torch.dtype, sizes: Mapping[str, int]) -> Entry:
        """The entry for a piece, made when first asked for."""
        case = (piece, dtype, tuple(sorted(sizes.items())))
        with _lock.inner:
            found = self._entries.get(case)
            if found is None:
                found = self._source.entry(f"engine {next(_count)}", piece, dtype, dict(sizes))
                self._entries[case] = found
                _entries[found.key] = found
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Binding:
        return self


_bindings: weakref.WeakValueDictionary[str, Binding] = weakref.WeakValueDictionary()
_entries: weakref.WeakValueDictionary[str, Entry] = weakref.WeakValueDictionary()


def add(entry: Entry) -> Entry:
    """Register an entry that the caller keeps alive."""
    _entries[entry.key] = entry
    return entry


def find(key: str) -> Entry:
    """The entry of a key. Raises RuntimeError if its layer is gone."""
    found = _entries.get(key)
    if found is None:
        raise RuntimeError(
            "the layer of this graph no longer exists: a compiled or exported graph refers to its layer, which must be "
            "kept alive, and runs only in the process that made it"
        )
    return found


def plan(token: str, piece: int, dtype: str, *sizes: str | int) -> tuple[Any, ...]:
    """(key, names of the arguments, output shapes, names and shapes of random signs) of a layer's piece. A plain tuple,
    because traces hold no objects; for the same reason `sizes` are the call sizes as name, number, name, number …"""
    entry = _bindings[token].entry(
        piece, DTYPES[dtype], {str(n): int(v) for n, v in zip(sizes[::2], sizes[1::2], strict=True)}
    )
    arguments = entry.engine.arguments
    return (
        entry.key,
        tuple(a.name for a in arguments),
        tuple(tuple(s) for s in entry.engine.outputs),
        tuple((a.name, tuple(a.shape)) for a in arguments if a.name.startswith(PROBE)),
    )


# A trace takes the plan as it is: it depends on texts and numbers alone. This is all that
# torch.compiler.assume_constant_result does, which imports torch's whole compiler first (1.5 s).
vars(plan)["_dynamo_marked_constant"] = True
