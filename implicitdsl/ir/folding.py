"""Sums and products of constants become one constant.

The derivatives of a stencil along fixed directions are directions moved, added and multiplied by numbers: tables, and
what is made of them is a table as well. Only operations that IEEE 754 rounds in one way are carried out, one by one, so
that float64 keeps its bits; float32 is rounded once, instead of after each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.functions.expression import Apply, Arg, Expr, apply
from implicitdsl.functions.scalar import evaluate
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.contraction import constant, uniform
from implicitdsl.ir.elementwise import mapped
from implicitdsl.ir.layout import is_padded_sum, stacked
from implicitdsl.ir.node import Constant, Map, Node, Place, walk
from implicitdsl.ir.rebuild import with_args

EXACT = frozenset({"add", "sub", "mul", "div", "neg"})
"""Functions that every back end rounds as float64 does."""


@dataclass(frozen=True, eq=False)
class Known:
    """The value of something that is made of constants alone, and the arrays among these."""

    value: NDArray[np.float64]
    of: frozenset[Constant]


@dataclass(frozen=True, eq=False)
class Fold:
    """The constant for a node, or for a part of the expression of a Map."""

    node: Node
    part: Expr | None
    value: Node
    of: frozenset[Constant]


def fold_constants(outputs: Sequence[Node]) -> tuple[Node, ...]:
    """The outputs with a constant in place of whatever is computed of constants alone, nodes and parts of expressions,
    where the new constants hold no more numbers than those that are gone."""
    order = list(walk(outputs))
    if not any(isinstance(node, Constant) and node.shape for node in order):
        return tuple(outputs)
    known = _known(order)
    chosen = _worthwhile(*_candidates(order, outputs, known))
    whole = {fold.node: fold.value for fold in chosen if fold.part is None}
    parts: dict[Node, dict[Expr, Node]] = {}
    for fold in chosen:
        if fold.part is not None:
            parts.setdefault(fold.node, {})[fold.part] = fold.value
    new: dict[Node, Node] = {}
    for node in order:
        args = [new[a] for a in node.args]
        if node in whole:
            new[node] = whole[node]
        elif isinstance(node, Map) and node in parts:
            new[node] = _with_parts(node.expr, args, parts[node])
        elif node in known or all(a is b for a, b in zip(args, node.args, strict=True)):
            new[node] = node
        else:
            new[node] = with_args(node, args)
    return tuple(new[o] for o in outputs)


# ---------------------------------------------------------------- what is known


def _known(order: Sequence[Node]) -> dict[Node, Known]:
    known: dict[Node, Known] = {}
    for node in order:
        found = _of_node(node, known)
        if found is not None:
            known[node] = found
    return known


def _of_node(node: Node, known: dict[Node, Known]) -> Known | None:
    value = uniform(node)
    if value is not None:
        return Known(np.broadcast_to(np.float64(value), node.shape), frozenset())
    if isinstance(node, Constant):
        return Known(node.value, frozenset({node}))
    if any(a not in known for a in node.args):
        return None
    if isinstance(node, Place) or is_padded_sum(node):
        return _written(node, known)
    if isinstance(node, Map) and _is_exact(node.expr, range(len(node.args))):
        return _evaluated(node.expr, [known[a] for a in node.args])
    return None


def _written(node: Node, known: dict[Node, Known]) -> Known | None:
    """Constants in boxes of zeros; None where boxes meet, and back ends have orders of their own to add them in."""
    boxes = stacked(node)
    if not boxes:
        return None
    value = np.zeros(node.shape)
    for box, part in boxes:
        value[tuple(slice(p, q) for p, q in box)] = known[part].value
    return Known(value, frozenset[Constant]().union(*(known[part].of for _, part in boxes)))


def _evaluated(expr: Expr, args: Sequence[Known | None]) -> Known:
    """The value of an expression, some of whose arguments may not be known if they do not occur in it."""
    used = {e.index for e in walk_expr(expr) if isinstance(e, Arg)}
    given = [a for i, a in enumerate(args) if a is not None and i in used]
    value = np.asarray(evaluate(expr, *(np.float64(0.0) if a is None else a.value for a in args)))
    return Known(value, frozenset[Constant]().union(*(a.of for a in given)))


def _is_exact(expr: Expr, known: Collection[int]) -> bool:
    return expr in _exact_parts(expr, known)


def _exact_parts(expr: Expr, known: Collection[int]) -> set[Expr]:
    found: set[Expr] = set()
    for e in walk_expr(expr):
        match e:
            case Arg():
                here = e.index in known
            case Apply():
                here = e.function in EXACT and all(a in found for a in e.args)
            case _:
                here = True
        if here:
            found.add(e)
    return found


# ---------------------------------------------------------------- what is folded


def _candidates(
    order: Sequence[Node], outputs: Sequence[Node], known: dict[Node, Known]
) -> tuple[list[Fold], set[Constant]]:
    """Folds where what is known is read by what is not, and the constants that are read as they are."""
    folds: dict[tuple[Node, Expr | None], Fold] = {}
    kept: set[Constant] = set()

    def read(node: Node) -> None:
        if isinstance(node, Map):
            folds[node, None] = Fold(node, None, constant(known[node].value), known[node].of)
        else:
            kept.update(known[node].of)

    for output in outputs:
        if output in known:
            read(output)
    for node in order:
        if node in known:
            continue
        if not isinstance(node, Map) or is_padded_sum(node):
            for arg in node.args:
                if arg in known:
                    read(arg)
            continue
        args = [known.get(a) for a in node.args]
        for part in _largest(node.expr, {i for i, a in enumerate(args) if a is not None}):
            if isinstance(part, Arg):
                read(node.args[part.index])
            elif isinstance(part, Apply):
                found = _evaluated(part, args)
                folds[node, part] = Fold(node, part, constant(found.value), found.of)
    return list(folds.values()), kept


def _largest(expr: Expr, known: set[int]) -> Iterator[Expr]:
    """The largest parts of an expression that are made of known arguments and numbers by exact functions."""
    exact = _exact_parts(expr, known)
    seen: set[Expr] = set()
    todo = [expr]
    while todo:
        e = todo.pop()
        if e in seen:
            continue
        seen.add(e)
        if e in exact:
            yield e
        elif isinstance(e, Apply):
            todo.extend(reversed(e.args))


def _worthwhile(folds: Sequence[Fold], kept: set[Constant]) -> list[Fold]:
    """The folds that make no more numbers than they replace: a constant is gone when all who read it are folded, so
    folds that share one are made together or not at all."""
    groups: list[tuple[set[Constant], list[Fold]]] = []
    for fold in folds:
        shared = set(fold.of)
        together = [fold]
        apart: list[tuple[set[Constant], list[Fold]]] = []
        for of, others in groups:
            if of & shared:
                shared |= of
                together = [*others, *together]
            else:
                apart.append((of, others))
        groups = [*apart, (shared, together)]
    chosen: list[Fold] = []
    for of, together in groups:
        made = {fold.value for fold in together}
        if sum(node.size for node in made if uniform(node) is None) <= sum(node.size for node in of - kept):
            chosen += together
    return chosen


def _with_parts(expr: Expr, args: Sequence[Node], parts: dict[Expr, Node]) -> Node:
    places = {part: len(args) + k for k, part in enumerate(parts)}
    new: dict[Expr, Expr] = {}
    for e in walk_expr(expr):
        if e in places:
            new[e] = Arg(places[e])
        else:
            new[e] = apply(e.function, *(new[a] for a in e.args)) if isinstance(e, Apply) else e
    return mapped(new[expr], [*args, *parts.values()])
