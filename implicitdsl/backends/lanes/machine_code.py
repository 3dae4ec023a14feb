"""The machine code of one engine: parts by layout, each made, or found on disk, at its first use.

Some parts have two forms with the same bits. In the first the solver calls the functions of the model, which lie beside
it: made in a moment, where the solver is known. In the second, whose name begins with `WHOLE`, they are parts of the
solver: faster by up to a third, and up to a second to make. It is made aside once the part has run for `PATIENCE`, so
that no call waits for it, and takes the place of the first when it is there: from the beginning, where it lies on disk.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from implicitdsl.backends import aside
from implicitdsl.backends.forks import Lock
from implicitdsl.backends.lanes.data import Data
from implicitdsl.backends.lanes.loaded import Loaded

Key = tuple[str, tuple[int, ...]]
"""A part of an engine (`solve`, `pull` …), or an entry of one, and the arguments that all samples share."""

WHOLE = "whole_"
"""How the names of parts begin that hold solver and model in one piece."""
PATIENCE = 0.25
"""Seconds that a part runs before code pays that is faster and takes longer to make."""


class MachineCode:
    """Makes, loads and holds entries.

    `signatures[entry]` has one letter a parameter: n a whole number, a an array. Entries return a whole number.
    `make(part, shared)` gives the object file that defines `imp_ENTRY` for every entry of a part: what one call of the
    engine wants is made at once; `at_hand(part, shared)` tells whether it was made before. `parts` names the entries of
    each part; an entry in none is a part of its own. `data` are the values that object files are loaded with,
    `layout_data` those that differ by the shared arguments, which an engine sets.
    """

    def __init__(
        self,
        signatures: Mapping[str, str],
        make: Callable[[str, tuple[int, ...]], bytes],
        parts: Mapping[str, tuple[str, ...]] | None = None,
        *,
        data: Data | None = None,
        at_hand: Callable[[str, tuple[int, ...]], bool] = lambda part, shared: False,
    ) -> None:
        self.signatures = signatures
        self.data: Data = data or {}
        self.layout_data: Callable[[tuple[int, ...]], Data] = lambda shared: {}
        self.make = make
        self.at_hand = at_hand
        self.grouped = dict(parts or {})
        self._part_of = {entry: part for part, entries in self.grouped.items() for entry in entries}
        self._entries: dict[Key, Any] = {}
        # Those in a form that may yet give way to another.
        self._early: dict[Key, Any] = {}
        self._loaded: dict[Key, Loaded] = {}
        self._objects: dict[Key, bytes] = {}
        self._spent: dict[str, float] = {}
        self._looked: set[Key] = set()
        self._asked: dict[Key, aside.Piece] = {}
        self._locks: dict[Key, Lock] = {}
        self._guard = Lock()

    def entry(self, name: str, shared: tuple[int, ...]) -> Any:
        """The function of an entry, in the best form that is there."""
        found = self._entries.get((name, shared))
        return self._chosen(name, shared) if found is None else found

    def _chosen(self, name: str, shared: tuple[int, ...]) -> Any:
        part = self._part_of.get(name, name)
        form = self._form(part, shared)
        # Two forms have parts of one entry.
        is_early = form == part and f"{WHOLE}{part}" in self.signatures
        held = self._early if is_early else self._entries
        found = held.get((name, shared))
        if found is None:
            kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in self.signatures[name]]
            found = held[name, shared] = self._load(form, shared).function(f"imp_{name}", ctypes.c_int64, *kinds)
        return found

    def _form(self, part: str, shared: tuple[int, ...]) -> str:
        whole = f"{WHOLE}{part}"
        has_two = whole in self.signatures
        return whole if has_two and self.is_there(whole, shared, spent=self._spent.get(part, 0.0)) else part

    def spend(self, part: str, seconds: float) -> None:
        """Tells that a part has run for so long, which counts where it has code in one piece; see `is_there`."""
        if f"{WHOLE}{part}" in self.signatures:
            self._spent[part] = self._spent.get(part, 0.0) + seconds

    def is_there(self, part: str, shared: tuple[int, ...], *, spent: float) -> bool:
        """Whether a part is loaded that may take the place of slower code, which has run for so many seconds. It is
        asked for when they are more than `PATIENCE`, and then made aside; if they are infinite, it is made here and
        now. What lies on disk is loaded at once."""
        key = part, shared
        if key in self._loaded:
            return True
        asked = self._asked.get(key)
        # A child, made by a fork, does not get what its parent asked for.
        is_asked = asked is not None and asked.is_ours
        if spent == math.inf or (not is_asked and self._is_at_hand(key, again=spent > PATIENCE)):
            self._load(part, shared)
            return True
        if spent > PATIENCE and not is_asked:
            self._asked[key] = aside.do(partial(self._load, part, shared))
        return False

    def _is_at_hand(self, key: Key, *, again: bool) -> bool:
        if key in self._looked and not again:
            return False
        self._looked.add(key)
        return self.at_hand(*key)

    def object(self, part: str, shared: tuple[int, ...]) -> bytes:
        """The object file of a part."""
        if (part, shared) not in self._objects:
            self._objects[part, shared] = self.make(part, shared)
        return self._objects[part, shared]

    def only(self, prefix: str, parts: Mapping[str, str], data: Data) -> MachineCode:
        """The parts whose names begin with `prefix`, without it; `parts` are their signatures, `data` their values."""
        return MachineCode(
            parts,
            lambda part, shared: self.object(f"{prefix}{part}", shared),
            data=data,
            at_hand=lambda part, shared: self.at_hand(f"{prefix}{part}", shared),
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts of the engine, in their first form."""
        names = (self._part_of.get(entry, entry) for entry in self.signatures)
        return tuple(dict.fromkeys(name for name in names if WHOLE not in name))

    @property
    def of_two_forms(self) -> tuple[str, ...]:
        """The parts that have code in one piece besides."""
        return tuple(name.replace(WHOLE, "") for name in self.signatures if WHOLE in name)

    def entries_of(self, part: str) -> tuple[str, ...]:
        """The entries of a part."""
        return self.grouped.get(part, (part,))

    @property
    def made(self) -> tuple[Key, ...]:
        """The parts that are loaded."""
        return tuple(self._loaded)

    def load(self, part: str, shared: tuple[int, ...]) -> Loaded:
        """The machine code of a part, in the best form that is there."""
        return self._load(self._form(part, shared), shared)

    def _load(self, part: str, shared: tuple[int, ...]) -> Loaded:
        key = part, shared
        found = self._loaded.get(key)
        if found is None:
            with self._guard.inner:
                lock = self._locks.setdefault(key, Lock())
            # One for each part: a call does not wait for what is made aside.
            with lock.inner:
                if key not in self._loaded:
                    self._loaded[key] = Loaded(self.object(part, shared), {**self.layout_data(shared), **self.data})
                found = self._loaded[key]
        return found
