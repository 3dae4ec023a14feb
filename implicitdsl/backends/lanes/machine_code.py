"""The machine code of one engine: parts by layout, each made, or found on disk, at its first use."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

from implicitdsl.backends.forks import Lock
from implicitdsl.backends.lanes.data import Data
from implicitdsl.backends.lanes.loaded import Loaded

Key = tuple[str, tuple[int, ...]]
"""A part of an engine (`solve`, `pull` …), or an entry of one, and the arguments that all samples share."""


class MachineCode:
    """Makes, loads and holds entries.

    `signatures[entry]` has one letter a parameter: n a whole number, a an array. Entries return a whole number.
    `make(part, shared)` gives the object file that defines `imp_ENTRY` for every entry of a part: what one call of the
    engine wants is made at once. `parts` names the entries of each part; an entry in none is a part of its own. `data`
    are the values that object files are loaded with.
    """

    def __init__(
        self,
        signatures: Mapping[str, str],
        make: Callable[[str, tuple[int, ...]], bytes],
        parts: Mapping[str, tuple[str, ...]] | None = None,
        *,
        data: Data | None = None,
    ) -> None:
        self.signatures = signatures
        self.data: Data = data or {}
        self.make = make
        self.grouped = dict(parts or {})
        self._part_of = {entry: part for part, entries in self.grouped.items() for entry in entries}
        self._entries: dict[Key, Any] = {}
        self._loaded: dict[Key, Loaded] = {}
        self._objects: dict[Key, bytes] = {}
        self._lock = Lock()

    def entry(self, name: str, shared: tuple[int, ...]) -> Any:
        """The function of an entry."""
        found = self._entries.get((name, shared))
        if found is None:
            kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in self.signatures[name]]
            loaded = self.load(self._part_of.get(name, name), shared)
            found = loaded.function(f"imp_{name}", ctypes.c_int64, *kinds)
            self._entries[name, shared] = found
        return found

    def object(self, part: str, shared: tuple[int, ...]) -> bytes:
        """The object file of a part."""
        if (part, shared) not in self._objects:
            self._objects[part, shared] = self.make(part, shared)
        return self._objects[part, shared]

    def only(self, prefix: str, parts: Mapping[str, str], data: Data) -> MachineCode:
        """The parts whose names begin with `prefix`, without it; `parts` are their signatures, `data` their values."""
        return MachineCode(parts, lambda part, shared: self.object(f"{prefix}{part}", shared), data=data)

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts of the engine."""
        return tuple(dict.fromkeys(self._part_of.get(entry, entry) for entry in self.signatures))

    def entries_of(self, part: str) -> tuple[str, ...]:
        """The entries of a part."""
        return self.grouped.get(part, (part,))

    @property
    def made(self) -> tuple[Key, ...]:
        """The parts that are loaded."""
        return tuple(self._loaded)

    def load(self, part: str, shared: tuple[int, ...]) -> Loaded:
        """The machine code of a part."""
        with self._lock:
            if (part, shared) not in self._loaded:
                self._loaded[part, shared] = Loaded(self.object(part, shared), self.data)
            return self._loaded[part, shared]
