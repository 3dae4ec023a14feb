"""Blocks of samples handed to threads: machine code runs without Python's lock, so a crew of threads shares the work.

The crew is made when first needed and forgotten in the child after a fork, where its threads do not exist. The thread
that asks for a run takes tasks itself, and waits for tasks that others have begun but never for a thread that has yet
to wake (`docs/decisions/0037-tasks-are-waited-for-not-threads.md`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from implicitdsl.backends import interrupt
from implicitdsl.backends.forks import Lock

WORTHWHILE = 250e-6
"""Seconds of work that pay for one thread: with less, the call costs more than it brings."""

LONG = 0.2
"""Seconds from which on a run is left to other threads, so that Ctrl-C can end it."""

PATIENCE = 0.1
"""Seconds that the main thread sleeps at a time: not every interrupt wakes it."""


def _cores() -> int:
    return os.cpu_count() or 1


# Waiting for Python's lock, or for the processor, is not work.
_clock = time.perf_counter if os.name == "nt" else time.thread_time

_default: Callable[[], int] = _cores


def set_default(count: Callable[[], int]) -> None:
    """How many threads a layer uses that does not say: torch's number, where there is torch."""
    global _default
    _default = count


def default() -> int:
    """The number of threads of a layer that does not say."""
    return _default()


class _Run:
    """The tasks of one run: those that nobody has begun, and those under way."""

    def __init__(self, tasks: Sequence[tuple[Any, ...]], work: Callable[..., None]) -> None:
        self.seconds = 0.0
        self.failure: BaseException | None = None
        self._work = work
        self._left = list(tasks)
        self._under_way = 0
        self._guard = threading.Lock()
        # Opened when nothing is left and nothing under way: once, by the helper whose task was the last.
        self._over = threading.Lock()
        self._over.acquire()

    def take_part(self) -> None:
        """Do tasks in this thread, which asked for the run; what they raise is raised."""
        while True:
            with self._guard:
                if not self._left:
                    return
                task = self._left.pop()
            begun = _clock()
            self._work(*task)
            spent = _clock() - begun
            with self._guard:
                self.seconds += spent

    def help(self) -> None:
        """Do tasks in a thread of the crew; the first thing that one raises is kept, and ends the run."""
        while True:
            with self._guard:
                if not self._left:
                    return
                task = self._left.pop()
                self._under_way += 1
            begun, failure = _clock(), None
            try:
                self._work(*task)
            except BaseException as error:
                failure = error
            spent = _clock() - begun
            with self._guard:
                self.seconds += spent
                self._under_way -= 1
                if failure is not None:
                    self._left.clear()
                    self.failure = self.failure or failure
                if not self._left and not self._under_way:
                    self._over.release()

    def stop(self) -> None:
        """Leave out what has not begun."""
        with self._guard:
            self._left.clear()

    def wait(self) -> None:
        """Returns when the crew has nothing to do for this run any more."""
        while self._is_at_work():
            self._over.acquire(timeout=PATIENCE)

    def _is_at_work(self) -> bool:
        with self._guard:
            return bool(self._left) or self._under_way > 0


class _Crew:
    """The threads that help. A run is offered as often as it wants hands, and what nobody took is withdrawn at its end;
    a thread that is called takes offers until there are none, so there are never more calls than threads."""

    def __init__(self) -> None:
        self._threads = 0
        self._busy = 0
        self._offers: deque[_Run] = deque()
        self._calls: SimpleQueue[None] = SimpleQueue()

    def offer(self, run: _Run, hands: int, *, leave: bool) -> bool:
        """Asks for so many hands, one of which is free if the caller will `leave` the run. False where none is."""
        with _lock.inner:
            return self._offer(run, hands, leave=leave)

    def _offer(self, run: _Run, hands: int, *, leave: bool) -> bool:
        taken = self._busy + len(self._offers)
        wanted = max(hands, taken + 1) if leave else hands
        while self._threads < wanted:
            thread = threading.Thread(target=self._serve, name="implicitdsl", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # None can be had: there are too many, or the interpreter ends.
                break
            self._threads += 1
        hands = min(hands, self._threads)
        self._offers.extend([run] * hands)
        # Asked, not counted: Ctrl-C may come between a number and what it counts.
        for _ in range(min(hands, self._threads - self._calls.qsize())):
            self._calls.put(None)
        return self._threads > taken

    def withdraw(self, run: _Run) -> None:
        """Takes back what nobody took."""
        with _lock.inner:
            self._withdraw(run)

    def _withdraw(self, run: _Run) -> None:
        while run in self._offers:
            self._offers.remove(run)

    def _take(self) -> _Run | None:
        with _lock.inner:
            if not self._offers:
                return None
            self._busy += 1
            return self._offers.popleft()

    def _serve(self) -> None:
        while True:
            self._calls.get()
            while (run := self._take()) is not None:
                run.help()
                with _lock.inner:
                    self._busy -= 1
            # Here `run` is None: the arrays of a run are not held until the next.


_lock = Lock()
_crew = _Crew()


def _renew_crew() -> None:
    global _crew
    _crew = _Crew()


os.register_at_fork(after_in_child=_renew_crew)


def run(tasks: Sequence[tuple[Any, ...]], work: Callable[..., None], threads: int, *, seconds: float = 0.0) -> float:
    """`work(*task)` for every task, by up to `threads` threads, the last tasks first; `seconds` is what they may take
    in all. Returns the seconds that they took, those of all threads together.

    The first exception is raised, and what had not begun then is left out. Ctrl-C ends a long run within a step."""
    before = interrupt.begun()
    # Only the main thread is ever interrupted, and only while it runs Python.
    leave = seconds > LONG and threading.current_thread() is threading.main_thread()
    shared = _Run(tasks, work)
    # Beside an interpreter that ends no thread runs any more; one may have ended with a lock held.
    hands = 0 if sys.is_finalizing() else min(threads, len(tasks)) - (not leave)
    crew, helped = _crew, False
    try:
        if hands > 0:
            helped = crew.offer(shared, hands, leave=leave)
        if not (leave and helped):
            shared.take_part()
        shared.wait()
    except KeyboardInterrupt:
        shared.stop()
        with interrupt.stopping():
            shared.wait()
        raise
    except BaseException:
        shared.stop()
        shared.wait()
        # A task may stumble over what was left half-done.
        interrupt.check(before)
        raise
    finally:
        if hands > 0:
            crew.withdraw(shared)
    interrupt.check(before)
    if shared.failure is not None:
        raise shared.failure
    return shared.seconds
