"""The cache of compiled layers holds against damage, rivals, other machines and full or forbidden disks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import implicitdsl
from implicitdsl.artifacts import engines
from implicitdsl.backends.lanes import cache as store
from implicitdsl.backends.lanes.apart import linking
from tests.artifacts.conftest import ROOT, SOLVERS, share_solvers

TEXT = """
ode Cool(x0[3], M[3, 3]) -> [3] {
  param k = 0.5
  state x[3] = x0
  dx/dt = -k*x + M @ x
  from t = 0 to 1
  solver rk4(dt = 0.25)
  return x
}
"""
CALL = f"""
import torch, implicitdsl
layer = implicitdsl.loads({TEXT!r}).Cool(dtype=torch.float64)
print(layer([1.0, 2.0, 3.0], torch.zeros(3, 3, dtype=torch.float64)).detach().numpy().tobytes().hex())
"""


def answer() -> str:
    layer = implicitdsl.loads(TEXT).Cool(backend="lanes", dtype=torch.float64)
    return layer([1.0, 2.0, 3.0], torch.zeros(3, 3, dtype=torch.float64)).detach().numpy().tobytes().hex()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which `answer` was compiled, once for all tests."""
    made = tmp_path_factory.mktemp("compiled")
    made.chmod(0o700)
    share_solvers(store.cache_folder(), made, (".bc",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPLICITDSL_CACHE", str(made))
        answer()
    return made


@pytest.fixture
def usual() -> Path | None:
    """The cache of all tests, asked for before `own` takes its place."""
    return store.cache_folder()


@pytest.fixture
def own(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, with the solvers in it and the object file of `answer`, and nothing else of that layer;
    it gives none back, for it may come to harm."""
    made = tmp_path / "own"
    made.mkdir(mode=0o700)
    share_solvers(compiled, made, SOLVERS)
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(made))
    return made


def entries(folder: Path) -> list[Path]:
    """All entries but solvers."""
    return [p for p in folder.iterdir() if store.OURS.fullmatch(p.name) and p.suffix != ".bc"]


def test_the_folder_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(tmp_path / "new" / "cache"))
    made = store.cache_folder()
    assert made == tmp_path / "new" / "cache" and made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o777)
    assert store.cache_folder() is None


def test_the_name_of_the_folder_is_that_of_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMPLICITDSL_CACHE", "near_test_folder")
    assert store.cache_folder() == tmp_path / "near_test_folder"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.cache_folder() == tmp_path / "near_test_folder"
    monkeypatch.setenv("IMPLICITDSL_CACHE", "~/kept_test_folder")
    assert store.cache_folder() == tmp_path / "home" / "kept_test_folder"
    # Empty is as if it were not there, as in the XDG specification.
    monkeypatch.setenv("IMPLICITDSL_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert store.cache_folder() == tmp_path / "caches" / "implicitdsl"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_eight_processes_compile_the_same_layer_at_once(own: Path) -> None:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "IMPLICITDSL_BACKEND": "lanes"}
    command = [sys.executable, "-c", CALL]
    running = [subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    found = [process.communicate(timeout=500)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 8
    assert set(found) == {answer() + "\n"}
    assert not list(own.glob("tmp*"))


MAKE = """
import os, sys, time
from implicitdsl.backends.lanes import cache

def make():
    print("made", flush=True)
    time.sleep(float(sys.argv[1]))
    return b"code"

print(cache.kept_object("ab" * 20, make).decode(), flush=True)
"""


def makers(own: Path, seconds: list[float]) -> list[subprocess.Popen[str]]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {**os.environ, "PYTHONPATH": paths, "IMPLICITDSL_CACHE": str(own)}
    return [
        subprocess.Popen([sys.executable, "-c", MAKE, str(s)], env=given, stdout=subprocess.PIPE, text=True)
        for s in seconds
    ]


def test_of_several_processes_one_makes_an_entry(own: Path) -> None:
    told = "".join(process.communicate(timeout=200)[0] for process in makers(own, [2.0] * 4))
    assert sorted(told.split()) == ["code"] * 4 + ["made"]


def test_what_a_killed_process_was_making_is_made_by_the_next(own: Path) -> None:
    (killed,) = makers(own, [500.0])
    assert killed.stdout is not None and killed.stdout.readline() == "made\n"
    killed.kill()
    (next_one,) = makers(own, [0.0])
    assert next_one.communicate(timeout=200)[0].split() == ["made", "code"]
    killed.communicate()


def test_a_process_that_hangs_is_waited_for_no_longer_than_it_may(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    with store._alone("cd" * 20):
        assert store.kept_model("cd" * 20, lambda: b"code") == b"code"


DAMAGES = (lambda b: b[:-3], lambda b: b"", lambda b: b[:40] + b"\xff" + b[41:], lambda b: b + b"0")


def test_damaged_entries_are_made_again(own: Path) -> None:
    wanted = answer()
    models = sorted(entries(own), key=lambda path: path.suffix)
    apart = {".model"} if linking() == "apart" else set[str]()
    assert {p.suffix for p in models} == {".text", ".layer", ".engine", ".part", ".o"} | apart
    whole = {p: p.read_bytes() for p in models}
    for path in models:
        for damage in DAMAGES:
            path.write_bytes(damage(whole[path]))
            assert store.read(path) is None, path.suffix
    for k, path in enumerate(models):
        path.write_bytes(DAMAGES[k % len(DAMAGES)](whole[path]))
    assert answer() == wanted
    for path in models:
        assert store.read(path) is not None, path.suffix


def test_without_a_place_layers_are_compiled_all_the_same(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = answer()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(store.tempfile, "mkstemp", refuse)
        for path in entries(own):
            if path.suffix not in SOLVERS:
                path.unlink()
        before = set(own.iterdir())
        assert answer() == wanted
        assert {path for path in own.iterdir() if path.suffix != ".lock"} == {p for p in before if p.suffix != ".lock"}


def test_code_for_another_processor_is_not_found(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = answer()
    before = set(own.glob("*.part"))
    monkeypatch.setattr(engines, "target", lambda: "another processor")
    assert answer() == wanted
    assert len(set(own.glob("*.part")) - before) == len(before)


def test_code_made_later_is_found_too(usual: Path | None, own: Path) -> None:
    share_solvers(usual, own, SOLVERS)
    layer = implicitdsl.loads(TEXT).Cool(backend="lanes", dtype=torch.float64)
    counts = []
    M = torch.zeros(3, 3, dtype=torch.float64)
    for x, matrix in ((torch.ones(3), M), (torch.ones(2, 3), M), (torch.ones(2, 3), M.expand(2, 3, 3))):
        layer(x, matrix)
        counts.append(len(list(own.glob("*.part"))))
    # A batch that shares its matrix has a layout of its own; a sample alone lies as a batch without sharing.
    assert counts == [1, 2, 2]
    layer.prepare(batch=True)
    assert len(list(own.glob("*.part"))) == 4
    share_solvers(own, usual, SOLVERS)


def test_the_entries_that_were_not_read_for_longest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(tmp_path / "small"))
    monkeypatch.setenv("IMPLICITDSL_CACHE_MB", "1")
    monkeypatch.setattr(store, "_written", 1)
    names = [f"{k:040x}.o" for k in range(4)]
    for k, name in enumerate(names):
        store.keep(name, b"x" * 300_000)
        os.utime(tmp_path / "small" / name, (time.time() - (10 - k) * store.DAY,) * 2)
    (tmp_path / "small" / "thesis.tex").write_bytes(b"y" * 900_000)
    assert store.find(names[0]) is not None
    assert store.evict(tmp_path / "small") == 2
    assert [store.find(name) is not None for name in names] == [True, False, False, True]
    assert (tmp_path / "small" / "thesis.tex").exists()
