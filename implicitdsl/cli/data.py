"""Data named on the command line: `FILE[:Layer] size=… input=expression --data f.npz --seed 0`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    target = Target(Path(head), tail) if colon and tail.isidentifier() and not Path(text).exists() else Target(Path(text))
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
    """The value of an input: numbers, lists of lists, `+ - * / **`, and the functions of `ARRAYS`."""
    return np.asarray(_evaluate(_parse(text), generator), dtype=np.float64)


def read_archive(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file by name."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is not an archive of arrays (.npz): {error}") from error


#: What may stand in the expression of an input, with what it gives.
ARRAYS: dict[str, tuple[str, Callable[..., Array]]] = {
    "linspace": ("linspace(a, b, n): n values from a to b, both ends included", lambda _, a, b, n: np.linspace(a, b, int(n))),
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


def _evaluate(node: ast.expr, generator: np.random.Generator) -> Array:
    match node:
        case ast.Constant(value=int() | float() as value):
            return np.asarray(value, dtype=np.float64)
        case ast.Name(id="pi"):
            return np.asarray(math.pi)
        case ast.Name(id="inf" | "nan" as name):
            return np.asarray(float(name))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, generator)
        case ast.BinOp(op=operator, left=left, right=right):
            return _binary(operator, _evaluate(left, generator), _evaluate(right, generator))
        case ast.List(elts=items) | ast.Tuple(elts=items):
            try:
                return np.stack([_evaluate(item, generator) for item in items]) if items else np.zeros(0)
            except ValueError as error:
                raise UsageError(f"`{ast.unparse(node)}`: the items have different shapes") from error
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in ARRAYS:
            signature, function = ARRAYS[name]
            values = [_evaluate(a, generator) for a in arguments]
            try:
                return function(generator, *(float(v) for v in values))
            except (TypeError, ValueError) as error:
                raise UsageError(f"`{ast.unparse(node)}`: the function is {signature}") from error
        case _:
            known = ", ".join(ARRAYS)
            raise UsageError(f"`{ast.unparse(node)}` is no number, list or one of {known}")


def _binary(operator: ast.operator, left: Array, right: Array) -> Array:
    try:
        match operator:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case ast.Pow():
                return left**right
            case _:
                raise UsageError("only + - * / ** may stand between values")
    except ValueError as error:
        raise UsageError(f"the shapes {left.shape} and {right.shape} do not go together") from error
