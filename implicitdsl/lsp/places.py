"""Offsets in a text, and the lines and characters that editors count in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from implicitdsl.diagnostics import Source

WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Place:
    """A line and a character in it, both from 0; characters are units of the encoding agreed on with the editor."""

    line: int
    character: int


def units(text: str, encoding: str) -> int:
    """The length of a text in units of utf-8, utf-16 or utf-32."""
    match encoding:
        case "utf-8":
            return len(text.encode())
        case "utf-16":
            return len(text.encode("utf-16-le")) // 2
        case _:
            return len(text)


def place_of(source: Source, offset: int, encoding: str) -> Place:
    """The place of an offset."""
    line, column = source.place(offset)
    start = source.line_starts[line - 1]
    return Place(line - 1, units(source.text[start : start + column - 1], encoding))


def offset_of(source: Source, place: Place, encoding: str) -> int:
    """The offset of a place; one behind the end of its line is the end of the line."""
    if place.line >= len(source.line_starts):
        return len(source.text)
    start = source.line_starts[place.line]
    line = source.line(place.line + 1)
    seen = 0
    for number, character in enumerate(line):
        if seen >= place.character:
            return start + number
        seen += units(character, encoding)
    return start + len(line)


def word_at(text: str, offset: int) -> tuple[str, int, int] | None:
    """The name that stands at an offset, or ends there, with its start and end."""
    start = max(text.rfind("\n", 0, offset) + 1, 0)
    end = text.find("\n", offset)
    for match in WORD.finditer(text, start, len(text) if end < 0 else end):
        if match.start() <= offset <= match.end():
            return match[0], match.start(), match.end()
    return None
