"""Solver functions to unoptimised LLVM text: once for each (function, dtype, width).

The text is left unoptimised, because it is optimised after model functions are linked in: optimising twice costs a
third of the speed. Solvers are written in little of Python: whole numbers, floats, elements, masks and arrays, loops
over ranges, and calls of words and of one another. So the kinds of all values follow from those of the arguments
(`inference.py`), and a statement becomes the instructions that it says, in its order.

A function that takes functions of the model is written once for each of them.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes import rows as rows  # registers rows that differ between lanes
from implicitdsl.backends.lanes import tiles as tiles  # registers the products of rows
from implicitdsl.backends.lanes.element import INDEX, INT, VOID, Kind, Known, Several, converted
from implicitdsl.backends.lanes.inference import Inference, Typed, range_bounds
from implicitdsl.backends.lanes.instructions import declared, place
from implicitdsl.backends.lanes.lower_expressions import Expressions, Found
from implicitdsl.backends.lanes.source import Source, source_of
from implicitdsl.backends.lanes.words import FAR


def lower(
    function: Source | Callable[..., Any],
    arguments: tuple[Kind, ...],
    result: Kind,
    symbol: str,
    *,
    modules: Collection[str] | None = None,
) -> str:
    """The LLVM text of a module that defines `symbol` as the C function of these argument and result types.

    Plain functions that it calls, whose text is part of what is made, may come from `modules` alone (None: from any).
    Raises LoweringError for a function outside what solvers may be written in."""
    source = function if isinstance(function, Source) else source_of(function)
    with no_collector():
        typed = Inference(modules).typed(source, arguments)
        assert typed.result is not None
        module = ir.Module("solver")
        body = ModuleWriter(module).function(typed)
        entry = ir.Function(module, ir.FunctionType(result.llvm, [kind.llvm for kind in arguments]), symbol)
        builder = ir.IRBuilder(entry.append_basic_block())
        builder.ret(converted(builder, builder.call(body, entry.args), typed.result, result))
        return str(module)


@contextmanager
def no_collector() -> Iterator[None]:
    """Cycles of objects are left meanwhile: a module is so many objects that the collector would take a quarter of the
    time, and all of them stay until it is done."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class ModuleWriter:
    """The functions of one module, each written when it is first called."""

    before: tuple[Any, ...] = ()
    """The types of what every function is given before its arguments."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        self._made: dict[Typed, ir.Function] = {}

    def function(self, typed: Typed) -> ir.Function:
        if typed not in self._made:
            assert typed.result is not None
            kinds = [part for kind in typed.arguments for part in passed_as(kind)]
            name = f"{typed.source.name}.{len(self._made)}"
            made = ir.Function(self.module, ir.FunctionType(typed.result.llvm, [*self.before, *kinds]), name)
            made.linkage = "internal"
            self._made[typed] = made
            self.write(typed, made)
        return self._made[typed]

    def write(self, typed: Typed, made: ir.Function) -> None:
        FunctionWriter(typed, made, self.function).write()


def passed_as(kind: Kind) -> list[Any]:
    """The types in which a value is passed; what is known is not."""
    if isinstance(kind, Known):
        return []
    return [part.llvm for part in kind.parts] if isinstance(kind, Several) else [kind.llvm]


class FunctionWriter(Expressions):
    """Writes one function. Its last block gives the result."""

    def __init__(self, typed: Typed, made: ir.Function, function: Callable[[Typed], ir.Function]) -> None:
        super().__init__(typed, made, function)
        self.last = self.begin("last")
        self.result = self.place(typed.result)
        self.loops: list[tuple[Any, Any]] = []
        """Of each loop around a statement: where its next round and what follows it begin."""

    def write(self) -> None:
        self.receive()
        self.block(self.typed.source.body)
        self.branch(self.last)
        ir.IRBuilder(self.entry).branch(self.first)
        self.builder.position_at_end(self.last)
        self.give_back()
        self.give()

    def receive(self) -> None:
        """Stores the arguments."""
        given = iter(self.made.args)
        for name, kind in zip(self.typed.source.parameters, self.typed.arguments, strict=True):
            if not isinstance(kind, Known):
                self.store(self.places[name], (kind, next(given)), self.typed.variables[name])

    def give_back(self) -> None:
        """Frees every far buffer."""
        for each in self.entry.instructions:
            if each.name.startswith(FAR):
                kind = ir.FunctionType(ir.VoidType(), [each.type.pointee])
                self.builder.call(declared(self.builder, kind, "free"), [self.builder.load(each)])

    def give(self) -> None:
        kind = self.typed.result
        if kind == VOID:
            self.builder.ret_void()
        elif isinstance(kind, Several):
            whole = ir.Constant(kind.llvm, ir.Undefined)
            for i, held in enumerate(self.result):
                whole = self.builder.insert_value(whole, self.builder.load(held), i)
            self.builder.ret(whole)
        else:
            self.builder.ret(self.builder.load(self.result))

    # ------------------------------------------------------------ statements

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if self.builder.block.is_terminated:
                return
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=value):
                self.value(value)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self.assign(target, found)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                self.assign(target, self.operated(op, self.variable(name), self.value(value)))
            case ast.If(test=test, body=body, orelse=orelse):
                yes, no, after = self.begin("if"), self.begin("else"), self.begin("after")
                self.builder.cbranch(self.truth(test), yes, no)
                for block, part in ((yes, body), (no, orelse)):
                    self.builder.position_at_end(block)
                    self.block(part)
                    self.branch(after)
                self.builder.position_at_end(after)
            case ast.While(test=test, body=body):
                again, inner, after = self.begin("while"), self.begin("do"), self.begin("after")
                self.branch(again)
                self.builder.position_at_end(again)
                self.builder.cbranch(self.truth(test), inner, after)
                self.loop(body, inner, again, after)
            case ast.For(target=target, iter=ast.Tuple(elts=values), body=body):
                after = self.begin("after")
                for value in values:
                    again = self.begin("next")
                    self.assign(target, self.value(value))
                    self.loop(body, self.builder.block, again, after)
                    self.builder.position_at_end(again)
                self.branch(after)
                self.builder.position_at_end(after)
            case ast.For(target=ast.Name(id=name), iter=iterator, body=body):
                self.count(name, [self.whole(bound) for bound in range_bounds(iterator)], body)
            case ast.Return(value=value):
                if value is not None:
                    assert self.typed.result is not None
                    self.store(self.result, self.value(value), self.typed.result)
                self.builder.branch(self.last)
            case ast.Break():
                self.builder.branch(self.loops[-1][1])
            case ast.Continue():
                self.builder.branch(self.loops[-1][0])
            case _:
                raise AssertionError(ast.dump(statement))

    def loop(self, body: list[ast.stmt], inner: Any, again: Any, after: Any) -> None:
        self.builder.position_at_end(inner)
        self.loops.append((again, after))
        self.block(body)
        self.loops.pop()
        self.branch(again)
        self.builder.position_at_end(after)

    def count(self, name: str, bounds: list[Any], body: list[ast.stmt]) -> None:
        """A loop over a range. Its number is its own: what the body makes of the variable changes no round."""
        b = self.builder
        start, stop = (ir.Constant(INDEX, 0), bounds[0]) if len(bounds) == 1 else bounds[:2]
        step = bounds[2] if len(bounds) == 3 else ir.Constant(INDEX, 1)
        number = place(b, INDEX)
        b.store(start, number)
        test, inner, again, after = (self.begin(part) for part in ("for", "do", "next", "after"))
        b.branch(test)
        b.position_at_end(test)
        current = b.load(number)
        more = b.icmp_signed("<", current, stop)
        if not isinstance(step, ir.Constant):
            falls = b.icmp_signed("<", step, ir.Constant(INDEX, 0))
            more = b.select(falls, b.icmp_signed(">", current, stop), more)
        elif step.constant < 0:
            more = b.icmp_signed(">", current, stop)
        b.cbranch(more, inner, after)
        b.position_at_end(inner)
        self.store(self.places[name], (INT, current), self.typed.variables[name])
        self.loop(body, inner, again, after)
        b.position_at_end(again)
        b.store(b.add(b.load(number), step, flags=["nsw"]), number)
        b.branch(test)
        b.position_at_end(after)

    def assign(self, target: ast.expr, found: Found) -> None:
        kind, value = found
        match target:
            case ast.Name(id=name):
                self.store(self.places[name], found, self.typed.variables[name])
            case ast.Tuple(elts=targets):
                for each, part, one in zip(targets, kind.parts, value, strict=True):  # type: ignore[attr-defined] - a tuple
                    self.assign(each, (part, one))
            case ast.Subscript(value=array, slice=index):
                held, at = self.value(array)
                address = self.builder.gep(at, [self.whole(index)])
                self.builder.store(converted(self.builder, value, kind, held.dtype), address)  # type: ignore[attr-defined] - an array
            case _:
                raise AssertionError(ast.dump(target))
