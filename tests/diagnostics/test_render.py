"""Diagnostics as people and machines see them."""

from __future__ import annotations

import json

from implicitdsl.diagnostics import Diagnostic, Fix, Label, Source, Span, as_dict, render

TEXT = """fixpoint DEQ[n, m](x[k]) -> [n] {
  param W[n, n] ~ normal(0, 0.1)
  param U[n, m] ~ glorot()
  param b[n] = 0
  var z[n] = 0
  z = tanh(W @ z + U @ x + b)
\tlet a = 1
"""
SOURCE = Source("deq.imp", TEXT)


def span(text: str, end: str | None = None) -> Span:
    start = TEXT.index(text)
    return Span(SOURCE, start, TEXT.index(end or text) + len(end or text))


def test_place_remark_label_and_help() -> None:
    finding = Diagnostic(
        "E302",
        "sizes do not agree in `U @ x`",
        span("U @ x"),
        "U is [n, m], x is [k]",
        (Label(span("x[k]"), "x has size k"),),
        "did you mean x[m]?",
    )
    assert render(finding) == (
        "error[E302]: sizes do not agree in `U @ x`\n"
        "  --> deq.imp:6:20\n"
        "   |\n"
        " 1 | fixpoint DEQ[n, m](x[k]) -> [n] {\n"
        "   |                    ---- x has size k\n"
        " 6 |   z = tanh(W @ z + U @ x + b)\n"
        "   |                    ^^^^^ U is [n, m], x is [k]\n"
        "   = help: did you mean x[m]?"
    )


def test_tabs_count_as_the_blanks_they_show_as() -> None:
    assert render(Diagnostic("W201", "t", span("a = 1"))).split("\n")[3:] == [
        " 7 |     let a = 1",
        "   |         ^^^^^",
    ]


def test_a_span_of_many_lines_marks_its_first_and_last() -> None:
    assert render(Diagnostic("E401", "t", span("b[n] = 0", "var z[n]"), "here")).split("\n")[3:] == [
        " 4 |   param b[n] = 0",
        "   |         ^^^^^^^^",
        " 5 |   var z[n] = 0",
        "   |   ^^^^^^^^ here",
    ]


def test_a_long_line_is_shown_in_part() -> None:
    source = Source("long.imp", "x" * 5000 + "!" + "y" * 5000)
    lines = render(Diagnostic("E102", "t", Span(source, 5000, 5001))).split("\n")
    assert len(lines[3]) < 200
    assert lines[3][lines[4].index("^")] == "!"


def test_without_a_place() -> None:
    assert render(Diagnostic("E701", "it failed", help="try again")) == "error[E701]: it failed\n   = help: try again"


def test_as_dict_is_json() -> None:
    finding = Diagnostic("E106", "m", span("U @ x"), labels=(Label(span("x[k]"), "l"),), fix=Fix(span("U @ x"), "x"))
    data = json.loads(json.dumps(as_dict(finding)))
    place = {"file": "deq.imp", "line": 6, "column": 20, "end_line": 6, "end_column": 25}
    assert data["place"] == place
    assert data["fix"] == {"replacement": "x", "place": place}
    assert data["labels"][0]["place"]["column"] == 20
    assert (data["code"], data["severity"]) == ("E106", "error")
