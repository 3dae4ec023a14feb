"""`plot`: what is drawn against what, and the picture's file."""

from __future__ import annotations

import json
import sys
from math import exp
from pathlib import Path

import numpy as np
import pytest

from implicitdsl.cli.answers import solve
from implicitdsl.cli.calls import make_call
from implicitdsl.cli.curves import Picture, picture
from implicitdsl.cli.data import UsageError
from tests.cli.models import DECAY, KEPLER, NETS, call


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "models.imp"
    path.write_text(f"{KEPLER}\n{DECAY}\n{NETS}")
    return path


def drawn(target: str, *words: str) -> Picture:
    found = make_call(target, words, defaults={"on_fail": "warn"})
    return picture(found, solve(found))


def test_one_sample_over_time_is_a_panel_with_a_line_an_entry(models: Path) -> None:
    found = drawn(f"{models}:Decay", "y0=[1, 2]", "ts=linspace(0, 1, 5)", "rtol=1e-9")
    (panel,) = found.panels
    assert (found.axis, panel.title) == ("t", "[x, y]")
    assert [curve.label for curve in panel.curves] == ["x", "y"]
    assert panel.curves[1].y[-1] == pytest.approx(2 * exp(-1), rel=1e-7)
    assert panel.curves[0].x.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_batch_over_time_is_a_panel_an_entry_with_a_line_a_sample(models: Path) -> None:
    found = drawn(f"{models}:Decay", "y0=[[1, 2], [3, 4]]", "ts=[[0, 1], [0, 2]]")
    assert [panel.title for panel in found.panels] == ["x", "y"]
    assert [curve.label for curve in found.panels[0].curves] == ["y0 = [1, 2]", "y0 = [3, 4]"]
    assert [curve.x[-1] for curve in found.panels[0].curves] == [1, 2]


def test_a_swept_input_runs_to_the_right_and_the_other_axis_of_the_batch_is_lines(models: Path) -> None:
    found = drawn(f"{models}:Kepler", "M=linspace(0, 3, 7)", "e=[[0.1], [0.9]]")
    (panel,) = found.panels
    assert (found.axis, panel.title) == ("M", "E")
    assert [curve.label for curve in panel.curves] == ["e = 0.1", "e = 0.9"]
    for curve, e in zip(panel.curves, (0.1, 0.9), strict=True):
        assert curve.y - e * np.sin(curve.y) == pytest.approx(curve.x, abs=1e-12)


def test_the_one_entry_that_changes_is_the_axis(models: Path) -> None:
    found = drawn(f"{models}:Affine", "n=2", "m=2", "x=[[1, 5], [2, 5], [4, 5]]", "W=[[1, 0], [0, 1]]")
    assert found.axis == "x[0]"
    assert [panel.title for panel in found.panels] == ["y", "total"]
    assert [curve.label for curve in found.panels[0].curves] == ["y[0]", "y[1]"]
    assert found.panels[0].curves[0].x.tolist() == [1, 2, 4]
    assert found.panels[0].curves[0].y.tolist() == [2, 3, 5]


def test_inputs_that_change_together_are_drawn_by_sample(models: Path) -> None:
    assert drawn(f"{models}:Kepler", "M=[1, 2, 3]", "e=[0.1, 0.2, 0.3]").axis == "sample"


def test_without_a_batch_a_vector_is_drawn_by_entry_and_a_number_not_at_all(models: Path) -> None:
    found = drawn(f"{models}:Affine", "n=3", "m=2")
    assert (found.discrete, found.axis, [p.title for p in found.panels]) == (True, "entry", ["y"])
    with pytest.raises(UsageError, match="nothing to draw Kepler against; give an input several values: M=linspace"):
        drawn(f"{models}:Kepler", "M=1", "e=0.1")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_picture_is_written(models: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "new" / f"picture.{suffix}"
    result = call("plot", f"{models}:Kepler", "M=linspace(0, 3, 7)", "e=0.5", "-o", file)
    assert (result.exit_code, result.output) == (0, f"1 line against M: {file}\n")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert file.read_bytes().startswith(start)


def test_plot_for_programs_and_its_usual_place(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("plot", f"{models}:Decay", "y0=[1, 2]", "ts=linspace(0, 1, 5)", "--format", "json")
    panel = {"title": "[x, y]", "lines": ["x", "y"], "against": "t"}
    assert json.loads(result.output) == {"ok": True, "picture": "Decay.png", "failure": "", "panels": [panel]}
    assert (tmp_path / "Decay.png").is_file()


def test_failed_samples_leave_a_gap_and_a_word(models: Path, tmp_path: Path) -> None:
    result = call("plot", f"{models}:Kepler", "M=1", "e=linspace(0, 2, 5)", "-o", tmp_path / "gap.png")
    assert result.exit_code == 1
    assert "2 of 5 samples failed" in result.stderr
    assert (tmp_path / "gap.png").is_file()


def test_wrong_uses(models: Path, tmp_path: Path) -> None:
    assert call("plot", f"{models}:Kepler", "M=[1, 2]", "-o", tmp_path / "a.doc").exit_code == 2
    assert call("plot", f"{models}:Kepler", "M=1", "e=0.5").exit_code == 2
    assert call("plot", models).exit_code == 2
    assert call("plot", f"{models}:Kepler", "M=zeros(0)", "e=0.5").exit_code == 2


def test_without_matplotlib_the_command_says_how_to_get_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = call("plot", f"{models}:Kepler", "M=[1, 2]", "e=0.5")
    assert result.exit_code == 2
    assert "pip install 'implicitdsl[plot]'" in result.stderr
