"""How the tests of this folder read and check a text."""

from __future__ import annotations

from collections.abc import Mapping

from implicitdsl.diagnostics import Report
from implicitdsl.semantics.check import check
from implicitdsl.semantics.symbols import CheckedFile
from implicitdsl.syntax import tree
from implicitdsl.syntax.reader import read


def checked(text: str, files: Mapping[str, str] | None = None) -> tuple[CheckedFile, Report]:
    """The checked file and every finding; `files` are the texts that it may import."""
    known = dict(files or {})

    def importer(path: str) -> tree.File:
        if path not in known:
            raise FileNotFoundError(f"no such file: {path}")
        return read(known[path], path)

    report = Report()
    return check(read(text, "sample.imp"), report, imports=importer), report


def codes(text: str, files: Mapping[str, str] | None = None) -> list[str]:
    """The codes of all findings, in the order of the text."""
    return [finding.code for finding in checked(text, files)[1].in_text_order()]
