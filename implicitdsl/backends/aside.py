"""Work that no call waits for: done aside, one piece after the other, by a thread that lives while there is any.

A fork waits for the piece under way, because the child would wait for ever for what the thread holds; pieces are the
parent's, and the child asks for its own. When the interpreter ends, those that have not begun are left out.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context


class Piece:
    """Work that was handed over, in the context of whoever did."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._context: Context = copy_context()
        self._process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether it was handed over in this process, and not in the one that this was forked from."""
        return self._process == os.getpid()

    def do(self) -> None:
        """Does it. What it raises is told as any thread's failure is: nobody waits for it."""
        try:
            self._context.run(self._work)
        except Exception:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


class _Aside:
    def __init__(self) -> None:
        self._left: deque[Piece] = deque()
        self._thread: threading.Thread | None = None
        self._guard = threading.RLock()
        # Held while a piece is under way.
        self.work = threading.RLock()

    def add(self, piece: Piece) -> None:
        with self._guard:
            self._left.append(piece)
            # Asked, not noted: Ctrl-C may come before the thread runs.
            if self._thread is None or not self._thread.is_alive():
                # No daemon: one that is inside LLVM when the interpreter ends takes the process with it.
                self._thread = threading.Thread(target=self._serve, name="implicitdsl aside", daemon=False)
                try:
                    self._thread.start()
                except RuntimeError:
                    # None can be had: there are too many, or the interpreter ends.
                    self._left.clear()

    def _serve(self) -> None:
        while (piece := self._next()) is not None:
            with self.work:
                piece.do()

    def _next(self) -> Piece | None:
        with self._guard:
            if self._left and threading.main_thread().is_alive():
                return self._left.popleft()
            self._left.clear()
            self._thread = None
            return None

    def wait(self) -> None:
        while (thread := self._thread) is not None and thread.is_alive():
            thread.join()


_aside = _Aside()


def do(work: Callable[[], None]) -> Piece:
    """Hands work over, to be done when all that was handed over before is done."""
    piece = Piece(work)
    _aside.add(piece)
    return piece


def wait() -> None:
    """Returns when nothing is to be done any more."""
    _aside.wait()


def hold() -> None:
    """Waits for the piece under way, and lets none begin until `release`. What is held over a fork by others, and
    pieces need, is to be taken after this."""
    _aside.work.acquire()


def release() -> None:
    """See `hold`."""
    _aside.work.release()


def _renew() -> None:
    global _aside
    _aside = _Aside()


os.register_at_fork(before=hold, after_in_parent=release, after_in_child=_renew)
