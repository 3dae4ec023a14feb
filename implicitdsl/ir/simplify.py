"""One pass that makes a graph smaller: chains of Maps become one Map.

Values stay the same to rounding (constants that meet by the fusion fold). Sums of padded parts are left as they are,
because they are written in place; so is whatever has several users, because it would be computed several times. What
is made of constants alone becomes one at the end (`folding.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.functions.expression import Arg, Expr
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.elementwise import mapped
from implicitdsl.ir.expressions import substitute
from implicitdsl.ir.folding import fold_constants
from implicitdsl.ir.layout import is_padded_sum
from implicitdsl.ir.node import Map, Node, walk
from implicitdsl.ir.rebuild import with_args

LARGEST = 200
"""Scalar operations in one Map beyond which nothing more is fused into it."""


def simplify(outputs: Sequence[Node]) -> tuple[Node, ...]:
    """The outputs with every Map that has one user, a Map, fused into it, and with the folds of the constructors done
    again on what comes of it."""
    users: dict[Node, int] = dict.fromkeys(outputs, 1)
    order = list(walk(outputs))
    for node in order:
        for arg in node.args:
            users[arg] = users.get(arg, 0) + 1
    new: dict[Node, Node] = {}
    for node in order:
        args = [new[a] for a in node.args]
        if isinstance(node, Map) and not is_padded_sum(node):
            new[node] = _fused(node, args, [users[a] == 1 for a in node.args])
        elif all(a is b for a, b in zip(args, node.args, strict=True)):
            new[node] = node
        else:
            new[node] = with_args(node, args)
    return fold_constants([new[o] for o in outputs])


def _fused(node: Map, args: Sequence[Node], once: Sequence[bool]) -> Node:
    flat: list[Node] = []
    inner: list[Expr] = []
    operations = _operations(node.expr)
    for arg, single in zip(args, once, strict=True):
        more = _operations(arg.expr) if single and isinstance(arg, Map) and not is_padded_sum(arg) else LARGEST
        if isinstance(arg, Map) and operations + more <= LARGEST:
            operations += more
            inner.append(substitute(arg.expr, tuple(Arg(len(flat) + k) for k in range(len(arg.args)))))
            flat.extend(arg.args)
        else:
            inner.append(Arg(len(flat)))
            flat.append(arg)
    return mapped(substitute(node.expr, tuple(inner)), flat)


def _operations(expr: Expr) -> int:
    return sum(1 for _ in walk_expr(expr))
