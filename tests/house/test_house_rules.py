"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "implicitdsl"

#: Files that are one idea and yet longer than the rest: each with its reason.
LONG_FILES: dict[str, str] = {}


def tracked(*suffixes: str) -> list[Path]:
    """The project's own files, from git where there is one, else from the folder."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        top = ("implicitdsl", "tests", "docs", "examples", "grammar", "benchmarks")
        paths = [
            p for name in top for p in (ROOT / name).rglob("*") if "__pycache__" not in p.parts and "out" not in p.parts
        ]
    return [p for p in paths if p.suffix in suffixes and p.is_file()]


def test_there_is_something_to_check() -> None:
    assert len(tracked(".py")) > 20


def test_no_module_is_longer_than_400_lines() -> None:
    long = {}
    for path in tracked(".py"):
        name = path.relative_to(ROOT).as_posix()
        lines = path.read_text(encoding="utf-8").count("\n")
        if name.startswith("implicitdsl/") and lines > 400 and name not in LONG_FILES:
            long[name] = lines
    assert not long, f"one idea a file: {long}"


def test_the_list_of_long_files_is_not_out_of_date() -> None:
    for name in LONG_FILES:
        assert (ROOT / name).read_text(encoding="utf-8").count("\n") > 400, name


def test_no_module_is_named_utils() -> None:
    assert not [p for p in tracked(".py") if p.stem in {"utils", "util", "helpers", "misc", "common"}]


@pytest.mark.parametrize("marker", ["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"])
def test_nothing_is_left_for_later(marker: str) -> None:
    pattern = re.compile(rf"\b{marker}\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(".py", ".md", ".imp", ".lark", ".toml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_no_path_of_a_particular_machine() -> None:
    pattern = re.compile("/" + r"(?:work|home|root|Users|opt|mnt)" + "/")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked(".py", ".md", ".imp", ".lark", ".toml", ".txt", ".json")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    marks = re.compile("mark" + r"\.(?:skip|xfail)|pytest\." + r"(?:skip|xfail|importorskip)\(")
    found = [p.relative_to(ROOT).as_posix() for p in tracked(".py") if marks.search(p.read_text(encoding="utf-8"))]
    assert not found


def test_every_suppression_has_its_reason_beside_it() -> None:
    """`# noqa: X` and `# pyright: ignore[x]` and `# type: ignore[x]` are followed by a dash or colon and words."""
    bare = re.compile(
        r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[^\]]*\])?|pyright:\s*ignore(?:\[[^\]]*\])?)\s*$"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(".py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not found


def test_every_module_says_what_it_is() -> None:
    for path in tracked(".py"):
        if path.is_relative_to(PACKAGE):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), path


def test_sympy_and_matplotlib_are_never_imported_with_the_package() -> None:
    for path in tracked(".py"):
        if not path.is_relative_to(PACKAGE):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match node:
                case ast.Import(names=names):
                    roots = {alias.name.split(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module)):
                    roots = {module.split(".")[0]}
                case _:
                    continue
            assert not roots & {"sympy", "matplotlib", "scipy", "mpmath"}, path


def test_the_changelog_has_a_section_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=!~ ]", d)[0].lower() for d in wanted}
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert names <= pinned


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("[0-9]*.md"):
        assert f"({path.name})" in index, path.name


def test_no_loop_stands_where_ctrl_c_would_leave_a_lock_held() -> None:
    """See `Lock` in `backends/forks.py`; what a function inside does is its own."""
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp)
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.With):
                continue
            names = {ast.unparse(item.context_expr).rpartition(".")[2] for item in node.items}
            if names & {"inner", "_guard", "_lock", "lock"} and any(isinstance(n, loops) for n in ast.walk(node)):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found
