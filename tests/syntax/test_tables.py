"""The tables that are shipped are those of the grammar."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from implicitdsl.syntax import tables
from implicitdsl.syntax.reader import read


def _options(rule: Any) -> dict[str, Any]:
    found = vars(rule.options)
    return {**found, "empty_indices": list(found["empty_indices"])}


def _same_tables(one: Any, other: Any) -> bool:
    """Whether two parsers have one table but for the numbers of their states."""
    left, right = (made.parser.parser._parse_table for made in (one, other))
    pairs = {left.start_states[start]: right.start_states[start] for start in tables.STARTS}
    waiting = list(pairs)
    while waiting:
        state = waiting.pop()
        here, there = left.states[state], right.states[pairs[state]]
        if here.keys() != there.keys():
            return False
        for token, (action, to) in here.items():
            action_there, to_there = there[token]
            if action.name != action_there.name:
                return False
            if action.name == "Reduce":
                if (to.origin, to.expansion, to.alias) != (to_there.origin, to_there.expansion, to_there.alias):
                    return False
                if _options(to) != _options(to_there):
                    return False
            elif to not in pairs:
                pairs[to] = to_there
                waiting.append(to)
            elif pairs[to] != to_there:
                return False
    ends = {start: pairs.get(state) for start, state in left.end_states.items()}
    return len(left.states) == len(right.states) and ends == dict(right.end_states)


def test_the_shipped_tables_are_those_of_the_grammar() -> None:
    """Where this fails, `python -m implicitdsl.syntax.tables` writes them anew."""
    loaded = tables.loaded()
    assert loaded is not None
    assert _same_tables(loaded, tables.built())


@pytest.mark.parametrize("content", [b"", b"nothing", zlib.compress(b'{"of": ["0", "0"]}')])
def test_other_tables_are_not_used(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imp.tables").write_bytes(content)
    monkeypatch.setattr(tables, "TABLES", tmp_path / "imp.tables")
    assert tables.loaded() is None
    assert tables.parser() is not None


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TABLES", tmp_path / "imp.tables")
    tables.write(tables.TABLES)
    assert tables.loaded() is not None
    assert len(read("fn f(x) = x^2\n").items) == 1
