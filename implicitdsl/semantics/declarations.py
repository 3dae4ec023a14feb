"""Declarations with all sizes known: params and consts with their starts, sets and draws, used layers, inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.diagnostics import Span
from implicitdsl.ir import build, evaluate
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.signature import Draw, MemberSet, Parameter
from implicitdsl.semantics.expressions import Scope, placed
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.program import Program, UsedLayer
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree


def constant_value(expression: tree.Expression, scope: Scope) -> NDArray[np.float64]:
    """The value of an expression of sizes, numbers and consts; anything else is E4xx."""
    node = scope.value(expression)
    if any(isinstance(n, Leaf) for n in walk((node,))):
        raise fail(
            "E407",
            f"`{expression.span.text}` is not constant",
            expression.span,
            remark="a start value is made of numbers, sizes and consts",
        )
    return evaluate.evaluate((node,), {})[0]


def fit(node: Node, shape: tuple[int, ...], where: tree.Node) -> Node:
    """The node broadcast to the shape (a missing leading axis or a size 1 only)."""
    if node.shape == shape:
        return node
    with placed(where):
        return build.broadcast(node, shape)


def read_set(expression: tree.Expression | None, scope: Scope) -> MemberSet | None:
    """The set that `in` names, with constant arguments."""
    match expression:
        case None:
            return None
        case tree.Name(id=name):
            return MemberSet(name)
        case tree.Call(function=tree.Name(id=name), arguments=arguments):
            found = MemberSet(name, tuple(_number(a, scope) for a in arguments))
            if name == "interval" and found.args[0] > found.args[1]:
                raise fail(
                    "E208",
                    f"`{expression.span.text}` holds no number",
                    expression.span,
                    help="the lower end comes first",
                )
            return found
        case _:
            raise fail("E213", f"`{expression.span.text}` is no set", expression.span)


def _number(argument: tree.Expression | tree.Named | tree.Family, scope: Scope) -> float:
    if isinstance(argument, tree.Named | tree.Family):
        raise fail("E402", f"`{argument.span.text}` is no number", argument.span)
    value = constant_value(argument, scope)
    if value.shape != ():
        raise fail("E309", f"`{argument.span.text}` is not a scalar", argument.span)
    return float(value)


def read_draw(call: tree.Call | None, scope: Scope) -> Draw | None:
    """The distribution of `~ draw(…)`."""
    if call is None:
        return None
    assert isinstance(call.function, tree.Name)
    return Draw(call.function.id, tuple(_number(a, scope) for a in call.arguments))


def declare(statement: tree.Declare, scope: Scope, prefix: str) -> list[Parameter]:
    """The params or consts of a line; their names enter the scope."""
    set_, draw = read_set(statement.set, scope), read_draw(statement.draw, scope)
    found: list[Parameter] = []
    for item in statement.names:
        shape = scope.shape(item.shape)
        refuse_empty(set_, shape, item.span)
        start: NDArray[np.float64] | None = None
        if item.start is not None:
            value = constant_value(item.start, _at_start(scope))
            try:
                start = np.array(np.broadcast_to(value, shape), dtype=np.float64)
            except ValueError:
                raise fail(
                    "E302", f"`{item.name}` is {list(shape)}, its start {list(value.shape)}", item.start.span
                ) from None
        leaf = Leaf("param" if statement.role == "param" else "const", prefix + item.name, shape)
        found.append(Parameter(leaf, set_, start, None if item.start is not None else draw))
    for item, parameter in zip(statement.names, found, strict=True):
        scope.names[item.name] = parameter.leaf
        scope.starts[item.name] = parameter.start
    return found


def _at_start(scope: Scope) -> Scope:
    """The scope in which names of params and consts stand for their start values."""
    inner = Scope(scope.library, scope.names)
    for name, start in scope.starts.items():
        if start is not None:
            inner.names[name] = build.constant(start)
    return inner


def bind_sizes(
    definition: tree.Definition, given: dict[str, int], library: Library, where: Span | None = None
) -> dict[str, int]:
    """All sizes of a definition: those given, then the defaults in order; a missing one is E3xx."""
    place = where or definition.span
    names = [s.name for s in definition.sizes]
    for name in given:
        if name not in names:
            known = ", ".join(names) or "none"
            raise fail("E307", f"{definition.name} has no size `{name}`", place, help=f"its sizes: {known}")
    bound: dict[str, int] = {}
    for size in definition.sizes:
        if size.name in given:
            bound[size.name] = given[size.name]
        elif size.default is not None:
            bound[size.name] = Scope(library, bound).size(size.default)
        else:
            raise fail(
                "E307",
                f"{definition.name} needs the size `{size.name}`",
                place,
                help=f"{definition.name}({size.name}=…)",
            )
        if bound[size.name] < 0:
            raise fail("E304", f"the size `{size.name}` is {bound[size.name]}", place, remark="a size is 0 or more")
    return bound


def read_use(statement: tree.Use, scope: Scope, prefix: str) -> UsedLayer:
    """A `use` line: the definition that it names, its sizes as ints."""
    found = scope.library.find(statement.module, statement.layer)
    if found is None:
        raise fail("E205", f"unknown layer `{statement.layer}`", statement.span)
    definition, library = found
    given: dict[str, int] = {}
    for position, entry in enumerate(statement.sizes):
        if isinstance(entry, tree.Named):
            given[entry.name] = scope.size(entry.value)
        elif position < len(definition.sizes):
            given[definition.sizes[position].name] = scope.size(entry)
        else:
            raise fail("E307", f"{definition.name} has {len(definition.sizes)} sizes", entry.span)
    sizes = bind_sizes(definition, given, library, statement.span)
    return UsedLayer(prefix + statement.name, definition, library, sizes, statement.options, statement.span)


def bind_shapes(
    definition: tree.Definition, sizes: dict[str, int], shapes: Sequence[tuple[int, ...]], library: Library, where: Span
) -> dict[str, int]:
    """The sizes with those that the argument shapes bind (`T` in `ts[T]`); a mismatch is E302."""
    if len(shapes) != len(definition.inputs):
        raise fail("E208", f"{definition.name} takes {len(definition.inputs)} inputs, {len(shapes)} given", where)
    bound = dict(sizes)
    for item, shape in zip(definition.inputs, shapes, strict=True):
        if len(item.shape) != len(shape):
            raise fail(
                "E302", f"`{item.name}` of {definition.name} has {len(item.shape)} axes; {list(shape)} given", where
            )
        for axis, extent in zip(item.shape, shape, strict=True):
            if isinstance(axis, tree.Name) and axis.id not in bound:
                bound[axis.id] = extent
    for item, shape in zip(definition.inputs, shapes, strict=True):
        wanted = Scope(library, bound).shape(item.shape)
        if wanted != tuple(shape):
            raise fail("E302", f"`{item.name}` of {definition.name} is {list(wanted)}; {list(shape)} given", where)
    return bound


def refuse_empty(set_: MemberSet | None, shape: tuple[int, ...], where: Span) -> None:
    """E304 where a set of whole vectors has no member of the size asked for: no numbers have the sum 1."""
    if set_ is not None and set_.name == "simplex" and shape[-1] == 0:
        raise fail("E304", "`simplex` of size 0 holds no vector", where, help="its size is 1 or more")


def centre(set_: MemberSet | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Where an unknown starts if nothing is said: 0, or the centre of its set."""
    match set_:
        case MemberSet(name="positive"):
            return np.ones(shape)
        case MemberSet(name="interval", args=(low, high)) if math.isfinite(low) and math.isfinite(high):
            return np.full(shape, (low + high) / 2)
        case MemberSet(name="simplex"):
            return np.full(shape, 1 / shape[-1])
        case MemberSet(name="spd" | "psd" | "orthogonal"):
            return np.eye(shape[-1])
        case MemberSet(name="ordered"):
            return np.arange(shape[-1], dtype=np.float64)
        case _:
            return np.zeros(shape)


def bounds(set_: MemberSet | None, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Elementwise lower and upper bounds of a set (±inf where it has none)."""
    low, high = -math.inf, math.inf
    match set_:
        case MemberSet(name="positive" | "nonneg"):
            low = 0.0
        case MemberSet(name="interval", args=(a, b)):
            low, high = a, b
        case _:
            pass
    size = math.prod(shape)
    return np.full(size, low), np.full(size, high)


def register(program: Program, parameters: Sequence[Parameter]) -> None:
    """Add params and consts to the program, once each."""
    known = {p.name for p in (*program.params, *program.consts)}
    for parameter in parameters:
        if parameter.name not in known:
            (program.params if parameter.leaf.kind == "param" else program.consts).append(parameter)


def call_size_names(definition: tree.Definition) -> tuple[str, ...]:
    """The sizes that bind at each call: names that stand alone in an input shape and are no sizes of the definition."""
    fixed = {size.name for size in definition.sizes}
    axes = (axis for item in definition.inputs for axis in item.shape)
    return tuple(dict.fromkeys(a.id for a in axes if isinstance(a, tree.Name) and a.id not in fixed))
