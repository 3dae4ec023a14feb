"""Solver sources for one method: its numbers put in, loops over its stages written out, zero coefficients left out.

A solver function names its method by the parameters `s degree a couple c drive error dense`. Their values are known
here, so a loop over a range of known bounds is written out, a condition on known values decided, and a coefficient a
number; parameters stay as they are, so that callers need not change. The text is that of the solver, statement for
statement: nothing is reordered.
"""

from __future__ import annotations

import ast
import operator
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from implicitdsl.backends.lanes.source import Source, source_of

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


def rebound(
    functions: Iterable[Callable[..., Any]], values: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Source]:
    """Plain functions that call one another, and no others of these names, with the globals `values`; by name.

    `known` are the numbers of a method to be written into them (a number or a tuple of numbers by parameter name), None
    leaves loops as they are."""
    found: dict[str, Source] = {}
    for function in functions:
        source = source_of(function)
        write = source.write if known is None else partial(_written_out, source, known)
        found[source.name] = replace(source, write=write, globals=ChainMap(found, {**values}, {**source.globals}))
    return found


def _written_out(source: Source, known: Mapping[str, Any]) -> list[ast.stmt]:
    here = {name: value for name, value in known.items() if name in source.parameters}
    # What names neither is no function of a method: its `a` is a matrix of its own.
    if not {"s", "degree"} & here.keys():
        return source.body
    if not any(isinstance(n, ast.For | ast.If) for statement in source.body for n in ast.walk(statement)):
        return source.body
    return _Writer(here, source.parameters).block(source.body)


class _Writer:
    """Writes statements out, given what is known."""

    def __init__(self, known: Mapping[str, Any], parameters: Iterable[str]) -> None:
        self.known = dict(known)
        self.depth = 0
        self.undecided = 0
        self.names = set(parameters)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in body:
            found += self.statement(statement)
        return found

    def statement(self, statement: ast.stmt) -> list[ast.stmt]:
        match statement:
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds)):
                return self.loop(statement, name, bounds)
            case ast.If():
                truth, test = self.condition(statement.test)
                if truth is not None:
                    return self.block(statement.body if truth else statement.orelse)
                before = self.forget(statement)
                self.undecided += 1
                body, orelse = self.block(statement.body), self.block(statement.orelse)
                self.undecided -= 1
                return [*before, ast.If(test, body or [ast.Pass()], orelse)]
            case ast.While():
                before = self.forget(statement)
                self.undecided += 1
                body = self.block(statement.body)
                self.undecided -= 1
                return [*before, ast.While(self.expression(statement.test), body, [])]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if self.depth and not self.undecided:
                number = self.value(value)
                if isinstance(number, int | float):
                    self.known[name] = number
                    return []
                self.known.pop(name, None)
                return [self.expression(statement)]
            case _:
                for name in _assigned(statement):
                    self.known.pop(name, None)
                return [self.expression(statement)]

    def forget(self, statement: ast.stmt) -> list[ast.stmt]:
        """What a statement may assign is known no longer; the assignments that were left out while it was."""
        names = [name for name in sorted(_assigned(statement)) if name in self.known]
        return [
            ast.Assign([ast.Name(name, ast.Store())], ast.Constant(number), lineno=0)
            for name in names
            if isinstance(number := self.known.pop(name), int | float)
        ]

    def loop(self, statement: ast.For, name: str, bounds: list[ast.expr]) -> list[ast.stmt]:
        numbers = [self.value(b) for b in bounds]
        span = self.stages(bounds)
        if all(isinstance(b, int) for b in numbers):
            found: list[ast.stmt] = []
            self.depth += 1
            for value in range(*numbers):  # type: ignore[arg-type] - ints by the test above
                self.known[name] = value
                found += self.block(statement.body)
            self.depth -= 1
            self.known.pop(name, None)
            return found
        if span is not None:
            return self.guarded(statement, name, *span)
        for assigned in (*_assigned(statement), name):
            self.known.pop(assigned, None)
        iterator = self.expression(statement.iter)
        depth, self.depth = self.depth, 0
        body = self.block(statement.body)
        self.depth = depth
        return [ast.For(statement.target, iterator, body, [])]

    def stages(self, bounds: list[ast.expr]) -> tuple[ast.expr, ast.expr] | None:
        """The parameters of `range(first, last + 1)`, which lie between 0 and s."""
        match bounds:
            case [ast.Name(id="first") as first, ast.BinOp(left=ast.Name(id="last") as last, op=ast.Add())]:
                return (first, last) if {"first", "last"} <= self.names and "s" in self.known else None
            case _:
                return None

    def guarded(self, statement: ast.For, name: str, first: ast.expr, last: ast.expr) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        self.depth += 1
        for value in range(self.known["s"] + 1):
            self.known[name] = value
            number = ast.Constant(value)
            test = ast.BoolOp(
                ast.And(), [ast.Compare(first, [ast.LtE()], [number]), ast.Compare(number, [ast.LtE()], [last])]
            )
            found.append(ast.If(test, self.block(statement.body), []))
        self.depth -= 1
        self.known.pop(name, None)
        return found

    # ------------------------------------------------------------ expressions

    def value(self, node: ast.expr) -> Any:
        """The known value of an expression, or None."""
        match node:
            case ast.Constant(value=int() | float()):
                return node.value
            case ast.Name(id=name):
                return self.known.get(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                x, y = self.value(left), self.value(right)
                known = isinstance(x, int | float) and isinstance(y, int | float)
                return _BINARY[type(op)](x, y) if known else None
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                x = self.value(operand)
                return -x if isinstance(x, int | float) else None
            case ast.Subscript(value=ast.Name(id=name), slice=place):
                table, index = self.known.get(name), self.value(place)
                known = isinstance(table, tuple) and isinstance(index, int) and 0 <= index < len(table)
                # A shared source may read further than the table of this method goes, in what it never runs.
                return table[index] if known else None
            case _:
                return None

    def condition(self, test: ast.expr) -> tuple[bool | None, ast.expr]:
        """Whether a condition holds, if that is known, and what is left of it."""
        match test:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                x, y = self.value(left), self.value(right)
                known = isinstance(x, int | float) and isinstance(y, int | float)
                return (_COMPARE[type(op)](x, y) if known else None), self.expression(test)
            case ast.BoolOp(op=op, values=values):
                decided = isinstance(op, ast.Or)
                left: list[ast.expr] = []
                for part in values:
                    truth, rest = self.condition(part)
                    if truth is decided:
                        return decided, test
                    if truth is None:
                        left.append(rest)
                if not left:
                    return not decided, test
                return None, left[0] if len(left) == 1 else ast.BoolOp(op, left)
            case _:
                return None, self.expression(test)

    def expression(self, node: Any) -> Any:
        """A copy of a node, with known numbers in place of the expressions that have them."""
        match node:
            case list():
                return [self.expression(each) for each in node]
            case ast.AST():
                if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", None) or ast.Load(), ast.Load):
                    number = self.value(node)
                    if isinstance(number, int | float) and not isinstance(number, bool):
                        return ast.Constant(number)
                return type(node)(**{name: self.expression(value) for name, value in ast.iter_fields(node)})
            case _:
                return node


def _assigned(statement: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
