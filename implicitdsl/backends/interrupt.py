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

from implicitdsl.backends.forks import Lock

_flag = ctypes.c_int32(0)
_raised = 0
_lock = Lock()

ADDRESS = ctypes.addressof(_flag)
"""Where the number lies: 0 while runs may go on."""
SYMBOL = "imp_interrupted"
"""Its name in machine code."""


def _lower() -> None:
    # The runs that were to end are the parent's.
    _flag.value = 0


os.register_at_fork(after_in_child=_lower)


def raised() -> int:
    """How many times the flag has been raised."""
    return _raised


@contextmanager
def stopping() -> Iterator[None]:
    """Raises the flag while the runs under way end."""
    global _raised
    try:
        # Inside, because Ctrl-C may come once more: raised for ever, the flag would end every run.
        with _lock.inner:
            _raised += 1
            _flag.value = 1
        yield
    finally:
        _flag.value = 0


def check(before: int) -> None:
    """Raises RuntimeError if the flag was raised since `raised()` gave that number: what ran since is not whole."""
    if _raised != before:
        raise RuntimeError("the run was interrupted")
