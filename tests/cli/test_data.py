"""Data named on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from implicitdsl.cli.data import (
    Build,
    Target,
    UsageError,
    read_archive,
    read_array,
    read_assignments,
    read_build,
    read_target,
    read_value,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("[1, 2]", [1.0, 2.0]),
        ("[[1, 2], [3, 4]]", [[1.0, 2.0], [3.0, 4.0]]),
        ("-2*[1, 2] + 1", [-1.0, -3.0]),
        ("linspace(0, 1, 3)", [0.0, 0.5, 1.0]),
        ("2^3", 8.0),
        ("[0, linspace(1, 2, 2)]", [0.0, 1.0, 2.0]),
        ("eye(2)", [[1.0, 0.0], [0.0, 1.0]]),
        ("zeros(2, 1)", [[0.0], [0.0]]),
        ("1e-3", 1e-3),
    ],
)
def test_an_input_is_numbers_lists_and_a_few_functions(
    text: str, value: object, generator: np.random.Generator
) -> None:
    np.testing.assert_array_equal(read_array(text, generator), np.asarray(value, dtype=float))


def test_draws_follow_the_seed() -> None:
    first = read_array("normal(3)", np.random.default_rng(7))
    np.testing.assert_array_equal(first, np.random.default_rng(7).standard_normal(3))
    drawn = read_array("uniform(2, 3, 4, 2)", np.random.default_rng(7))
    assert drawn.shape == (4, 2)
    assert ((drawn >= 2) & (drawn < 3)).all()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "open(1)",
        "x",
        "linspace(1)",
        "1 if 1 else 2",
        "[[1], 2, [3]] + nothing",
        "[1] @ [2]",
        "(",
        "normal(n=3)",
        "[1,2]+[1,2,3]",
        "2**3",
        "zeros(1e12)",
        "zeros(1e20)",
        "normal(inf)",
    ],
)
def test_anything_else_is_a_usage_error(text: str, generator: np.random.Generator) -> None:
    with pytest.raises(UsageError):
        read_array(text, generator)


def test_a_target_is_a_file_and_perhaps_a_layer(tmp_path: Path) -> None:
    file = tmp_path / "a.imp"
    file.write_text("")
    assert read_target(str(file)) == Target(file)
    assert read_target(f"{file}:DEQ") == Target(file, "DEQ")
    odd = tmp_path / "b:c"
    odd.write_text("")
    assert read_target(str(odd)) == Target(odd)
    with pytest.raises(UsageError, match="no file"):
        read_target(str(tmp_path / "none.imp"))


def test_a_build_is_a_layer_with_sizes_and_options() -> None:
    assert read_build("DEQ(n=64, m=784, dtype=float32)") == Build("DEQ", {"n": 64, "m": 784, "dtype": "float32"})
    assert read_build("Kepler") == Build("Kepler", {})
    assert read_build("A(solver='rk4(order = 1)', rtol=1e-8)").keywords == {"solver": "rk4(order = 1)", "rtol": 1e-8}
    for wrong in ("DEQ(64)", "DEQ(n=[1])", "1", "DEQ(", "a.b(n=1)"):
        with pytest.raises(UsageError):
            read_build(wrong)


def test_assignments_are_name_equals_expression() -> None:
    assert read_assignments(["n=3", "x = [1, 2]"]) == {"n": "3", "x": "[1, 2]"}
    for wrong in (["n"], ["3=n"], ["n="], ["n=1", "n=2"]):
        with pytest.raises(UsageError):
            read_assignments(wrong)


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("1e-8", 1e-8), ("rk4", "rk4"), ("anderson(m = 5)", "anderson(m = 5)"), ("-1", -1)]
)
def test_sizes_and_options_are_numbers_names_or_text(text: str, value: object) -> None:
    assert read_value(text) == value


def test_an_archive_names_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, x=np.arange(3), y=np.ones((2, 2)))
    found = read_archive(path)
    assert found["x"].dtype == np.float64
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    assert set(found) == {"x", "y"}
    with pytest.raises(UsageError, match="no file"):
        read_archive(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UsageError, match="not an archive"):
        read_archive(tmp_path / "text.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:100])
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.ones(2))
    np.savez(tmp_path / "complex.npz", x=np.array([1 + 2j]))
    for name in ("empty.npz", "torn.npz", "one.npz", "complex.npz"):
        with pytest.raises(UsageError, match=f"{name} is not an archive"):
            read_archive(tmp_path / name)
