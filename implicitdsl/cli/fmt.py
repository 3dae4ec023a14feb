"""`implicitdsl fmt FILE… [--check]`: files in the one form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from implicitdsl.cli.files import read_text
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, print_diagnostics, print_json, reporting
from implicitdsl.diagnostics import ImpError
from implicitdsl.diagnostics.render import as_dict
from implicitdsl.syntax.printer import format_text


def fmt(
    files: Annotated[list[Path], typer.Argument(help="The .imp files to format.")],
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit with 1 if a file would change.")] = False,
    format: FormatOption = Format.text,
) -> None:
    """Write files in the one form: comments are kept, fix-its of the spelling applied. Idempotent."""
    with reporting(format):
        texts = [(path, read_text(path)) for path in files]
    changed: list[str] = []
    wrong: list[ImpError] = []
    for path, text in texts:
        try:
            formatted = format_text(text, str(path))
        except ImpError as error:
            wrong.append(error)
            continue
        if formatted != text:
            changed.append(str(path))
            if not check:
                path.write_text(formatted, encoding="utf-8")
    diagnostics = [d for error in wrong for d in error.diagnostics]
    if format is Format.json:
        ok = not wrong and not (check and changed)
        print_json({"ok": ok, "changed": changed, "diagnostics": [as_dict(d) for d in diagnostics]})
    else:
        print_diagnostics(diagnostics)
        for name in changed:
            typer.echo(f"{'would change' if check else 'changed'} {name}")
    if wrong or (check and changed):
        raise typer.Exit(WRONG_MODEL)
