"""Graphs as formulas: what text and LaTeX share.

A formula is a text with a level that says how tightly it binds (that of `functions/record.py`: 3 for sums, 5 for
products, 9 for what never needs brackets). A value that is long and used twice gets a name and a line of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.layout import is_sum
from implicitdsl.ir.node import (
    Cholesky,
    Constant,
    Contract,
    Delta,
    Factor,
    Leaf,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Solve,
    Window,
    walk,
)

SUM, PRODUCT, ATOM = 3, 5, 9
LONG = 24
"""A text longer than this is named where it is used more than once."""
LONGEST = 400
"""A text longer than this is named in any case."""


def items_of(ranges: Sequence[tuple[int, int]], whole: Sequence[int], *, drop: bool) -> list[str]:
    """The indices and slices of a box; a whole axis is `:`."""
    found: list[str] = []
    for (p, q), n in zip(ranges, whole, strict=True):
        found.append(str(p) if drop and q - p == 1 else ":" if (p, q) == (0, n) else f"{p}:{q}")
    return found


@final
@dataclass(frozen=True)
class Formula:
    """A text and how tightly it binds."""

    text: str
    level: int = ATOM


class Notation(ABC):
    """How one language writes what nodes mean."""

    @abstractmethod
    def leaf(self, leaf: Leaf) -> Formula: ...

    @abstractmethod
    def named(self, number: int) -> Formula:
        """The name of the value numbered."""

    @abstractmethod
    def number(self, value: float) -> Formula: ...

    @abstractmethod
    def array(self, node: Constant) -> Formula: ...

    @abstractmethod
    def identity(self, n: int) -> Formula: ...

    @abstractmethod
    def function(self, name: str, args: Sequence[Formula]) -> Formula:
        """A record of the table applied to formulas."""

    @abstractmethod
    def call(self, name: str, *args: Formula | str) -> Formula:
        """What has no sign of its own."""

    @abstractmethod
    def transposed(self, a: Formula) -> Formula: ...

    @abstractmethod
    def product(self, a: Formula, b: Formula) -> Formula:
        """The matrix product."""

    @abstractmethod
    def inner(self, a: Formula, b: Formula) -> Formula:
        """The dot product of two vectors."""

    @abstractmethod
    def outer(self, a: Formula, b: Formula) -> Formula: ...

    @abstractmethod
    def square(self, a: Formula) -> Formula:
        """The squared norm."""

    @abstractmethod
    def scaled(self, factors: Sequence[Formula], a: Formula) -> Formula:
        """Scalars times a value."""

    @abstractmethod
    def total(self, a: Formula) -> Formula: ...

    @abstractmethod
    def indexed_sum(self, node: Contract, terms: Sequence[tuple[str, Formula]]) -> Formula:
        """Any contraction, by indices."""

    @abstractmethod
    def part(self, a: Formula, ranges: Sequence[tuple[int, int]], whole: Sequence[int], *, drop: bool) -> Formula:
        """A box; `drop`: axes of size 1 vanish."""

    @abstractmethod
    def joined(self, parts: Sequence[Formula], axis: int) -> Formula:
        """A concatenation."""

    @abstractmethod
    def reshaped(self, a: Formula, node: Node) -> Formula: ...

    @abstractmethod
    def inverse_times(self, matrix: Formula, b: Formula, node: Solve) -> Formula: ...


def write(
    outputs: Sequence[Node], notation: Notation, names: Mapping[Node, Formula]
) -> tuple[list[Formula], list[tuple[Formula, Formula]]]:
    """The formulas of the outputs, and the names with their formulas, in the order in which they are needed."""
    users: dict[Node, int] = {}
    order = list(walk(outputs))
    for node in order:
        for arg in node.args:
            users[arg] = users.get(arg, 0) + 1
    written: dict[Node, Formula] = {}
    lines: list[tuple[Formula, Formula]] = []
    for node in order:
        given = names.get(node)
        formula = given or formula_of(node, notation, written)
        repeated = users.get(node, 0) > 1 and len(formula.text) > LONG
        if given is None and (repeated or len(formula.text) > LONGEST) and node not in outputs and node.args:
            name = notation.named(len(lines) + 1)
            lines.append((name, formula))
            formula = name
        written[node] = formula
    return [written[o] for o in outputs], lines


def formula_of(node: Node, notation: Notation, written: Mapping[Node, Formula]) -> Formula:
    """The formula of a node over those of its arguments."""
    args = [written[a] for a in node.args]
    match node:
        case Leaf():
            return notation.leaf(node)
        case Constant():
            return notation.number(float(node.value)) if node.shape == () else notation.array(node)
        case Delta():
            return notation.identity(node.shape[0])
        case Map():
            joined = _concatenation(node, notation, written)
            return joined or expression(node.expr, args, notation)
        case Contract():
            return _contract(node, args, notation)
        case Pick():
            return notation.part(args[0], node.ranges, node.args[0].shape, drop=False)
        case Reshape():
            return _reshape(node, args[0], notation, written)
        case Place():
            return notation.call("place", args[0], _box(node.ranges), str(list(node.shape)))
        case Window() | Scatter():
            if node.strides == ((1, 1),) and node.offset == (0, 0):
                return notation.call("diag", args[0])
            name = "window" if isinstance(node, Window) else "scatter"
            strides = str([list(s) for s in node.strides])
            return notation.call(name, args[0], strides, str(list(node.offset)), str(list(node.shape)))
        case Reduce():
            return notation.call(node.kind, args[0])
        case Factor():
            return args[0]
        case Solve():
            return notation.inverse_times(args[0], args[1], node)
        case LogDet():
            return notation.call("logdet" if node.what == "logabs" else "det", args[0])
        case Cholesky():
            return notation.call("cholesky", args[0])
        case _:
            return notation.call(type(node).__name__, *args)


def expression(expr: Expr, args: Sequence[Formula], notation: Notation) -> Formula:
    """A scalar expression over formulas."""
    found: dict[Expr, Formula] = {}
    for e in walk_expr(expr):
        match e:
            case Arg():
                found[e] = args[e.index]
            case Const():
                found[e] = notation.number(e.value)
            case Apply():
                found[e] = notation.function(e.function, [found[a] for a in e.args])
            case _:
                raise TypeError(f"not an expression: {e!r}")
    return found[expr]


def _box(ranges: Sequence[tuple[int, int]]) -> str:
    return "[" + ", ".join(f"{p}:{q}" for p, q in ranges) + "]"


def _concatenation(node: Map, notation: Notation, written: Mapping[Node, Formula]) -> Formula | None:
    """The parts where a sum of Places is a concatenation, else None."""
    if not is_sum(node):
        return None
    boxes: list[tuple[tuple[int, int], ...]] = []
    for arg in node.args:
        if not isinstance(arg, Place):
            return None
        boxes.append(arg.ranges)
    moving = [k for k in range(len(node.shape)) if len({box[k] for box in boxes}) > 1]
    if len(moving) != 1:
        return None
    axis = moving[0]
    ends = [0, *(box[axis][1] for box in boxes)]
    if any(box[axis][0] != end for box, end in zip(boxes, ends, strict=False)) or ends[-1] != node.shape[axis]:
        return None
    if any(box[k] != (0, n) for box in boxes for k, n in enumerate(node.shape) if k != axis):
        return None
    parts: list[Formula] = []
    for arg in node.args:
        inner = arg.args[0]
        scalar = isinstance(inner, Reshape) and inner.args[0].shape == ()
        parts.append(written[inner.args[0] if scalar else inner])
    return notation.joined(parts, axis)


def _reshape(node: Reshape, arg: Formula, notation: Notation, written: Mapping[Node, Formula]) -> Formula:
    inner = node.args[0]
    if isinstance(inner, Pick) and node.shape == tuple(n for n in inner.shape if n != 1):
        return notation.part(written[inner.args[0]], inner.ranges, inner.args[0].shape, drop=True)
    return notation.reshaped(arg, node)


def _contract(node: Contract, args: Sequence[Formula], notation: Notation) -> Formula:
    scalars = [a for text, a in zip(node.ins, args, strict=True) if not text]
    terms = [(text, a) for text, a in zip(node.ins, args, strict=True) if text]
    present = "".join(dict.fromkeys("".join(text for text, _ in terms)))
    out = "".join(c for c in node.out if c in present)  # broadcast axes are understood
    core = _core(node, terms, out, notation) if terms else None
    if core is None:
        return scalars[0] if len(scalars) == 1 else notation.scaled(scalars[:-1], scalars[-1])
    return notation.scaled(scalars, core) if scalars else core


def _core(node: Contract, terms: Sequence[tuple[str, Formula]], out: str, notation: Notation) -> Formula:
    if len(terms) == 1:
        (text, a) = terms[0]
        if text == out:
            return a
        if out == "":
            return notation.total(a)
        if len(text) == 2 and out == text[::-1]:
            return notation.transposed(a)
    if len(terms) == 2:
        found = _pair(node, terms[0], terms[1], out, notation)
        if found is not None:
            return found
    return notation.indexed_sum(node, terms)


def _pair(
    node: Contract, first: tuple[str, Formula], second: tuple[str, Formula], out: str, notation: Notation
) -> Formula | None:
    (p, a), (q, b) = first, second
    if p == q and out == "":
        if node.args[0] is node.args[1] and len(node.args) == 2:
            return notation.square(a)
        return notation.inner(a, b) if len(p) == 1 else notation.total(notation.function("mul", [a, b]))
    if p == q == out:
        return notation.function("mul", [a, b])
    if len(p) == len(q) == 1 and out in (p + q, q + p):
        return notation.outer(a, b) if out == p + q else notation.outer(b, a)
    shared = [c for c in p if c in q and c not in out]
    if len(shared) != 1 or len(p) > 2 or len(q) > 2:
        return None
    s = shared[0]
    if p.replace(s, "") + q.replace(s, "") != out:
        (p, a), (q, b) = (q, b), (p, a)
        if p.replace(s, "") + q.replace(s, "") != out:
            return None
    if len(p) == 1:  # a vector from the left is written as the transposed matrix times it
        (p, a), (q, b) = (q, b), (p, a)
        return notation.product(notation.transposed(a) if p[0] == s else a, b)
    left = a if p[-1] == s else notation.transposed(a)
    return notation.product(left, b if q[0] == s else notation.transposed(b))
