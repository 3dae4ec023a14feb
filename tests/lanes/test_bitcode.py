"""Solvers that came with the package are used as they are: nothing is lowered, and nothing is put into the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from implicitdsl.backends.lanes import bitcode, standard
from implicitdsl.backends.lanes.block_code import block_solver
from implicitdsl.backends.settings import SOLVERS

ROOT = Path(__file__).parents[2]
CALL = """
import sys
from pathlib import Path
from implicitdsl.backends.lanes import bitcode, net_engine
bitcode.FOLDER = Path(sys.argv[1])
from implicitdsl.backends.lanes.block_code import block_solver
code = block_solver("net_blocks.solve", net_engine.SIGNATURES["solve"], "float64", 8, ())
print(len(code), "implicitdsl.backends.lanes.lower" in sys.modules)
"""


def call(folder: Path, cache: Path) -> list[str]:
    given = {**os.environ, "IMPLICITDSL_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(folder)], env=given, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_solver_of_the_package_is_not_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "bitcode", tmp_path / "cache"
    monkeypatch.setattr(bitcode, "FOLDER", folder)
    # Solvers that another test has asked for would not be asked for again.
    block_solver.cache_clear()
    entries = standard.made(standard.Group("blocks", "net_blocks", "float64"))
    assert len(entries) == len(standard.BLOCKS["net_blocks"][0])
    bitcode.write(entries)
    assert {name: bitcode.find(name) for name in entries} == entries
    size, lowers = call(folder, cache)
    assert int(size) in {len(content) for content in entries.values()}
    assert lowers == "False"
    assert not list(cache.glob("*.bc"))


def test_what_is_damaged_or_missing_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitcode, "FOLDER", tmp_path)
    bitcode.write({"a.bc": b"content" * 100, "b.bc": b"content" * 100})
    whole = (tmp_path / "b.bc").read_bytes()
    (tmp_path / "b.bc").write_bytes(whole[:-3])
    assert bitcode.find("a.bc") == b"content" * 100
    assert bitcode.find("b.bc") is None
    assert bitcode.find("c.bc") is None
    bitcode.clear()
    assert bitcode.find("a.bc") is None


def test_every_method_that_a_model_may_name_is_standard() -> None:
    of_odes = {name for name, method in SOLVERS.items() if {"ode", "dae"} & set(method.kinds)}
    assert of_odes - {"auto"} <= set(standard.METHODS)


def test_groups_have_names_of_their_own() -> None:
    names = [str(group) for group in standard.groups()]
    assert len(set(names)) == len(names)
