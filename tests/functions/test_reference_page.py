"""The page of functions is what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from implicitdsl.functions.reference import function_table_markdown
from implicitdsl.functions.table import CONSTANTS, FUNCTIONS

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == function_table_markdown()


@pytest.mark.parametrize("name", [*FUNCTIONS, *CONSTANTS])
def test_every_function_has_its_row(name):
    page = function_table_markdown()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}(")]
    assert len(rows) == 1 if name in FUNCTIONS else f"`{name}` =" in page
    for row in rows:
        assert row.count("|") == 7
