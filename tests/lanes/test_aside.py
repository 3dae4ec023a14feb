"""What is done aside: in order, by one thread, told if it fails, over forks, and at the end of a process."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from implicitdsl.backends import aside

ASKED: ContextVar[str] = ContextVar("asked", default="nobody")


def test_pieces_are_done_in_order_in_the_context_of_who_asked() -> None:
    found: list[tuple[int, str]] = []
    for number in range(20):
        token = ASKED.set(f"asker {number}")
        piece = aside.do(lambda number=number: found.append((number, ASKED.get())))
        ASKED.reset(token)
        assert piece.is_ours
    aside.wait()
    assert found == [(number, f"asker {number}") for number in range(20)]


def test_who_hands_over_does_not_wait() -> None:
    begun, may_end, found = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        assert may_end.wait(60)
        found.append(threading.current_thread().name)

    aside.do(work)
    assert begun.wait(60)
    assert not found
    may_end.set()
    aside.wait()
    assert found == ["implicitdsl aside"]


def test_a_piece_that_fails_is_told_and_the_next_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    found: list[int] = []

    def fail() -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(str(failure.exc_value)))
    aside.do(fail)
    aside.do(lambda: found.append(1))
    aside.wait()
    assert (told, found) == (["no such thing"], [1])


def printed(text: str) -> list[str]:
    """The lines that a program prints."""
    # From 3.12 on, Python warns of every fork beside a thread.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


FORK = """
import os, threading, time
from implicitdsl.backends import aside
begun, lock, found = threading.Event(), threading.Lock(), []
def work():
    with lock:
        begun.set()
        time.sleep(0.3)
        found.append("done")
first, second = aside.do(work), aside.do(work)
begun.wait()
child = os.fork()
if child == 0:
    assert not first.is_ours and not second.is_ours
    # No piece is half done, and the child has none to do.
    assert lock.acquire(timeout=5)
    lock.release()
    before = len(found)
    aside.wait()
    assert 1 <= before == len(found)
    assert aside.do(work).is_ours
    aside.wait()
    os._exit(len(found) - before)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
aside.wait()
print(found, first.is_ours)
"""


def test_a_fork_waits_for_the_piece_under_way_and_leaves_the_others_to_the_parent() -> None:
    assert printed(FORK) == ["1", "['done', 'done'] True"]


END = """
import threading
from implicitdsl.backends import aside
begun, main = threading.Event(), threading.main_thread()
def work():
    begun.set()
    while main.is_alive():
        pass
    print("whole", flush=True)
aside.do(work)
aside.do(lambda: print("too late", flush=True))
begun.wait()
print("end", flush=True)
"""


def test_at_the_end_of_a_process_the_piece_under_way_is_the_last() -> None:
    assert printed(END) == ["end", "whole"]
