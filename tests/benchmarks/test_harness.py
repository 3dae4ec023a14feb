"""The harness: turns, verdicts, what is refused a time, and pages that are as the results have them."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitdsl
from benchmarks import ladder, linking, machine, page
from benchmarks.cli import RESULTS
from benchmarks.compare import compare
from benchmarks.linked_models import LINKED
from benchmarks.measure import take_turns
from benchmarks.row import Goal, Row, read_results, write_results
from benchmarks.verdict import judge
from benchmarks.work import Call, Comparison, Contender, Settings, worst_error
from benchmarks.works import lv
from implicitdsl.backends.lanes import ode_build, ode_linking


def contender(name: str, value: float) -> Contender:
    return Contender(name, {"forward": Call(lambda: np.array([value]), lambda found: {"y": found})})


def missing(settings: Settings) -> Contender:
    raise ModuleNotFoundError("No module named 'nowhere'")


def comparison(ours: float, peer: float) -> Comparison:
    return Comparison(
        name="one",
        title="one number",
        dtype="float64",
        ours=lambda settings: contender("implicitdsl", ours),
        peers={"right": lambda settings: contender("right", peer), "absent": missing},
        reference=lambda: {"forward": {"y": np.array([1.0])}},
        bounds={"forward": 1e-6},
        goals={"forward": (Goal(2, "best"),)},
    )


def rows_of(work: Comparison, **settings: Any) -> dict[str, Row]:
    return {row.contender: row for row in compare(work, Settings(seconds=0.01, **settings))}


def test_right_contenders_have_times_and_absent_ones_a_row() -> None:
    rows = rows_of(comparison(1.0, 1.0))
    assert rows["implicitdsl"].status == rows["right"].status == "ok"
    assert rows["implicitdsl"].best is not None
    assert rows["right"].best is not None
    assert rows["absent"].status == "missing"
    assert "nowhere" in rows["absent"].note


@pytest.mark.parametrize("value", [1.1, float("nan"), float("inf")])
def test_wrong_values_have_no_time(value: float) -> None:
    rows = rows_of(comparison(1.0, value))
    assert rows["right"].status == "wrong"
    assert rows["right"].best is None
    assert rows["implicitdsl"].best is not None


def test_peers_are_chosen_by_the_beginning_of_their_names() -> None:
    assert set(rows_of(comparison(1.0, 1.0), peers=("ri",))) == {"implicitdsl", "right"}
    assert set(rows_of(comparison(1.0, 1.0), peers=())) == {"implicitdsl"}


def test_calls_take_turns() -> None:
    order: list[str] = []
    times = take_turns({name: lambda name=name: order.append(name) for name in "ab"}, 0.01)
    changes = [left for left, right in pairwise(order) if left != right]
    assert changes[:4] == ["a", "b", "a", "b"]
    assert len(times["a"].rounds) == len(times["b"].rounds) >= 3
    assert times["a"].best <= times["a"].median


def test_the_error_is_relative_to_the_largest_value() -> None:
    assert worst_error({"y": np.array([2.0, 4.4])}, {"y": np.array([2.0, 4.0])}) == pytest.approx(0.1)
    assert worst_error({"y": np.array([[2.0], [9.0]])}, {"y": np.array([[2.0]])}) == 0.0
    with pytest.raises(ValueError, match="shape"):
        worst_error({"y": np.zeros((2, 3))}, {"y": np.zeros((2, 2))})


def test_a_verdict_holds_us_against_the_best_right_peer() -> None:
    ours = Row("w", "forward", "implicitdsl", 1, best=2.0, cpu=2.0, rounds=(2.0, 4.0, 2.0), goals=(
        Goal(3, "best"), Goal(3, "slow"), Goal(limit=1.0), Goal(limit=5.0, unit="MiB"), Goal(9, "unheard"),
    ), floor=0.5, facts={"MiB": 4.0})  # fmt: skip
    peers = [
        Row("w", "forward", "slow", 1, best=10.0, rounds=(10.0, 10.0, 10.0)),
        Row("w", "forward", "fast", 1, best=5.0, cpu=6.0, rounds=(5.0, 5.0, 5.0)),
        Row("w", "forward", "wrong", 1, status="wrong"),
    ]
    verdict = judge([ours, *peers])
    assert verdict is not None
    assert verdict.best is not None
    assert verdict.best.contender == "fast"
    assert (verdict.ratio, verdict.ratio_of_rounds, verdict.ratio_of_cpu) == (2.5, 2.5, 3.0)
    assert verdict.above_floor == 4.0
    assert [held.met for held in verdict.goals] == [True, True, False, True, None]
    assert judge(peers) is None


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [Row("w", "forward", "implicitdsl", 2, best=1.5, rounds=(1.5, 2.0), goals=(Goal(2, "best"),))]
    write_results(tmp_path / "r.jsonl", {"cores": 2}, rows)
    found = read_results(tmp_path / "r.jsonl")
    assert list(found.rows) == rows
    assert found.machine == {"cores": 2}


def test_every_peer_has_a_version() -> None:
    wanted = machine.peers_wanted()
    assert {"diffrax", "heyoka", "moreau", "pydiffsol", "qpth"} <= set(wanted)
    assert all(part and " " not in part for part in wanted.values())


def test_the_page_is_what_the_results_say() -> None:
    results = read_results(RESULTS)
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.refresh(text, page.FIGURES, results) == text, "run `python -m benchmarks --page`"


def test_the_stages_of_making_code_are_taken_for_the_ladder() -> None:
    made = {line.what: line.seconds for line in ladder.making()}
    assert len(made) == 6 and all(seconds > 0 for seconds in made.values())
    # What is found on disk is neither derived nor compiled.
    assert (
        made["read, find the object on disk, load: values"] < made["read, derive, emit, link, optimise, load: values"]
    )


def test_a_rung_of_the_ladder_is_built_with_its_settings_and_leaves_those_that_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings() -> tuple[int, int, bool]:
        return ode_build.WIDTH["float64"], ode_linking.WRITTEN_OUT, ode_linking.may_lie_apart()

    def ours(*given: object) -> Contender:
        seen.append(settings())
        return Contender("none", {}, "", {})

    seen: list[tuple[int, int, bool]] = []
    before = settings()
    monkeypatch.setattr(lv, "ours", ours)
    ladder.contender(4, 1, written_out=False)
    ladder.contender(1, 1)
    assert seen == [(4, 0, False), (1, *before[1:])]
    assert settings() == before


def test_every_kernel_of_a_layer_is_timed_from_its_parts_to_its_bytes() -> None:
    lines = linking.measure(("lv",), processes=1)
    assert {line["work"] for line in lines} == {"lv"}
    assert all(line["seconds"] > line["machine_code"] > 0 and line["edited"] > 0 for line in lines)
    assert all(line["once"] > 0 for line in lines)  # the solver for the sizes of the model
    assert {"solve", "pull"} <= {line["kernel"] for line in lines}, lines


@pytest.mark.parametrize("name", [*linking.WORKS, *LINKED])
def test_an_edited_model_is_one_of_the_same_names(name: str, tmp_path: Path) -> None:
    if name in LINKED:
        model, edit = LINKED[name].path, LINKED[name].edit
    else:
        model, edit = import_module(f"benchmarks.works.{linking.WORKS[name].module}").MODEL, linking.WORKS[name].edit
    edited = linking.edited_model(model, edit, tmp_path)
    assert edited.read_text(encoding="utf-8") != model.read_text(encoding="utf-8")
    assert vars(implicitdsl.load(edited)).keys() == vars(implicitdsl.load(model)).keys()


def test_the_page_of_the_ladder_is_what_was_measured() -> None:
    found = page.ladder_results()
    text = page.LADDER_PAGE.read_text(encoding="utf-8")
    assert page.refresh(text, page.LADDER_FIGURES, found) == text, "run `python -m benchmarks.ladder`"
