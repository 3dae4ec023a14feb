"""The derived functions of a model, each simplified when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from implicitdsl.backends.forks import Lock
from implicitdsl.problems.derived import Derived, simplified


class SimplifiedOnce:
    """What was simplified, by name; several threads may ask."""

    def __init__(self) -> None:
        self._found: dict[str, Derived] = {}
        self._lock = Lock()

    def of(self, functions: Mapping[str, Derived], names: Iterable[str]) -> list[Derived]:
        """The functions of these names, simplified."""
        with self._lock.inner:
            return self._all_of(functions, names)

    def _all_of(self, functions: Mapping[str, Derived], names: Iterable[str]) -> list[Derived]:
        found: list[Derived] = []
        for name in names:
            if name not in self._found:
                self._found[name] = simplified(functions[name])
            found.append(self._found[name])
        return found
