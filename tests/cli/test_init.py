"""`init`: what it writes runs, and it overwrites nothing."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.models import call

KINDS = ["ode", "fixpoint", "root", "argmin", "net"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_script_trains_and_what_it_saves_is_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = call("init", tmp_path / "new", "--kind", kind)
    assert result.exit_code == 0
    assert f"cd {tmp_path / 'new'}" in result.output
    monkeypatch.chdir(tmp_path / "new")
    assert call("fmt", "--check", "model.imp").exit_code == 0
    assert call("check", "model.imp").exit_code == 0
    runpy.run_path("train.py", run_name="__main__")
    told = capsys.readouterr().out
    losses = [float(number) for number in re.findall(r"loss (\S+?)(?:,|\n)", told)]
    assert losses[-1] < 0.5 * losses[0] or losses[-1] < 1e-3
    *_, advice = told.splitlines()
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", advice)]
    assert words[0] == "implicitdsl"
    result = call(*words[1:])
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_passes(kind: str, tmp_path: Path) -> None:
    call("init", tmp_path, "--kind", kind)
    tests = runpy.run_path(str(tmp_path / "test_model.py"))
    named = [function for name, function in tests.items() if name.startswith("test_")]
    assert len(named) >= 2
    for function in named:
        function()


def test_the_test_is_found_by_pytest(tmp_path: Path) -> None:
    call("init", tmp_path, "--kind", "root")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # What this run was told on the way is of these tests, which that folder does not have.
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    result = call("init", tmp_path)
    assert result.exit_code == 2
    assert "train.py is there already" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]
    assert (tmp_path / "train.py").read_text() == "mine"


def test_init_for_programs_and_an_unknown_kind(tmp_path: Path) -> None:
    found = json.loads(call("init", tmp_path, "--format", "json").output)
    assert found["kind"] == "ode"
    assert [Path(name).name for name in found["files"]] == ["model.imp", "train.py", "test_model.py"]
    assert call("init", tmp_path, "--kind", "lunch").exit_code == 2
