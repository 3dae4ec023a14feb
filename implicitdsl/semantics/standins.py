"""Stand-ins for the arguments by which a function or net differentiates.

Inside `net P(x, y) -> z { return grad(x*y, x) }` the derivative is partial: by `x` with `y` held. Where P is called
with `P(a, a)` or `P([a, b], c)` its inputs are no leaves of the graph: the sweep would miss them, because the
constructors fold through them, or would follow both. So they are leaves while the body is read, and are replaced by
the arguments afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from implicitdsl.ir import derive
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.semantics.walk import calls_of
from implicitdsl.syntax import tree

CALCULUS = frozenset({"grad", "div", "jacobian"})
_count = itertools.count()


def differentiated(expressions: Iterable[tree.Expression]) -> frozenset[str]:
    """The names by which the expressions differentiate."""
    last = (call.arguments[-1] for call in calls_of(expressions, CALCULUS) if call.arguments)
    return frozenset(name.id for name in last if isinstance(name, tree.Name))


def expressions_of(definition: tree.Definition) -> tuple[tree.Expression, ...]:
    """The expressions of a net in which a derivative may stand."""
    found: list[tree.Expression] = []
    for statement in definition.body:
        match statement:
            case tree.Let(value=value):
                found.append(value)
            case tree.Return(values=values):
                found.extend(values)
            case _:
                pass
    return tuple(found)


def stand_ins(arguments: Mapping[str, Node], names: frozenset[str]) -> dict[str, Leaf]:
    """A leaf of its own for each argument among the names."""
    return {n: Leaf("input", f"{n} of call {next(_count)}", a.shape) for n, a in arguments.items() if n in names}


def put_back(nodes: Sequence[Node], leaves: Mapping[str, Leaf], arguments: Mapping[str, Node]) -> tuple[Node, ...]:
    """The nodes with the arguments in the places of their stand-ins."""
    if not leaves:
        return tuple(nodes)
    return derive.substitute(nodes, {leaf: arguments[name] for name, leaf in leaves.items()})
