"""Forward rules: the tangent of every node from those of its arguments.

With `lead=(k,)` every tangent has a leading axis of size k: k directions at once. None is a tangent that is
structurally zero. Rules: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008) for solves and determinants; Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from implicitdsl.ir.algebra import factors, product_tree, reduce, solve
from implicitdsl.ir.contraction import broadcast_axes, constant, contracted, delta, letters, transpose, uniform
from implicitdsl.ir.elementwise import apply, div, mapped, mul, neg, sub
from implicitdsl.ir.expressions import arguments, tangent
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
    Shape,
    Solve,
    Window,
    walk,
)
from implicitdsl.ir.rebuild import rebuilt

LEAD = "#"
"""The index letter of the leading axis."""


def forward(outputs: Sequence[Node], given: Mapping[Node, Node], lead: Shape) -> tuple[Node | None, ...]:
    """The tangents of the outputs, where the nodes of `given` move as told and all other leaves stand."""
    moving: dict[Node, Node | None] = {}
    for node in walk(outputs):
        if node in given:
            moving[node] = given[node]
            continue
        found = [moving[a] for a in node.args]
        moving[node] = None if all(t is None for t in found) else _present(tangent_of(node, found, lead))
    return tuple(moving[o] for o in outputs)


def _present(node: Node | None) -> Node | None:
    return None if node is None or uniform(node) == 0.0 else node


def added(terms: Iterable[Node | None]) -> Node | None:
    """The sum of what is not structurally zero."""
    kept = [t for t in terms if t is not None]
    return sum_of(kept) if kept else None


def spread(node: Node, lead: Shape) -> Node:
    """The node under a leading axis, the same for all its places."""
    if not lead:
        return node
    shape = lead + node.shape
    return broadcast_axes(node, range(1, len(shape)), shape)


def repeat_last(node: Node, n: int) -> Node:
    """The node with a new last axis of size n, the same for all its places."""
    return broadcast_axes(node, range(len(node.shape)), (*node.shape, n))


def leading(lead: Shape) -> str:
    """The index string of the leading axis."""
    return LEAD if lead else ""


def sizes_of(text: str, shape: Shape, lead: Shape) -> dict[str, int]:
    """Sizes by letter, the leading axis included."""
    return dict(zip(leading(lead) + text, lead + shape, strict=True))


def under(moves: Sequence[tuple[int, ...]], lead: Shape, rank: int) -> tuple[tuple[int, ...], ...]:
    """The strides of a Window with the leading axis before them."""
    if not lead:
        return tuple(moves)
    return ((1, *(0 for _ in range(rank))), *((0, *m) for m in moves))


def solve_under(factor: Node, right: Node, lead: Shape, *, transposed: bool) -> Node:
    """`solve` for right-hand sides with a leading axis: they become columns."""
    if not lead:
        return solve(factor, right, transposed=transposed)
    rank = len(right.shape)
    columns = transpose(right, (*range(1, rank), 0))
    flat = reshape(columns, (columns.shape[0], columns.size // max(columns.shape[0], 1)))
    found = reshape(solve(factor, flat, transposed=transposed), columns.shape)
    return transpose(found, (rank - 1, *range(rank - 1)))


def lower_half(n: int) -> Node:
    """1 below the diagonal, 1/2 on it, 0 above: Murray's Φ."""
    return constant(np.tril(np.ones((n, n))) - 0.5 * np.eye(n))


def shares(node: Reduce) -> Node:
    """What each scalar contributes to its maximum or minimum: ties share evenly, as torch's amax has it."""
    x = node.args[0]
    n = x.shape[-1]
    hit = apply("eq", x, repeat_last(node, n))
    text = letters(len(x.shape))
    count = contracted((text,), text[:-1], (hit,), {})
    return div(hit, repeat_last(count, n))


def weights(node: Reduce) -> Node:
    """The softmax of the argument of a logsumexp."""
    x = node.args[0]
    return apply("exp", sub(x, repeat_last(node, x.shape[-1])))


def tangent_of(node: Node, tangents: Sequence[Node | None], lead: Shape) -> Node | None:
    """The tangent of a node. Raises TypeError for a node that has no rule."""
    rank = len(node.args[0].shape)
    t = tangents[0]
    match node:
        case Map():
            return _map(node, tangents, lead)
        case Contract():
            return _contract(node, tangents, lead)
        case Solve():
            return _solve(node, tangents, lead)
        case _ if t is None:
            return None
        case Pick():
            return pick(t, (*((0, k) for k in lead), *node.ranges))
        case Place():
            return place(t, (*((0, k) for k in lead), *node.ranges), lead + node.shape)
        case Reshape():
            return reshape(t, lead + node.shape)
        case Window():
            return window(t, under(node.strides, lead, rank), (*(0 for _ in lead), *node.offset), lead + node.shape)
        case Scatter():
            wide = len(node.shape)
            return scatter(t, under(node.strides, lead, wide), (*(0 for _ in lead), *node.offset), lead + node.shape)
        case Reduce():
            return _reduce(node, t, lead)
        case Factor():
            return t
        case LogDet():
            return _log_det(node, t, lead)
        case Cholesky():
            return _cholesky(node, t, lead)
        case _:
            raise TypeError(f"{node!r} has no tangent")


def _map(node: Map, tangents: Sequence[Node | None], lead: Shape) -> Node | None:
    if is_sum(node):
        return added(tangents)
    seeds: list[tuple[int, int]] = []
    args = [spread(a, lead) for a in node.args]
    used = arguments(node.expr)
    for i, t in enumerate(tangents):
        if t is not None and i in used:
            seeds.append((i, len(args)))
            args.append(t)
    expr = tangent(node.expr, tuple(seeds))
    return None if expr is None else mapped(expr, args)


def _contract(node: Contract, tangents: Sequence[Node | None], lead: Shape) -> Node | None:
    terms: list[Node] = []
    for i, t in enumerate(tangents):
        if t is None:
            continue
        ins = [leading(lead) + text if j == i else text for j, text in enumerate(node.ins)]
        args = [t if j == i else a for j, a in enumerate(node.args)]
        terms.append(contracted(ins, leading(lead) + node.out, args, sizes_of(node.out, node.shape, lead)))
    return added(terms)


def _reduce(node: Reduce, t: Node, lead: Shape) -> Node | None:
    x = node.args[0]
    text = letters(len(x.shape))
    match node.kind:
        case "cumsum":
            return reduce("cumsum", t)
        case "prod":
            leaf = factors(x.shape)
            found = forward((product_tree(leaf),), {leaf: t}, lead)[0]
            return None if found is None else rebuilt((found,), lambda node: x if node is leaf else None)[0]
        case "logsumexp":
            return contracted((text, leading(lead) + text), leading(lead) + text[:-1], (weights(node), t), {})
        case "max" | "min":
            kept = apply("scaled", spread(shares(node), lead), t)
            return contracted((leading(lead) + text,), leading(lead) + text[:-1], (kept,), {})


def _solve(node: Solve, tangents: Sequence[Node | None], lead: Shape) -> Node | None:
    moved, right = tangents
    terms = [right]
    if moved is not None:
        matrix = leading(lead) + ("ji" if node.transposed else "ij")
        column = "m" if len(node.shape) == 2 else ""
        terms.append(neg(contracted((matrix, "j" + column), leading(lead) + "i" + column, (moved, node), {})))
    total = added(terms)
    return None if total is None else solve_under(node.args[0], total, lead, transposed=node.transposed)


def _log_det(node: LogDet, t: Node, lead: Shape) -> Node:
    inverse = solve(node.args[0], delta(node.args[0].shape[0]))
    trace = contracted(("ij", leading(lead) + "ji"), leading(lead), (inverse, t), {})
    return trace if node.what == "logabs" else mul(spread(node, lead), trace)


def _cholesky(node: Cholesky, t: Node, lead: Shape) -> Node:
    flipped = (*range(len(lead)), len(lead) + 1, len(lead))
    half = solve_under(node, t, lead, transposed=False)
    whole = transpose(solve_under(node, transpose(half, flipped), lead, transposed=False), flipped)
    kept = mul(whole, spread(lower_half(node.shape[0]), lead))
    return contracted(("ij", leading(lead) + "jk"), leading(lead) + "ik", (node, kept), {})
