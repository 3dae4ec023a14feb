"""`implicitdsl init [DIR] --kind KIND`: a model, a script that trains it and a test, to start from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import Format, FormatOption, print_json, reporting

STARTS = Path(__file__).with_name("starts")
FILES = ("model.imp", "train.py", "test_model.py")


class Start(StrEnum):
    """What there is to start from: the folders of `starts`."""

    ode = "ode"
    fixpoint = "fixpoint"
    root = "root"
    argmin = "argmin"
    net = "net"


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write; it is made if need be.")] = Path(),
    kind: Annotated[Start, typer.Option(help="The kind of layer to start from.")] = Start.ode,
    format: FormatOption = Format.text,
) -> None:
    """Write model.imp, train.py and test_model.py, which run as they are. Nothing is overwritten."""
    with reporting(format):
        there = [name for name in FILES if (folder / name).exists()]
        if there:
            raise UsageError(f"{folder / there[0]} is there already; name another folder: implicitdsl init my_model")
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).write_bytes((STARTS / kind / name).read_bytes())
    if format is Format.json:
        print_json({"ok": True, "kind": kind.value, "files": [str(folder / name) for name in FILES]})
        return
    for name in FILES:
        typer.echo(f"wrote {folder / name}")
    go = "" if folder == Path() else f"    cd {folder}\n"
    typer.echo(
        f"\nwhat to do with them:\n\n{go}"
        "    implicitdsl explain model.imp    what it says, and what is derived\n"
        "    python train.py                  fit it\n"
        "    pytest                           test it"
    )
