"""Blocks of samples handed to threads: machine code runs without Python's lock, so a pool of threads shares the work.

The pool is made when first needed and dropped in the child after a fork, where its threads do not exist.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from implicitdsl.backends import interrupt
from implicitdsl.backends.forks import Lock

WORTHWHILE = 100e-6
"""Seconds of work below which handing it over costs more than it brings."""


def _cores() -> int:
    return os.cpu_count() or 1


LONG = 0.2
"""Seconds from which on a run is left to other threads, so that Ctrl-C can end it."""

PATIENCE = 0.1
"""Seconds that the main thread sleeps at a time: not every interrupt wakes it."""

_default: Callable[[], int] = _cores
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_lock = Lock()


def set_default(count: Callable[[], int]) -> None:
    """How many threads a layer uses that does not say: torch's number, where there is torch."""
    global _default
    _default = count


def default() -> int:
    """The number of threads of a layer that does not say."""
    return _default()


def _drop_pool() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_drop_pool)


def _the_pool(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool, _pool_size = ThreadPoolExecutor(size, thread_name_prefix="implicitdsl"), size
        return _pool


def run(tasks: Sequence[tuple[Any, ...]], work: Callable[..., None], threads: int, *, seconds: float = 0.0) -> None:
    """`work(*task)` for every task, by up to `threads` threads, in any order; `seconds` is what they may take in all.

    The first exception is raised, and what had not begun then is left out. Ctrl-C ends a long run within a step."""
    before = interrupt.raised()
    # Only the main thread is ever interrupted, and only while it runs Python.
    leave = seconds > LONG and threading.current_thread() is threading.main_thread()
    if not leave and (threads < 2 or len(tasks) < 2):
        for task in tasks:
            work(*task)
        interrupt.check(before)
        return
    left = iter(tasks)
    stopped = threading.Event()
    guard = threading.Lock()

    def worker() -> None:
        while not stopped.is_set():
            with guard:
                task = next(left, None)
            if task is None:
                return
            work(*task)

    hands = min(threads, len(tasks))
    pool = _the_pool(hands)
    futures = [pool.submit(worker) for _ in range(hands if leave else hands - 1)]
    try:
        if not leave:
            worker()
        done, rest = wait(futures, PATIENCE, FIRST_EXCEPTION)
        while rest and not any(future.exception() for future in done):
            done, rest = wait(futures, PATIENCE, FIRST_EXCEPTION)
        for future in done:
            future.result()
    except KeyboardInterrupt:
        stopped.set()
        with interrupt.stopping():
            wait(futures)
        raise
    except BaseException:
        stopped.set()
        wait(futures)
        raise
    interrupt.check(before)
