"""An open text with what is known of it: findings, and the names of the last version that could be read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from implicitdsl.diagnostics import Diagnostic, Report, Source
from implicitdsl.semantics.check import check
from implicitdsl.semantics.symbols import CheckedDefinition, CheckedFile, Symbol
from implicitdsl.semantics.unit import Texts, check_text
from implicitdsl.syntax import tree
from implicitdsl.syntax.reader import read
from implicitdsl.syntax.words import KINDS

OPENING = re.compile(rf"^[ \t]*({'|'.join(KINDS)})[ \t]+(\w+)", re.M)


@dataclass
class OpenTexts(Texts):
    """Imports come from the editor where it has them open, from the disk where it has not."""

    open: Mapping[str, str] = field(default_factory=dict[str, str])

    def file(self, name: str) -> tree.File:
        if name in self.open and name not in self.read:
            self.read[name] = read(self.open[name], name)
        return super().file(name)


@dataclass(frozen=True, eq=False)
class Document:
    """A text. `findings` are those of this version, `known` the names of the last version that was a tree."""

    source: Source
    findings: tuple[Diagnostic, ...]
    known: CheckedFile | None

    def enclosing(self, offset: int) -> CheckedDefinition | None:
        """The definition whose text an offset is in, also while that text cannot be read."""
        last = None
        for match in OPENING.finditer(self.source.text):
            if match.start() > offset:
                break
            last = match[2]
        return None if last is None or self.known is None else self.known.definitions.get(last)

    def symbol(self, name: str, offset: int) -> Symbol | None:
        """What a name means at an offset."""
        around = self.enclosing(offset)
        return None if around is None else around.symbols.get(name)


def analyse(text: str, path: str, before: Document | None = None, others: Mapping[str, str] | None = None) -> Document:
    """Reads and checks a text. `before` is the document of its last version, `others` the other open texts by path."""
    open_texts = {os.path.normpath(name): other for name, other in (others or {}).items() if name != path}
    file, report, texts = check_text(text, path, texts=OpenTexts(open=open_texts))
    known = None if before is None else before.known
    if file is not None:
        known = check(file, Report(), imports=texts.importer(path))
    return Document(Source(path, text), report.in_text_order(), known)
