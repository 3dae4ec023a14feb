"""A sign of life on the terminal for what takes longer than a moment; nothing where nobody looks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from implicitdsl.cli.output import Format

#: Seconds after which a person wonders.
PATIENCE = 1.0


@contextmanager
def working(what: str, format: Format = Format.text) -> Iterator[Callable[[str], None]]:
    """Shows `what` with the seconds that have passed, from the first second on; the function given changes the text.

    It stands on standard error, on a terminal only, and goes away at the end."""
    if format is Format.json or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    text, began, done = [what], time.monotonic(), threading.Event()
    console = Console(stderr=True)

    def show() -> None:
        if done.wait(PATIENCE):
            return
        with console.status("") as status:
            while not done.wait(0.1):
                status.update(f"{text[0]} … {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield lambda now: text.__setitem__(0, now)
    finally:
        done.set()
        thread.join()
