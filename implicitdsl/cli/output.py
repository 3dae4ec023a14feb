"""What a command prints and how it ends: text or JSON, exit codes 0, 1, 2."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from implicitdsl.cli.data import UsageError
from implicitdsl.diagnostics import Diagnostic, ImpError, render
from implicitdsl.diagnostics.render import as_dict

OK, WRONG_MODEL, WRONG_USAGE = 0, 1, 2


class Format(StrEnum):
    """How a command prints."""

    text = "text"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="Print for people (text) or for programs (json).")]


def print_json(value: Mapping[str, Any]) -> None:
    """One object on standard output; numbers that JSON does not know become null."""
    typer.echo(json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case Path():
            return str(value)
        case _:
            return value


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Diagnostics for people, in colour on a terminal unless NO_COLOR is set (https://no-color.org)."""
    coloured = not os.environ.get("NO_COLOR")
    for diagnostic in diagnostics:
        head, newline, rest = render(diagnostic).partition("\n")
        colour = typer.colors.RED if diagnostic.severity == "error" else typer.colors.YELLOW
        typer.echo((typer.style(head, fg=colour, bold=True) if coloured else head) + newline + rest + "\n")


@contextmanager
def reporting(format: Format) -> Iterator[None]:
    """Turn what a command raises into output and an exit code."""
    try:
        yield
    except ImpError as error:
        if format is Format.json:
            print_json({"ok": False, "diagnostics": [as_dict(d) for d in error.diagnostics]})
        else:
            print_diagnostics(error.diagnostics)
        raise typer.Exit(WRONG_MODEL) from error
    except (UsageError, OSError, UnicodeDecodeError) as error:
        if format is Format.json:
            print_json({"ok": False, "usage": str(error)})
        typer.echo(f"implicitdsl: {error}", err=True)
        raise typer.Exit(WRONG_USAGE) from error


def count(number: int, noun: str, many: str = "") -> str:
    """`no errors`, `1 error`, `2 errors`; `many` is a plural that is not formed by an s."""
    return f"{number or 'no'} {noun if number == 1 else many or noun + 's'}"
