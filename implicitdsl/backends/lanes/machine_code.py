"""The machine code of one engine: parts by layout, each made, or found on disk, at its first use.

Some parts have two forms with the same bits. In the first the solver calls the functions of the model, which lie beside
it: made in a moment, where the solver is known. In the second, whose name begins with `WHOLE`, they are parts of the
solver: faster by up to a third, and up to a second to make. It takes the place of the first when the part has run for
`PATIENCE`, or from the beginning where it was made before and lies on disk.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

from implicitdsl.backends.forks import Lock
from implicitdsl.backends.lanes.data import Data
from implicitdsl.backends.lanes.loaded import Loaded

Key = tuple[str, tuple[int, ...]]
"""A part of an engine (`solve`, `pull` …), or an entry of one, and the arguments that all samples share."""

WHOLE = "whole_"
"""How the names of parts begin that hold solver and model in one piece."""
PATIENCE = 0.5
"""Seconds that a part runs before its code in one piece pays."""


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
        self._loaded: dict[Key, Loaded] = {}
        self._objects: dict[Key, bytes] = {}
        self._spent: dict[str, float] = {}
        self._lock = Lock()

    def entry(self, name: str, shared: tuple[int, ...]) -> Any:
        """The function of an entry, in the form that pays."""
        name = self._form(name)
        found = self._entries.get((name, shared))
        if found is None:
            kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in self.signatures[name]]
            loaded = self.load(self._part_of.get(name, name), shared)
            found = loaded.function(f"imp_{name.removeprefix(WHOLE)}", ctypes.c_int64, *kinds)
            self._entries[name, shared] = found
        return found

    def spend(self, part: str, seconds: float) -> None:
        """Tells that a part has run for so long: in all more than `PATIENCE` asks for its code in one piece, if it has
        any."""
        if f"{WHOLE}{part}" in self.signatures:
            self._spent[part] = self._spent.get(part, 0.0) + seconds

    def _form(self, part: str) -> str:
        return f"{WHOLE}{part}" if self._spent and self._spent.get(part, 0.0) > PATIENCE else part

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
        """The machine code of a part, in the form that pays."""
        part = self._form(part)
        whole = f"{WHOLE}{part}"
        with self._lock.inner:
            if whole in self.signatures and (part, shared) not in self._loaded and self.at_hand(whole, shared):
                part = whole
            if (part, shared) not in self._loaded:
                self._loaded[part, shared] = Loaded(
                    self.object(part, shared), {**self.layout_data(shared), **self.data}
                )
            return self._loaded[part, shared]
