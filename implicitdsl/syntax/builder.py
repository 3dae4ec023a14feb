"""Lark's tree to the tree of the language, from the leaves up and without recursion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from implicitdsl.diagnostics import Source, Span
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from lark import Token, Tree

Parts = list[Any]
Rule = Callable[[Span, Parts], Any]


def build(source: Source, root: Any) -> Any:
    """The node, or tuple of nodes, for lark's tree `root`."""
    finished: dict[int, Any] = {}
    for branch in _leaves_first(root):
        parts = [_part(source, child, finished) for child in branch.children]
        start = getattr(branch.meta, "start_pos", 0)
        end = getattr(branch.meta, "end_pos", start)
        finished[id(branch)] = RULES[str(branch.data)](Span(source, start, end), parts)
    return finished[id(root)]


def _leaves_first(root: Tree[Token]) -> list[Tree[Token]]:
    order: list[Tree[Token]] = []
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        order.append(branch)
        waiting += [cast("Tree[Token]", child) for child in branch.children if hasattr(child, "data")]
    return order[::-1]


def _part(source: Source, child: Any, finished: dict[int, Any]) -> Any:
    if child is None:
        return None
    if hasattr(child, "data"):
        return finished[id(child)]
    return tree.Name(str(child), span=Span(source, child.start_pos, child.end_pos))


def depth_limit_passed(root: Any, limit: int) -> Any | None:
    """The first branch that lies deeper than `limit` expressions and blocks inside one another, if there is one."""
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        branch, depth = waiting.pop()
        depth += branch.data in DEEPENING
        if depth > limit:
            return branch
        waiting += [(child, depth) for child in branch.children if hasattr(child, "data")]
    return None


# Every rule takes the place and the parts of one branch. Words come as `tree.Name`, whatever they are.


def _id(name: tree.Name | None) -> str | None:
    return None if name is None else name.id


def _binary(operator: Any) -> Rule:
    return lambda span, parts: tree.Binary(operator, parts[0], parts[1], span=span)


def _logical(operator: Any) -> Rule:
    return lambda span, parts: tree.Logical(operator, parts[0], parts[1], span=span)


def _tuple(_: Span, parts: Parts) -> Any:
    return tuple(part for part in parts if part is not None)


def _word(_: Span, parts: Parts) -> Any:
    return parts[0].id


def _import(span: Span, parts: Parts) -> Any:
    return tree.Import(parts[0].id[1:-1], _id(parts[1]), span=span)


def _function(span: Span, parts: Parts) -> Any:
    return tree.Function(parts[0].id, tuple(name.id for name in parts[1] or ()), parts[2], span=span)


def _definition(span: Span, parts: Parts) -> Any:
    kind, name, sizes, inputs, outputs, body = parts
    return tree.Definition(kind, name.id, sizes or (), inputs or (), outputs, body, span=span, name_span=name.span)


def _size(span: Span, parts: Parts) -> Any:
    return tree.SizeName(parts[0].id, parts[1], span=span)


def _input(span: Span, parts: Parts) -> Any:
    return tree.Input(parts[0].id, parts[1] or (), parts[2], span=span)


def _path(span: Span, parts: Parts) -> Any:
    return tree.Input(parts[0].id, parts[1] or (), parts[3], path=True, by=_id(parts[2]), span=span)


def _output(span: Span, parts: Parts) -> Any:
    return tree.Output(parts[0].id, parts[1] or (), span=span)


def _bare_output(span: Span, parts: Parts) -> Any:
    return tree.Output(None, parts[0], span=span)


def _declare(span: Span, parts: Parts) -> Any:
    role, *names, draw, members = parts
    return tree.Declare(role, tuple(names), draw, members, span=span)


def _draw(span: Span, parts: Parts) -> Any:
    return tree.Call(parts[0], parts[1] or (), span=span)


def _noise(span: Span, parts: Parts) -> Any:
    *names, stratonovich = parts
    return tree.Declare("noise", tuple(names), stratonovich=stratonovich is not None, span=span)


def _declared(span: Span, parts: Parts) -> Any:
    return tree.DeclaredName(parts[0].id, parts[1] or (), parts[2], span=span)


def _history(span: Span, parts: Parts) -> Any:
    return tree.History(parts[0].id, parts[1], span=span)


def _use(span: Span, parts: Parts) -> Any:
    name, first, second, sizes, options = parts
    module, layer = (None, first.id) if second is None else (first.id, second.id)
    return tree.Use(name.id, module, layer, sizes or (), options or (), span=span)


def _named(span: Span, parts: Parts) -> Any:
    return tree.Named(parts[0], parts[1], span=span)


def _let(span: Span, parts: Parts) -> Any:
    return tree.Let(parts[0].id, parts[1], span=span)


def _horizon(span: Span, parts: Parts) -> Any:
    return tree.Horizon(parts[0].id, parts[1], parts[2], span=span)


def _when(span: Span, parts: Parts) -> Any:
    return tree.When(parts[0], parts[1], span=span)


def _reset(span: Span, parts: Parts) -> Any:
    return tree.Reset(parts[0], parts[1], span=span)


def _stop(span: Span, _: Parts) -> Any:
    return tree.Stop(span=span)


def _objective(span: Span, parts: Parts) -> Any:
    return tree.Objective(parts[0], parts[1], span=span)


def _subject(span: Span, parts: Parts) -> Any:
    return tree.Subject(parts[0], span=span)


def _constraint(span: Span, parts: Parts) -> Any:
    label, held = _id(parts[0]), parts[1]
    if isinstance(held, tree.Equation):
        return tree.Equation(held.left, held.right, label, span=span)
    return tree.Inequality(held, label, span=span)


def _forall(span: Span, parts: Parts) -> Any:
    return tree.ForAll(parts[0].id, parts[1], parts[2], span=span)


def _equation(span: Span, parts: Parts) -> Any:
    return tree.Equation(parts[0], parts[1], span=span)


def _choice(span: Span, parts: Parts) -> Any:
    return tree.Choice(parts[0], parts[1].id, parts[2] or (), span=span)


def _return(span: Span, parts: Parts) -> Any:
    return tree.Return(parts[0], parts[1], span=span)


def _if_else(span: Span, parts: Parts) -> Any:
    return tree.IfElse(parts[0], parts[1], parts[2], span=span)


def _not(span: Span, parts: Parts) -> Any:
    return tree.Not(parts[0], span=span)


def _compare(span: Span, parts: Parts) -> Any:
    return tree.Compare(tuple(parts[1::2]), tuple(parts[::2]), span=span)


def _contains(span: Span, parts: Parts) -> Any:
    return tree.Contains(parts[0], parts[1], span=span)


def _negate(span: Span, parts: Parts) -> Any:
    return tree.Negate(parts[0], span=span)


def _index(span: Span, parts: Parts) -> Any:
    return tree.Index(parts[0], tuple(parts[1:]), span=span)


def _attribute(span: Span, parts: Parts) -> Any:
    if parts[1].id == "T":
        return tree.Transpose(parts[0], span=span)
    return tree.Attribute(parts[0], parts[1].id, span=span)


def _call(span: Span, parts: Parts) -> Any:
    return tree.Call(parts[0], parts[1] or (), span=span)


def _slice(span: Span, parts: Parts) -> Any:
    return tree.Slice(parts[0], parts[1], span=span)


def _family(span: Span, parts: Parts) -> Any:
    return tree.Family(parts[0], parts[1].id, parts[2], span=span)


def _range(span: Span, parts: Parts) -> Any:
    return tree.Range(parts[0], parts[1], span=span)


def _number(span: Span, parts: Parts) -> Any:
    return tree.Number(parts[0].id, span=span)


def _name(span: Span, parts: Parts) -> Any:
    return tree.Name(parts[0].id, span=span)


def _bracket(span: Span, parts: Parts) -> Any:
    return tree.Bracket(tuple(parts), span=span)


RULES: dict[str, Rule] = {
    "version": _number,
    "import_": _import,
    "function": _function,
    "definition": _definition,
    "size": _size,
    "input": _input,
    "path": _path,
    "output": _output,
    "bare_output": _bare_output,
    "declare": _declare,
    "draw": _draw,
    "noise": _noise,
    "declared": _declared,
    "history": _history,
    "use": _use,
    "named": _named,
    "let": _let,
    "horizon": _horizon,
    "when": _when,
    "reset": _reset,
    "stop": _stop,
    "objective": _objective,
    "subject": _subject,
    "constraint": _constraint,
    "forall": _forall,
    "equation": _equation,
    "choice": _choice,
    "return_": _return,
    "if_else": _if_else,
    "or_": _logical("or"),
    "and_": _logical("and"),
    "not_": _not,
    "compare": _compare,
    "contains": _contains,
    "add": _binary("+"),
    "sub": _binary("-"),
    "mul": _binary("*"),
    "div": _binary("/"),
    "matmul": _binary("@"),
    "pow": _binary("^"),
    "neg": _negate,
    "index": _index,
    "attribute": _attribute,
    "call": _call,
    "slice": _slice,
    "family": _family,
    "range": _range,
    "number": _number,
    "name": _name,
    "bracket": _bracket,
    **dict.fromkeys(("kind", "key", "role", "mode", "sense", "what", "comparator"), _word),
    **dict.fromkeys(
        ("file", "names", "sizes", "inputs", "outputs", "shape", "body", "pick", "options", "actions", "relations"),
        _tuple,
    ),
    **dict.fromkeys(("values", "arguments"), _tuple),
}

_OPERATIONS = (
    "if_else",
    "or_",
    "and_",
    "not_",
    "compare",
    "contains",
    "add",
    "sub",
    "mul",
    "div",
    "matmul",
    "neg",
    "pow",
)
DEEPENING = frozenset((*_OPERATIONS, "index", "attribute", "call", "family", "bracket", "forall"))
