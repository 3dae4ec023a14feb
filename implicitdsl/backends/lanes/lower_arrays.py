"""Solver functions of one sample to unoptimised LLVM text: statements of `lower.py`, and those on NumPy arrays.

How arrays are computed with is said in `array_expressions.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.array_expressions import ArrayExpressions, dtype_of, number_as
from implicitdsl.backends.lanes.array_inference import ArrayInference
from implicitdsl.backends.lanes.arrays import Lazy, View, elements_of
from implicitdsl.backends.lanes.element import INDEX, INT, Kind, Known, Pointer, Real, Several
from implicitdsl.backends.lanes.inference import Inference, Typed
from implicitdsl.backends.lanes.lower import ModuleWriter, no_collector, passed_as
from implicitdsl.backends.lanes.lower_expressions import Found
from implicitdsl.backends.lanes.room import BROKEN_AT, ROOM, give_back, mark
from implicitdsl.backends.lanes.source import source_of

ZERO = ir.Constant(INDEX, 0)


def lower_with_arrays(
    function: Callable[..., Any], arguments: tuple[Kind, ...], symbol: str, *, modules: Collection[str] | None = None
) -> str:
    """The LLVM text of a module that defines `symbol` as the C function of these arguments, which gives the whole
    number that the function gives, or -`NO_MEMORY` or -`MISFIT` (`memory.py`) where it could not go on. An array comes
    as its place and its length, a float by its place, of kind `Pointer`; nothing is passed for what is known.

    `modules` are as in `lower`. Raises LoweringError for a function outside what solvers may be written in."""
    by_place = [isinstance(kind, Pointer) and isinstance(kind.dtype, Real) for kind in arguments]
    kinds = tuple(kind.dtype if by else kind for kind, by in zip(arguments, by_place, strict=True))
    with no_collector():
        typed = Inference(modules, ArrayInference).typed(source_of(function), kinds)
        assert typed.result == INT
        module = ir.Module("solver")
        body = ArrayModuleWriter(module).function(typed)
        passed = [part for kind in arguments for part in passed_as(kind)]
        entry = ir.Function(module, ir.FunctionType(INDEX, passed), symbol)
        b = ir.IRBuilder(entry.append_basic_block())
        room = b.alloca(ROOM)
        b.store(ir.Constant(ROOM, None), room)
        given = [b.load(a) if a.type != w.type else a for a, w in zip(entry.args, body.args[1:], strict=True)]
        status = b.call(body, [room, *given])
        give_back(b, room, (ZERO, ZERO))
        reason = b.load(b.gep(room, BROKEN_AT))
        b.ret(b.select(b.icmp_signed("==", reason, ZERO), status, b.neg(reason)))
        return str(module)


class ArrayModuleWriter(ModuleWriter):
    """Functions that are given the room of the call first."""

    before = (ROOM.as_pointer(),)

    def __init__(self, module: ir.Module) -> None:
        super().__init__(module)
        self._breaking: set[ir.Function] = set()

    def write(self, typed: Typed, made: ir.Function) -> None:
        writer = ArrayWriter(typed, made, self.function, self._breaking)
        writer.write()
        if writer.may_break:
            self._breaking.add(made)


class ArrayWriter(ArrayExpressions):
    """Writes one function."""

    def receive(self) -> None:
        values = iter(self.made.args[1:])
        changed = _changed(self.typed.source.body)
        for name, kind in zip(self.typed.source.parameters, self.typed.arguments, strict=True):
            if isinstance(kind, Known):
                continue
            value = tuple(next(values) for _ in kind.parts) if isinstance(kind, Several) else next(values)
            if name in changed:
                self.store(self.places[name], (kind, value), self.typed.variables[name])
            else:
                self.given[name] = kind, value

    def give_back(self) -> None:
        """Gives back what the function took from the room; an array that it gives stays there until its caller
        returns."""
        b = self.builder
        for reason, block in self.broken.items():
            b.position_at_end(block)
            b.store(ir.Constant(INDEX, reason), b.gep(self.room, BROKEN_AT))
            b.branch(self.last)
        b.position_before(self.entry.terminator)
        held = mark(b, self.room)
        b.position_at_end(self.last)
        if self.takes and not isinstance(self.typed.result, View):
            give_back(b, self.room, held)

    # ------------------------------------------------------------ statements

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value) if isinstance(
                self.typed.variables.get(name), View
            ):
                held = self.variable(name)
                self.write_elements(held, self.operated(op, held, self.value(value)))
            case ast.AugAssign(target=ast.Subscript(value=array, slice=index), op=op, value=value):
                held = self.indexed(self.value(array), index)
                before = held if isinstance(held[0], View) else (held[0], self.builder.load(held[1]))
                self.write_at(held, self.operated(op, before, self.value(value)))
            case ast.Return(value=ast.expr() as value):
                assert self.typed.result is not None
                self.store(self.result, self.in_memory(self.value(value)), self.typed.result)
                self.builder.branch(self.last)
            case _:
                super().statement(statement)

    def assign(self, target: ast.expr, found: Found) -> None:
        match target:
            case ast.Subscript(value=array, slice=index):
                self.write_at(self.indexed(self.value(array), index), found)
            case _:
                super().assign(target, self.in_memory(found))

    def write_at(self, held: Found, found: Found) -> None:
        """A view, or the place of an element, receives a value."""
        if isinstance(held[0], View):
            self.write_elements(held, found)
        else:
            self.builder.store(number_as(self.builder, found, held[0]), held[1])

    def write_elements(self, held: Found, found: Found) -> None:
        """The elements of a view become a number, or those of an array."""
        kind, value = found
        view: Any = held[0]
        if elements_of(kind) is None:
            number = number_as(self.builder, found, view.dtype)
            self.fill(held, Lazy(self.lengths(held), lambda *at: number), view.dtype)
            return
        elements = self.lazy(found)
        for x, y in zip(self.lengths(held), elements.lengths, strict=True):
            self.require_equal(x, y)
        if kind == view and view.is_dense:
            self.copy_whole(held[1], value, view.dtype)
        else:
            self.fill(held, elements, dtype_of(kind))

    def copy_whole(self, target: Any, source: Any, dtype: Any) -> None:
        """Copies elements that lie side by side, wherever those of the target lie."""
        b, byte = self.builder, ir.IntType(8).as_pointer()
        function = b.module.declare_intrinsic("llvm.memmove", [byte, byte, INDEX])
        size = b.mul(target[1], ir.Constant(INDEX, dtype.bits // 8))
        places = [b.bitcast(array[0], byte) for array in (target, source)]
        b.call(function, [*places, size, ir.Constant(ir.IntType(1), 0)])


def _changed(body: list[ast.stmt]) -> set[str]:
    """The names that statements give values."""
    nodes = (node for statement in body for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
