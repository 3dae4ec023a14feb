from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from implicitdsl.backends.lanes.cache import cache_folder, read, write
from implicitdsl.backends.lanes.one_root import SOLVERS as SOLVERS_OF_ROOTS
from implicitdsl.backends.lanes.one_sample import one_sample_object
from implicitdsl.backends.lanes.smooth_engine import ONE_SOLVERS as SOLVERS_OF_MINIMA

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
def solvers_of_one_sample() -> None:
    """Compiled in the cache of all tests, so that processes with a cache of their own find them."""
    for part, (solver, signature) in {**SOLVERS_OF_ROOTS, **SOLVERS_OF_MINIMA}.items():
        one_sample_object(solver, signature, "float64", f"imp_{part}")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this session's own, where no model has been compiled yet."""
    made = tmp_path_factory.mktemp("cache")
    made.chmod(0o700)
    return made


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Inside, the folder is the cache. It has the solvers that other tests have compiled, and they get those that are
    compiled here, so that only models are compiled anew."""
    usual = cache_folder()
    share_solvers(usual, folder, SOLVERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPLICITDSL_CACHE", str(folder))
        yield
    share_solvers(folder, usual, SOLVERS)


SOLVERS = (".bc", ".o")
"""How the names of solvers end: lowered, and compiled."""


def share_solvers(source: Path | None, target: Path | None, endings: tuple[str, ...]) -> None:
    """Copies the entries with these endings that the other folder lacks."""
    if source is not None and target is not None:
        for entry in source.iterdir():
            if entry.suffix in endings and not (target / entry.name).exists():
                found = read(entry)
                # Another process may have removed it meanwhile.
                if found is not None:
                    write(target / entry.name, found)


@pytest.fixture
def cache(folder: Path) -> Iterator[Path]:
    """The session's cache, in use."""
    with using(folder):
        yield folder


def run_python(program: str, *, cache: Path | str, **environment: str) -> str:
    """What a program prints in a new process; the test fails if it fails."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {**os.environ, "PYTHONPATH": paths, "IMPLICITDSL_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
