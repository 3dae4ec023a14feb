"""Runs are cut into tasks of equal cost, and a run waits for tasks that are under way, never for threads."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from implicitdsl.backends import interrupt, threads
from implicitdsl.backends.lanes.tasks import SEVERAL, block_costs, cut, tasks_for


@given(
    blocks=st.integers(1, 300),
    pieces=st.integers(1, 20),
    most=st.integers(1, 400),
    whole=st.integers(1, 70),
    seed=st.none() | st.integers(0, 2**32 - 1),
)
def test_a_cut_covers_all_blocks_once_within_bounds(
    blocks: int, pieces: int, most: int, whole: int, seed: int | None
) -> None:
    costs = None if seed is None else np.exp(np.random.default_rng(seed).normal(0, 3, blocks))
    tasks = cut(blocks, pieces, most=most, whole=whole, costs=costs)
    assert [first for first, _ in tasks] == [0, *(last for _, last in tasks[:-1])]
    assert tasks[-1][1] == blocks
    for first, last in tasks:
        assert first < last
        assert first % whole == 0
        assert last - first <= max(most, whole)


def test_each_task_has_its_share_of_the_cost() -> None:
    rising = np.arange(1.0, 101.0)
    (_, middle), _ = cut(100, 2, most=1000, whole=1, costs=rising)
    # The first 70 of 100 have 2485 of 5050, the first 71 have 2556.
    assert middle in (70, 71)
    assert cut(100, 2, most=1000, whole=1) == [(0, 50), (50, 100)]
    assert cut(100, 2, most=1000, whole=8, costs=rising)[0][1] == 72
    one = np.ones(100)
    one[99] = 1e6
    assert cut(100, 4, most=1000, whole=1, costs=one)[-1] == (99, 100)


def test_a_block_costs_what_its_slowest_sample_does() -> None:
    assert block_costs(np.array([1, 5, 2, 2, 7]), 2).tolist() == [6, 3, 8]


def test_short_runs_are_cut_once_a_thread_and_long_ones_more_often() -> None:
    assert tasks_for(10.0, 1) == 1
    assert tasks_for(1e-3, 2) == 2
    assert tasks_for(6e-3, 2) == 6
    assert tasks_for(10.0, 2) == 2 * SEVERAL


def tasks_done(number: int, hands: int, work: Callable[[int], object] = lambda k: None) -> list[int]:
    done: list[int] = []

    def noting(k: int) -> None:
        work(k)
        done.append(k)

    threads.run([(k,) for k in range(number)], noting, hands)
    return done


@pytest.mark.parametrize("hands", [1, 2, 5])
def test_every_task_is_done_once(hands: int) -> None:
    for _ in range(50):
        assert sorted(tasks_done(7, hands)) == list(range(7))
    assert tasks_done(0, hands) == []


def test_the_costliest_task_is_the_first() -> None:
    assert tasks_done(4, 1) == [3, 2, 1, 0]


def test_threads_share_the_work() -> None:
    both = threading.Barrier(2, timeout=30)
    # Either waits for the other: one thread alone would not come through.
    assert sorted(tasks_done(2, 2, lambda k: both.wait())) == [0, 1]


@pytest.mark.parametrize("hands", [1, 3])
def test_the_first_exception_is_raised_and_what_had_not_begun_is_left_out(hands: int) -> None:
    done: list[int] = []

    def work(k: int) -> None:
        if k == 90:
            raise ValueError("task 90")
        time.sleep(1e-4)
        done.append(k)

    with pytest.raises(ValueError, match="task 90"):
        threads.run([(k,) for k in range(100)], work, hands)
    settled = len(done)
    assert settled < 50
    time.sleep(0.01)
    assert len(done) == settled


def test_what_a_helper_raises_is_raised() -> None:
    both, own = threading.Barrier(2, timeout=30), threading.get_ident()

    def work() -> None:
        both.wait()
        if threading.get_ident() != own:
            raise ValueError("not mine")

    with pytest.raises(ValueError, match="not mine"):
        threads.run([(), ()], work, 2)


def test_runs_inside_runs_and_beside_runs_come_to_an_end() -> None:
    def nested(k: int) -> None:
        assert sorted(tasks_done(3, 3)) == [0, 1, 2]

    found: list[list[int]] = []
    callers = [threading.Thread(target=lambda: found.append(tasks_done(6, 3, nested))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert [sorted(done) for done in found] == [list(range(6))] * 4


@contextmanager
def busy_crew() -> Iterator[int]:
    """All threads of the crew, so many and another caller, are at a task that ends with the context, or in 30 s."""
    leave, begun = threading.Event(), threading.Semaphore(0)

    def long(_: int) -> None:
        begun.release()
        assert leave.wait(30)

    hands = threads.default() + 3
    other = threading.Thread(target=lambda: tasks_done(hands, hands, long))
    other.start()
    for _ in range(hands):
        assert begun.acquire(timeout=30)
    try:
        yield hands
        assert other.is_alive()
    finally:
        leave.set()
        other.join(30)


def test_a_run_does_not_wait_for_a_crew_that_is_busy() -> None:
    with busy_crew() as hands:
        for _ in range(20):
            assert sorted(tasks_done(4, hands)) == [0, 1, 2, 3]


def test_a_run_that_the_main_thread_leaves_does_not_wait_for_a_crew_that_is_busy() -> None:
    found: list[int] = []
    with busy_crew():
        threads.run([()], lambda: found.append(threading.get_ident()), 1, seconds=2 * threads.LONG)
    assert found
    assert found != [threading.get_ident()]


INTERRUPTED_OFTEN = """
import random, signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from implicitdsl.backends import threads

armed, random = False, random.Random(3)

def interrupt():
    while True:
        time.sleep(2e-3 * random.random())
        if armed:
            signal.raise_signal(signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
until = time.monotonic() + 3
while time.monotonic() < until:
    try:
        armed = True
        while True:
            threads.run([(0,), (1,), (2,)], range, 3)
    except KeyboardInterrupt:
        armed = False
    try:
        time.sleep(4e-3)
    except KeyboardInterrupt:
        pass
    both = threading.Barrier(2, timeout=20)
    # A crew that waits for a lock for ever takes no task, and neither do threads that nobody calls.
    threads.run([(), ()], both.wait, 2)
print("done")
"""


def test_the_crew_is_whole_after_ctrl_c_at_any_moment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_OFTEN], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout == "done\n", done.stderr


AT_THE_END = """
from implicitdsl.backends import threads
from time import sleep

class Last:
    def __init__(self):
        self.run, self.print = threads.run, print

    def __del__(self):
        done = []
        for seconds in (0.0, 1.0):
            self.run([(0,), (1,)], done.append, 2, seconds=seconds)
        self.print(done, flush=True)

threads.run([(1e-3,), (1e-3,)], sleep, 2)
last = Last()
last.own = last
"""


def test_a_run_at_the_end_of_the_interpreter_does_not_wait_for_threads() -> None:
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("[1, 0, 1, 0]\n", 0), done.stderr


def test_nothing_of_a_run_is_held_when_it_is_over() -> None:
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)

    def work(k: int, held: Held = held) -> None:
        time.sleep(1e-4)

    threads.run([(k,) for k in range(6)], work, 3)
    del work, held
    gc.collect()
    # A helper forgets a run as soon as it finds that nothing is left.
    for _ in range(100):
        if gone() is None:
            return
        time.sleep(0.01)
    pytest.fail("a thread of the crew holds what it worked on")


def test_a_long_run_of_the_main_thread_is_left_to_the_crew() -> None:
    assert threading.current_thread() is threading.main_thread()
    found: list[int] = []
    threads.run([()], lambda: found.append(threading.get_ident()), 1, seconds=2 * threads.LONG)
    assert found
    assert found[0] != threading.get_ident()


def test_a_run_that_begins_while_others_are_ended_is_not_whole() -> None:
    with interrupt.stopping():
        with pytest.raises(RuntimeError, match="interrupted"):
            threads.run([()], lambda: None, 1)
        before = interrupt.begun()
    with pytest.raises(RuntimeError, match="interrupted"):
        interrupt.check(before)
    threads.run([()], lambda: None, 1)


@pytest.mark.parametrize("hands", [1, 2])
def test_a_task_that_stumbles_over_an_interrupted_run_says_so(hands: int) -> None:
    def work() -> None:
        with interrupt.stopping():
            pass
        raise AssertionError

    with pytest.raises(RuntimeError, match="interrupted"):
        threads.run([(), ()], work, hands)


def test_waiting_is_not_counted_as_work() -> None:
    spent = threads.run([(), ()], lambda: time.sleep(0.05), 2)
    assert 0 <= spent < 0.05
