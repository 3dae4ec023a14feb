"""Precedence and association, one row of the language's table at a time."""

from __future__ import annotations

import pytest

from implicitdsl.diagnostics import ImpError
from implicitdsl.syntax import tree
from implicitdsl.syntax.phrases import expression
from implicitdsl.syntax.reader import read_choice, read_expression

# An expression, and the same with every operation in parentheses.
TABLE = [
    ("a + b + c", "((a + b) + c)"),
    ("a - b - c", "((a - b) - c)"),
    ("a - b + c", "((a - b) + c)"),
    ("a/b*c", "((a/b)*c)"),
    ("a*b/c", "((a*b)/c)"),
    ("a*b @ c", "((a*b) @ c)"),
    ("a @ b*c", "((a @ b)*c)"),
    ("a @ b @ c", "((a @ b) @ c)"),
    ("a + b*c", "(a + (b*c))"),
    ("a*b + c", "((a*b) + c)"),
    ("-x^2", "(-(x^2))"),
    ("-x*y", "((-x)*y)"),
    ("-x + y", "((-x) + y)"),
    ("a - -b", "(a - (-b))"),
    ("a*-b", "(a*(-b))"),
    ("--a", "(-(-a))"),
    ("a^b^c", "(a^(b^c))"),
    ("a^-b^c", "(a^(-(b^c)))"),
    ("(a^b)^c", "((a^b)^c)"),
    ("(-a)^2", "((-a)^2)"),
    ("x[0]^2", "(x[0]^2)"),
    ("A.T @ b", "(A.T @ b)"),
    ("-A.T", "(-A.T)"),
    ("f(x).T[0]", "f(x).T[0]"),
    ("a + b < c*d", "((a + b) < (c*d))"),
    ("a <= b + c <= d", "(a <= (b + c) <= d)"),
    ("a + b in s", "((a + b) in s)"),
    ("not a < b", "(not (a < b))"),
    ("not a and b", "((not a) and b)"),
    ("not not a", "(not (not a))"),
    ("a or b and c", "(a or (b and c))"),
    ("a and b or c", "((a and b) or c)"),
    ("a or b or c", "((a or b) or c)"),
    ("a < b and c in d or not e", "(((a < b) and (c in d)) or (not e))"),
    ("if a then b else c + d", "(if a then b else (c + d))"),
    ("if a then b else if c then d else e", "(if a then b else (if c then d else e))"),
    ("if a then if b then c else d else e", "(if a then (if b then c else d) else e)"),
    ("if a or b then c else d or e", "(if (a or b) then c else (d or e))"),
    ("1 + (if a then b else c)", "(1 + (if a then b else c))"),
]


def bracketed(node: tree.Expression) -> str:
    """The expression with parentheses around every operation, by the tree alone."""
    match node:
        case tree.Binary(operator=operator, left=left, right=right):
            sign = f" {operator} " if operator in "+-@" else operator
            return f"({bracketed(left)}{sign}{bracketed(right)})"
        case tree.Negate(operand=operand):
            return f"(-{bracketed(operand)})"
        case tree.Not(operand=operand):
            return f"(not {bracketed(operand)})"
        case tree.Logical(operator=operator, left=left, right=right):
            return f"({bracketed(left)} {operator} {bracketed(right)})"
        case tree.Compare(operators=operators, operands=operands):
            rest = (f" {o} {bracketed(x)}" for o, x in zip(operators, operands[1:], strict=True))
            return f"({bracketed(operands[0])}{''.join(rest)})"
        case tree.Contains(item=item, set=members):
            return f"({bracketed(item)} in {bracketed(members)})"
        case tree.IfElse(condition=condition, yes=yes, no=no):
            return f"(if {bracketed(condition)} then {bracketed(yes)} else {bracketed(no)})"
        case _:
            return expression(node)


@pytest.mark.parametrize(("text", "meaning"), TABLE)
def test_precedence(text: str, meaning: str) -> None:
    node = read_expression(text)
    assert bracketed(node) == meaning
    assert expression(node) == text
    assert read_expression(meaning) == node


def test_if_inside_an_operation_needs_parentheses() -> None:
    with pytest.raises(ImpError, match="E101"):
        read_expression("1 + if a then b else c")


@pytest.mark.parametrize(
    "text", ["x[0]", "x[a:b]", "x[:b, a:]", "x[:]", "x[-1, k + 1:n]", "(2).T", "m.f(x)", "x(t - tau)"]
)
def test_postfix_forms_print_as_written(text: str) -> None:
    assert expression(read_expression(text)) == text


@pytest.mark.parametrize("text", ["1", "1.5", ".5", "2.", "1e-3", "1.5E+10", "007"])
def test_numbers_keep_their_text(text: str) -> None:
    node = read_expression(text)
    assert isinstance(node, tree.Number)
    assert node.text == text
    assert node.value == float(text)


def test_a_choice_is_read_as_in_a_file() -> None:
    choice = read_choice("solver", "anderson(m = 5)")
    assert (choice.what, choice.name) == ("solver", "anderson")
    assert [option.name for option in choice.options] == ["m"]
    assert read_choice("adjoint", "jfb").options == ()
    with pytest.raises(ImpError, match="E1"):
        read_choice("solver", "anderson(5)")
