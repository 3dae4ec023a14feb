"""How much a graph computes: scalar operations of its Maps, multiply-adds of its contractions.

Counted by shapes alone. Moves (Pick, Place, Reshape, transpositions, broadcasts) compute nothing.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable

from implicitdsl.functions.expression import Apply, Expr
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.layout import is_padded_sum
from implicitdsl.ir.node import Cholesky, Contract, LogDet, Map, Node, Place, Reduce, Solve, walk


def operations(outputs: Iterable[Node]) -> tuple[Counter[str], int]:
    """The scalar operations of a graph by name, and the multiply-adds of its contractions."""
    scalar: Counter[str] = Counter()
    multiply_adds = 0
    for node in walk(outputs):
        match node:
            case Map():
                scalar.update(_scalar(node))
            case Contract():
                multiply_adds += _multiply_adds(node)
            case _:
                pass
    return scalar, multiply_adds


def work(node: Node) -> int:
    """What a node computes of arguments that are known, in operations; a factorisation, whose tangent costs nothing,
    counts for nothing."""
    match node:
        case Map():
            return _scalar(node).total()
        case Contract():
            return _multiply_adds(node)
        case Reduce():
            return node.args[0].size
        case Solve():
            return node.args[0].size * (node.size // max(node.shape[0], 1))
        case LogDet():
            return node.args[0].size
        case Cholesky():
            return node.size * node.shape[0]
        case _:
            return 0


def _scalar(node: Map) -> Counter[str]:
    if is_padded_sum(node):
        written = sum(a.args[0].size if isinstance(a, Place) else a.size for a in node.args)
        return Counter({"add": written - node.size} if written > node.size else {})
    return Counter({name: count * node.size for name, count in _applied(node.expr).items()})


@functools.lru_cache(maxsize=4096)
def _applied(expr: Expr) -> Counter[str]:
    return Counter(e.function for e in walk_expr(expr) if isinstance(e, Apply))


def _multiply_adds(node: Contract) -> int:
    return 0 if is_layout(node) else products(node)


def products(node: Contract) -> int:
    """The terms of a contraction: one for every choice of the indices of its arguments."""
    sizes = {c: n for text, a in zip(node.ins, node.args, strict=True) for c, n in zip(text, a.shape, strict=True)}
    return math.prod(sizes.values())
