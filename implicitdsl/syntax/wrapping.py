"""Long lines broken where the reader takes a newline for a blank."""

from __future__ import annotations

from implicitdsl.syntax.words import CONTINUES_AFTER

WIDTH = 100


def wrap(text: str, indent: str) -> list[str]:
    """The lines of a statement: broken inside brackets and behind operators and commas, outermost first.

    A piece that has no such place stays as long as it is.
    """
    if len(indent) + len(text) <= WIDTH:
        return [indent + text]
    places = _places(text)
    lines: list[str] = []
    lead, start, first = indent, 0, 0
    while len(lead) + len(text) - start > WIDTH:
        room = WIDTH - len(lead)
        while first < len(places) and places[first][0] <= start:
            first += 1
        if first == len(places):
            break
        last = first
        while last + 1 < len(places) and places[last + 1][0] - start <= room:
            last += 1
        # A break near the start of a line gains little, however shallow its place.
        candidates = [p for p in places[first : last + 1] if p[0] - start > room // 3] or places[first : first + 1]
        at = min(candidates, key=lambda place: (place[1], -place[0]))[0]
        lines.append(lead + text[start:at])
        start, lead = at + 1, indent + "    "
    return [*lines, lead + text[start:]]


def _places(text: str) -> list[tuple[int, int]]:
    """The blanks that may become newlines, each with the number of brackets around it."""
    places: list[tuple[int, int]] = []
    depth, word_start = 0, 0
    for i, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == " ":
            word = text[word_start:i]
            if depth > 0 or word in CONTINUES_AFTER or word.endswith(","):
                places.append((i, depth))
            word_start = i + 1
    return places
