"""Expressions to IR, with all sizes known.

The value of a name is a node, an int (a size or a loop index), or what a `use` names. A shape that does not fit is an
ImpError at the expression (concrete E3xx).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from implicitdsl.diagnostics import Span
from implicitdsl.functions.table import FUNCTIONS, SizeMismatch
from implicitdsl.functions.tensor import estimated_divergence
from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.build import ShapeError
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.program import Jump, Program
from implicitdsl.semantics.size_scope import SizeScope, Spent, fail
from implicitdsl.semantics.standins import differentiated, put_back, stand_ins
from implicitdsl.syntax import tree

CONSTANTS = {"pi": math.pi, "inf": math.inf}
JUMPS = frozenset({"heaviside", "sign", "floor"})
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_ARITHMETIC: Mapping[str, Callable[[Node, Node], Node]] = {
    "+": build.add,
    "-": build.sub,
    "*": build.mul,
    "/": build.div,
    "@": build.matmul,
    "^": build.power,
}


@dataclass(frozen=True)
class Used:
    """What a `use` names: a function of argument nodes that gives the layer's outputs."""

    call: Callable[[Sequence[Node], Span], tuple[Node, ...]]


Value = Node | int | Used


@contextmanager
def placed(expression: tree.Node) -> Generator[None]:
    """Turn a shape error of the IR or of the table into a diagnostic at the expression."""
    try:
        yield
    except (SizeMismatch, ShapeError) as error:
        raise fail(
            "E302", f"sizes do not agree in `{expression.span.text}`", expression.span, remark=str(error)
        ) from None


class Scope(SizeScope):
    """Names of a block, and the functions and layers of its file."""

    def __init__(self, library: Library, names: Mapping[str, Value], spent: Spent | None = None) -> None:
        super().__init__(names, spent)
        self.library = library
        self.names: dict[str, Value] = dict(names)
        self.starts: dict[str, NDArray[np.float64] | None] = {}
        self.program: Program | None = None
        self.read_at: Callable[[Leaf, Node], Node] | None = None  # u(0) of a `bvp`, given u and the place
        self.labels: dict[str, list[Leaf]] = {}

    def with_index(self, index: str, value: int) -> Scope:
        """The same names with a loop index bound."""
        inner = Scope(self.library, {**self.names, index: value}, self.spent)
        inner.program = self.program
        inner.read_at = self.read_at
        inner.labels = self.labels
        return inner

    def _jump(self, node: Node, where: tree.Node) -> Node:
        if self.program is not None:
            self.program.jumps.append(Jump(node, where.span))
        return node

    # ------------------------------------------------------------ values

    def value(self, expression: tree.Expression) -> Node:
        """The node of an expression of one value."""
        values = self.values(expression)
        if len(values) != 1:
            raise fail(
                "E302", f"`{expression.span.text}` has {len(values)} values where one is wanted", expression.span
            )
        return values[0]

    def values(self, expression: tree.Expression) -> tuple[Node, ...]:
        """The nodes of an expression: several only where a used layer has several outputs."""
        match expression:
            case tree.Call(function=tree.Name(id=name)) if isinstance(self.names.get(name), Used):
                return self._use(expression, name)
            case tree.Call():
                return (self._call(expression),)
            case tree.Number():
                return (build.constant(expression.value),)
            case tree.Name(id=name):
                return (self._name(name, expression),)
            case tree.Negate(operand=operand):
                return (build.neg(self.value(operand)),)
            case tree.Binary(operator=operator, left=left, right=right):
                a, b = self.value(left), self.value(right)
                with placed(expression):
                    return (_ARITHMETIC[operator](a, b),)
            case tree.Compare() | tree.Logical() | tree.Not():
                return (self._condition(expression),)
            case tree.IfElse(condition=condition, yes=yes, no=no):
                c, a, b = self.value(condition), self.value(yes), self.value(no)
                with placed(expression):
                    return (build.select(self._jump(c, expression), a, b),)
            case tree.Transpose(operand=operand):
                inner = self.value(operand)
                with placed(expression):
                    return (build.transpose(inner),)
            case tree.Index():
                return (self._index(expression),)
            case tree.Bracket():
                return (self._bracket(expression),)
            case tree.Contains() | tree.Attribute():
                raise fail("E402", f"`{expression.span.text}` is no value", expression.span)

    def _name(self, name: str, where: tree.Node) -> Node:
        value = self.names.get(name)
        match value:
            case Node():
                return value
            case int():
                return build.constant(float(value))
            case Used():
                raise fail("E402", f"`{name}` is a layer; call it", where.span)
            case None:
                if name in CONSTANTS:
                    return build.constant(CONSTANTS[name])
                raise fail("E201", f"unknown name `{name}`", where.span)

    def _condition(self, expression: tree.Expression) -> Node:
        match expression:
            case tree.Compare(operators=operators, operands=operands):
                values = [self.value(o) for o in operands]
                with placed(expression):
                    parts = [
                        build.apply(_COMPARE[o], a, b) for o, a, b in zip(operators, values, values[1:], strict=False)
                    ]
                    found = parts[0]
                    for part in parts[1:]:
                        found = build.apply("and", found, part)
                    return found
            case tree.Logical(operator=operator, left=left, right=right):
                a, b = self._condition(left), self._condition(right)
                with placed(expression):
                    return build.apply(operator, a, b)
            case tree.Not(operand=operand):
                return build.apply("not", self._condition(operand))
            case _:
                return self.value(expression)

    def _index(self, expression: tree.Index) -> Node:
        base = self.value(expression.base)
        ranges = self.ranges(expression, base.shape)
        kept = tuple(stop - start for start, stop, whole in ranges if whole)
        return build.reshape(build.pick(base, [(start, stop) for start, stop, _ in ranges]), kept)

    def ranges(self, expression: tree.Index, shape: tuple[int, ...]) -> list[tuple[int, int, bool]]:
        """What an index picks of a value of the shape: start and stop on every axis, and whether the axis stays."""
        if len(expression.items) > len(shape):
            raise fail(
                "E306",
                f"`{expression.base.span.text}` has {len(shape)} axes, {len(expression.items)} are indexed",
                expression.span,
            )
        found: list[tuple[int, int, bool]] = []
        for axis, extent in enumerate(shape):
            item = expression.items[axis] if axis < len(expression.items) else None
            if item is None or isinstance(item, tree.Slice):
                found.append((*self._slice(item, extent), True))
            else:
                place = self.size(item)
                where = place + extent if place < 0 else place
                if not 0 <= where < extent:
                    raise fail("E306", f"index {place} is outside an axis of size {extent}", item.span)
                found.append((where, where + 1, False))
        return found

    def _slice(self, item: tree.Slice | None, extent: int) -> tuple[int, int]:
        if item is None:
            return 0, extent
        start = 0 if item.start is None else self.size(item.start)
        stop = extent if item.stop is None else self.size(item.stop)
        start, stop = (place + extent if place < 0 else place for place in (start, stop))
        if not 0 <= start <= stop <= extent:
            raise fail("E306", f"slice {start}:{stop} is outside an axis of size {extent}", item.span)
        return start, stop

    def _bracket(self, expression: tree.Bracket) -> Node:
        nested = [isinstance(item, tree.Bracket) for item in expression.items]
        parts = [self.value(item) for item in expression.items]
        with placed(expression):
            if all(nested):
                return build.stack(parts)
            if any(nested):
                raise fail("E303", "a bracket mixes rows and values", expression.span, help="use `stack` or `concat`")
            return build.concat([build.reshape(p, (1,)) if p.shape == () else p for p in parts])

    # ------------------------------------------------------------ calls

    def _use(self, expression: tree.Call, name: str) -> tuple[Node, ...]:
        used = self.names[name]
        assert isinstance(used, Used)
        return used.call([self.value(a) for a in self._plain(expression)], expression.span)

    def _plain(self, expression: tree.Call) -> list[tree.Expression]:
        found: list[tree.Expression] = []
        for argument in expression.arguments:
            if isinstance(argument, tree.Named | tree.Family):
                raise fail("E402", f"`{argument.span.text}` does not fit this call", argument.span)
            found.append(argument)
        return found

    def _call(self, expression: tree.Call) -> Node:
        if isinstance(expression.function, tree.Attribute):
            return self._function(expression, *self._foreign(expression.function))
        if not isinstance(expression.function, tree.Name):
            raise fail("E402", f"`{expression.function.span.text}` cannot be called", expression.function.span)
        name = expression.function.id
        state = self.names.get(name)
        if isinstance(state, Leaf) and state.kind == "state" and self.program is not None:
            time = self.value(self._plain(expression)[0])
            return self.read_at(state, time) if self.read_at else self.program.read(state, time, expression.span)
        if name in self.library.functions and name not in self.names:
            return self._function(expression, *self.library.functions[name])
        match name:
            case "eye" | "zeros" | "ones":
                return self._filled(expression, name)
            case "reshape":
                base, shape = self._plain(expression)
                items = shape.items if isinstance(shape, tree.Bracket) else (shape,)
                node = self.value(base)
                with placed(expression):
                    return build.reshape(node, self.shape(items))
            case "concat" | "stack":
                parts = self._parts(expression)
                with placed(expression):
                    return (
                        build.stack(parts)
                        if name == "stack"
                        else build.concat([build.reshape(p, (1,)) if p.shape == () else p for p in parts])
                    )
            case "grad" | "div" | "jacobian":
                return self._calculus(expression, name)
            case "dual":
                return self._dual(expression)
            case _:
                return self._table(expression, name)

    def _parts(self, expression: tree.Call) -> list[Node]:
        if len(expression.arguments) == 1:
            only = expression.arguments[0]
            if isinstance(only, tree.Family):
                return self._family(only)
            if isinstance(only, tree.Bracket):
                return [self.value(item) for item in only.items]
        return [self.value(a) for a in self._plain(expression)]

    def _family(self, family: tree.Family) -> list[Node]:
        found = [self.with_index(family.index, k).value(family.body) for k in self.range(family.range)]
        if len({n.shape for n in found}) > 1:
            raise fail("E302", f"the terms of `{family.span.text}` have different shapes", family.span)
        return found

    def _filled(self, expression: tree.Call, name: str) -> Node:
        sizes = self.shape(self._plain(expression))
        if name == "eye":
            if len(sizes) != 1:
                raise fail("E302", "eye takes one size", expression.span)
            return build.delta(sizes[0])
        return build.zeros(sizes) if name == "zeros" else build.broadcast(build.constant(1.0), sizes)

    def _foreign(self, function: tree.Attribute) -> tuple[tree.Function, Library]:
        """A function of a file that was imported with an alias, `m.f`."""
        if isinstance(function.base, tree.Name) and function.base.id in self.library.modules:
            module = self.library.modules[function.base.id]
            if function.name in module.functions:
                return module.functions[function.name]
        raise fail("E201", f"unknown function `{function.span.text}`", function.span)

    def _function(self, expression: tree.Call, function: tree.Function, library: Library) -> Node:
        values = [self.value(a) for a in self._plain(expression)]
        if len(values) != len(function.arguments):
            raise fail(
                "E208",
                f"`{function.name}` takes {len(function.arguments)} arguments, {len(values)} given",
                expression.span,
            )
        given = dict(zip(function.arguments, values, strict=True))
        leaves = stand_ins(given, differentiated((function.value,)))
        inner = Scope(library, {**given, **leaves})
        inner.program = self.program
        return put_back((inner.value(function.value),), leaves, given)[0]

    def _calculus(self, expression: tree.Call, name: str) -> Node:
        probes = [a for a in expression.arguments if isinstance(a, tree.Named) and name == "div"]
        arguments = self._plain(
            replace(expression, arguments=tuple(a for a in expression.arguments if a not in probes))
        )
        if len(arguments) != 2:
            raise fail("E302", f"{name} takes a value and what it is differentiated by", expression.span)
        value, by = self.value(arguments[0]), self.value(arguments[1])
        through = None if self.program is None else self.program.call_between(value, by)
        if through is not None:
            raise fail(
                "E615",
                f"`{arguments[0].span.text}` depends on `{arguments[1].span.text}` through the layer `{through}`",
                expression.span,
                remark=f"{name} does not see through an implicit layer yet",
                help="take this derivative in Python: `torch.func.grad` of the layer",
            )
        if name == "grad":
            if value.shape != ():
                raise fail(
                    "E309",
                    f"grad takes a scalar; `{arguments[0].span.text}` is {list(value.shape)}",
                    arguments[0].span,
                    help="use `jacobian`",
                )
            found = calculus.pullback((value,), (build.constant(1.0),), (by,))[0]
            return build.zeros(by.shape) if found is None else found
        if probes:
            return self._estimated(expression, value, by, self.size(probes[0].value))
        jacobian = calculus.jacobian(value, by)
        if name == "jacobian":
            return jacobian
        if value.shape != by.shape:
            raise fail(
                "E302",
                f"div takes a field of the shape of its variable: {list(value.shape)} and {list(by.shape)}",
                expression.span,
            )
        n = value.size
        return build.trace(build.reshape(jacobian, (n, n)))

    def _estimated(self, expression: tree.Call, value: Node, by: Node, count: int) -> Node:
        """The divergence from random signs, an input of the layer that each call draws."""
        if self.program is None:
            raise fail(
                "E402", f"`{expression.span.text}` is random, and stands where nothing is drawn", expression.span
            )
        with placed(expression):
            return estimated_divergence(value, by, self.program.probe((count, *by.shape)))

    def _dual(self, expression: tree.Call) -> Node:
        """The multiplier of a label: of a loop or a chain one row a constraint, in text order."""
        match expression.arguments:
            case (tree.Name(id=label),) if label in self.labels:
                duals = self.labels[label]
                return duals[0] if len(duals) == 1 else build.stack(duals)
            case _:
                known = ", ".join(self.labels) or "none"
                raise fail(
                    "E416", f"`{expression.span.text}` names no constraint", expression.span, help=f"labels: {known}"
                )

    def _table(self, expression: tree.Call, name: str) -> Node:
        record = FUNCTIONS.get(name)
        if record is None:
            raise fail("E201", f"unknown function `{name}`", expression.function.span)
        named: dict[str, int] = {}
        nodes: list[Node] = []
        family = False
        for argument in expression.arguments:
            match argument:
                case tree.Named(name=key, value=value):
                    named[key] = self.size(value)
                case tree.Family():
                    family = True
                    nodes += self._family(argument)
                case _:
                    nodes.append(self.value(argument))
        with placed(expression):
            if not family:
                found = record.build(*nodes, **named)
                return self._jump(found, expression) if name in JUMPS else found
            if name == "sum":
                total: Node = build.constant(0.0)
                for node in nodes:
                    total = build.add(total, node)
                return total
            return record.build(build.stack(nodes))
