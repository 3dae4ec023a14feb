"""What `load` says of a wrong text: code, place, reason and help, word by word. One file an idea."""

from __future__ import annotations

from pathlib import Path

import pytest

import implicitdsl

WRONG = sorted((Path(__file__).parents[1] / "golden" / "wrong").glob("*.imp"))


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_the_words_of_an_error(path: Path) -> None:
    with pytest.raises(implicitdsl.ImpError) as caught:
        implicitdsl.load(path)
    told = str(caught.value).replace(str(path), path.name)
    assert f"{told}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_file_is_named_by_a_code_that_it_shows(path: Path) -> None:
    assert f"[{path.stem.split('_')[0]}]" in path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_wrong_texts() -> None:
    assert WRONG
