"""The expressions of solver functions as LLVM instructions, in the order in which Python evaluates them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import (
    BOOL,
    FLOAT64,
    INDEX,
    INT,
    VOID,
    Kind,
    Known,
    Several,
    Whole,
    converted,
)
from implicitdsl.backends.lanes.inference import Typed, constant_power, global_value, kind_of_value
from implicitdsl.backends.lanes.instructions import place
from implicitdsl.backends.lanes.operators import (
    WHOLE_BUILTINS,
    common_kind,
    compared_kind,
    emit_comparison,
    emit_negative,
    emit_operator,
    emit_truth,
)
from implicitdsl.backends.lanes.words import WORDS

Found = tuple[Kind, Any]
"""A value: its kind, and what holds it: an LLVM value, a tuple of such, or None."""


class Expressions:
    """Writes the expressions of one function into its current block. The first block holds the places of variables."""

    def __init__(self, typed: Typed, made: ir.Function, function: Callable[[Typed], ir.Function]) -> None:
        """`function` gives the function of the module that is a typed one."""
        self.typed, self.made, self.function = typed, made, function
        self.entry, self.first = self.begin("places"), self.begin("first")
        self.builder = ir.IRBuilder(self.first)
        self.places = {name: self.place(kind) for name, kind in typed.variables.items()}

    def begin(self, name: str) -> Any:
        return self.made.append_basic_block(name)

    def branch(self, target: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(target)

    # ------------------------------------------------------------ places

    def place(self, kind: Any) -> Any:
        match kind:
            case Known():
                return None
            case Several(parts=parts):
                return tuple(self.place(part) for part in parts)
            case _:
                return None if kind == VOID else place(self.builder, kind.llvm)

    def load(self, held: Any) -> Any:
        if isinstance(held, tuple):
            return tuple(self.load(each) for each in held)
        return None if held is None else self.builder.load(held)

    def store(self, held: Any, found: Found, wanted: Kind) -> None:
        kind, value = found
        if isinstance(wanted, Several):
            for each in zip(held, kind.parts, value, wanted.parts, strict=True):  # type: ignore[attr-defined] - a tuple too
                self.store(each[0], (each[1], each[2]), each[3])
        elif held is not None:
            self.builder.store(converted(self.builder, value, kind, wanted), held)

    # ------------------------------------------------------------ expressions

    def truth(self, node: ast.expr) -> Any:
        return emit_truth(self.builder, *self.value(node))

    def whole(self, node: ast.expr) -> Any:
        return self.value(node)[1]

    def variable(self, name: str) -> Found:
        if name in self.places:
            return self.typed.variables[name], self.load(self.places[name])
        return self.constant(global_value(self.typed.source, name))

    def constant(self, value: Any) -> Found:
        kind = kind_of_value(value)
        return kind, None if isinstance(kind, Known) else ir.Constant(kind.llvm, value)

    def value(self, node: ast.expr) -> Found:
        b = self.builder
        match node:
            case ast.Constant(value=value):
                return self.constant(value)
            case ast.Name(id=name):
                return self.variable(name)
            case ast.Attribute(value=value, attr=name):
                return self.constant(getattr(self.known(value), name))
            case ast.Tuple(elts=parts):
                found = [self.value(part) for part in parts]
                return Several(tuple(kind for kind, _ in found)), tuple(value for _, value in found)
            case ast.Subscript(value=value, slice=index):
                array, at = self.value(value)
                held = b.load(b.gep(at, [self.whole(index)]))
                of = array.dtype  # type: ignore[attr-defined] - an array
                return (INT, b.sext(held, INDEX)) if isinstance(of, Whole) else (of, held)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
                return self.constant(-value)  # type: ignore[operator] - a number
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                kind, value = self.value(operand)
                return kind, emit_negative(b, kind, value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return BOOL, b.not_(self.truth(operand))
            case ast.BoolOp(op=op, values=values):
                return BOOL, self.until(values, decided=isinstance(op, ast.Or))
            case ast.BinOp(left=ast.Constant(), op=ast.Pow()):
                return self.constant(constant_power(node))
            case ast.BinOp(left=left, op=op, right=right):
                return self.operated(op, self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                kind, x, y = self.both(op, self.value(left), self.value(right))
                return compared_kind(kind), emit_comparison(b, op, kind, x, y)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.either(node, test, body, orelse)
            case ast.Call(args=arguments):
                return self.called(node, [self.value(each) for each in arguments])
            case _:
                raise AssertionError(ast.dump(node))

    def known(self, node: ast.expr) -> Any:
        kind, _ = self.value(node)
        return kind.value  # type: ignore[attr-defined] - it is known

    def both(self, op: ast.AST, x: Found, y: Found) -> tuple[Kind, Any, Any]:
        kind = common_kind(op, x[0], y[0])
        assert kind is not None
        left, right = (converted(self.builder, value, own, kind) for own, value in (x, y))
        return kind, left, right

    def operated(self, op: ast.AST, x: Found, y: Found) -> Found:
        kind, left, right = self.both(op, x, y)
        return kind, emit_operator(self.builder, op, kind, left, right)

    def until(self, values: list[ast.expr], *, decided: bool) -> Any:
        """`or` and `and`, which ask no further where one truth decides."""
        b = self.builder
        held, after = place(b, BOOL.llvm), self.begin("after")
        for value in values:
            truth = self.truth(value)
            b.store(truth, held)
            more = self.begin("more")
            b.cbranch(truth, *((after, more) if decided else (more, after)))
            b.position_at_end(more)
        b.branch(after)
        b.position_at_end(after)
        return b.load(held)

    def either(self, node: ast.IfExp, test: ast.expr, body: ast.expr, orelse: ast.expr) -> Found:
        b = self.builder
        yes, no, after = self.begin("if"), self.begin("else"), self.begin("after")
        b.cbranch(self.truth(test), yes, no)
        kind = self.typed.choices[node]
        held = self.place(kind)
        for block, part in ((yes, body), (no, orelse)):
            b.position_at_end(block)
            self.store(held, self.value(part), kind)
            self.branch(after)
        b.position_at_end(after)
        return kind, self.load(held)

    def called(self, node: ast.Call, arguments: list[Found]) -> Found:
        b, kinds = self.builder, tuple(kind for kind, _ in arguments)
        if node in self.typed.calls:
            called = self.typed.calls[node]
            assert called.result is not None
            found = b.call(self.function(called), [v for k, v in arguments if not isinstance(k, Known)])
            if isinstance(called.result, Several):
                return called.result, tuple(b.extract_value(found, i) for i in range(len(called.result.parts)))
            return called.result, found
        function = self.known(node.func)
        if function in WORDS:
            result, wanted = WORDS[function].typing(kinds)
            given = [converted(b, v, k, w) for (k, v), w in zip(arguments, wanted, strict=True)]
            return result, WORDS[function].emit(b, result, wanted, given)
        values = [value for _, value in arguments]
        if function in WHOLE_BUILTINS:
            return INT, b.select(b.icmp_signed(WHOLE_BUILTINS[function], *values), *values)
        return self.rounded(function, *arguments[0])

    def rounded(self, function: Any, kind: Kind, value: Any) -> Found:
        """`int` and `float`."""
        if function is float:
            return FLOAT64, converted(self.builder, value, kind, FLOAT64)
        return INT, value if isinstance(kind, Whole) else self.builder.fptosi(value, INDEX)
