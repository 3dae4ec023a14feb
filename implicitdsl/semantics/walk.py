"""Walks over expressions that need no scope: loops, so that no text is too deep for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from implicitdsl.syntax import tree

Part = tree.Expression | tree.Named | tree.Family | tree.Slice | tree.Range


def children(node: Part) -> tuple[Part, ...]:
    """The parts of an expression, left to right. The key of a `Named` is no part; a call's function is one."""
    match node:
        case tree.Negate(operand=operand) | tree.Not(operand=operand) | tree.Transpose(operand=operand):
            return (operand,)
        case tree.Binary(left=left, right=right) | tree.Logical(left=left, right=right):
            return (left, right)
        case tree.Compare(operands=operands):
            return operands
        case tree.Contains():
            return (node.item, node.set)
        case tree.IfElse():
            return (node.condition, node.yes, node.no)
        case tree.Index():
            return (node.base, *node.items)
        case tree.Slice(start=start, stop=stop):
            return tuple(end for end in (start, stop) if end is not None)
        case tree.Range(start=start, stop=stop):
            return (start, stop)
        case tree.Attribute(base=base):
            return (base,)
        case tree.Family():
            return (node.body, node.range)
        case tree.Named(value=value):
            return (value,)
        case tree.Call():
            return (node.function, *node.arguments)
        case tree.Bracket(items=items):
            return items
        case tree.Number() | tree.Name():
            return ()


def free_names(*expressions: Part) -> Iterator[tree.Name]:
    """The names of expressions that no `for` of theirs binds, in the order of the text."""
    work: list[tuple[Part, frozenset[str]]] = [(e, frozenset()) for e in reversed(expressions)]
    while work:
        node, bound = work.pop()
        if isinstance(node, tree.Name):
            if node.id not in bound:
                yield node
        elif isinstance(node, tree.Family):
            work.append((node.range, bound))
            work.append((node.body, bound | {node.index}))
        else:
            work.extend((child, bound) for child in reversed(children(node)))


def calls_of(expressions: Iterable[Part], names: frozenset[str]) -> Iterator[tree.Call]:
    """The calls of one of the names in expressions: `x(t - tau)`, `u(0)`."""
    work: list[Part] = list(expressions)
    while work:
        node = work.pop()
        if isinstance(node, tree.Call) and isinstance(node.function, tree.Name) and node.function.id in names:
            yield node
        work.extend(reversed(children(node)))
