"""`implicitdsl lsp`: the language server, for editors."""

from __future__ import annotations

from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import Format, reporting


def lsp() -> None:
    """Serve an editor over standard input and output (Language Server Protocol)."""
    with reporting(Format.text):
        try:
            from implicitdsl.lsp.server import make_server
        except ModuleNotFoundError as error:
            raise UsageError(f"the language server needs pygls: pip install 'implicitdsl[lsp]' ({error})") from error
        make_server().start_io()
