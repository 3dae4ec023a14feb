"""What the shape rules pass around: values, the place of an expression, and the loop that drives them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from implicitdsl.diagnostics import Span
from implicitdsl.semantics.indexing import Loop
from implicitdsl.semantics.sizes import Shape
from implicitdsl.semantics.symbols import CheckedFunction, Symbol
from implicitdsl.syntax import tree

T = TypeVar("T")


def drive(step: Generator[Any, Any, T]) -> T:
    """Run a generator that yields generators of its own kind and is sent what they return.

    A recursion written this way uses the heap instead of the Python stack: no text is too deep for it.
    """
    stack: list[Generator[Any, Any, Any]] = [step]
    sent: Any = None
    while stack:
        try:
            stack.append(stack[-1].send(sent))
            sent = None
        except StopIteration as end:
            stack.pop()
            sent = end.value
    return sent


@dataclass(frozen=True)
class Value:
    """What an expression is: a tensor of a shape (None: unknown after an error), or a condition, true or false."""

    shape: Shape | None
    condition: bool = False


UNKNOWN = Value(None)
Step = Generator[Any, Any, Value]


@dataclass(frozen=True)
class Frame:
    """Where an expression stands: names that a `for` or a `fn` binds, the loops around it, the functions it is in."""

    locals: Mapping[str, Symbol] = field(default_factory=dict[str, Symbol])
    loops: tuple[Loop, ...] = ()
    rounds: int = 1
    function: CheckedFunction | None = None
    called: Span | None = None
    depth: int = 0

    def inside(self, loop: Loop, span: Span, rounds: int) -> Frame:
        """The frame with a loop name bound."""
        bound = {**self.locals, loop.name: Symbol(loop.name, "loop", (), span)}
        return Frame(bound, (*self.loops, loop), rounds, self.function, self.called, self.depth)


OUTSIDE = Frame()


def brief(node: tree.Node) -> str:
    """The text of a node on one line, shortened."""
    text = " ".join(node.span.text.split())
    return text if len(text) <= 60 else text[:57] + "…"
