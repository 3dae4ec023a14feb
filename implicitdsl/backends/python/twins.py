"""Solver functions as they run on Python's floats: the same source, with the words of `floats.py`.

A solver is written in the words of `solvers/vocabulary.py`, and on lanes its text is compiled with other words than
those that stand there. Here too: `on_floats(function)` is a function of the same text whose arrays are memoryviews
of float64 and whose elements are Python's floats, so the same operations in the same order give the same bits in a
third of the time. Words that are an operator or two are written into the text in place of the call; a `select` and
the like only where nothing is called in what would no longer be evaluated. A division by 0 does not raise.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np

from implicitdsl.backends.python import floats

SOLVERS, VOCABULARY = "implicitdsl.solvers.", "implicitdsl.solvers.vocabulary"
PURE = {"abs", "quotient", "raised", "vmin", "vmax", "select", "and_", "or_", "vsqrt", "is_finite", "min", "max"}
"""What may be left uncalled where its value is not wanted."""


@cache
def on_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for a caller with arrays and NumPy's scalars of float64, and with functions of a model: memoryviews
    of the arrays are handed on. The arrays are contiguous, as all that engines make."""
    twin = _twin(function)

    def call(*given: Any) -> Any:
        return twin(*[_handed(value) for value in given])

    return call


def _handed(value: Any) -> Any:
    kind = type(value)
    if kind is np.ndarray:
        return memoryview(value)
    if kind is np.float64:
        return float(value)
    if kind is FunctionType:
        return value.on_floats() if hasattr(value, "on_floats") else _twin(value)
    return value


def _twin(function: Any) -> Any:
    """The function of the same text on floats, where it is a solver's."""
    module = function.__module__
    return _module(module)[function.__name__] if module.startswith(SOLVERS) else function


@cache
def _module(name: str) -> dict[str, Any]:
    """The names of a module of solvers, its functions and those it imports on floats."""
    module = import_module(name)
    scope = dict(vars(module))
    words: dict[str, str] = {}
    for known, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__.startswith(SOLVERS):
            if value.__module__ == VOCABULARY:
                words[known] = value.__name__
                scope[known] = getattr(floats, value.__name__)
            elif value.__module__ != name:
                scope[known] = _twin(value)
    scope |= {"quotient": floats.quotient, "raised": floats.raised}
    functions = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.FunctionDef)]
    tree = ast.Module([rewrite(function, words) for function in functions], [])
    exec(compile(ast.fix_missing_locations(tree), f"{module.__file__} on floats", "exec"), scope)
    return scope


def rewrite(function: ast.FunctionDef, words: dict[str, str]) -> ast.FunctionDef:
    """A solver's function on floats, the tree given changed; `words` are by the names that its module has for them."""
    own = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {argument.arg for argument in function.args.args}
    for argument in function.args.args:
        argument.annotation = None
    function.returns = None
    return _Rewriting({k: v for k, v in words.items() if k not in own}).visit(function)


def _is_simple(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Constant)


def _calls_nothing(node: ast.expr) -> bool:
    calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    return all(isinstance(f, ast.Name) and f.id in PURE for f in calls)


class _Rewriting(ast.NodeTransformer):
    """Words that are operators as operators; divisions and powers as NumPy has them."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        word = self._words.get(node.func.id) if isinstance(node.func, ast.Name) else None
        match word, node.args:
            case "fma", [a, b, c]:
                return ast.BinOp(ast.BinOp(a, ast.Mult(), b), ast.Add(), c)
            case "select", [mask, a, b] if _calls_nothing(a) and _calls_nothing(b):
                return ast.IfExp(mask, a, b)
            case "and_", [a, b] if _calls_nothing(b):
                return ast.BoolOp(ast.And(), [a, b])
            case "or_", [a, b] if _calls_nothing(b):
                return ast.BoolOp(ast.Or(), [a, b])
            case "not_", [a]:
                return ast.UnaryOp(ast.Not(), a)
            case (("any_" | "all_"), [a]):
                return a
            case "vmin", [a, b] if _is_simple(a) and _is_simple(b):
                return ast.IfExp(ast.Compare(a, [ast.Lt()], [b]), a, b)
            case "vmax", [a, b] if _is_simple(a) and _is_simple(b):
                return ast.IfExp(ast.Compare(a, [ast.Gt()], [b]), a, b)
            case "is_finite", [a] if _is_simple(a):
                return ast.Compare(ast.BinOp(a, ast.Sub(), a), [ast.Eq()], [ast.Constant(0.0)])
            case "vabs", [a]:
                return ast.Call(ast.Name("abs", ast.Load()), [a], [])
            case "view", [x, at, n] if _calls_nothing(at):
                return ast.Subscript(x, ast.Slice(at, ast.BinOp(at, ast.Add(), n)), ast.Load())
            case _:
                return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.BinOp(a, ast.Pow(), b):
                return ast.Call(ast.Name("raised", ast.Load()), [a, b], [])
            case ast.BinOp(_, ast.Div(), ast.Constant(value)) if value:
                return node
            case ast.BinOp(a, ast.Div(), b):
                asked = ast.Call(ast.Name("quotient", ast.Load()), [a, b], [])
                return ast.IfExp(b, node, asked) if _is_simple(a) and _is_simple(b) else asked
            case _:
                return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        assert not isinstance(node.op, ast.Div | ast.Pow), "written out in solvers"
        return node
