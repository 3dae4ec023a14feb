"""Tables for people: numbers in six digits, long ones shortened in the middle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from implicitdsl.cli.data import Array

Item = TypeVar("Item")

#: The width of what goes to a file or another program, which has no terminal to ask.
PLAIN_WIDTH = 140


def console(*, stderr: bool = False) -> Console:
    """Where tables are printed; as wide as the terminal."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


def print_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = (), note: str = ""
) -> None:
    """A table on standard output; the columns whose headings are in `numbers` are right-justified. An empty `note` says
    nothing under it."""
    table = Table(title=title or None, caption=note or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.caption_justify = "left"
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading in numbers else "left", no_wrap=heading in numbers)
    for row in rows:
        # Text: a bracket such as [x, y] is no markup.
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def digits(value: float) -> str:
    """A number in at most six digits."""
    return f"{value:.6g}"


def head(value: Array, most: int = 6) -> str:
    """A tensor in one line, `[1, 2, …, 9]`: of each axis the first entries and the last one."""
    if value.ndim == 0:
        return digits(float(value))
    items = [head(item, most if value.ndim == 1 else max(2, most // 2)) for item in shortened(list(value), most)]
    if len(value) > most:
        items.insert(-1, "…")
    return f"[{', '.join(items)}]"


def shortened(value: Sequence[Item], most: int) -> list[Item]:
    """The first entries and the last one, `most` in all."""
    if len(value) <= most:
        return list(value)
    return [*value[: most - 1], value[-1]]


def shape_text(shape: Sequence[int]) -> str:
    """`[3, 2]`, and nothing for a number."""
    return f"[{', '.join(map(str, shape))}]" if len(shape) else ""


def duration(seconds: float) -> str:
    """A time with its unit: `1.2 ms`."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def size_text(size: int) -> str:
    """A number of bytes with its unit: `1.5 MB`."""
    for scale, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def plain(value: Array) -> object:
    """A tensor as nested lists, for JSON."""
    return np.asarray(value).tolist()
