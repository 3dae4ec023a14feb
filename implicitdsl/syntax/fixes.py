"""Replacements in a text."""

from __future__ import annotations

from collections.abc import Iterable

from implicitdsl.diagnostics import Fix


def apply_fixes(text: str, fixes: Iterable[Fix]) -> str:
    """The text with every fix made; of two that overlap the first in the text is made."""
    pieces: list[str] = []
    done = 0
    for fix in sorted(fixes, key=lambda fix: (fix.span.start, fix.span.end)):
        if fix.span.start < done:
            continue
        pieces += [text[done : fix.span.start], fix.replacement]
        done = fix.span.end
    return "".join([*pieces, text[done:]])
