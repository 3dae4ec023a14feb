"""Ctrl-C ends a long run of machine code: a number in memory that solvers look at in every step.

Python's own handler waits until the main thread is back from the code it called. So a long run is left to other
threads, the main one waits where Ctrl-C reaches it, and raises the flag; every run under way then ends early, and none
of their results is used.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_flag = ctypes.c_int32(0)
_changes = 0

ADDRESS = ctypes.addressof(_flag)
"""Where the number lies: 0 while runs may go on."""
SYMBOL = "imp_interrupted"
"""Its name in machine code."""


def _lower() -> None:
    # The runs that were to end are the parent's.
    _flag.value = 0


os.register_at_fork(after_in_child=_lower)


def begun() -> int:
    """What `check` asks for: the state of things when a run begins."""
    changes = _changes
    # A run that begins while the flag is up ends at once.
    return -1 if _flag.value else changes


@contextmanager
def stopping() -> Iterator[None]:
    """Raises the flag while the runs under way end. Only the main thread is ever interrupted, so none counts beside."""
    global _changes
    # All inside, because Ctrl-C may come once more: a flag left up would end every run. The number changes before the
    # flag does, so that a run that saw the flag up sees either at its end.
    try:
        _changes += 1
        _flag.value = 1
        yield
    finally:
        _changes += 1
        _flag.value = 0


def check(before: int) -> None:
    """Raises RuntimeError if the flag was up at some time since `begun()` gave that number: what ran since is not
    whole."""
    if _flag.value or _changes != before:
        raise RuntimeError("the run was interrupted")
