"""What may be written at a place: words, names in scope, functions, sets, draws, solvers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from implicitdsl.backends.settings import ADJOINTS, SOLVERS
from implicitdsl.functions.table import CONSTANTS, FUNCTIONS
from implicitdsl.lsp.document import Document
from implicitdsl.lsp.hover import ROLES, function_text
from implicitdsl.lsp.vocabulary import DRAW_WORDS, PATH_RULES, SET_WORDS, WORDS
from implicitdsl.syntax.words import ITEM_WORDS, OPERATOR_WORDS, STATEMENT_WORDS

ItemKind = Literal["keyword", "function", "variable", "class", "constant", "value"]


@dataclass(frozen=True)
class Item:
    """One proposal: what is written, what it is, and its page in Markdown."""

    label: str
    kind: ItemKind
    detail: str = ""
    doc: str = ""


def complete(document: Document, offset: int) -> list[Item]:
    """Proposals for the name that ends at an offset; the editor leaves out those that do not fit what is typed."""
    text = document.source.text
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    typed = re.search(r"\w*$", line)
    before = line[: typed.start()] if typed is not None else line
    if "#" in before:
        return []
    match re.search(r"(\bsolver|\badjoint|\bin|\bby|~|\buse\s+\w+\s*=)\s*$", before):
        case None:
            pass
        case found if found[1] == "~":
            return _table(DRAW_WORDS, "a draw")
        case found if found[1] == "in" and not re.search(r"\bfor\s+\w+\s+in\s*$", before):
            return _table(SET_WORDS, "a set")
        case found if found[1] == "by":
            return [Item(rule, "value", "interpolation of a path") for rule in PATH_RULES]
        case found if found[1] in ("solver", "adjoint"):
            return _methods(document, offset, found[1])
        case found if found[1].startswith("use"):
            return _layers(document)
    if not before.strip() and not _inside(text, offset):
        return _words(ITEM_WORDS)
    opening = _words(STATEMENT_WORDS) if not before.strip() else _words((*OPERATOR_WORDS, "at", "to", "for"))
    return [*opening, *_names(document, offset), *_functions(document)]


def _inside(text: str, offset: int) -> bool:
    """Whether an offset is inside the braces of a definition."""
    plain = re.sub(r"#[^\n]*", "", text[:offset])
    return plain.count("{") > plain.count("}")


def _words(words: tuple[str, ...]) -> list[Item]:
    return [Item(word, "keyword", doc=WORDS.get(word, "")) for word in words]


def _table(words: dict[str, str], detail: str) -> list[Item]:
    return [Item(word, "value", detail, doc) for word, doc in words.items()]


def _methods(document: Document, offset: int, what: str) -> list[Item]:
    """The methods for the definition's kind that run today."""
    around = document.enclosing(offset)
    methods = (SOLVERS if what == "solver" else ADJOINTS).values()
    return [
        Item(m.name, "value", m.about)
        for m in methods
        if m.executable and (around is None or around.tree.kind in m.kinds)
    ]


def _layers(document: Document) -> list[Item]:
    known = document.known
    if known is None:
        return []
    items = [Item(name, "class", d.tree.kind, d.tree.doc) for name, d in known.definitions.items()]
    return items + [Item(alias, "class", "an imported file") for alias in known.modules]


def _names(document: Document, offset: int) -> list[Item]:
    around = document.enclosing(offset)
    if around is None:
        return []
    return [Item(s.name, "variable", ROLES[s.role]) for s in around.symbols.values() if s.role != "constant"]


def _functions(document: Document) -> list[Item]:
    own = {} if document.known is None else document.known.functions
    items = [Item(name, "function", "a function of this file") for name in own]
    items += [Item(f.name, "function", f.signature, function_text(f)) for f in FUNCTIONS.values()]
    return items + [Item(name, "constant", repr(value)) for name, value in CONSTANTS.items()]
