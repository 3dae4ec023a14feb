"""Locks that are open in a process made by a fork, whoever held them at that moment.

A child has the forking thread alone. What another thread was making behind a lock is made again in the child, which is
right where a lock guards a table that gets whole entries only; it would wait for ever for that thread to open it.
"""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """A lock that nobody holds in the child after a fork: `with lock.inner:`.

    The thread that forks must not hold it. No loop stands inside: in CPython 3.12 and 3.13 Ctrl-C may come at the jump
    of a loop to its begin, which is outside of what `with` guards, and the lock would be held for ever. It stands in a
    function that is called there."""

    def __init__(self) -> None:
        # To be entered itself: Ctrl-C may come between any two instructions of Python, so that an `__enter__` or
        # `__exit__` written here could end with the lock held for ever.
        self.inner = threading.RLock()
        _every.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self.inner = threading.RLock()


_every: weakref.WeakSet[Lock] = weakref.WeakSet()


def _renew_every() -> None:
    # No other thread changes the set here: there is none.
    for lock in list(_every):
        lock.renew()


os.register_at_fork(after_in_child=_renew_every)
