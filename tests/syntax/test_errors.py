"""Syntax errors: one a statement, all together, each in its place, mended by `fmt` where that is possible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from implicitdsl.diagnostics import ImpError, Report
from implicitdsl.syntax import tree
from implicitdsl.syntax.printer import format_text
from implicitdsl.syntax.reader import read, read_with_report
from implicitdsl.syntax.scanner import NAME, NUMBER, STRING
from implicitdsl.syntax.words import KEYWORDS, SOFT_KEYWORDS

BAD = sorted((Path(__file__).parents[1] / "golden" / "bad").glob("*.imp"))


def found(text: str) -> list[tuple[str, int]]:
    report = Report()
    read_with_report(text, "t", report)
    return [(d.code, d.span.line if d.span else 0) for d in report.in_text_order()]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_error_text(path: Path) -> None:
    with pytest.raises(ImpError) as caught:
        read(path.read_text(encoding="utf-8"), path.name)
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_bad_texts() -> None:
    assert BAD


def in_ode(*lines: str) -> str:
    return "ode A(x0, ts[T]) -> [T] {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("state x =", "let b = 2x", "return x"), [("E112", 2), ("E114", 3)]),
        (("let a = x ** 2 ** 3", "let b = a ** 2"), [("E106", 2), ("E106", 3)]),
        (("let a = f(x", "let b = )", "return b"), [("E104", 2), ("E104", 3)]),
        (
            ("when x = 3 {", "v = 3", "v := 4", "let q = 3", "}", "x := 3"),
            [("E101", 2), ("E115", 3), ("E101", 5), ("E101", 7)],
        ),
        (("x <= 3", "foo(x)", "return"), [("E101", 2), ("E101", 3), ("E112", 4)]),
        (("subject to { let a = 1 }", "let a = 1 let b = 2"), [("E101", 2), ("E114", 3)]),
        (("let if = 3", "let b = return", "stop"), [("E105", 2), ("E105", 3), ("E101", 4)]),
        (("let a = $", "let b = 'x'", 'let c = "x'), [("E102", 2), ("E102", 3), ("E103", 4)]),
    ],
)
def test_errors_are_told_together_one_a_statement(lines: tuple[str, ...], expected: list[tuple[str, int]]) -> None:
    assert found(in_ode(*lines)) == expected


def test_a_wrong_header_does_not_hide_its_body() -> None:
    assert found("ode A(x, -> y {\n  let = 3\n}\nlayer B(x) -> y {\n  let a 3\n}\n") == [
        ("E104", 1),
        ("E101", 2),
        ("E116", 4),
        ("E101", 5),
    ]


def test_a_block_that_is_never_closed_ends_at_the_next_definition() -> None:
    assert found("net A(x) -> y {\n  return x\n\nnet B(x) -> y {\n  return = x\n}\n") == [("E104", 1), ("E101", 5)]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("let a = x**2", "let a = x^2"),
        ("x' = -x", "dx/dt = -x"),
        ("θ' = -θ", "dθ/dt = -θ"),
        ("let B = A' @ A", "let B = A.T @ A"),
        ("x == 2**3**x", "x = 2^3^x"),
        ("when x ≤ 0&&!(x < −1) { stop }", "when x <= 0 and not x < -1 { stop }"),
        ("let a = 2×x ÷ 3", "let a = 2*x/3"),
    ],
)
def test_fmt_applies_fixes(wrong: str, right: str) -> None:
    assert format_text(in_ode(wrong, "return x")) == in_ode(right, "return x")


def test_fmt_tells_the_errors_of_the_text_it_was_given() -> None:
    with pytest.raises(ImpError) as caught:
        format_text(in_ode("let a = x**2", "let = 3"))
    assert [(d.code, d.span and d.span.line) for d in caught.value.diagnostics] == [("E106", 2), ("E101", 3)]


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_a_keyword_names_nothing(word: str) -> None:
    assert found(in_ode(f"let {word} = 3", "return x"))[0] == ("E105", 2)


@pytest.mark.parametrize("word", sorted(SOFT_KEYWORDS))
def test_a_soft_keyword_may_name_a_thing(word: str) -> None:
    assert found(in_ode(f"let {word} = 3", f"noise W, {word}", f"return {word}")) == []


def test_keywords_and_words_are_those_of_the_grammar() -> None:
    from implicitdsl.syntax.parse import grammar

    terminals = grammar().terminals
    fixed = {t.pattern.value for t in terminals if t.pattern.type == "str"}
    assert {word for word in fixed if word.isalpha()} == KEYWORDS | SOFT_KEYWORDS
    patterns = {t.name: t.pattern.value.replace("\n", r"\n") for t in terminals if t.pattern.type == "re"}
    assert (patterns["NAME"], patterns["NUMBER"], patterns["STRING"]) == (NAME, NUMBER, STRING)


def test_newlines() -> None:
    def body(text: str) -> tuple[tree.Statement, ...]:
        (item,) = read(f"net N(x) -> y {{\n{text}\n}}").items
        assert isinstance(item, tree.Definition)
        return item.body

    one = body("let a = b + c*d in e")
    assert body("let a =\n b\n + c\n\n # note\n * d\n in e") == one
    assert body("let a = b + # note\n c *\n d in\n e") == one
    assert len(body("a = b\n-c = d")) == 2
    assert body("let a = (b\n - c)") == body("let a = b - c")


def test_the_warning_of_a_minus() -> None:
    assert found(in_ode("x = y", "    -z = x")) == [("W101", 3)]
    assert found(in_ode("x = y", "-z = x")) == []
    assert found(in_ode("x = y", "    + z")) == []
    assert found(in_ode("subject to {", "    -z <= x", "}")) == []


def test_documentation_is_the_comments_right_above() -> None:
    (item,) = read("# not this\n\n# first\n#  second\nnet N(x) -> y { return x }\n").items
    assert isinstance(item, tree.Definition)
    assert item.doc == "first\n second"


def test_comments_keep_their_places() -> None:
    text = (
        "# top\n\n# doc\nnet N(x) -> y {  # head\n  # own\n  let a = x  # behind\n\n  # last\n  return a\n  # end\n}  # tail\n"
        "\n# bottom\n"
    )
    assert format_text(text) == text
    assert format_text(re.sub(" +#", "#", text)) == text


def test_a_text_may_be_empty() -> None:
    assert read("").items == ()
    assert format_text("\n\n") == ""
    assert format_text("# only\n") == "# only\n"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("let a = x²", "let a = x^2"),
        ("let x₀ = x", "let x0 = x"),
        ("let a = Wᵀ @ x", "let a = W.T @ x"),
        ("let a = x.*min(x, ∞)", "let a = x*min(x, inf)"),
        ("// note", "# note"),
    ],
)
def test_fmt_writes_signs_of_other_languages_as_words(wrong: str, right: str) -> None:
    assert format_text(in_ode("let b = x", wrong, "return x")) == in_ode("let b = x", right, "return x")


def test_the_lines_of_a_wrong_header_are_not_told_again() -> None:
    assert found("def f(x):\n  let y = x\n  return y\nnet B(x) -> y {\n  return 2x\n}\n") == [("E116", 1), ("E114", 5)]
