"""A text that was read and checked, known by its headings; the tree is made when something asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from implicitdsl.artifacts.headings import Heading
from implicitdsl.artifacts.keys import find_record, keep_record, key_of, toolchain

if TYPE_CHECKING:
    from implicitdsl.semantics.unit import Unit
    from implicitdsl.syntax import tree


@dataclass(frozen=True)
class Text:
    """A checked text with all that it imports, the main text first."""

    sources: tuple[tuple[str, str], ...]
    headings: tuple[Heading, ...]
    """The definitions that the text sees by their own names."""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.sources[0][0]

    @cached_property
    def unit(self) -> Unit:
        """The trees, made anew from the texts as they were read."""
        from implicitdsl.semantics.unit import Texts, read_unit

        return read_unit(self.sources[0][1], self.name, texts=Texts(dict(self.sources)))

    def __reduce__(self) -> tuple[object, ...]:
        return (Text, (self.sources, self.headings, self.warnings))


def read_text(text: str, name: str) -> Text:
    """A text, found in the cache or read now. Raises ImpError with every finding if it is wrong, OSError for an import
    that is not there."""
    place = f"{key_of(toolchain(), 'text', name, text)}.text"
    found = find_record(place)
    if isinstance(found, Text) and all(_on_disk(n) == t for n, t in found.sources[1:]):
        return found
    from implicitdsl.diagnostics import render
    from implicitdsl.semantics.unit import read_unit

    unit = read_unit(text, name)
    headings = tuple(_heading(n, d) for n, (d, _) in unit.library.definitions.items())
    others = ((n, t) for n, t in unit.sources.items() if n != name)
    made = Text(((name, text), *others), headings, tuple(render(warning) for warning in unit.warnings))
    made.__dict__["unit"] = unit
    keep_record(place, made)
    return made


def _on_disk(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _heading(name: str, definition: tree.Definition) -> Heading:
    sizes = tuple((s.name, None if s.default is None else s.default.span.text) for s in definition.sizes)
    return Heading(name, definition.kind, definition.doc or "", sizes, tuple(i.span.text for i in definition.inputs))
