"""What a caller must know of a definition, and how its keywords are read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from implicitdsl.layers.options import OPTION_NAMES, Options, read_options


@dataclass(frozen=True)
class Heading:
    """A definition: its sizes with the texts of their defaults, and the texts of its inputs."""

    name: str
    kind: str
    doc: str
    sizes: tuple[tuple[str, str | None], ...]
    inputs: tuple[str, ...]

    @property
    def size_names(self) -> tuple[str, ...]:
        """Names of the sizes, in order."""
        return tuple(name for name, _ in self.sizes)

    def read(self, keywords: Mapping[str, Any]) -> tuple[dict[str, int], Options]:
        """Sizes and options among the keywords. Raises TypeError and ValueError for a wrong name or value."""
        sizes: dict[str, int] = {}
        options: dict[str, Any] = {}
        for key, value in keywords.items():
            if key in self.size_names:
                sizes[key] = _whole(key, value)
            elif key in OPTION_NAMES:
                options[key] = value
            else:
                near = difflib.get_close_matches(key, (*self.size_names, *OPTION_NAMES), 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise TypeError(
                    f"{self.name} has neither a size nor an option `{key}`{hint} "
                    f"(sizes: {', '.join(self.size_names) or 'none'}; options: {', '.join(OPTION_NAMES)})"
                )
        return sizes, read_options(**options)

    def refuse_places(self, given: tuple[object, ...]) -> None:
        """TypeError for sizes or options that are given by place."""
        if given:
            named = ", ".join(f"{size}=…" for size in self.size_names) or "rtol=…"
            raise TypeError(f"{self.name} takes sizes and options by name: `{self.name}({named})`")


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"the size `{name}` is a whole number, not {value!r}")
    return value.__index__()  # type: ignore[attr-defined, no-any-return]  # hasattr above
