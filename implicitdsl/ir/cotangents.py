"""Reverse rules: what a node's cotangent adds to the cotangents of its arguments.

With `lead=(k,)` every cotangent has a leading axis of size k. None is a cotangent that is structurally zero. The
rules are the transposes of those in `tangents.py`.

A branch that is not taken adds an exact 0, also where its own derivatives are inf or NaN: what flows out of a
branch of a `select` (or of another function that switches its argument off) carries the condition as a *gate*, and
a contribution made by multiplying is selected by it. A gate is a scalar, or has the shape of its node; it is given
up where axes are mixed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.expression import apply as apply_scalar
from implicitdsl.functions.scalar import SCALAR
from implicitdsl.ir.algebra import factors, product_tree, reduce, solve
from implicitdsl.ir.contraction import constant, contracted, delta, is_layout, transpose, uniform
from implicitdsl.ir.elementwise import add, apply, mapped, mul, neg, select
from implicitdsl.ir.expressions import arguments, is_linear_in, tangent
from implicitdsl.ir.layout import broadcast, flip, is_sum, pick, place, reshape, scatter, sum_of, window
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
from implicitdsl.ir.tangents import (
    leading,
    lower_half,
    repeat_last,
    shares,
    sizes_of,
    solve_under,
    spread,
    under,
    weights,
)

Gate = Node | None
MERGED_GATES = 4
"""A node with more differently gated users than this is left ungated."""


def reverse(
    outputs: Sequence[Node], cotangents: Sequence[Node | None], wrt: Sequence[Node], lead: Shape
) -> tuple[Node | None, ...]:
    """The cotangents of the nodes `wrt`."""
    order = list(walk(outputs))
    wanted = set(wrt)
    reaching: set[Node] = set()
    for node in order:
        if node in wanted or any(a in reaching for a in node.args):
            reaching.add(node)
    terms: dict[Node, list[Node]] = {}
    gates: dict[Node, list[Gate]] = {}
    for output, g in zip(outputs, cotangents, strict=True):
        if g is not None and uniform(g) != 0.0 and output in reaching:
            terms.setdefault(output, []).append(g)
            gates.setdefault(output, []).append(None)
    found: dict[Node, Node] = {}
    for node in reversed(order):
        if node not in terms:
            continue
        g = sum_of(terms.pop(node))
        gate = _merged(gates.pop(node))
        if node in wanted:
            found[node] = g
        flags = [a in reaching for a in node.args]
        if not any(flags):
            continue
        parts = cotangents_of(node, g, gate, flags, lead)
        for k, (arg, part) in enumerate(zip(node.args, parts, strict=True)):
            if part is not None and uniform(part) != 0.0:
                terms.setdefault(arg, []).append(part)
                gates.setdefault(arg, []).append(_passed(node, k, gate) if arg.args else None)
    return tuple(found.get(w) for w in wrt)


# ---------------------------------------------------------------- gates


def _merged(gates: Sequence[Gate]) -> Gate:
    distinct: list[Node] = []
    for gate in gates:
        if gate is None:
            return None
        if gate not in distinct:
            distinct.append(gate)
    if len(distinct) > MERGED_GATES or any(d.shape != distinct[0].shape for d in distinct):
        return None
    merged = distinct[0]
    for other in distinct[1:]:
        merged = apply("or", merged, other)
    return merged


def _passed(node: Node, k: int, gate: Gate) -> Gate:
    """The gate of argument k of a node with a gate of its own."""
    match node:
        case Map():
            own = _own_gate(node, k)
            if own is None or gate is None:
                return own or gate
            if own.shape == gate.shape == ():
                return apply("and", gate, own)
            return apply("and", broadcast(gate, node.shape), broadcast(own, node.shape))
        case _ if gate is None or gate.shape == ():
            return gate
        case Reshape():
            return reshape(gate, node.args[0].shape)
        case Place():
            return pick(gate, node.ranges)
        case Pick():
            return place(gate, node.ranges, node.args[0].shape)
        case Contract() if is_layout(node) and len(node.out) == len(node.ins[0]):
            return contracted((node.out,), node.ins[0], (gate,), {})
        case _:
            return None


def _own_gate(node: Map, k: int) -> Gate:
    """Where a function such as `select` lets its argument through, if the argument enters at one place only."""
    expr = node.expr
    if not isinstance(expr, Apply) or not SCALAR[expr.function].gate:
        return None
    places = [j for j, child in enumerate(expr.args) if k in arguments(child)]
    if len(places) != 1:
        return None
    slope = SCALAR[expr.function].derivatives[places[0]](*expr.args)
    if slope is None or isinstance(slope, Const):
        return None
    gate = mapped(slope, node.args)
    if isinstance(gate, Contract) and is_layout(gate) and gate.args[0].shape == ():
        return gate.args[0]
    return gate


def _gated(part: Node, gate: Gate) -> Node:
    """The contribution where a scalar gate is open, an exact 0 elsewhere."""
    return part if gate is None or gate.shape else select(gate, part, 0.0)


# ---------------------------------------------------------------- rules


def cotangents_of(node: Node, g: Node, gate: Gate, flags: Sequence[bool], lead: Shape) -> list[Node | None]:
    """What the node's cotangent adds to those of its arguments; only arguments flagged are asked for. Raises
    TypeError for a node that has no rule."""
    arg = node.args[0]
    match node:
        case Map():
            return _map(node, g, gate, flags, lead)
        case Contract():
            return _contract(node, g, gate, flags, lead)
        case Pick():
            return [place(g, (*((0, k) for k in lead), *node.ranges), lead + arg.shape)]
        case Place():
            return [pick(g, (*((0, k) for k in lead), *node.ranges))]
        case Reshape():
            return [reshape(g, lead + arg.shape)]
        case Window():
            moves = under(node.strides, lead, len(arg.shape))
            return [scatter(g, moves, (*(0 for _ in lead), *node.offset), lead + arg.shape)]
        case Scatter():
            moves = under(node.strides, lead, len(node.shape))
            return [window(g, moves, (*(0 for _ in lead), *node.offset), lead + arg.shape)]
        case Reduce():
            part = _reduce(node, g, lead)
            return [None if part is None else _gated(part, None if node.kind == "cumsum" else gate)]
        case Factor():
            return [g]
        case Solve():
            return _solve(node, g, gate, flags, lead)
        case LogDet():
            inverse = solve(arg, delta(arg.shape[0]), transposed=True)
            scale = g if node.what == "logabs" else mul(g, spread(node, lead))
            return [_gated(contracted((leading(lead), "ij"), leading(lead) + "ij", (scale, inverse), {}), gate)]
        case Cholesky():
            return [_gated(_cholesky(node, g, lead), gate)]
        case _:
            raise TypeError(f"{node!r} has no cotangent")


def _map(node: Map, g: Node, gate: Gate, flags: Sequence[bool], lead: Shape) -> list[Node | None]:
    if is_sum(node):
        return [g if flag else None for flag in flags]
    args = [*(spread(a, lead) for a in node.args), g]
    if gate is not None:
        args.append(spread(broadcast(gate, node.shape), lead))
    n = len(node.args)
    used = arguments(node.expr)
    parts: list[Node | None] = []
    for i, flag in enumerate(flags):
        expr = tangent(node.expr, ((i, n),)) if flag and i in used else None
        if expr is not None and gate is not None and not is_linear_in(node.expr, i):
            expr = _selected(Arg(n + 1), expr)
        parts.append(None if expr is None else mapped(expr, args))
    return parts


def _selected(gate: Expr, expr: Expr) -> Expr:
    return apply_scalar("select", gate, expr, Const(0.0))


def _contract(node: Contract, g: Node, gate: Gate, flags: Sequence[bool], lead: Shape) -> list[Node | None]:
    parts: list[Node | None] = []
    for i, flag in enumerate(flags):
        if not flag:
            parts.append(None)
            continue
        ins = [leading(lead) + node.out, *(text for j, text in enumerate(node.ins) if j != i)]
        args = [g, *(a for j, a in enumerate(node.args) if j != i)]
        sizes = sizes_of(node.ins[i], node.args[i].shape, lead)
        part = contracted(ins, leading(lead) + node.ins[i], args, sizes)
        parts.append(_gated(part, gate) if len(node.args) > 1 else part)
    return parts


def _reduce(node: Reduce, g: Node, lead: Shape) -> Node | None:
    x = node.args[0]
    match node.kind:
        case "cumsum":
            return flip(reduce("cumsum", flip(g)))
        case "prod":
            # By a leaf in the place of the factors: the constructors fold through them, past what the sweep looks for.
            leaf = factors(x.shape)
            found = reverse((product_tree(leaf),), (g,), (leaf,), lead)[0]
            return None if found is None else rebuilt((found,), lambda node: x if node is leaf else None)[0]
        case "logsumexp":
            return mul(spread(weights(node), lead), repeat_last(g, x.shape[-1]))
        case "max" | "min":
            return apply("scaled", spread(shares(node), lead), repeat_last(g, x.shape[-1]))


def _solve(node: Solve, g: Node, gate: Gate, flags: Sequence[bool], lead: Shape) -> list[Node | None]:
    multiplier = solve_under(node.args[0], g, lead, transposed=not node.transposed)
    matrix: Node | None = None
    if flags[0]:
        column = "m" if len(node.shape) == 2 else ""
        row, other = ("j", "i") if node.transposed else ("i", "j")
        ins = (leading(lead) + row + column, other + column)
        matrix = _gated(neg(contracted(ins, leading(lead) + "ij", (multiplier, node), {})), gate)
    return [matrix, _gated(multiplier, gate) if flags[1] else None]


def _cholesky(node: Cholesky, g: Node, lead: Shape) -> Node:
    n = node.shape[0]
    lower = spread(constant(np.tril(np.ones((n, n)))), lead)
    flipped = (*range(len(lead)), len(lead) + 1, len(lead))
    product = contracted(("ji", leading(lead) + "jk"), leading(lead) + "ik", (node, mul(g, lower)), {})
    kept = mul(product, spread(lower_half(n), lead))
    half = solve_under(node, kept, lead, transposed=True)
    whole = solve_under(node, transpose(half, flipped), lead, transposed=True)
    return mul(0.5, add(whole, transpose(whole, flipped)))
