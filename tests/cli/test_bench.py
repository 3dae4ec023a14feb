"""`bench`: what is measured, on which batches; and the sign of life of long commands."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from implicitdsl.cli import progress
from implicitdsl.cli.calls import make_call
from implicitdsl.cli.output import Format
from implicitdsl.cli.progress import working
from implicitdsl.cli.timings import batched, make_layer
from tests.cli.models import DECAY, KEPLER, NETS, call, squeezed


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.imp"
    path.write_text(f"{KEPLER}\n{DECAY}\n{NETS}")
    return path


def test_bench_times_every_batch_size(models: Path) -> None:
    words = ("M=1", "e=0.5", "--batch", "1,3", "--seconds", "0", "--format", "json")
    found = json.loads(call("bench", f"{models}:Kepler", *words).output)
    assert (found["ok"], found["dtype"]) == (True, "float64")
    assert found["construction"] > 0
    assert [t["batch"] for t in found["timings"]] == [1, 3]
    for timing in found["timings"]:
        assert timing["first_forward"] > 0
        for what in ("forward", "gradient"):
            spread = timing[what]
            assert spread["repeats"] >= 5
            assert 0 < spread["best"] <= spread["low"] <= spread["median"] <= spread["high"]


def test_bench_prints_a_table(models: Path) -> None:
    result = call("bench", f"{models}:Kepler", "--batch", "2", "--seconds", "0")
    assert result.exit_code == 0
    text = squeezed(result.output)
    assert text.startswith("Kepler: root, float64, back end ")
    assert "constructed in" in text
    assert "batch forward quartiles a sample with gradient" in text


def test_without_batch_sizes_the_inputs_are_taken_as_they_are(models: Path) -> None:
    words = ("M=[1, 2, 3]", "e=0.5", "--seconds", "0", "--format", "json")
    assert [t["batch"] for t in json.loads(call("bench", f"{models}:Kepler", *words).output)["timings"]] == [3]


def test_a_batch_repeats_what_is_named_draws_the_rest_and_shares_times_and_matrices(models: Path) -> None:
    found = make_call(f"{models}:Decay", ["ts=[0, 1]"])
    inputs = batched(found, 3, 0)
    assert inputs["y0"].shape == (3, 2)
    assert len(np.unique(inputs["y0"])) == 6
    assert inputs["ts"].tolist() == [0, 1]
    found = make_call(f"{models}:Kepler", ["M=1"])
    inputs = batched(found, 3, 0)
    assert inputs["M"].tolist() == [1, 1, 1]
    assert ((inputs["e"] > 0) & (inputs["e"] < 1)).all()


def test_the_layer_that_is_timed_has_the_params_of_the_call(models: Path) -> None:
    found = make_call(f"{models}:Head", ["x=[1, 2]"], seed=3)
    layer, seconds = make_layer(found)
    assert seconds > 0
    for name, value in found.layer.state_dict().items():
        assert (layer.state_dict()[name] == value).all()


def test_failed_samples_are_told(models: Path) -> None:
    result = call("bench", f"{models}:Kepler", "M=1", "e=[0.5, 2]", "--seconds", "0")
    assert result.exit_code == 1
    assert "1 sample failed" in result.stderr


def test_wrong_uses(models: Path) -> None:
    for words in (["--batch", "a"], ["--batch", "0"], ["--batch", "1,"], ["M=[1, 2]", "--batch", "3"], ["q=1"]):
        assert call("bench", f"{models}:Kepler", *words).exit_code == 2, words


# ---------------------------------------------------------------- progress


class Terminal(io.StringIO):
    """What rich takes for a terminal."""

    def isatty(self) -> bool:
        return True


def test_what_takes_long_shows_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    with working("compiling") as tell:
        tell("compiling Kepler")
        time.sleep(0.5)
    assert "compiling Kepler … 0 s" in screen.getvalue()


def test_what_is_quick_or_unwatched_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with working("compiling"):
        pass
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with working("compiling", Format.json):
        time.sleep(0.2)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with working("compiling"):
        time.sleep(0.2)
    assert screen.getvalue() == ""
