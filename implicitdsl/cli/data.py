"""Data named on the command line: `FILE[:Layer] size=… input=expression --data f.npz --seed 0`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from implicitdsl.diagnostics import ImpError
from implicitdsl.syntax import reader, tree

Array = NDArray[np.float64]
Value = int | float | str | bool | None


class UsageError(Exception):
    """The command line itself is wrong: exit code 2."""


@dataclass(frozen=True)
class Target:
    """`FILE[:Layer]`; `layer` is None where the file's only (or every) layer is meant."""

    file: Path
    layer: str | None = None


@dataclass(frozen=True)
class Build:
    """`Layer(n=64, dtype=float32)`: a layer with its sizes and options."""

    layer: str
    keywords: Mapping[str, Value]


def read_target(text: str) -> Target:
    """Split `FILE[:Layer]`; a missing file is a usage error."""
    head, colon, tail = text.rpartition(":")
    target = (
        Target(Path(head), tail) if colon and tail.isidentifier() and not Path(text).exists() else Target(Path(text))
    )
    if not target.file.is_file():
        raise UsageError(f"there is no file {target.file}")
    return target


def read_build(text: str) -> Build:
    """Read `DEQ(n=64, m=784, dtype=float32)`."""
    call = _parse(text)
    if isinstance(call, ast.Name):
        return Build(call.id, {})
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
        raise UsageError(f"`{text}` is not of the form Layer(size=…, option=…)")
    return Build(call.func.id, {k.arg: _plain(k.value) for k in call.keywords if k.arg is not None})


def read_assignments(words: Sequence[str]) -> dict[str, str]:
    """The `name=expression` words of a command, by name."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, expression = word.partition("=")
        if not equals or not name.strip().isidentifier() or not expression.strip():
            raise UsageError(f"`{word}` is not of the form name=expression")
        if name.strip() in found:
            raise UsageError(f"`{name.strip()}` is given twice")
        found[name.strip()] = expression.strip()
    return found


def read_value(text: str) -> Value:
    """A size or an option as written on the command line: a number, a name, or a text such as `anderson(m = 5)`."""
    try:
        return _plain(_parse(text))
    except UsageError:
        return text


def read_array(text: str, generator: np.random.Generator) -> Array:
    """The value of an input in the notation of the language: numbers, brackets, `+ - * / ^`, functions of `ARRAYS`."""
    try:
        expression = reader.read_expression(text)
    except ImpError as error:
        raise UsageError(f"cannot read `{text}`: {error.diagnostics[0].message}") from error
    return np.asarray(_evaluate(expression, generator), dtype=np.float64)


def read_archive(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file by name."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _real(name, archive[name]) for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path} is not an archive of arrays (.npz): {error}") from error


def _real(name: str, given: NDArray[Any]) -> Array:
    if np.iscomplexobj(given):
        raise ValueError(f"{name} is complex")
    return np.asarray(given, dtype=np.float64)


CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}

#: What may stand in the expression of an input, with what it gives.
ARRAYS: dict[str, tuple[str, Callable[..., Array]]] = {
    "linspace": ("linspace(a, b, n)", lambda _, a, b, n: np.linspace(a, b, int(n))),
    "zeros": ("zeros(n, …)", lambda _, *shape: np.zeros(_shape(shape))),
    "ones": ("ones(n, …)", lambda _, *shape: np.ones(_shape(shape))),
    "eye": ("eye(n): the identity matrix", lambda _, n: np.eye(int(n))),
    "normal": ("normal(n, …): standard normal draws", lambda g, *shape: g.standard_normal(_shape(shape))),
    "uniform": ("uniform(a, b, n, …): uniform draws", lambda g, a, b, *shape: g.uniform(a, b, _shape(shape))),
}


def _shape(extents: Sequence[float]) -> tuple[int, ...]:
    return tuple(int(e) for e in extents)


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"cannot read `{text}`") from error


def _plain(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            return name
        case _:
            raise UsageError(f"`{ast.unparse(node)}` is no number, name or text")


def _evaluate(node: tree.Expression | tree.Named | tree.Family, generator: np.random.Generator) -> Array:
    match node:
        case tree.Number():
            return np.asarray(node.value)
        case tree.Name(id=name) if name in CONSTANTS:
            return np.asarray(CONSTANTS[name])
        case tree.Negate(operand=operand):
            return -_evaluate(operand, generator)
        case tree.Binary(operator="+" | "-" | "*" | "/" | "^" as operator, left=left, right=right):
            return _binary(operator, _evaluate(left, generator), _evaluate(right, generator), node)
        case tree.Bracket(items=items):
            return _bracket([_evaluate(item, generator) for item in items], node)
        case tree.Call(function=tree.Name(id=name), arguments=arguments) if name in ARRAYS:
            signature, function = ARRAYS[name]
            values = [_evaluate(a, generator) for a in arguments]
            try:
                return function(generator, *(float(v) for v in values))
            except (TypeError, ValueError, OverflowError) as error:
                raise UsageError(f"`{node.span.text}`: the function is {signature}") from error
            except MemoryError as error:
                raise UsageError(f"`{node.span.text}`: there is no memory for so many numbers") from error
        case _:
            known = ", ".join(ARRAYS)
            raise UsageError(f"`{node.span.text}` is no number, list or one of {known}")


def _bracket(items: list[Array], node: tree.Bracket) -> Array:
    """As in the language: brackets in a bracket are rows, anything else is laid end to end."""
    rows = [isinstance(item, tree.Bracket) for item in node.items]
    try:
        if all(rows):
            return np.stack(items)
        if any(rows):
            raise UsageError(f"`{node.span.text}`: either every item is a bracket or none")
        return np.concatenate([np.atleast_1d(item) for item in items])
    except ValueError as error:
        raise UsageError(f"`{node.span.text}`: the items have different shapes") from error


def _binary(operator: str, left: Array, right: Array, node: tree.Node) -> Array:
    operations: dict[str, Callable[[Array, Array], Array]] = {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "^": np.power,
    }
    try:
        with np.errstate(all="ignore"):
            return operations[operator](left, right)
    except ValueError as error:
        raise UsageError(f"`{node.span.text}`: the shapes {left.shape} and {right.shape} do not go together") from error
