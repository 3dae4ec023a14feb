"""Sizes: integer polynomials in the names of sizes, exact.

A size is known for all layers of a definition only as a polynomial such as `n*m + 1`. Two sizes agree if and only if
their polynomials are equal: names of sizes are independent of each other, so `n` never agrees with `m`, nor with `3`.
What depends on the values (is `k` below `n`?) is decided here where it holds for all sizes, and at construction
otherwise, by running the same checks with every name bound to its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from implicitdsl.syntax import tree

Monomial = tuple[tuple[str, int], ...]  # names with powers, sorted; () is 1

TERMS = 64  # a size with more terms than this is refused: products of sums would grow without bound
DIGITS = 10**18


class SizeBudgetError(Exception):
    """A size expression is too large to be worked with."""


class NotASizeError(Exception):
    """An expression is not a size. `span` is that of the part at fault."""

    def __init__(self, reason: str, where: tree.Node, *, help: str = "", code: str = "E304") -> None:
        super().__init__(reason)
        self.reason, self.where, self.help, self.code = reason, where, help, code


@final
class Size:
    """An integer polynomial in names of sizes. Immutable; `==` with another or an int is equality for all values."""

    __slots__ = ("terms",)
    terms: tuple[tuple[Monomial, int], ...]  # sorted, no zero coefficient

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = tuple(sorted((m, c) for m, c in terms.items() if c))
        if len(kept) > TERMS or any(abs(c) > DIGITS for _, c in kept):
            raise SizeBudgetError
        self.terms = kept

    @staticmethod
    def of(value: int) -> Size:
        """A constant."""
        return Size({(): value})

    @staticmethod
    def named(name: str) -> Size:
        """The size of that name."""
        return Size({((name, 1),): 1})

    @property
    def constant(self) -> int | None:
        """Its value if it has no name in it, else None."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == () else None

    @property
    def names(self) -> frozenset[str]:
        """The names that it depends on."""
        return frozenset(name for monomial, _ in self.terms for name, _ in monomial)

    @property
    def never_negative(self) -> bool:
        """True where it is >= 0 whatever the sizes (all of them >= 0); False says nothing."""
        return all(c > 0 for _, c in self.terms)

    @property
    def always_negative(self) -> bool:
        """True where it is < 0 whatever the sizes (all of them >= 0); False says nothing."""
        return bool(self.terms) and self.terms[0][0] == () and all(c < 0 for _, c in self.terms)

    def put(self, values: Mapping[str, Size]) -> Size:
        """The polynomial with others put in for some of its names, all at once."""
        if not any(name in values for name in self.names):
            return self
        found = Size.of(0)
        for monomial, coefficient in self.terms:
            term = Size.of(coefficient)
            for name, power in monomial:
                term = term * values.get(name, Size.named(name)) ** power
            found = found + term
        return found

    def value(self, values: Mapping[str, int]) -> int:
        """The integer at these values of all its names (KeyError where one is missing)."""
        total = 0
        for monomial, coefficient in self.terms:
            for name, power in monomial:
                coefficient *= values[name] ** power
            total += coefficient
        return total

    def __add__(self, other: Size | int) -> Size:
        terms = dict(self.terms)
        for monomial, coefficient in lift(other).terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Size(terms)

    def __sub__(self, other: Size | int) -> Size:
        return self + -lift(other)

    def __neg__(self) -> Size:
        return Size({m: -c for m, c in self.terms})

    def __mul__(self, other: Size | int) -> Size:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in lift(other).terms:
                powers = dict(left)
                for name, power in right:
                    powers[name] = powers.get(name, 0) + power
                monomial = tuple(sorted(powers.items()))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Size(terms)

    def __pow__(self, exponent: int) -> Size:
        if self.constant in (0, 1) or exponent == 0:
            return self if exponent else Size.of(1)
        if exponent > TERMS:
            raise SizeBudgetError
        found = Size.of(1)
        for _ in range(exponent):
            found = found * self
        return found

    def __radd__(self, other: int) -> Size:
        return self + other

    def __rsub__(self, other: int) -> Size:
        return lift(other) - self

    def __rmul__(self, other: int) -> Size:
        return self * other

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Size):
            return self.terms == other.terms
        return isinstance(other, int) and self.constant == other

    def __hash__(self) -> int:
        return hash(self.terms) if self.constant is None else hash(self.constant)

    def __repr__(self) -> str:
        return f"Size({self})"

    def __str__(self) -> str:
        """As one would write it: highest powers first, `n*m + 1`."""
        ordered = sorted(self.terms, key=lambda term: (-sum(p for _, p in term[0]), term[0]))
        text = ""
        for monomial, coefficient in ordered:
            factors = [name if power == 1 else f"{name}^{power}" for name, power in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            text += sign + "*".join(factors)
        return text or "0"


Shape = tuple[Size, ...]


def lift(value: Size | int) -> Size:
    """The size itself, or the constant."""
    return value if isinstance(value, Size) else Size.of(value)


def count(shape: Shape) -> Size:
    """How many scalars a tensor of this shape has."""
    total = Size.of(1)
    for size in shape:
        total = total * size
    return total


def show(shape: Shape) -> str:
    """A shape as it is written, `[n, m]`; `a scalar` for ()."""
    return f"[{', '.join(map(str, shape))}]" if shape else "a scalar"


def read_size(expression: tree.Expression, resolve: Callable[[tree.Name], Size]) -> Size:
    """The polynomial of a size expression: integers, names that `resolve` knows, `+ - * ^` with a constant exponent.

    Raises NotASizeError at the part that is no such thing (or from `resolve`). The walk is a loop, so that a sum of ten
    thousand terms is no deeper than one of two.
    """
    done: list[Size] = []
    work: list[tree.Expression | tuple[tree.Expression]] = [expression]  # a tuple: its operands are done
    while work:
        item = work.pop()
        try:
            if isinstance(item, tuple):
                done.append(_combine(item[0], done))
            else:
                _open(item, work, done, resolve)
        except SizeBudgetError:
            raise NotASizeError(
                "the size is too large", item[0] if isinstance(item, tuple) else item, code="E305"
            ) from None
    return done[0]


def _open(
    item: tree.Expression,
    work: list[tree.Expression | tuple[tree.Expression]],
    done: list[Size],
    resolve: Callable[[tree.Name], Size],
) -> None:
    match item:
        case tree.Number(text=text) if text.isascii() and text.isdigit():
            if len(text) > 18:
                raise SizeBudgetError
            done.append(Size.of(int(text)))
        case tree.Number():
            raise NotASizeError("a size is an integer", item)
        case tree.Name():
            done.append(resolve(item))
        case tree.Negate(operand=operand):
            work += [(item,), operand]
        case tree.Binary(operator="+" | "-" | "*" | "^", left=left, right=right):
            work += [(item,), right, left]
        case tree.Binary(operator="/"):
            raise NotASizeError("`/` is real division", item, help="pass the quotient as a size of its own")
        case _:
            raise NotASizeError("a size is made of integers and names of sizes with `+ - * ^`", item)


def _combine(item: tree.Expression, done: list[Size]) -> Size:
    match item:
        case tree.Negate():
            return -done.pop()
        case tree.Binary(operator=operator):
            right, left = done.pop(), done.pop()
            if operator == "+":
                return left + right
            if operator == "-":
                return left - right
            if operator == "*":
                return left * right
            exponent = right.constant
            if exponent is None or exponent < 0:
                raise NotASizeError("the exponent of a size is an integer >= 0", item.right)
            return left**exponent
        case _:
            raise AssertionError("only negations and binary operations are opened")
