"""A function that is to be compiled: its statements, and what the names in them mean."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from types import FunctionType
from typing import Any


@dataclass(frozen=True, eq=False)
class Source:
    """A function. `globals` are the names that it does not define itself; `write` gives its statements, when they are
    first asked for."""

    name: str
    parameters: tuple[str, ...]
    write: Callable[[], list[ast.stmt]]
    globals: Mapping[str, Any]

    @cached_property
    def body(self) -> list[ast.stmt]:
        """The statements, which nothing may change."""
        return self.write()

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names that it gives values."""
        return frozenset((*self.parameters, *_assigned(self.body)))


def _assigned(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.Assign(targets=targets):
                yield from (name for target in targets for name in _targets(target))
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case ast.For(target=target, body=inner):
                yield from _targets(target)
                yield from _assigned(inner)
            case ast.If(body=inner, orelse=others):
                yield from _assigned(inner)
                yield from _assigned(others)
            case ast.While(body=inner):
                yield from _assigned(inner)
            case _:
                pass


def _targets(target: ast.expr) -> list[str]:
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=parts):
            return [name for part in parts for name in _targets(part)]
        case _:
            return []


@cache
def source_of(function: Callable[..., Any]) -> Source:
    """A plain function as it stands."""
    assert isinstance(function, FunctionType)
    found = definition_of(function)
    inner = inspect.getclosurevars(function).nonlocals if function.__closure__ else {}
    parameters = tuple(a.arg for a in found.args.args)
    return Source(found.name, parameters, lambda: found.body, ChainMap({**inner}, function.__globals__))


def definition_of(function: FunctionType) -> ast.FunctionDef:
    """The text of a function as a tree, which nothing may change."""
    if "<locals>" not in function.__qualname__:
        return _definitions(function.__module__)[function.__name__]
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(found, ast.FunctionDef)
    return found


@cache
def _definitions(module: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(import_module(module)))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
