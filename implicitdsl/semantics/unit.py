"""A text read and checked, with all that it imports; no torch is needed for that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from implicitdsl.diagnostics import Diagnostic, ImpError, Report
from implicitdsl.semantics.check import check
from implicitdsl.semantics.convexity import check_convexity
from implicitdsl.semantics.library import Importer, Library, build_library
from implicitdsl.syntax import tree
from implicitdsl.syntax.reader import read, read_with_report


@dataclass(frozen=True, eq=False)
class Unit:
    """A text that was read and checked, with all texts that it imports."""

    library: Library
    sources: Mapping[str, str]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def name(self) -> str:
        return self.library.file.source.name


@dataclass
class Texts:
    """Where imports come from: the disk, or the texts of a recipe."""

    fixed: Mapping[str, str] | None = None
    read: dict[str, tree.File] = field(default_factory=dict[str, tree.File])

    def file(self, name: str) -> tree.File:
        if name not in self.read:
            text = self.fixed[name] if self.fixed is not None else Path(name).read_text(encoding="utf-8")
            self.read[name] = read(text, name)
        return self.read[name]

    def importer(self, start: str) -> Importer:
        """Reads the file of a path relative to the folder of the main file."""
        folder = os.path.dirname(start) if start != "<text>" else ""
        return lambda path: self.file(os.path.normpath(os.path.join(folder, path)))


def check_text(
    text: str, name: str = "<text>", *, texts: Texts | None = None
) -> tuple[tree.File | None, Report, Texts]:
    """Read and check a text: its tree (None where it is none) and every finding."""
    known = texts or Texts()
    report = Report()
    file = read_with_report(text, name, report)
    if file is not None:
        known.read.setdefault(name, file)
        check(file, report, imports=known.importer(name))
        if not report.errors:
            check_convexity(build_library(file, known.importer(name)), report)
    return file, report, known


def read_unit(text: str, name: str = "<text>", *, texts: Texts | None = None) -> Unit:
    """A checked text. Raises ImpError with all findings if any is an error."""
    file, report, known = check_text(text, name, texts=texts)
    if file is None or report.errors:
        raise ImpError(report.in_text_order())
    library = build_library(file, known.importer(name))
    return Unit(library, {n: f.source.text for n, f in known.read.items()}, report.in_text_order())
