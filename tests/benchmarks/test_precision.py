"""Work–precision diagrams: what is read between the points, and that every problem means the same to its model."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import implicitdsl
from benchmarks import cli, tables
from benchmarks.precision import contenders, diagram
from benchmarks.precision.problems import PROBLEMS, Problem
from benchmarks.precision.reference import doubt, reference
from benchmarks.row import Results, Row
from benchmarks.work import Settings
from benchmarks.works import precision


def test_times_are_read_between_the_points_on_logarithmic_axes() -> None:
    points = [(1e-3, 1.0), (1e-5, 4.0), (1e-4, 9.0)]
    assert diagram.time_at(1e-4, points) == pytest.approx(2.0)
    assert diagram.time_at(1e-2, points) == pytest.approx(1.0)
    assert diagram.time_at(1e-6, points) is None


def row(contender: str, error: float, time: float) -> Row:
    facts = {"tolerance": 1e-4, "doubt": 1e-9}
    return Row("precision", "HIRES, 0.0001", contender, 1, best=time, cpu=time, error=error, facts=facts)


def test_the_table_counts_where_we_are_ahead(tmp_path: Path) -> None:
    rows = [row("implicitdsl auto", 1e-4, 1.0), row("implicitdsl auto", 1e-6, 3.0), row("slow", 1e-6, 6.0)]
    rows += [row("slow", 1e-7, 9.0)]
    assert "no peer" not in diagram.table(Results({}, tuple(rows)))
    assert "auto 1 ms, no peer" in diagram.table(Results({}, tuple(rows[:2])))
    found = Results({}, tuple(rows))
    text = diagram.table(found)
    assert "Ahead of the best peer at 3 of 4 accuracies." in text
    assert "2×: auto 3 ms, slow 6" in text
    assert "only slow" in text
    assert diagram.draw(found, tmp_path / "picture.png") == tmp_path / "picture.png"


def test_the_summary_has_what_was_asked_of_the_diagrams() -> None:
    rows = (row("implicitdsl auto", 1e-5, 1.0), row("slow", 1e-6, 6.0))
    (line,) = diagram.goals(Results({}, rows))
    # The peer's single point is the cheapest of all looser accuracies; at 1e-6 nothing of ours is there.
    assert line == ("precision", "forward", 1, "ahead at most accuracies: met at 2 of 3")
    assert "| precision | forward | 1 |" in tables.summary(Results({}, rows), [line])
    assert diagram.goals(Results({}, rows[:1])) == []


def test_the_seven_stars_end_where_the_test_set_says() -> None:
    from scipy.integrate import solve_ivp

    (problem,) = (each for each in PROBLEMS if each.name == "Pleiades")
    field, _ = contenders.scipy_functions(problem)
    end = solve_ivp(
        field, (0, problem.end), problem.start, "DOP853", args=(np.array(problem.constants, float),), rtol=1e-12,
        atol=1e-12,
    ).y[:14, -1]  # fmt: skip
    known = [
        0.37061391439705116, 3.2372840920572331, -3.2225590324183233, 0.65970914557753081, 0.34255817071565804,
        1.5621721014006310, -0.70030929222124957, -3.9434375855173925, -3.2713809739725499, 5.2250818434565440,
        -2.5906124349774695, 1.1982136933922747, -0.24296823449358235, 1.0914492404289799,
    ]  # fmt: skip
    np.testing.assert_allclose(end, known, rtol=0, atol=1e-8)


def test_one_problem_alone_is_run_again() -> None:
    (name,) = {
        each.mode for each in precision.rows(Settings(seconds=0.01, peers=(), only=("Lotka",)), tolerances=(1e-4,))
    }
    assert name == "Lotka–Volterra, 0.0001"
    assert cli.is_left(row("implicitdsl auto", 1e-4, 1.0), "POLLU,Pleiades")
    assert not cli.is_left(row("implicitdsl auto", 1e-4, 1.0), "HIRES") and not cli.is_left(row("slow", 1, 1), None)


def test_the_page_names_the_commands_that_rows_are_left_of() -> None:
    first = "python -m benchmarks lv node --threads 1 --peers 'moreau auto'"
    then = ["python -m benchmarks lv", "python -m benchmarks precision", "python -m benchmarks precision --only POLLU"]
    assert cli.behind([first, *then]) == [first, *then]
    assert cli.behind([first, *then, "python -m benchmarks node precision"]) == [
        then[0],
        "python -m benchmarks node precision",
    ]
    assert cli.behind([*then, "python -m benchmarks precision --only POLLU,HIRES"]) == [
        *then[:2],
        "python -m benchmarks precision --only POLLU,HIRES",
    ]
    assert cli.behind([first, *then, "python -m benchmarks"]) == ["python -m benchmarks"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.model)
def test_the_model_is_the_right_hand_side_of_the_peers(problem: Problem) -> None:
    # Over a time so short that one evaluation decides, at the start that the model states.
    text = contenders.MODEL.read_text(encoding="utf-8")
    name = f"ode {problem.model}("
    body = text[text.index(name) :].split("\n}\n")[0] + "\n}\n"
    short = 1e-13 * problem.end
    body, changed = re.subn(r"(from t = 0 to )\S+", rf"\g<1>{short!r}", body)
    assert changed == 1
    layer = implicitdsl.loads(body)[problem.model](dtype=torch.float64, backend="python", solver="rk4", dt=short)
    k = problem.samples(2)
    found = (layer(torch.tensor(k)).numpy() - problem.start) / short
    wanted = np.array([problem.field(problem.start, each) for each in k], float)
    np.testing.assert_allclose(found, wanted, atol=2e-2 * np.abs(wanted).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.model)
def test_two_libraries_agree_on_every_reference(problem: Problem) -> None:
    assert doubt(problem) < 1e-6
    assert reference(problem).shape[1] == len(problem.start)


def test_a_problem_runs_with_a_peer() -> None:
    (problem,) = (each for each in PROBLEMS if each.model == "LotkaVolterra")
    found = list(precision.rows(Settings(seconds=0.01, peers=("scipy DOP853",)), (problem,), (1e-6,), batch=5))
    assert {each.contender for each in found} == {
        "implicitdsl tsit5", "implicitdsl dop853", "implicitdsl prince9", "scipy DOP853",
    }  # fmt: skip
    assert all(each.error is not None and each.error < 1e-3 and math.isfinite(each.best or math.nan) for each in found)
