"""The machine code of one engine: entries by part and layout, each made, or found on disk, at its first use."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

from implicitdsl.backends.lanes.link import Loaded

Key = tuple[str, tuple[int, ...]]
"""A part of an engine (`solve`, `pull` …) and the arguments that all samples share."""


class MachineCode:
    """Makes, loads and holds entries.

    `make(part, shared)` gives the object file that defines `imp_PART`; `signatures[part]` has one letter a parameter: n
    a whole number, a an array. Entries return a whole number.
    """

    def __init__(self, signatures: Mapping[str, str], make: Callable[[str, tuple[int, ...]], bytes]) -> None:
        self.signatures = signatures
        self.make = make
        self._entries: dict[Key, Any] = {}
        self._objects: dict[Key, bytes] = {}
        self._lock = threading.Lock()

    def entry(self, part: str, shared: tuple[int, ...]) -> Any:
        """The function of a part."""
        found = self._entries.get((part, shared))
        return self._load(part, shared) if found is None else found

    def object(self, part: str, shared: tuple[int, ...]) -> bytes:
        """The object file of a part."""
        if (part, shared) not in self._objects:
            self._objects[part, shared] = self.make(part, shared)
        return self._objects[part, shared]

    def only(self, prefix: str, parts: Mapping[str, str]) -> MachineCode:
        """The parts whose names begin with `prefix`, without it; `parts` are their signatures."""
        return MachineCode(parts, lambda part, shared: self.object(f"{prefix}{part}", shared))

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts of the engine."""
        return tuple(self.signatures)

    @property
    def made(self) -> tuple[Key, ...]:
        """The entries that are loaded."""
        return tuple(self._entries)

    def _load(self, part: str, shared: tuple[int, ...]) -> Any:
        with self._lock:
            if (part, shared) not in self._entries:
                kinds = [ctypes.c_int64 if letter == "n" else ctypes.c_void_p for letter in self.signatures[part]]
                code = self.object(part, shared)
                self._entries[part, shared] = Loaded(code).function(f"imp_{part}", ctypes.c_int64, *kinds)
            return self._entries[part, shared]
