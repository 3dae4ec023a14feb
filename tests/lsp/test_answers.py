"""What an editor asks, answered by plain functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from implicitdsl.diagnostics import Source
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.lsp.completion import complete
from implicitdsl.lsp.document import Document, analyse
from implicitdsl.lsp.hover import definition, hover
from implicitdsl.lsp.places import Place, offset_of, place_of, word_at
from implicitdsl.lsp.vocabulary import DRAW_WORDS, SET_WORDS, WORDS
from implicitdsl.semantics.names import DRAWS, SETS
from implicitdsl.syntax.words import ITEM_WORDS, STATEMENT_WORDS

TEXT = """\
fn half(a) = a/2

# A net.
net MLP[n, h](x[n]) -> [n] {
  param W[h, n] ~ glorot()
  return W.T @ tanh(W @ x)
}

ode Flow[d, h = 4](z0[d], ts[T]) -> [T, d] {
  use f = MLP[d, h]
  param rate = 1 in positive
  state z[d] = half(z0)
  dz/dt = -rate*f(z)
  return z at ts
}
"""


@pytest.fixture(scope="module")
def flow() -> Document:
    return analyse(TEXT, "flow.imp")


def at(text: str, mark: str, shift: int = 0) -> int:
    """The offset of the first occurrence of a text."""
    return text.index(mark) + shift


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 8), ("utf-16", 5), ("utf-32", 4)])
def test_places_are_counted_in_the_units_of_the_editor(encoding: str, character: int) -> None:
    source = Source("a.imp", "x\né 𝜎 b\n")
    offset = source.text.index("b")
    assert place_of(source, offset, encoding) == Place(1, character)
    assert offset_of(source, Place(1, character), encoding) == offset


def test_a_place_behind_a_line_or_the_text_is_its_end() -> None:
    source = Source("a.imp", "ab\ncd")
    assert offset_of(source, Place(0, 99), "utf-16") == 2
    assert offset_of(source, Place(9, 0), "utf-16") == 5
    assert all(offset_of(source, place_of(source, k, "utf-16"), "utf-16") == k for k in range(6))


def test_a_name_is_found_from_either_end() -> None:
    assert word_at("a + rate*b", 4) == ("rate", 4, 8)
    assert word_at("a + rate*b", 8) == ("rate", 4, 8)
    assert word_at("a + rate*b", 3) is None
    assert word_at("a\nb", 2) == ("b", 2, 3)


# ---------------------------------------------------------------- findings


def test_findings_are_those_of_check(flow: Document) -> None:
    assert flow.findings == ()
    wrong = analyse(TEXT.replace("f(z)\n", "f(y)\n"), "flow.imp")
    assert [d.code for d in wrong.findings] == ["E201"]
    assert wrong.findings[0].span is not None
    assert wrong.findings[0].span.text == "y"


def test_names_outlive_a_text_that_cannot_be_read(flow: Document) -> None:
    broken = TEXT.replace("dz/dt = -rate*f(z)", "dz/dt = -rate*f(")
    found = analyse(broken, "flow.imp", flow)
    assert found.findings
    told = hover(found, at(broken, "rate*f"))
    assert told is not None
    assert "a param" in told[0]


def test_imports_come_from_the_editor_before_the_disk(tmp_path: Path) -> None:
    other, main = tmp_path / "other.imp", tmp_path / "main.imp"
    other.write_text("fn twice(a) = 2*a\n")
    text = 'import "other.imp"\nnet N(x) -> y {\n  return thrice(x)\n}\n'
    assert [d.code for d in analyse(text, str(main)).findings] != []
    opened = {str(other): "fn thrice(a) = 3*a\n"}
    found = analyse(text, str(main), None, opened)
    assert found.findings == ()
    there = definition(found, at(text, "thrice"))
    assert there is not None
    assert there.source.name == str(other)
    there = definition(found, at(text, "other.imp"))
    assert there is not None
    assert (there.source.name, there.start) == (str(other), 0)


# ---------------------------------------------------------------- hover


@pytest.mark.parametrize(
    ("mark", "shift", "says"),
    [
        ("rate*f", 0, "`rate` is a param, which is trained, a scalar"),
        ("z[d]", 0, "`z` is a state, which evolves in time, [d]"),
        ("dz/dt", 0, "`dz` is the differential of `z`, [d]"),
        ("f(z)", 0, "MLP: a net layer"),
        ("MLP[d", 0, "A net."),
        ("tanh", 0, FUNCTIONS["tanh"].doc),
        ("half(z0", 0, "fn half(a) = a/2"),
        ("glorot", 0, "Glorot & Bengio"),
        ("positive", 0, "above 0"),
        ("state z", 0, "evolves from its start"),
        ("T, d]", 0, "a size that binds at each call"),
        ("ts\n", 0, "an input, [T]"),
    ],
)
def test_hover_tells_what_a_name_is(flow: Document, mark: str, shift: int, says: str) -> None:
    found = hover(flow, at(TEXT, mark, shift))
    assert found is not None
    assert says in found[0]


def test_hover_is_silent_where_nothing_stands(flow: Document) -> None:
    assert hover(flow, at(TEXT, "  use f")) is None
    assert hover(analyse("", "empty.imp"), 0) is None


# ---------------------------------------------------------------- definition


@pytest.mark.parametrize(
    ("mark", "leads_to"), [("rate*f", "rate = 1"), ("MLP[d", "MLP[n"), ("half(z0", "fn half"), ("dz/dt", "z[d]")]
)
def test_a_name_leads_to_where_it_is_defined(flow: Document, mark: str, leads_to: str) -> None:
    span = definition(flow, at(TEXT, mark))
    assert span is not None
    assert span.start == at(TEXT, leads_to)


def test_a_function_of_the_language_is_defined_nowhere(flow: Document) -> None:
    assert definition(flow, at(TEXT, "tanh")) is None


# ---------------------------------------------------------------- completion


def labels(text: str, before: Document | None = None) -> list[str]:
    """Proposals at the mark | of a text."""
    offset = text.index("|")
    return [item.label for item in complete(analyse(text.replace("|", ""), "a.imp", before), offset)]


def test_completion_fits_the_place(flow: Document) -> None:
    assert labels("|") == list(ITEM_WORDS)
    inside = TEXT.replace("  return z at ts", "  |\n  return z at ts")
    assert {*STATEMENT_WORDS, "rate", "z", "f", "tanh", "half", "pi"} <= set(labels(inside, flow))
    found = labels(TEXT.replace("-rate*f(z)", "-rate*|"), flow)
    assert {"z", "rate", "sigmoid", "half"} <= set(found)
    assert "state" not in found
    assert labels(TEXT.replace("in positive", "in |"), flow) == list(SETS)
    assert labels(TEXT.replace("~ glorot()", "~ |"), flow) == list(DRAWS)
    assert labels(TEXT.replace("MLP[d, h]", "|"), flow) == ["MLP", "Flow"]
    solvers = labels(TEXT.replace("  return z at ts", "  solver |\n  return z at ts"), flow)
    assert "tsit5" in solvers
    assert "newton" not in solvers
    assert "discrete" in labels(TEXT.replace("  return z at ts", "  adjoint |\n  return z at ts"), flow)
    assert labels(TEXT.replace("# A net.", "# A |"), flow) == []


def test_every_word_has_its_page() -> None:
    assert set(SET_WORDS) == set(SETS)
    assert set(DRAW_WORDS) == set(DRAWS)
    assert {*ITEM_WORDS, *STATEMENT_WORDS} <= set(WORDS)
