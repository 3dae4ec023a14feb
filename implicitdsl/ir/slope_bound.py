"""An upper bound of the norm of a Jacobian that holds at every point, from the form of a graph.

The chain rule bounds the 2-norm of a Jacobian by products along paths: of the 2-norms of matrices that are held fixed,
and of the largest slopes of elementwise functions (`Scalar.steepest`); paths add up. What comes out is such a sum,
without the values of the matrices: whoever has them multiplies. Source: Szegedy and others, Intriguing properties of
neural networks (2014), 4.3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import SCALAR
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.node import Constant, Contract, Leaf, Map, Node, Pick, Place, Reshape, walk

MOST = 64
"""Terms up to which a sum is kept."""


@dataclass(frozen=True)
class MatrixNorm:
    """The 2-norm of the matrices that the axes `rows` and `columns` of an array span; of many the largest."""

    array: Leaf | Constant
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Term:
    """A product of a number and of norms."""

    factor: float
    norms: tuple[MatrixNorm, ...] = ()


Bound = tuple[Term, ...] | None
"""A sum of terms, () being 0; None: no bound is known."""

ONE: Bound = (Term(1.0),)


def slope_bound(outputs: Sequence[Node], unknowns: Collection[Node]) -> tuple[Bound, ...]:
    """For each output a bound of the 2-norm of its Jacobian by all the unknowns, wherever they are."""
    found: dict[Node, Bound] = {}
    for node in walk(outputs):
        found[node] = ONE if node in unknowns else _of_node(node, [found[a] for a in node.args])
    return tuple(found[o] for o in outputs)


def _of_node(node: Node, given: Sequence[Bound]) -> Bound:
    if all(b == () for b in given):
        return ()
    match node:
        case Map():
            return _of_expr(node, given)
        case Contract():
            return _of_contract(node, given)
        case Pick() | Place() | Reshape():
            return given[0]
        case _:
            return None


# ---------------------------------------------------------------- sums of terms


def _sum(bounds: Sequence[Bound]) -> Bound:
    terms: list[Term] = []
    for bound in bounds:
        if bound is None:
            return None
        terms += bound
    return tuple(terms) if len(terms) <= MOST else None


def _times(bound: Bound, factor: float, norms: tuple[MatrixNorm, ...] = ()) -> Bound:
    if bound is None or not math.isfinite(factor):
        return None
    return tuple(Term(t.factor * factor, t.norms + norms) for t in bound)


# ---------------------------------------------------------------- elementwise


def _of_expr(node: Map, given: Sequence[Bound]) -> Bound:
    found: dict[Expr, Bound] = {}
    for e in walk_expr(node.expr):
        match e:
            case Arg():
                found[e] = given[e.index]
            case Apply():
                found[e] = _of_function(e, found, node)
            case _:
                found[e] = ()
    return found[node.expr]


def _of_function(e: Apply, found: Mapping[Expr, Bound], node: Map) -> Bound:
    inner = [found[a] for a in e.args]
    if all(b == () for b in inner):
        return ()
    match e.function, e.args:
        case "mul", (a, b) if found[a] == ():
            return _scaled(found[b], a, node)
        case "mul", (a, b) if found[b] == ():
            return _scaled(found[a], b, node)
        case "div", (_, Const(value=v)) if v != 0.0:
            return _times(inner[0], abs(1.0 / v))
        case "select", _:
            return _sum(inner[1:])
        case _:
            return _times(_sum(inner), SCALAR[e.function].steepest)


def _scaled(bound: Bound, by: Expr, node: Map) -> Bound:
    """A bound times the largest size of what does not move."""
    match by:
        case Const(value=v):
            return _times(bound, abs(v))
        case Arg(index=k):
            return _times_largest(bound, node.args[k])
        case _:
            return None


def _times_largest(bound: Bound, node: Node) -> Bound:
    while isinstance(node, Reshape | Pick) or (isinstance(node, Contract) and is_layout(node)):
        node = node.args[0]
    return _times(bound, 1.0, (MatrixNorm(node),)) if isinstance(node, Leaf | Constant) else None


# ---------------------------------------------------------------- linear


def _of_contract(node: Contract, given: Sequence[Bound]) -> Bound:
    """One argument moves: the others are numbers and at most one array, which is the matrix."""
    moving = [k for k, b in enumerate(given) if b != ()]
    fixed = [k for k, b in enumerate(given) if b == () and node.ins[k]]
    if len(moving) != 1 or len(fixed) > 1:
        return None
    z = node.ins[moving[0]]
    a = node.ins[fixed[0]] if fixed else ""
    out = node.out
    sizes = dict(itertools.chain(zip(out, node.shape, strict=True), zip(z, node.args[moving[0]].shape, strict=True)))
    if any(c not in z and c not in out for c in a):
        return None
    # A sum that no matrix takes part in, and copies, change the length of a vector by the root of their number.
    free = [c for c in z if c not in a and c not in out] + [c for c in out if c not in a and c not in z]
    bound = _times(given[moving[0]], math.sqrt(math.prod(sizes[c] for c in free)))
    for k, text in enumerate(node.ins):
        if k not in moving and not text:
            bound = _times_largest(bound, node.args[k])
    if not fixed:
        return bound
    rows = tuple(k for k, c in enumerate(a) if c not in z)
    columns = tuple(k for k, c in enumerate(a) if c not in out)
    array = node.args[fixed[0]]
    return _times(bound, 1.0, (MatrixNorm(array, rows, columns),)) if isinstance(array, Leaf | Constant) else None
