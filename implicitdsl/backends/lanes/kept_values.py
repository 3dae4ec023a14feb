"""Values that one function of a model computes and a later one would compute again: kept, and read as arguments.

`dear_values` finds them: what depends on known groups of inputs alone, costs much, and is used with the rest; of an
elementwise expression, its parts with a function such as tanh. They become leaves of the kind "kept", behind the other
members of a group (`reading`), and the earlier function writes them (`keeping`). They are the same numbers, by the same
operations.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from implicitdsl.backends.lanes import elementary
from implicitdsl.functions.expression import Apply, Arg, Expr, apply
from implicitdsl.functions.scalar import arguments
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.contraction import is_layout
from implicitdsl.ir.elementwise import mapped
from implicitdsl.ir.layout import is_padded_sum, is_sum
from implicitdsl.ir.node import (
    Constant,
    Contract,
    Delta,
    Factor,
    Leaf,
    Map,
    Node,
    Pick,
    Place,
    Reshape,
    Window,
    walk,
)
from implicitdsl.ir.operations import products, work
from implicitdsl.ir.rebuild import rebuilt, with_args
from implicitdsl.problems.derived import Derived, Group, group

WORTHWHILE = 256
"""Operations that must be saved for a value to be kept at all: small functions are written out, on registers."""


KEPT = "kept"
"""The group of outputs that a keeping function writes."""


@dataclass(frozen=True)
class Kept:
    """Nodes that are kept, the leaves that stand for them, and the groups of inputs that they depend on."""

    nodes: tuple[Node, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Numbers a sample."""
        return sum(leaf.size for leaf in self.leaves)

    def keeping(self, function: Derived, name: str) -> Derived:
        """The function with one more output: the group `kept`."""
        return Derived(name, function.inputs, (*function.outputs, group(KEPT, self.nodes)), function.adds)

    def reading(self, function: Derived, name: str, behind: str) -> Derived:
        """The function with the values read behind the members of an input group."""
        inputs = tuple(
            Group(g.name, (*g.members, *self.leaves), (*g.sizes, *(leaf.size for leaf in self.leaves)))
            if g.name == behind
            else g
            for g in function.inputs
        )
        given: dict[Node, Node] = dict(zip(self.nodes, self.leaves, strict=True))
        roots = _parted(function, self.known)[0] if self.nodes else function.nodes
        made = iter(rebuilt(roots, given.get))
        outputs = tuple(
            Group(g.name, tuple(None if m is None else next(made) for m in g.members), g.sizes)
            for g in function.outputs
        )
        return Derived(name, inputs, outputs, function.adds)


def dear_values(
    functions: Sequence[Derived], known: tuple[str, ...], name: str, *, most: float = math.inf
) -> Kept:  # fmt: skip
    """What the functions compute from the known groups of inputs alone and is worth keeping, at most `most` numbers."""
    found: dict[Node, None] = {}
    for function in functions:
        roots, moving = _parted(function, known)
        used = [a for node in walk(roots) if node in moving for a in node.args]
        for node in (*used, *roots):
            if node not in moving:
                found.update(dict.fromkeys(_dear(node)))
    nodes = tuple(found)
    if not nodes or sum(map(cost_of, walk(nodes))) < WORTHWHILE or sum(n.size for n in nodes) > most:
        return Kept()
    return Kept(nodes, tuple(Leaf("kept", f"{name}.{k}", n.shape) for k, n in enumerate(nodes)), known)


def _parted(function: Derived, known: Collection[str]) -> tuple[tuple[Node, ...], set[Node]]:
    """The outputs, with dear parts of elementwise expressions that are known as Maps of their own, and the nodes that
    depend on more than the known groups."""
    moving: set[Node] = {leaf for g in function.inputs if g.name not in known for leaf in g.leaves}
    new: dict[Node, Node] = {}
    for node in walk(function.nodes):
        args = [new[a] for a in node.args]
        made = node if all(a is b for a, b in zip(args, node.args, strict=True)) else with_args(node, args)
        if any(a in moving for a in made.args):
            if isinstance(made, Map) and not is_sum(made):
                made = _split(made, moving)
            moving.add(made)
        new[node] = made
    return tuple(new[r] for r in function.nodes), moving


def _split(node: Map, moving: set[Node]) -> Node:
    """The Map over its arguments and over the topmost dear parts of its expression that depend on known ones alone."""
    args: list[Node] = list(node.args)
    new: dict[Expr, Expr] = {}
    for e in walk_expr(node.expr):
        new[e] = e
        if isinstance(e, Apply):
            used = arguments(e)
            if e.function in elementary.LIGHT or not used or any(node.args[k] in moving for k in used):
                new[e] = apply(e.function, *(new[a] for a in e.args))
            else:
                # A part of a dear part is dropped again with it.
                new[e] = Arg(len(args))
                args.append(mapped(e, node.args))
    return node if len(args) == len(node.args) else mapped(new[node.expr], args)


def _dear(node: Node) -> Iterable[Node]:
    """The nodes to keep so that a known node costs little: itself, or what it is made of by moves or light maps."""
    found: dict[Node, None] = {}
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, Leaf | Constant | Delta) or not node.size:
            continue
        made = [a for a in node.args if not isinstance(a, Leaf | Constant)]
        moves = is_layout(node) or isinstance(node, Pick | Place | Reshape | Window | Factor)
        if moves or (isinstance(node, Map) and cost_of(node) <= 4 * node.size and len(made) <= 1):
            pending += made
        else:
            found[node] = None
    return found


def cost_of(node: Node) -> int:
    """Operations of one node."""
    match node:
        case Map() if is_padded_sum(node):
            return work(node)
        case Map():
            return node.size * elementary.cost(node.expr)
        case Contract() if not is_layout(node):
            return products(node) * max(1, len(node.ins) - 1)
        case Leaf() | Constant() | Delta() | Contract() | Pick() | Place() | Reshape() | Window():
            return 0
        case _:
            return sum(a.size for a in node.args)
