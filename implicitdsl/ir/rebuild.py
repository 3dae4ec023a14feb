"""Rebuilding a graph from below, with the folds of the constructors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from implicitdsl.ir.algebra import det as determinant
from implicitdsl.ir.algebra import log_det, reduce, solve
from implicitdsl.ir.contraction import contracted
from implicitdsl.ir.elementwise import mapped
from implicitdsl.ir.layout import is_sum, pick, place, reshape, scatter, sum_of, window
from implicitdsl.ir.node import (
    Cholesky,
    Contract,
    Factor,
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


def rebuilt(roots: Sequence[Node], replacement: Callable[[Node], Node | None]) -> tuple[Node, ...]:
    """The roots with every node for which `replacement` gives another replaced by it, and all above made anew."""
    new: dict[Node, Node] = {}
    for node in walk(roots):
        found = replacement(node)
        if found is None:
            args = [new[a] for a in node.args]
            unchanged = all(a is b for a, b in zip(args, node.args, strict=True))
            found = node if unchanged else with_args(node, args)
        new[node] = found
    return tuple(new[r] for r in roots)


def with_args(node: Node, args: Sequence[Node]) -> Node:
    """A node of the same kind and attributes over other arguments of the same shapes."""
    arg = args[0]
    match node:
        case Map():
            return sum_of(args) if is_sum(node) else mapped(node.expr, args)
        case Contract():
            return contracted(node.ins, node.out, args, dict(zip(node.out, node.shape, strict=True)))
        case Pick():
            return pick(arg, node.ranges)
        case Place():
            return place(arg, node.ranges, node.shape)
        case Reshape():
            return reshape(arg, node.shape)
        case Window():
            return window(arg, node.strides, node.offset, node.shape)
        case Scatter():
            return scatter(arg, node.strides, node.offset, node.shape)
        case Reduce():
            return reduce(node.kind, arg)
        case Factor():
            return Factor(node.kind, arg)
        case Solve():
            return solve(arg, args[1], transposed=node.transposed)
        case LogDet():
            return log_det(arg) if node.what == "logabs" else determinant(arg)
        case Cholesky():
            return Cholesky(arg)
        case _:
            raise TypeError(f"{node!r} has no arguments to replace")
