"""Sizes with all names bound: ints, shapes and ranges, within a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from implicitdsl.diagnostics import Diagnostic, ImpError, Span
from implicitdsl.semantics.budget import ROUNDS, SCALARS
from implicitdsl.syntax import tree


def fail(code: str, message: str, span: Span, *, remark: str = "", help: str = "") -> ImpError:
    """An ImpError with one diagnostic."""
    return ImpError([Diagnostic(code, message, span, remark, (), help)])


@dataclass
class Spent:
    """How many rounds of loops a definition has used, over all nested scopes."""

    rounds: int = 0


class SizeScope:
    """What size expressions mean; `names` may hold other things than ints, which are no sizes."""

    def __init__(self, names: Mapping[str, object], spent: Spent | None = None) -> None:
        self.bound: dict[str, int] = {name: value for name, value in names.items() if isinstance(value, int)}
        self.spent = spent or Spent()

    def size(self, expression: tree.Expression) -> int:
        """The value of a size expression; anything else is E3xx."""
        match expression:
            case tree.Number(text=text) if text.isdigit():
                value = int(text)
            case tree.Name(id=name) if name in self.bound:
                value = self.bound[name]
            case tree.Negate(operand=operand):
                value = -self.size(operand)
            case tree.Binary(operator="+", left=left, right=right):
                value = self.size(left) + self.size(right)
            case tree.Binary(operator="-", left=left, right=right):
                value = self.size(left) - self.size(right)
            case tree.Binary(operator="*", left=left, right=right):
                value = self.size(left) * self.size(right)
            case tree.Binary(operator="^", left=left, right=right) if 0 <= (exponent := self.size(right)) <= 64:
                value = self.size(left) ** exponent
            case _:
                raise fail(
                    "E304",
                    f"`{expression.span.text}` is not a size",
                    expression.span,
                    remark="a size is made of integers, sizes and loop names with + - *",
                )
        if abs(value) > SCALARS:
            raise fail("E305", f"the size {value} is beyond the budget of {SCALARS}", expression.span)
        return value

    def shape(self, sizes: Sequence[tree.Expression]) -> tuple[int, ...]:
        """A shape; negative sizes and more than the budget of scalars are E3xx."""
        shape = tuple(self.size(s) for s in sizes)
        for value, expression in zip(shape, sizes, strict=True):
            if value < 0:
                raise fail(
                    "E304",
                    f"the size `{expression.span.text}` is {value}",
                    expression.span,
                    remark="a size is 0 or more",
                )
        if math.prod(shape) > SCALARS:
            raise fail(
                "E305",
                f"{math.prod(shape)} scalars are beyond the budget of {SCALARS}",
                sizes[0].span.to(sizes[-1].span),
            )
        return shape

    def range(self, bounds: tree.Range) -> range:
        """A half-open range of ints within the loop budget."""
        found = range(self.size(bounds.start), self.size(bounds.stop))
        self.spent.rounds += len(found)
        if self.spent.rounds > ROUNDS:
            raise fail("E305", f"loops beyond the budget of {ROUNDS} rounds", bounds.span)
        return found
