"""Invariants of every node, checked after each pass over a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from implicitdsl.functions.expression import Apply, Arg
from implicitdsl.functions.scalar import SCALAR
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.node import (
    Cholesky,
    Constant,
    Contract,
    Delta,
    Factor,
    Leaf,
    LeafKind,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Shape,
    Solve,
    Window,
    walk,
)

KINDS = frozenset(get_args(LeafKind))
REDUCTIONS = frozenset({"max", "min", "prod", "cumsum", "logsumexp"})


class VerifyError(Exception):
    """A node that breaks a rule of the IR."""

    def __init__(self, node: Node, rule: str) -> None:
        super().__init__(f"{node!r}: {rule}")
        self.node = node
        self.rule = rule


def verify(outputs: Sequence[Node]) -> None:
    """Check every node the outputs depend on. Raises VerifyError, which names the node and the rule."""
    for node in walk(outputs):
        for rule in _broken(node):
            raise VerifyError(node, rule)


def _broken(node: Node) -> Iterator[str]:
    if any(n < 0 for n in node.shape):
        yield "a size is negative"
    if any(a.number >= node.number for a in node.args):
        yield "an argument is younger than its user"
    if any(isinstance(a, Factor) for a in node.args) and not isinstance(node, Solve | LogDet):
        yield "a factorisation is used as a value"
    rules: Callable[..., Iterator[str]] | None = _RULES.get(type(node))
    if rules is None:
        yield "the kind of node is unknown"
    else:
        yield from rules(node)


def _no_arguments(node: Node) -> Iterator[str]:
    if node.args:
        yield "a leaf, constant or delta has arguments"


def _leaf(node: Leaf) -> Iterator[str]:
    yield from _no_arguments(node)
    if node.kind not in KINDS:
        yield f"`{node.kind}` is no kind of leaf"
    if not node.name:
        yield "a leaf has no name"


def _constant(node: Constant) -> Iterator[str]:
    yield from _no_arguments(node)
    if len(node.key[0]) != 8 * math.prod(node.shape):
        yield "the constant's bytes do not fill its shape"


def _delta(node: Delta) -> Iterator[str]:
    yield from _no_arguments(node)
    if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
        yield "a delta is not square"


def _map(node: Map) -> Iterator[str]:
    if not node.args:
        yield "a Map has no argument"
    if any(a.shape != node.shape for a in node.args):
        yield "an argument of a Map has another shape"
    used: set[int] = set()
    for e in walk_expr(node.expr):
        match e:
            case Arg():
                used.add(e.index)
            case Apply():
                yield from _apply(e)
            case _:
                pass
    if used != set(range(len(node.args))):
        yield "the expression's arguments are not those of the Map"


def _apply(expr: Apply) -> Iterator[str]:
    record = SCALAR.get(expr.function)
    if record is None:
        yield f"`{expr.function}` is not in the table of functions"
    elif record.arity != len(expr.args):
        yield f"`{expr.function}` has {len(expr.args)} arguments instead of {record.arity}"


def _contract(node: Contract) -> Iterator[str]:
    if not node.args or len(node.ins) != len(node.args):
        yield "a Contract needs one index string an argument"
        return
    sizes: dict[str, int] = {}
    for text, shape in (*zip(node.ins, (a.shape for a in node.args), strict=True), (node.out, node.shape)):
        if len(text) != len(shape):
            yield f"index string `{text}` for a shape {list(shape)}"
            return
        if len(set(text)) != len(text):
            yield f"index string `{text}` has a letter twice"
        for c, n in zip(text, shape, strict=True):
            if sizes.setdefault(c, n) != n:
                yield f"the letter `{c}` has sizes {sizes[c]} and {n}"


def _single(node: Node) -> Iterator[str]:
    if len(node.args) != 1:
        yield "the node needs one argument"


def _box(ranges: tuple[tuple[int, int], ...], wide: Shape, narrow: Shape) -> Iterator[str]:
    if len(ranges) != len(wide) or any(not 0 <= p <= q <= n for (p, q), n in zip(ranges, wide, strict=False)):
        yield "the box does not lie in the shape"
    elif tuple(q - p for p, q in ranges) != narrow:
        yield "the box does not have the shape it should"


def _pick(node: Pick) -> Iterator[str]:
    yield from _single(node)
    yield from _box(node.ranges, node.args[0].shape, node.shape)


def _place(node: Place) -> Iterator[str]:
    yield from _single(node)
    yield from _box(node.ranges, node.shape, node.args[0].shape)


def _reshape(node: Reshape) -> Iterator[str]:
    yield from _single(node)
    if node.args[0].size != node.size:
        yield "a Reshape changes the number of scalars"


def _window(node: Window | Scatter) -> Iterator[str]:
    yield from _single(node)
    wide, seen = node.args[0].shape, node.shape
    if isinstance(node, Scatter):
        wide, seen = seen, wide
    if len(node.offset) != len(wide):
        yield "the offset needs one place an axis"
    if len(node.strides) != len(seen) or any(len(s) != len(wide) for s in node.strides):
        yield "the strides do not lead from one shape to the other"


def _reduce(node: Reduce) -> Iterator[str]:
    yield from _single(node)
    arg = node.args[0]
    if node.kind not in REDUCTIONS:
        yield f"`{node.kind}` is no reduction"
    if not arg.shape:
        yield "a scalar has no last axis"
    elif node.shape != (arg.shape if node.kind == "cumsum" else arg.shape[:-1]):
        yield "a Reduce has the wrong shape"
    elif arg.shape[-1] == 0:
        yield "a reduction over nothing"


def _factor(node: Factor) -> Iterator[str]:
    yield from _square(node)
    if node.kind not in ("lu", "cholesky"):
        yield f"`{node.kind}` is no factorisation"


def _square(node: Node) -> Iterator[str]:
    yield from _single(node)
    shape = node.args[0].shape
    if len(shape) != 2 or shape[0] != shape[1]:
        yield "the matrix is not square"
    if node.shape != shape:
        yield "the shape is not that of the matrix"


def _solve(node: Solve) -> Iterator[str]:
    if len(node.args) != 2 or not isinstance(node.args[0], Factor):
        yield "a Solve needs a factorisation and a right-hand side"
        return
    factor, right = node.args
    if not 1 <= len(right.shape) <= 2 or right.shape[0] != factor.shape[0]:
        yield "the right-hand side does not fit the matrix"
    if node.shape != right.shape:
        yield "the shape is not that of the right-hand side"


def _log_det(node: LogDet) -> Iterator[str]:
    if len(node.args) != 1 or not isinstance(node.args[0], Factor):
        yield "a LogDet needs a factorisation"
    if node.what not in ("logabs", "det"):
        yield f"`{node.what}` is no determinant"
    if node.shape != ():
        yield "a determinant is a scalar"


_RULES: dict[type[Node], Callable[..., Iterator[str]]] = {
    Leaf: _leaf,
    Constant: _constant,
    Delta: _delta,
    Map: _map,
    Contract: _contract,
    Pick: _pick,
    Place: _place,
    Reshape: _reshape,
    Window: _window,
    Scatter: _window,
    Reduce: _reduce,
    Factor: _factor,
    Solve: _solve,
    LogDet: _log_det,
    Cholesky: _square,
}
