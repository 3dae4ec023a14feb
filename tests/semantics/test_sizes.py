"""Sizes are exact integer polynomials; sympy is the reference."""

from __future__ import annotations

import random

import pytest
import sympy

from implicitdsl.semantics.sizes import NotASizeError, Size, SizeBudgetError, read_size
from implicitdsl.syntax import tree
from implicitdsl.syntax.reader import read_expression

NAMES = ("n", "m", "h")


def size_of(text: str) -> Size:
    def resolve(name: tree.Name) -> Size:
        if name.id not in NAMES:
            raise NotASizeError("unknown", name)
        return Size.named(name.id)

    return read_size(read_expression(text), resolve)


def random_text(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.2:
        return chance.choice((*NAMES, "0", "1", "2", "7"))
    left, right = random_text(chance, depth - 1), random_text(chance, depth - 1)
    return chance.choice(
        (f"({left} + {right})", f"({left} - {right})", f"({left})*({right})", f"({left})^2", f"-({left})")
    )


def test_arithmetic_agrees_with_sympy() -> None:
    chance = random.Random(1)
    compared = 0
    for _ in range(300):
        text = random_text(chance, 3)
        try:
            found = size_of(text)
        except SizeBudgetError:
            continue
        wanted = sympy.expand(sympy.sympify(text.replace("^", "**")))
        assert sympy.expand(sympy.sympify(str(found).replace("^", "**")) - wanted) == 0, text
        values = {name: chance.randrange(9) for name in NAMES}
        assert found.value(values) == wanted.subs(values)
        bound = found.put({n: Size.of(v) for n, v in values.items()})
        assert bound == int(wanted.subs(values))
        compared += 1
    assert compared > 250


def test_equal_polynomials_are_equal_sizes_with_equal_hashes() -> None:
    assert size_of("(n + 1)^2") == size_of("n*n + 2*n + 1")
    assert hash(size_of("(n + 1)^2")) == hash(size_of("1 + n^2 + n*2"))
    assert size_of("n") != size_of("m")
    assert size_of("n - n + 3") == 3
    assert hash(size_of("n - n + 3")) == hash(3)
    assert size_of("n") != 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1 + m*n", "m*n + 1"), ("n - 1", "n - 1"), ("0*n", "0"), ("-n", "-n"), ("2*n^2 - 3", "2*n^2 - 3")],
)
def test_a_size_is_shown_as_one_writes_it(text: str, shown: str) -> None:
    assert str(size_of(text)) == shown


def test_all_names_are_put_in_at_once() -> None:
    assert size_of("n*m").put({"n": size_of("m + 1"), "m": size_of("n")}) == size_of("m*n + n")


@pytest.mark.parametrize("text", ["n/2", "1.5", "1e3", "k", "n^m", "n^(0-1)", "[n]", "sin(n)", "n @ m", "n < m"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(NotASizeError):
        size_of(text)


@pytest.mark.parametrize("text", ["10^10^10", "(n + m + h)^60", "n^1000", "10^18*10^18", "9" * 300])
def test_sizes_beyond_the_budget_are_refused_at_once(text: str) -> None:
    with pytest.raises(NotASizeError) as error:
        size_of(text)
    assert error.value.code == "E305"


def test_a_sum_of_many_terms_needs_no_stack() -> None:
    term = read_expression("n")
    whole = term
    for _ in range(2999):
        whole = tree.Binary("+", whole, term, span=term.span)
    assert read_size(whole, lambda name: Size.named(name.id)) == 3000 * Size.named("n")


def test_signs_that_hold_for_all_sizes() -> None:
    assert size_of("n*m + 1").never_negative
    assert not size_of("n - 1").never_negative
    assert size_of("-n - 1").always_negative
    assert not size_of("-n").always_negative
