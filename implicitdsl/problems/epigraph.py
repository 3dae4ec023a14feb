"""Bends of a convex program as constraints: |e|, max, min and relu of a linear or quadratic program.

A convex value f(|e|) that does not fall as |e| grows is the least f(t) over t >= e, t >= -e (the epigraph form, Boyd &
Vandenberghe 2004, section 4.1.3); so is that of max(a, b) with t >= a, t >= b, and for min(a, b), in a value that does
not grow with it, t <= a, t <= b. The composition rules by which a program is found convex (Grant, Boyd & Ye 2006) let a
bend stand only there. What was a kink of the objective is then an active constraint with a multiplier, the subgradient,
and the answer and its derivatives on it are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.degree import degree
from implicitdsl.ir.node import Leaf, Map, Node, Reduce, Reshape, walk
from implicitdsl.ir.rebuild import with_args
from implicitdsl.problems.argmin import ArgminProblem, Constraint, is_quadratic

BENDS = ("abs", "relu", "maximum", "minimum")
"""Functions of the scalar table that are the largest or the smallest of affine ones."""


def without_bends(problem: ArgminProblem) -> ArgminProblem | None:
    """The same problem with an unknown more for each bend, where that makes a linear or quadratic program of it.

    None where there is no bend, where something else stands against it, or where a bend is squared: such an objective
    has a continuous gradient, and needs no constraint. The problem must be convex by the rules of composition."""
    lifting = _Lifting(problem.unknowns)
    objective, *lowered = lifting.lower([problem.objective, *(c.node for c in problem.inequalities)])
    if not lifting.unknowns:
        return None
    at_start: dict[Node, Node] = dict(zip(problem.unknowns, problem.start, strict=True))
    found = replace(
        problem,
        unknowns=(*problem.unknowns, *lifting.unknowns),
        start=(*problem.start, *calculus.substitute(lifting.bends, at_start)),
        objective=objective,
        inequalities=(
            *(replace(c, node=node) for c, node in zip(problem.inequalities, lowered, strict=True)),
            *lifting.constraints,
        ),
    )
    squared = degree(objective, set(lifting.unknowns)) not in (0, 1)
    return found if is_quadratic(found) and not squared else None


class _Lifting:
    """The bends met so far: each as it stood, an unknown for it, and the constraints that bind that."""

    def __init__(self, unknowns: Sequence[Leaf]) -> None:
        self.moving: set[Node] = set(unknowns)
        self.bends: list[Node] = []
        self.unknowns: list[Leaf] = []
        self.constraints: list[Constraint] = []

    def lower(self, roots: Sequence[Node]) -> list[Node]:
        """The roots with their bends replaced, the innermost first."""
        new: dict[Node, Node] = {}
        inside = _maxima_of_maxima(roots)
        sides: dict[Node, list[Node]] = {}
        for node in walk(roots):
            args = [new[a] for a in node.args]
            moves = not self.moving.isdisjoint(node.args)
            if moves:
                self.moving.add(node)
            match node:
                case Map(expr=Apply(function=function, args=parts)) if moves and node in inside:
                    sides[node] = _sides(function, [_part(e, args, node.shape) for e in parts])
                    new[node] = node
                case Reshape() if node.args[0] in sides:
                    sides[node] = [build.reshape(side, node.shape) for side in sides[node.args[0]]]
                    new[node] = node
                case Map() if moves and any(_bends(e) for e in walk_expr(node.expr)):
                    new[node] = self._map(node, args)
                case Reduce(kind="max" | "min") if moves and args[0].shape[-1] > 0:
                    new[node] = self._bind(node, sides.get(node.args[0], args), greatest=node.kind == "max")
                case _:
                    new[node] = with_args(node, args) if args != list(node.args) else node
        return [new[root] for root in roots]

    def _map(self, node: Map, args: Sequence[Node]) -> Node:
        """A Map whose scalar expression holds bends, apart: what it was and what it becomes, part by part."""
        old: dict[Expr, Node] = {}
        new: dict[Expr, Node] = {}
        moving: set[Expr] = set()
        for e in walk_expr(node.expr):
            match e:
                case Arg(index=index):
                    old[e], new[e] = node.args[index], args[index]
                    if node.args[index] in self.moving:
                        moving.add(e)
                case Apply(function=function, args=parts):
                    old[e] = build.apply(function, *(old[p] for p in parts))
                    values = [new[p] for p in parts]
                    if moving.isdisjoint(parts):
                        new[e] = old[e]
                        continue
                    moving.add(e)
                    if _bends(e):
                        new[e] = self._bind(old[e], _sides(function, values), greatest=function != "minimum")
                    else:
                        new[e] = build.apply(function, *values)
                case Const(value=value):
                    old[e] = new[e] = build.fill(value, node.shape)
                case _:
                    raise TypeError(f"{e!r} is no scalar expression")
        return new[node.expr]

    def _bind(self, bend: Node, sides: Sequence[Node], *, greatest: bool) -> Node:
        """The unknown that stands for the greatest (or the least) of the sides; a side of one axis more is that of a
        reduction."""
        leaf = Leaf("unknown", f"bend.{len(self.unknowns)}", bend.shape)
        self.bends.append(bend)
        self.unknowns.append(leaf)
        for side in sides:
            more = len(side.shape) > len(leaf.shape)
            value = build.broadcast(build.reshape(leaf, (*leaf.shape, 1)), side.shape) if more else leaf
            node = build.sub(side, value) if greatest else build.sub(value, side)
            dual = Leaf("dual", f"side.{len(self.constraints)}", node.shape)
            self.constraints.append(Constraint(node, dual))
        return leaf


def _bends(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.function in BENDS


def _maxima_of_maxima(roots: Sequence[Node]) -> set[Node]:
    """Bends that are read by the largest over them alone, as in max(abs(x)): their sides are sides of that. An unknown
    of their own would be free below the largest, and not unique."""
    users: dict[Node, list[Node]] = {}
    for node in walk(roots):
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    found: set[Node] = set()
    for node in walk(roots):
        top = node
        while len(users.get(top, [])) == 1 and isinstance(users[top][0], Reshape) and top not in roots:
            top = users[top][0]
        read = users.get(top, [])
        alone = len(read) == 1 and isinstance(read[0], Reduce) and read[0].kind == "max"
        match node:
            case Map(expr=Apply(function="abs" | "relu" | "maximum", args=parts)) if alone and top not in roots:
                if not any(_bends(e) for part in parts for e in walk_expr(part)):
                    found.add(node)
            case _:
                pass
    return found


def _part(expr: Expr, args: Sequence[Node], shape: tuple[int, ...]) -> Node:
    """A part of a Map's expression as a node over the Map's arguments."""
    match expr:
        case Arg(index=index):
            return args[index]
        case Const(value=value):
            return build.fill(value, shape)
        case _:
            return build.mapped(expr, args)


def _sides(function: str, values: Sequence[Node]) -> list[Node]:
    """The values of which a bend is the greatest or the least."""
    match function:
        case "abs":
            return [values[0], build.neg(values[0])]
        case "relu":
            return [values[0], build.zeros(values[0].shape)]
        case _:
            return list(values)
