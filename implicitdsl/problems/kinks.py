"""Where a function has a kink: the expressions whose zero it lies at.

At a zero of one of them the derivative is a convention (torch's), and a layer notes `kink`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from implicitdsl.functions.expression import Apply, Arg, Expr, apply
from implicitdsl.functions.scalar import arguments, substitute, walk
from implicitdsl.ir import build
from implicitdsl.ir.elementwise import mapped
from implicitdsl.ir.node import Map, Node
from implicitdsl.ir.node import walk as walk_nodes

AGAINST_ZERO = frozenset({"relu", "abs", "sign", "heaviside"})
AGAINST_OTHERS = frozenset({"maximum", "minimum", "clip", "lt", "le", "gt", "ge"})


def kink_distances(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """For every kinked function on the way to the nodes, what is zero at its kink: x of relu(x), a - b of max(a, b). A
    `floor`, with a jump at every whole number, is left out."""
    found: dict[Node, None] = {}
    for node in walk_nodes(nodes):
        if isinstance(node, Map):
            for distance in _distances(node.expr):
                used = sorted(arguments(distance))
                if used:
                    places = {old: Arg(new) for new, old in enumerate(used)}
                    renamed = substitute(distance, [places.get(i, Arg(i)) for i in range(used[-1] + 1)])
                    found[build.reshape(mapped(renamed, [node.args[i] for i in used]), (node.size,))] = None
    return tuple(found)


def _distances(expr: Expr) -> Iterator[Expr]:
    for part in walk(expr):
        match part:
            case Apply(function=function, args=(first, *others)) if function in AGAINST_ZERO:
                yield first
            case Apply(function=function, args=(first, *others)) if function in AGAINST_OTHERS:
                yield from (apply("sub", first, other) for other in others)
            case _:
                pass
