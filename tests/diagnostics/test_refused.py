"""What a text may say and no engine does: the words of the refusal, one file a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import implicitdsl

REFUSED = sorted((Path(__file__).parents[1] / "golden" / "refused").glob("*.imp"))


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_the_words_of_a_refusal(path: Path) -> None:
    models = implicitdsl.load(path)
    (name,) = (line.split("(")[0].split()[1] for line in path.read_text(encoding="utf-8").splitlines() if "->" in line)
    with pytest.raises(implicitdsl.ImpError) as caught:
        getattr(models, name)()
    told = str(caught.value).replace(str(path), path.name)
    assert f"{told}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_refusals() -> None:
    assert REFUSED
