"""Diagnostics as text for people and as dictionaries for machines."""

from __future__ import annotations

from implicitdsl.diagnostics.diagnostic import Diagnostic


def render(diagnostic: Diagnostic) -> str:
    """The diagnostic with its source lines underlined."""
    head = f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"
    if diagnostic.span is None:
        return head
    return f"{head}\n  --> {diagnostic.span.source.name}:{diagnostic.span.line}:{diagnostic.span.column}"
