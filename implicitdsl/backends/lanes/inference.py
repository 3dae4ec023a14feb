"""The kinds of all that a solver function computes, given those of its arguments.

A variable has one kind in the whole function: whole numbers become floats, and floats lanes, where it also holds such.
A loop may widen what its body reads, so the statements are gone through until nothing changes.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from implicitdsl.backends.lanes.element import (
    BOOL,
    FLOAT64,
    INT,
    VOID,
    Kind,
    Known,
    Pointer,
    Real,
    Several,
    Truth,
    Whole,
    united,
)
from implicitdsl.backends.lanes.operators import WHOLE_BUILTINS, common_kind, compared_kind
from implicitdsl.backends.lanes.source import Source, source_of
from implicitdsl.backends.lanes.words import WORDS


class LoweringError(TypeError):
    """A function outside what solvers may be written in."""

    placed = False
    """Whether it says where."""


class _NotYetError(Exception):
    """A variable whose kind is not known so far."""


@dataclass(eq=False)
class Typed:
    """A function with the kinds of its arguments, of its variables, and of what it gives."""

    source: Source
    arguments: tuple[Kind, ...]
    variables: dict[str, Kind]
    result: Kind | None = None
    calls: dict[ast.Call, Typed] = field(default_factory=dict)
    """The functions that it calls."""
    choices: dict[ast.IfExp, Kind] = field(default_factory=dict)
    """The kinds of its conditional expressions."""


class Inference:
    """Finds the kinds of functions, once for each list of arguments."""

    def __init__(self, modules: Collection[str] | None, function: type[FunctionInference] | None = None) -> None:
        self.modules, self._function = modules, function or FunctionInference
        self._found: dict[tuple[Source, tuple[Kind, ...]], Typed] = {}

    def typed(self, source: Source, arguments: tuple[Kind, ...]) -> Typed:
        """A function called with such arguments. Raises LoweringError for what solvers may not do."""
        key = (source, arguments)
        if key not in self._found:
            if len(arguments) != len(source.parameters):
                raise LoweringError(f"{source.name} takes {len(source.parameters)} arguments, not {len(arguments)}")
            found = Typed(source, arguments, dict(zip(source.parameters, arguments, strict=True)))
            self._function(self, found).infer()
            self._found[key] = found
        return self._found[key]


class FunctionInference:
    """Finds the kinds of one function."""

    def __init__(self, inference: Inference, typed: Typed) -> None:
        self.inference, self.typed = inference, typed
        self.changed = False
        self.error: Exception | None = None

    def infer(self) -> None:
        self.changed = True
        while self.changed:
            self.changed, self.error = False, None
            self.block(self.typed.source.body)
        if self.error is not None:
            raise self.error
        if self.typed.result is None:
            self.typed.result = VOID

    # ------------------------------------------------------------ statements

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            try:
                self.statement(statement)
            except (_NotYetError, LoweringError) as error:
                # What a later statement says may mend it; if nothing changes any more, it stays wrong.
                self.error = self.error or self.placed(error, statement)

    def placed(self, error: Exception, statement: ast.stmt) -> LoweringError:
        """The error with the place where it is, if it has none."""
        if isinstance(error, LoweringError) and error.placed:
            return error
        line = ast.unparse(ast.fix_missing_locations(statement)).partition("\n")[0]
        found = LoweringError(f"{self.typed.source.name}: `{line}`: {error}")
        found.placed = True
        return found

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Break() | ast.Continue():
                pass
            case ast.Expr(value=value):
                self.kind(value)
            case ast.Assign(targets=targets, value=value):
                kind = self.kind(value)
                for target in targets:
                    self.assign(target, kind)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.join(name, self.operated(op, self.variable(name), self.kind(value)))
            case ast.If(test=test, body=body, orelse=orelse):
                self.block(body)
                self.block(orelse)
                self.truth(test)
            case ast.While(test=test, body=body, orelse=[]):
                self.block(body)
                self.truth(test)
            case ast.For(target=target, iter=ast.Tuple(elts=values), body=body, orelse=[]):
                for value in values:
                    self.assign(target, self.kind(value))
                self.block(body)
            case ast.For(target=ast.Name(id=name), iter=iterator, body=body, orelse=[]):
                for bound in range_bounds(iterator):
                    self.whole(bound)
                self.join(name, INT)
                self.block(body)
            case ast.Return(value=value):
                self.give(VOID if value is None else self.kind(value))
            case _:
                raise LoweringError("solvers have no such statement")

    def give(self, kind: Kind) -> None:
        before = self.typed.result
        found = kind if before is None else united(before, kind)
        if found is None:
            raise LoweringError(f"gives now {before}, now {kind}")
        self.changed |= found != before
        self.typed.result = found

    def assign(self, target: ast.expr, kind: Kind) -> None:
        match target:
            case ast.Name(id=name):
                self.join(name, kind)
            case ast.Tuple(elts=targets) if isinstance(kind, Several) and len(targets) == len(kind.parts):
                for each, part in zip(targets, kind.parts, strict=True):
                    self.assign(each, part)
            case ast.Subscript():
                held = self.kind(target)
                if united(held, kind) != held:
                    raise LoweringError(f"an array of {held} cannot hold {kind}")
            case _:
                raise LoweringError("solvers have no such assignment")

    def join(self, name: str, kind: Kind) -> None:
        before = self.typed.variables.get(name)
        found = kind if before is None else united(before, kind)
        if found is None:
            raise LoweringError(f"{name} is now {before}, now {kind}")
        self.changed |= found != before
        self.typed.variables[name] = found

    # ------------------------------------------------------------ expressions

    def variable(self, name: str) -> Kind:
        if name in self.typed.variables:
            return self.typed.variables[name]
        if name in self.typed.source.variables:
            raise _NotYetError(f"{name} has no value")
        return kind_of_value(global_value(self.typed.source, name))

    def whole(self, node: ast.expr) -> None:
        if not isinstance(self.kind(node), Whole):
            raise LoweringError(f"`{ast.unparse(node)}` is no whole number")

    def truth(self, node: ast.expr) -> None:
        if not isinstance(self.kind(node), Truth | Whole):
            raise LoweringError(f"`{ast.unparse(node)}` may differ between samples")

    def kind(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant(value=value):
                return kind_of_value(value)
            case ast.Name(id=name):
                return self.variable(name)
            case ast.Attribute(value=value, attr=name):
                return kind_of_value(getattr(self.known(value), name))
            case ast.Tuple(elts=parts):
                return Several(tuple(self.kind(part) for part in parts))
            case ast.Subscript(value=value, slice=index):
                array = self.kind(value)
                self.whole(index)
                if not isinstance(array, Pointer):
                    raise LoweringError(f"`{ast.unparse(value)}` is no array")
                return INT if isinstance(array.dtype, Whole) else array.dtype
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                kind = self.kind(operand)
                return kind if isinstance(kind, Whole) else self.operated(ast.Sub(), kind, kind)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.truth(operand)
                return BOOL
            case ast.BoolOp(values=values):
                for value in values:
                    self.truth(value)
                return BOOL
            case ast.BinOp(left=ast.Constant(), op=ast.Pow()):
                return kind_of_value(constant_power(node))
            case ast.BinOp(left=left, op=op, right=right):
                return self.operated(op, self.kind(left), self.kind(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return compared_kind(self.operated(op, self.kind(left), self.kind(right)))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.truth(test)
                found = united(self.kind(body), self.kind(orelse))
                if found is None:
                    raise LoweringError(f"`{ast.unparse(node)}` has two kinds")
                self.typed.choices[node] = found
                return found
            case ast.Call(func=function, args=arguments, keywords=[]):
                return self.called(node, self.known(function), tuple(self.kind(each) for each in arguments))
            case _:
                raise LoweringError(f"solvers have no `{ast.unparse(node)}`")

    def known(self, node: ast.expr) -> Any:
        kind = self.kind(node)
        if not isinstance(kind, Known):
            raise LoweringError(f"`{ast.unparse(node)}` is not known")
        return kind.value

    def operated(self, op: ast.AST, x: Kind, y: Kind) -> Kind:
        found = common_kind(op, x, y)
        if found is None:
            raise LoweringError(f"{type(op).__name__} takes no {x} and {y}")
        return found

    def called(self, node: ast.Call, function: Any, arguments: tuple[Kind, ...]) -> Kind:
        if function in WORDS:
            found = WORDS[function].typing(arguments)
            if found is None:
                raise LoweringError(f"`{ast.unparse(node)}` takes no {', '.join(map(str, arguments))}")
            return found[0]
        if isinstance(function, Source | FunctionType):
            source = function if isinstance(function, Source) else self.plain(function)
            self.typed.calls[node] = called = self.inference.typed(source, arguments)
            assert called.result is not None
            return called.result
        if function in WHOLE_BUILTINS and len(arguments) == 2 and all(isinstance(a, Whole) for a in arguments):
            return INT
        if function in (int, float) and len(arguments) == 1 and isinstance(arguments[0], Whole | Real):
            return INT if function is int else FLOAT64
        raise LoweringError(f"solvers have no `{ast.unparse(node)}`")

    def plain(self, function: FunctionType) -> Source:
        modules = self.inference.modules
        if modules is not None and function.__module__ not in modules:
            raise LoweringError(f"{function.__name__} is of {function.__module__}, which is no source of this solver")
        return source_of(function)


def range_bounds(iterator: ast.expr) -> list[ast.expr]:
    """The arguments of the `range` that a loop runs over."""
    match iterator:
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return bounds
        case _:
            raise LoweringError("loops run over a range")


def constant_power(node: ast.BinOp) -> float:
    """`2.0**-14`: numbers alone have powers."""
    try:
        base, exponent = ast.literal_eval(node.left), ast.literal_eval(node.right)
    except ValueError:
        raise LoweringError(f"`{ast.unparse(node)}` is no number") from None
    return base**exponent


def global_value(source: Source, name: str) -> Any:
    """What a name means that is no variable of a function."""
    if name in source.globals:
        return source.globals[name]
    if hasattr(builtins, name):
        return getattr(builtins, name)
    raise LoweringError(f"nothing is called {name}")


def kind_of_value(value: Any) -> Kind:
    """The kind of what is known when a solver is compiled."""
    match value:
        case bool():
            return BOOL
        case int():
            return INT
        case float():
            return FLOAT64
        case ModuleType() | _ if callable(value) or isinstance(value, ModuleType | Source):
            return Known(value)
        case _:
            raise LoweringError(f"solvers have no {value!r}")
