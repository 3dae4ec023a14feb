"""`doctor` and `cache`: what they find, what they say is wrong, and what is removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from implicitdsl.cli import examination, trials
from implicitdsl.cli.trials import Trial
from tests.cli.models import call, squeezed

HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(path))
    return path


# ---------------------------------------------------------------- doctor


def test_every_layer_that_runs_on_this_machine_comes_out_right() -> None:
    found = trials.try_layers()
    assert not [t for t in found if t.trouble]
    assert [t.name for t in found if t.backend == "python" and t.seconds is not None] == [
        "net",
        "ode",
        "fixpoint",
        "root",
        "argmin",
    ]
    assert "ode" in [t.name for t in found if t.backend == "lanes" and t.seconds is not None]


def test_a_wrong_value_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**trials.EXPECTED, "Square": (lambda x: x, lambda x: 1.0, 1e-9)}
    monkeypatch.setattr(trials, "EXPECTED", wrong)
    found = {t.name: t for t in trials.try_layers() if t.backend == "python"}
    assert found["root"].trouble.startswith("the value at 0.5 is 0.707")
    assert found["root"].text() == "WRONG"
    assert not found["argmin"].trouble


def test_doctor_prints_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "try_layers", lambda tell: [Trial("root", "python", 0.25), Trial("root", "x", None)])
    result = call("doctor")
    text = squeezed(result.output)
    assert result.exit_code == 0
    for part in ("versions", "torch 2.", "processor", "torch threads", "vector math", f"folder {folder}", "rights 700"):
        assert part in text
    assert "root right, 0.25 s not on this back end yet" in text
    assert "everything is as it should be" in text
    found = json.loads(call("doctor", "--format", "json").output)
    assert (found["ok"], found["cache"]["writable"], found["advice"]) == (True, True, [])
    assert found["trials"][0] == {"name": "root", "backend": "python", "seconds": 0.25, "trouble": ""}


def test_doctor_says_what_is_wrong_and_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "try_layers", lambda tell: [Trial("root", "python", 1.0, "the value is wrong")])
    folder.chmod(0o777)
    result = call("doctor")
    assert result.exit_code == 1
    assert "wrong: compiled code cannot be kept" in result.output
    assert "IMPLICITDSL_CACHE" in result.output
    assert "wrong: root on python: the value is wrong" in result.output
    assert call("doctor", "--format", "json").exit_code == 1


def test_doctor_notices_an_unfit_version(monkeypatch: pytest.MonkeyPatch) -> None:
    known = examination.version
    monkeypatch.setattr(examination, "version", lambda name: "0.1.2" if name == "llvmlite" else known(name))
    versions, advice = examination.examine_versions()
    assert versions["llvmlite"] == "0.1.2"
    assert advice == ["llvmlite is 0.1.2, and this version needs 0.48: pip install 'llvmlite==0.48.*'"]


# ---------------------------------------------------------------- cache


def test_the_cache_is_listed_measured_and_cleared(folder: Path) -> None:
    (folder / f"{HASH}.o").write_bytes(b"x" * 1500)
    (folder / "front").mkdir()
    (folder / "front" / f"lv-{HASH}.json").write_bytes(b"y" * 500)
    (folder / "mine.txt").write_text("not of the cache")
    os.utime(folder / f"{HASH}.o", (0, 1_000_000_000))
    text = squeezed(call("cache").output)
    assert f"{HASH}.o 1.5 kB 2001-09-" in text
    assert text.rstrip().endswith(f"{folder}: 2 entries, 2 kB")
    assert call("cache", "size").output == f"{folder}: 2 entries, 2 kB\n"
    assert call("cache", "path").output == f"{folder}\n"
    found = json.loads(call("cache", "--format", "json").output)
    assert [entry["name"] for entry in found["entries"]] == [f"lv-{HASH}.json", f"{HASH}.o"]
    assert (found["path"], found["bytes"]) == (str(folder), 2000)
    assert call("cache", "clear").output == f"removed 2 entries, 2 kB, from {folder}\n"
    assert sorted(path.name for path in folder.rglob("*")) == ["front", "mine.txt"]
    assert call("cache", "size").output == f"{folder}: no entries, 0 bytes\n"


def test_links_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (folder / f"{HASH}.o").symlink_to(tmp_path / "precious")
    assert call("cache", "clear").exit_code == 0
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_cache_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(tmp_path / "file" / "folder"))
    result = call("cache")
    assert result.exit_code == 0
    assert "there is no cache" in result.output
    assert json.loads(call("cache", "clear", "--format", "json").output)["path"] is None
    assert call("cache", "lunch").exit_code == 2


def test_what_is_compiled_is_found_in_the_cache(folder: Path) -> None:
    import torch

    import implicitdsl

    layer = implicitdsl.loads(trials.MODELS).Curve(backend="lanes", dtype=torch.float64)
    layer(1.0)
    assert json.loads(call("cache", "--format", "json").output)["bytes"] > 1000
