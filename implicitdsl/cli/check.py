"""`implicitdsl check FILE…`: is the model right, for all sizes?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from implicitdsl.cli.files import Checked, check_file
from implicitdsl.cli.output import (
    WRONG_MODEL,
    Format,
    FormatOption,
    count,
    print_diagnostics,
    print_json,
    reporting,
)
from implicitdsl.diagnostics.render import as_dict


def check(
    files: Annotated[list[Path], typer.Argument(help="The .imp files to read and check.")],
    format: FormatOption = Format.text,
) -> None:
    """Read and check files; nothing is constructed, so no size is needed."""
    with reporting(format):
        results = [check_file(path) for path in files]
        if format is Format.json:
            print_json({"ok": not any(r.wrong for r in results), "files": [_as_dict(r) for r in results]})
        else:
            for result in results:
                print_diagnostics(result.diagnostics)
                typer.echo(_summary(result))
        if any(r.wrong for r in results):
            raise typer.Exit(WRONG_MODEL)


def _summary(result: Checked) -> str:
    errors = sum(d.severity == "error" for d in result.diagnostics)
    warnings = len(result.diagnostics) - errors
    if result.file is None:
        return f"{result.name}: {count(errors, 'error')}, {count(warnings, 'warning')}"
    layers = count(len(result.definitions), "layer")
    return f"{result.name}: {layers}, {count(errors, 'error')}, {count(warnings, 'warning')}"


def _as_dict(result: Checked) -> dict[str, object]:
    return {
        "file": result.name,
        "layers": [{"name": d.name, "kind": d.kind, "line": d.span.line} for d in result.definitions],
        "diagnostics": [as_dict(d) for d in result.diagnostics],
    }
