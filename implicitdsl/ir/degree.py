"""Polynomial degree of a graph in some leaves, and what depends on what."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.node import Contract, Factor, Map, Node, Pick, Place, Reduce, Reshape, Scatter, Solve, Window, walk

Degree = int | None
"""0, 1, 2, or None: not known to be a polynomial of degree <= 2."""


def degree(output: Node, unknowns: Collection[Node]) -> Degree:
    """The largest degree of the output's scalars as polynomials in the unknowns, with coefficients free of them:
    0, 1 or 2, None for anything else. An upper bound by form: x*x - x*x counts as 2. A `select` counts where its
    condition is free of the unknowns."""
    found: dict[Node, Degree] = {}
    for node in walk((output,)):
        found[node] = 1 if node in unknowns else _of_node(node, [found[a] for a in node.args])
    return found[output]


def depends_on(output: Node, leaf: Node) -> bool:
    """Whether the output is computed from the leaf."""
    return any(node is leaf for node in walk((output,)))


def _of_node(node: Node, degrees: Sequence[Degree]) -> Degree:
    if all(d == 0 for d in degrees):
        return 0
    match node:
        case Map():
            return _of_expr(node.expr, degrees)
        case Contract():
            return _product(degrees)
        case Pick() | Place() | Reshape() | Window() | Scatter():
            return degrees[0]
        case Reduce(kind="cumsum"):
            return degrees[0]
        case Reduce(kind="prod"):
            return _product([degrees[0]] * node.args[0].shape[-1])
        case Solve() if degrees[0] == 0:
            return degrees[1]
        case Factor():
            return None
        case _:
            return None


def _of_expr(expr: Expr, degrees: Sequence[Degree]) -> Degree:
    found: dict[Expr, Degree] = {}
    for e in walk_expr(expr):
        match e:
            case Arg():
                found[e] = degrees[e.index]
            case Apply():
                found[e] = _of_function(e, [found[a] for a in e.args])
            case _:
                found[e] = 0
    return found[expr]


def _of_function(expr: Apply, degrees: Sequence[Degree]) -> Degree:
    if all(d == 0 for d in degrees):
        return 0
    match expr.function, expr.args:
        case "add" | "sub" | "neg", _:
            return _largest(degrees)
        case "mul" | "scaled", _:
            return _product(degrees)
        case "div", _ if degrees[1] == 0:
            return degrees[0]
        case "pow", (_, Const(value=exponent)) if exponent in (0.0, 1.0, 2.0):
            return _product([degrees[0]] * int(exponent))
        case "select", _ if degrees[0] == 0:
            return _largest(degrees[1:])
        case _:
            return None


def _largest(degrees: Sequence[Degree]) -> Degree:
    top = 0
    for d in degrees:
        if d is None:
            return None
        top = max(top, d)
    return top


def _product(degrees: Sequence[Degree]) -> Degree:
    total = 0
    for d in degrees:
        if d is None:
            return None
        total += d
    return total if total <= 2 else None
