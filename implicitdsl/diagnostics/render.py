"""Diagnostics as text for people and as dictionaries for machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from implicitdsl.diagnostics.diagnostic import Diagnostic
from implicitdsl.diagnostics.span import Source, Span

WIDEST = 160
"""Longer source lines are shown in part."""


@dataclass(frozen=True)
class _Mark:
    """A part of one source line to underline, columns counted from 0."""

    line: int
    start: int
    end: int
    sign: str
    text: str


def render(diagnostic: Diagnostic) -> str:
    """The diagnostic with its source lines underlined: `^` for its place, `-` for labels, then its help.

    Labels in the same text share one excerpt; those in another text get one of their own.
    """
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.span is not None:
        places = [(diagnostic.span, "^", diagnostic.remark)]
        places += [(label.span, "-", label.text) for label in diagnostic.labels]
        sources = list(dict.fromkeys(span.source for span, _, _ in places))
        marks = {
            source: [m for span, sign, text in places if span.source is source for m in _marks(span, sign, text)]
            for source in sources
        }
        gutter = max(len(str(mark.line)) for found in marks.values() for mark in found)
        for source in sources:
            span = next(span for span, _, _ in places if span.source is source)
            arrow = "-->" if source is diagnostic.span.source else ":::"
            lines.append(f"{' ' * (gutter + 1)}{arrow} {source.name}:{span.line}:{span.column}")
            lines += _excerpt(source, marks[source], gutter)
        lines += _notes(diagnostic.help, " " * (gutter + 2))
    else:
        lines += _notes(diagnostic.help, "   ")
    return "\n".join(lines)


def _notes(help: str, lead: str) -> list[str]:
    first, *rest = help.split("\n")
    return [f"{lead}= help: {first}", *(f"{lead}        {line}" for line in rest)] if help else []


def _marks(span: Span, sign: str, text: str) -> list[_Mark]:
    """One mark for a span on one line; for a longer one a mark at its first line and one at its last."""
    first, column = span.source.place(span.start)
    last, end = span.source.place(max(span.start, span.end))
    if last > first and end == 1:
        # A span that ends with a newline ends on the line of that newline.
        last, end = last - 1, len(span.source.line(last - 1)) + 1
    if first == last:
        return [_Mark(first, column - 1, max(end - 1, column), sign, text)]
    whole = max(len(span.source.line(first)), column)
    line = span.source.line(last)
    opening = min(len(line) - len(line.lstrip()), end - 2)
    return [_Mark(first, column - 1, whole, sign, ""), _Mark(last, opening, end - 1, sign, text)]


def _excerpt(source: Source, marks: list[_Mark], gutter: int) -> list[str]:
    numbers = sorted({mark.line for mark in marks})
    lines = [f"{' ' * (gutter + 2)}|"]
    for number in numbers:
        here = [mark for mark in marks if mark.line == number]
        text = source.line(number)
        left = _left_end(text, here)
        shown, columns = _expand(text, left)
        lines.append(f" {number:>{gutter}} | {shown}".rstrip())
        for mark in sorted(here, key=lambda mark: -mark.start):
            start, end = columns(mark.start), columns(mark.end)
            underline = mark.sign * max(1, end - start)
            lines.append(f"{' ' * (gutter + 2)}| {' ' * start}{underline} {mark.text}".rstrip())
    return lines


def _left_end(text: str, marks: list[_Mark]) -> int:
    """The first column to show of a line that is too long."""
    return 0 if len(text) <= WIDEST else max(0, min(mark.start for mark in marks) - WIDEST // 2)


def _expand(text: str, left: int) -> tuple[str, Callable[[int], int]]:
    """The part of a line that is shown, tabs as blanks, and the map from its columns to those on the screen."""
    lead = "…" if left else ""
    right = len(text) if len(text) - left <= WIDEST else left + WIDEST
    tail = "…" if right < len(text) else ""
    # What a terminal would not show as one character would also shift the underline.
    clean = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text[left:right])
    shown = lead + clean.expandtabs(4) + tail

    def columns(column: int) -> int:
        column = min(max(column, left), right)
        return len(lead) + len(clean[: column - left].expandtabs(4))

    return shown, columns


def as_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as plain data for JSON; lines and columns are counted from 1, ends are exclusive."""
    fix = diagnostic.fix
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "remark": diagnostic.remark,
        "help": diagnostic.help,
        "place": _place(diagnostic.span),
        "labels": [{"text": label.text, "place": _place(label.span)} for label in diagnostic.labels],
        "fix": None if fix is None else {"replacement": fix.replacement, "place": _place(fix.span)},
    }


def _place(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    end_line, end_column = span.source.place(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }
