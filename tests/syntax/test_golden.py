"""Texts that are right: they read, print, and read back as the same tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from implicitdsl.syntax.printer import format_text, print_tree
from implicitdsl.syntax.reader import read
from implicitdsl.syntax.scanner import scan

GOOD = sorted((Path(__file__).parents[1] / "golden" / "good").glob("*.imp"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_printing_and_reading_are_inverse(path: Path) -> None:
    tree = read(path.read_text(encoding="utf-8"), path.name)
    printed = print_tree(tree)
    assert read(printed) == tree
    assert format_text(printed) == printed


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_formatting_keeps_every_comment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before = read(text, path.name).comments
    after = read(format_text(text)).comments
    assert [c.text for c in after] == [c.text for c in before]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_spans_are_the_text_of_their_nodes(path: Path) -> None:
    """Whatever a node prints as, its span holds the same words (parentheses and layout aside)."""
    file = read(path.read_text(encoding="utf-8"), path.name)
    for item in file.items:
        span = item.span
        assert read(span.text).items == (item,)
        assert span.source is file.source


def test_the_samples_are_there() -> None:
    kinds = {word for path in GOOD for word in path.read_text(encoding="utf-8").split()}
    assert {"net", "ode", "dae", "sde", "cde", "bvp", "fixpoint", "root", "argmin", "fn", "import"} <= kinds


def test_every_keyword_and_mark_of_the_grammar_stands_in_a_good_text() -> None:
    from implicitdsl.syntax.parse import _terminals  # pyright: ignore[reportPrivateUsage] (the grammar's own list)

    source = "\n".join(path.read_text(encoding="utf-8") for path in GOOD)
    from implicitdsl.diagnostics import Source

    seen = {word.text for word in scan(Source("all", source)).words}
    assert set(_terminals()) - seen == set()
