"""Texts with tokens exchanged, and texts made to be too large, end in findings: never in another exception or a hang."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest

from implicitdsl.diagnostics import ImpError, Report
from implicitdsl.semantics.check import check
from implicitdsl.syntax import tree
from implicitdsl.syntax.reader import read
from tests.semantics.checking import checked, codes

SAMPLES = Path(__file__).with_name("language.imp").read_text(encoding="utf-8")
DEFINITIONS = re.split(r"\n\n(?=\w+ [A-Z])", SAMPLES)
TOKENS = re.compile(r"[A-Za-z_]\w*|\d+|[-+*/@^<>=]+|[^\sA-Za-z_\d]")
KEYWORDS = frozenset("use let return at from to in for when subject path if then else and or not".split())
KINDS = ("net", "ode", "dae", "sde", "cde", "bvp", "fixpoint", "root", "argmin")
ROLES = ("state", "var", "param", "const")
NAMES = (
    "x", "z", "n", "m", "t", "dt", "dz", "dW", "X", "k", "T", "f", "W", "MLP", "sum", "stack", "grad", "div", "dual", "reshape", "eye",
    "positive", "simplex", "normal", "pi", "solve", "max", "train", "softmax",
)  # fmt: skip
CLASSES: tuple[tuple[str, ...], ...] = (
    KINDS,
    ROLES,
    ("minimize", "maximize"),
    ("0", "1", "2", "7", "10"),
    ("+", "-", "*", "/", "@", "^"),
)


def replacement(token: str, chance: random.Random) -> str:
    """Another token of the same class, so that most texts are still read."""
    for members in CLASSES:
        if token in members or (token.isdigit() and "7" in members):
            return chance.choice(members)
    if token.isidentifier() and token not in KEYWORDS:
        return chance.choice((*NAMES, f"{token}[0]", f"{token}.T", f"{token}(x)", f"d{token}"))
    return token if chance.random() < 0.9 else ""


def mutated(chance: random.Random) -> str:
    """One definition of the samples with one to three tokens exchanged; MLP stands before it."""
    pieces = re.split(f"({TOKENS.pattern})", chance.choice(DEFINITIONS))
    places = range(1, len(pieces), 2)
    for _ in range(chance.randint(1, 3)):
        i, j = chance.choice(places), chance.choice(places)
        if chance.random() < 0.1 and pieces[i].isidentifier() == pieces[j].isidentifier():
            pieces[i] = pieces[j]
        else:
            pieces[i] = replacement(pieces[i], chance)
    return DEFINITIONS[1] + "\n\n" + "".join(pieces)


def test_mutated_texts_raise_nothing_but_imp_error() -> None:
    chance = random.Random(20)
    read, wrong = 0, set[str]()
    for _ in range(2000):
        text = mutated(chance)
        try:
            _, report = checked(text)
        except ImpError:
            continue  # no tree: the reader's business
        read += 1
        wrong |= {finding.code for finding in report.found}
        for finding in report.found:
            assert finding.span is not None, text
            assert finding.message
            assert str(ImpError([finding]))
    assert read > 600  # most mutations reach the check, or the test would show nothing
    assert len(wrong) > 20, wrong


HOSTILE = {
    "a large input": ("net A(x[10^9]) -> [10^9] { return x }", "E305"),
    "a large param": ("net A[n](x[n]) -> [n] {\n param W[10^5, 10^5] = 0\n return x + sum(W)\n}", "E305"),
    "a large intermediate": ("net A(x[10^5]) -> y { return sum(outer(x, x)) }", "E305"),
    "a large default": ("net A[n = 10^12](x[n]) -> [n] { return x }", "E305"),
    "a large filling": ("net A(x) -> y { return x + sum(zeros(10^5, 10^5)) }", "E305"),
    "a large identity": ("net A(x) -> y { return x + sum(eye(10^6)) }", "E305"),
    "a tower": ("net A(x[10^10^10]) -> y { return sum(x) }", "E305"),
    "a long loop": ("net A(x) -> y { return sum(x*k for k in 0:10^7) }", "E305"),
    "nested loops": ("net A(x) -> y { return sum(sum(x*j*k for j in 0:1000) for k in 0:1000) }", "E305"),
    "nested constraints": (
        "argmin A(x) -> z {\n var z\n minimize (z - x)^2\n subject to {\n for i in 0:1000 {\n for j in 0:1000 { z >= i + j }\n }\n }\n return z\n}",
        "E305",
    ),
    "powers of sums": ("net A[a, b, c](x[(a + b + c)^50]) -> y { return sum(x) }", "E305"),
    "a deep chain of functions": (
        "\n".join(["fn f0(x) = x", *(f"fn f{i}(x) = f{i - 1}(x) + 1" for i in range(1, 500))])
        + "\nnet A(x) -> y { return f499(x) }",
        "E305",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sizes_and_loops_are_a_finding(name: str) -> None:
    text, code = HOSTILE[name]
    assert set(codes(text)) == {code}


def test_doubling_functions_are_looked_at_once_a_shape() -> None:
    fns = ["fn f0(x) = x", *(f"fn f{i}(x) = f{i - 1}(x) + f{i - 1}(x)" for i in range(1, 60))]
    assert codes("\n".join(fns) + "\nnet A(x) -> y { return f59(x) }") == []


def test_differentials_are_followed_through_functions_once() -> None:
    fns = ["fn f0(x) = x", *(f"fn f{i}(x) = f{i - 1}(x) + f{i - 1}(x)" for i in range(1, 60))]
    sde = "\nsde A(x0) -> y {\n noise W\n state x = x0\n dx = f59(dW)\n from t = 0 to 1\n return x\n}"
    assert codes("\n".join(fns) + sde) == []
    endless = "fn f59(x) = f59(x) + x"
    assert "E209" in codes(endless + sde)


def test_a_text_with_countless_errors_tells_the_first_ones() -> None:
    lines = "\n".join(f" let y{i} = q{i} + r{i}" for i in range(600))
    assert len(codes(f"net A(x) -> y {{\n{lines}\n return x\n}}")) == 200


def test_long_texts() -> None:
    sum_of_many = " + ".join(["x"] * 150)
    assert codes(f"net A(x) -> y {{ return {sum_of_many} }}") == []
    assert (
        codes(
            f"sde A(x0) -> y {{\n noise W\n state x = x0\n dx = {' + '.join(['x*dW'] * 150)}\n from t = 0 to 1\n return x\n}}"
        )
        == []
    )
    lets = "\n".join(["let y0 = x", *(f"let y{i} = y{i - 1} + 1" for i in range(1, 800))])
    assert codes(f"net A(x) -> y {{\n{lets}\n return y799\n}}") == []


def test_a_tree_of_any_depth_needs_no_stack() -> None:
    file = read("sde A(x0) -> y {\n noise W\n state x = x0\n dx = dW\n from t = 0 to 1\n return x\n}", "sample.imp")
    (definition,) = file.items
    assert isinstance(definition, tree.Definition)
    equation = definition.body[2]
    assert isinstance(equation, tree.Equation)
    right = equation.right
    for _ in range(20_000):
        right = tree.Binary("+", tree.Negate(right, span=right.span), equation.right, span=right.span)
    body = (*definition.body[:2], dataclasses.replace(equation, right=right), *definition.body[3:])
    report = Report()
    check(
        dataclasses.replace(file, items=(dataclasses.replace(definition, body=body),)),
        report,
        imports=lambda path: file,
    )
    assert report.found == []


def test_many_layers_that_use_each_other() -> None:
    chain = ["net L0(x) -> y { return x }"]
    chain += [f"net L{i}(x) -> y {{\n use f = L{i - 1}\n return f(x)\n}}" for i in range(1, 400)]
    assert codes("\n".join(reversed(chain))) == []


def test_a_large_root_is_matched() -> None:
    names = [f"x{i}" for i in range(300)]
    equations = "\n".join(f"x{i}^2 + x{i + 1} = a" for i in range(299))
    text = f"root A(a) -> y {{\nvar {', '.join(names)}\n{equations}\nx299 = a\nreturn x0\n}}"
    assert codes(text) == []
