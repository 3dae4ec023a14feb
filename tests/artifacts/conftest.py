from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from implicitdsl.backends.lanes.cache import cache_folder

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("lark", "sympy", "numba", "typer", "rich", "platformdirs")

FORBID = f"""
import importlib.abc, sys
class _Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError(f"{{name}} is not to be imported here", name=name)
sys.meta_path.insert(0, _Refusal())
"""
"""What a program begins with that must not import the compiler's tools."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this session's own, with the solvers that were compiled before: only models are compiled here."""
    made = tmp_path_factory.mktemp("cache")
    made.chmod(0o700)
    usual = cache_folder()
    for entry in [] if usual is None else usual.glob("*.bc"):
        shutil.copy2(entry, made)
    return made


@pytest.fixture
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The session's cache, in use."""
    monkeypatch.setenv("IMPLICITDSL_CACHE", str(folder))
    return folder


def run_python(program: str, *, cache: Path | str, **environment: str) -> str:
    """What a program prints in a new process; the test fails if it fails."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {**os.environ, "PYTHONPATH": paths, "IMPLICITDSL_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
