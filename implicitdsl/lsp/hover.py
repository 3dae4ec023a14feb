"""What a name means, in Markdown, and where it is defined."""

from __future__ import annotations

import os

from implicitdsl.diagnostics import Source, Span
from implicitdsl.functions.table import CONSTANTS, FUNCTIONS, Function
from implicitdsl.lsp.document import Document
from implicitdsl.lsp.places import word_at
from implicitdsl.lsp.vocabulary import DRAW_WORDS, SET_WORDS, WORDS
from implicitdsl.semantics.sizes import show
from implicitdsl.semantics.symbols import CheckedDefinition, CheckedFunction, Symbol
from implicitdsl.semantics.words import quote, words
from implicitdsl.syntax import tree

ROLES = {
    "size": "a size of the layer",
    "call size": "a size that binds at each call",
    "input": "an input",
    "path": "a path, a sampled signal",
    "param": "a param, which is trained",
    "const": "a const, which stays as it is",
    "use": "a layer of its own",
    "state": "a state, which evolves in time",
    "var": "an unknown",
    "noise": "Brownian motion",
    "let": "a name of an expression",
    "time": "the time",
    "differential": "the differential",
    "loop": "the number of a loop",
    "argument": "an argument",
    "constant": "a constant",
}


def hover(document: Document, offset: int) -> tuple[str, int, int] | None:
    """Markdown on the name at an offset, with the name's start and end; None where there is nothing to say."""
    found = word_at(document.source.text, offset)
    if found is None:
        return None
    name, start, end = found
    text = _meaning(document, name, offset)
    return None if text is None else (text, start, end)


def _meaning(document: Document, name: str, offset: int) -> str | None:
    symbol = document.symbol(name, offset)
    if symbol is not None:
        return _symbol(symbol, document.enclosing(offset))
    layer = _layer(document, name)
    if layer is not None:
        return f"```\n{words(layer.tree)}\n```"
    function = _function(document, name)
    if function is not None:
        return f"```imp\n{quote(function.tree)}\n```\na function of this file"
    if name in FUNCTIONS:
        return function_text(FUNCTIONS[name])
    if name in CONSTANTS:
        return f"`{name}` is {CONSTANTS[name]!r}"
    for table in (WORDS, SET_WORDS, DRAW_WORDS):
        if name in table:
            return table[name]
    return None


def function_text(function: Function) -> str:
    """The page of a function of the language."""
    return f"```imp\n{function.signature}\n```\n{function.doc}"


def _symbol(symbol: Symbol, around: CheckedDefinition | None) -> str:
    shape = "" if symbol.shape is None else f", {show(symbol.shape)}"
    of = f" of `{symbol.of}`" if symbol.of else ""
    text = f"`{symbol.name}` is {ROLES[symbol.role]}{of}{shape}"
    if around is not None and symbol.name in around.uses:
        used = around.uses[symbol.name].layer
        return f"{text}\n```\n{words(used.tree)}\n```"
    if symbol.span is not None:
        source, line = symbol.span.source, symbol.span.line
        text += f"\n```imp\n{source.line(line).strip()}\n```"
    return text


def _layer(document: Document, name: str) -> CheckedDefinition | None:
    known = document.known
    if known is None:
        return None
    places = [known.definitions, *(module.definitions for module in known.modules.values())]
    return next((found[name] for found in places if name in found), None)


def _function(document: Document, name: str) -> CheckedFunction | None:
    known = document.known
    if known is None:
        return None
    places = [known.functions, *(module.functions for module in known.modules.values())]
    return next((found[name] for found in places if name in found), None)


def definition(document: Document, offset: int) -> Span | None:
    """Where the name at an offset, or the file that an import names, is defined."""
    imported = _import(document, offset)
    if imported is not None:
        return imported
    found = word_at(document.source.text, offset)
    if found is None:
        return None
    name = found[0]
    symbol = document.symbol(name, offset)
    if symbol is not None and symbol.role == "differential":
        symbol = document.symbol(symbol.of, offset)
    if symbol is not None:
        return symbol.span
    layer = _layer(document, name)
    if layer is not None:
        return layer.tree.name_span
    function = _function(document, name)
    return None if function is None else function.tree.span


def _import(document: Document, offset: int) -> Span | None:
    """The start of the file that the import at an offset names."""
    known = document.known
    line = document.source.place(offset)[0]
    if known is None or not document.source.line(line).lstrip().startswith("import"):
        return None
    for item in known.tree.items:
        if isinstance(item, tree.Import) and item.span.line == line:
            folder = os.path.dirname(document.source.name)
            path = os.path.normpath(os.path.join(folder, item.path))
            return Span(Source(path, ""), 0, 0)
    return None
