"""The wires between an editor and the functions of this folder (Language Server Protocol 3.17, by pygls)."""

from __future__ import annotations

import os
from importlib.metadata import version

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer

from implicitdsl.diagnostics import Diagnostic, ImpError, Source, Span
from implicitdsl.lsp.completion import complete
from implicitdsl.lsp.document import Document, analyse
from implicitdsl.lsp.hover import definition, hover
from implicitdsl.lsp.places import Place, offset_of, place_of
from implicitdsl.syntax.printer import format_text

ITEM_KINDS = {
    "keyword": lsp.CompletionItemKind.Keyword,
    "function": lsp.CompletionItemKind.Function,
    "variable": lsp.CompletionItemKind.Variable,
    "class": lsp.CompletionItemKind.Class,
    "constant": lsp.CompletionItemKind.Constant,
    "value": lsp.CompletionItemKind.Value,
}


class Server(LanguageServer):
    """A server and the documents that are open, by URI."""

    def __init__(self) -> None:
        super().__init__("implicitdsl", version("implicitdsl"))
        self.documents: dict[str, Document] = {}

    @property
    def encoding(self) -> str:
        """The unit of the editor's characters."""
        return str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))

    def look_at(self, uri: str) -> None:
        """Reads a text that was opened or changed, and publishes what is to be said of it."""
        text = self.workspace.get_text_document(uri)
        others = {d.source.name: d.source.text for other, d in self.documents.items() if other != uri}
        path = text.path or uri
        found = analyse(text.source, path, self.documents.get(uri), others)
        self.documents[uri] = found
        here = [self.diagnostic(d) for d in found.findings if d.span is None or d.span.source.name == path]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri=uri, diagnostics=here))

    def range(self, span: Span) -> lsp.Range:
        """The lines and characters of a span."""
        return lsp.Range(self._position(span.source, span.start), self._position(span.source, span.end))

    def _position(self, source: Source, offset: int) -> lsp.Position:
        place = place_of(source, offset, self.encoding)
        return lsp.Position(place.line, place.character)

    def diagnostic(self, found: Diagnostic) -> lsp.Diagnostic:
        """A finding as an editor shows it."""
        severity = lsp.DiagnosticSeverity.Error if found.severity == "error" else lsp.DiagnosticSeverity.Warning
        start = lsp.Position(0, 0)
        related = [
            lsp.DiagnosticRelatedInformation(self.location(label.span), label.text or found.message)
            for label in found.labels
        ]
        parts = (found.message, found.remark, f"help: {found.help}" if found.help else "")
        return lsp.Diagnostic(
            self.range(found.span) if found.span is not None else lsp.Range(start, start),
            "\n".join(part for part in parts if part),
            severity,
            code=found.code,
            source="implicitdsl",
            related_information=related or None,
        )

    def location(self, span: Span) -> lsp.Location:
        """A span in its file."""
        path = os.path.abspath(span.source.name)
        uri = next((u for u, d in self.documents.items() if d.source.name == span.source.name), None)
        return lsp.Location(uri or uris.from_fs_path(path) or path, self.range(span))

    def at(self, params: lsp.HoverParams | lsp.DefinitionParams | lsp.CompletionParams) -> tuple[Document, int] | None:
        """The document and offset that a request is about."""
        found = self.documents.get(params.text_document.uri)
        if found is None:
            return None
        place = Place(params.position.line, params.position.character)
        return found, offset_of(found.source, place, self.encoding)


def make_server() -> Server:
    """A server with all that it can be asked."""
    server = Server()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: Server, params: lsp.DidOpenTextDocumentParams) -> None:
        ls.look_at(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(ls: Server, params: lsp.DidChangeTextDocumentParams) -> None:
        ls.look_at(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: Server, params: lsp.DidCloseTextDocumentParams) -> None:
        ls.documents.pop(params.text_document.uri, None)
        ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(ls: Server, params: lsp.HoverParams) -> lsp.Hover | None:
        where = ls.at(params)
        found = None if where is None else hover(*where)
        if where is None or found is None:
            return None
        text, start, end = found
        markup = lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
        return lsp.Hover(markup, ls.range(Span(where[0].source, start, end)))

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: Server, params: lsp.DefinitionParams) -> lsp.Location | None:
        where = ls.at(params)
        span = None if where is None else definition(*where)
        return None if span is None else ls.location(span)

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["~", " "]))
    def completed(ls: Server, params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        where = ls.at(params)
        return [
            lsp.CompletionItem(
                item.label,
                kind=ITEM_KINDS[item.kind],
                detail=item.detail or None,
                documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, item.doc) if item.doc else None,
            )
            for item in ([] if where is None else complete(*where))
        ]

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatted(ls: Server, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        found = ls.documents.get(params.text_document.uri)
        if found is None:
            return []
        source = found.source
        try:
            text = format_text(source.text, source.name)
        except ImpError:
            return []
        return [] if text == source.text else [lsp.TextEdit(ls.range(Span(source, 0, len(source.text))), text)]

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)
    def mended(ls: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        found = ls.documents.get(uri)
        actions: list[lsp.CodeAction] = []
        for finding in found.findings if found is not None else ():
            if finding.fix is None or not _touches(ls.range(finding.fix.span), params.range):
                continue
            edit = lsp.TextEdit(ls.range(finding.fix.span), finding.fix.replacement)
            actions.append(
                lsp.CodeAction(
                    f"write `{finding.fix.replacement}`",
                    kind=lsp.CodeActionKind.QuickFix,
                    edit=lsp.WorkspaceEdit(changes={uri: [edit]}),
                )
            )
        return actions

    return server


def _touches(one: lsp.Range, other: lsp.Range) -> bool:
    def key(position: lsp.Position) -> tuple[int, int]:
        return position.line, position.character

    return key(one.start) <= key(other.end) and key(other.start) <= key(one.end)
