"""`implicitdsl cache list | path | size | clear`: what compiled code lies on disk."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from implicitdsl.cli.output import Format, FormatOption, count, print_json, reporting


class Action(StrEnum):
    """What to do with the cache."""

    list = "list"
    path = "path"
    size = "size"
    clear = "clear"


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    path: Path
    bytes: int
    written: float


#: Entries bear hashes in their names; anything else in the folder is not ours to remove, whoever named the folder.
OURS = re.compile(r"[\w.-]*[0-9a-f]{16,}[\w.-]*|tmp\w{8}[\w.]*")


def cache(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.list, format: FormatOption = Format.text
) -> None:
    """List, measure or clear the compiled code kept on disk. It is made again when it is needed."""
    from implicitdsl.cli.tables import size_text

    with reporting(format):
        folder = find_folder()
        entries = [] if folder is None else entries_of(folder)
        if action is Action.clear:
            entries = [entry for entry in entries if remove(entry)]
        total = sum(entry.bytes for entry in entries)
    if format is Format.json:
        listed = [{"name": e.path.name, "bytes": e.bytes, "written": e.written} for e in entries]
        print_json(
            {"path": None if folder is None else str(folder), "entries": listed, "bytes": total, "action": action}
        )
    elif folder is None:
        typer.echo("there is no cache: the folder cannot be made, or others may write to it (see `implicitdsl doctor`)")
    elif action is Action.path:
        typer.echo(folder)
    elif action is Action.clear:
        typer.echo(f"removed {count(len(entries), 'entry', 'entries')}, {size_text(total)}, from {folder}")
    else:
        if action is Action.list and entries:
            show(entries)
        typer.echo(f"{folder}: {count(len(entries), 'entry', 'entries')}, {size_text(total)}")


def find_folder() -> Path | None:
    """The cache folder, None where there can be none."""
    from implicitdsl.backends.lanes.cache import cache_folder

    return cache_folder()


def entries_of(folder: Path) -> list[Entry]:
    """The files of the cache, the newest first. A file that goes away meanwhile is left out."""
    found: list[Entry] = []
    for path in folder.rglob("*"):
        if not path.is_symlink() and OURS.fullmatch(path.name) and path.is_file():
            try:
                facts = path.stat()
            except OSError:
                continue
            found.append(Entry(path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: (-entry.written, entry.path.name))


def remove(entry: Entry) -> bool:
    """Whether the file was there to be removed."""
    try:
        entry.path.unlink()
    except FileNotFoundError:
        return False
    return True


#: Entries that are listed for people; programs get all.
SHOWN = 20


def show(entries: list[Entry]) -> None:
    """The newest entries as a table."""
    from implicitdsl.cli.tables import print_table, size_text

    rows = [
        (entry.path.name, size_text(entry.bytes), time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.written)))
        for entry in entries[:SHOWN]
    ]
    older = f"{len(entries) - SHOWN} older ones (all with --format json)" if len(entries) > SHOWN else ""
    print_table("", ("entry", "size", "written"), rows, numbers=("size",), note=older)
