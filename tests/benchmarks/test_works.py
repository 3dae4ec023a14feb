"""Every work runs, at a small size and without peers, and our answers and gradients are those of its reference."""

from __future__ import annotations

import math

import pytest

from benchmarks import works
from benchmarks.compare import MODES
from benchmarks.work import Comparison, Settings, worst_error
from benchmarks.works import (
    brusselator,
    delay,
    deq,
    growth,
    lv,
    node,
    processes,
    qp,
    robertson,
    single,
    training_memory,
    waiting,
)
from implicitdsl.backends.lanes.cache import cache_folder

SMALL: dict[str, Comparison] = {
    "lv": lv.make(9),
    "node": node.make(5, 6),
    "deq": deq.make(7, 6, 4),
    "qp10": qp.make("qp10", qp.Sizes(6, 5, 2, 7), {}),
    "single": single.WORKS["single"],
    "robertson": robertson.make(3),
    "brusselator": brusselator.make("brusselator", 30),
    "delay": delay.make(3),
}


@pytest.mark.parametrize("name", SMALL)
def test_our_layer_answers_as_the_reference_does(name: str) -> None:
    work = SMALL[name]
    ours, expected = work.ours(Settings()), work.reference()
    for mode in MODES:
        call = ours.calls[mode]
        assert worst_error(call.read(call.run()), expected[mode]) <= work.bounds[mode], mode
        facts = ours.facts()
        assert facts["total_steps"] > 0
        least = work.floor(mode, facts)
        assert least is not None
        assert least.operations > 0
        assert least.bytes > 0


def test_growth_has_a_row_for_every_point() -> None:
    rows = [*growth.batches(Settings(), (1, 9)), *growth.states(Settings(), (2, 3), batch=4)]
    assert [(row.mode, row.facts["size"]) for row in rows] == [
        ("batch, forward", 1), ("batch, gradient", 1), ("batch, forward", 9), ("batch, gradient", 9),
        ("states, forward", 2), ("states, gradient", 2), ("states, forward", 3), ("states, gradient", 3),
    ]  # fmt: skip
    assert all(row.status == "ok" and row.best is not None for row in rows)


def test_lanes_wait_less_than_a_batch_in_lock_step() -> None:
    found = list(waiting.rows(Settings(), 64))
    assert [(row.mode, row.contender) for row in found] == [
        ("mu 0.1 … 100", "implicitdsl"), ("mu 0.1 … 100", "lock-step"),
        ("mu 0.1 … 1000", "implicitdsl"), ("mu 0.1 … 1000", "lock-step"),
    ]  # fmt: skip
    for ours, locked in (found[:2], found[2:]):
        later, first = ours.facts[waiting.PER_OWN], ours.facts[f"{waiting.PER_OWN}, first call"]
        assert 1 <= later < first <= locked.facts[waiting.PER_OWN]


def test_the_training_loop_learns() -> None:
    (few,) = training_memory.rows(Settings(), 1, 2)
    (many,) = training_memory.rows(Settings(), 1, 60)
    assert many.facts["loss"] < few.facts["loss"]
    assert math.isfinite(many.facts["MiB grown"])


def test_the_script_of_a_new_process_computes_the_work() -> None:
    folder = cache_folder()
    assert folder is not None
    found = processes.run_new(
        processes.script_of(processes.MODEL, "Ensemble", Settings(), imports=()), folder, threads=1
    )
    # SciPy's DOP853 at 1e-12: the squares at 51 times of one system add up to this, and 64 equal samples are solved.
    assert found.value == pytest.approx(64 * 859.6592906476776, rel=1e-4)


def test_every_work_is_found_by_its_name() -> None:
    for name in works.MODULES:
        assert works.work(name).name == name
