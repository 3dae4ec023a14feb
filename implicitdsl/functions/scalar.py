"""The elementwise functions: one record each, and what expressions over them can do.

`SCALAR` holds every record by name. `fold` makes an expression, `derivative` differentiates it, `evaluate`,
`statements` and `source` compute it with NumPy. All walks but that of `source` are loops over a
topological order, so chains may be thousands deep.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from implicitdsl.functions import activations, arithmetic, exponentials, logic, special, trigonometry
from implicitdsl.functions.expression import Apply, Arg, Const, Expr, apply
from implicitdsl.functions.record import Scalar

SCALAR: dict[str, Scalar] = {
    record.name: record
    for family in (arithmetic, logic, exponentials, trigonometry, activations)
    for record in family.RECORDS
}

NAMESPACE: dict[str, Any] = {"np": np, "special": special, "inf": math.inf, "nan": math.nan}
"""What the text of `source` and `statements` refers to."""


# ---------------------------------------------------------------- making


def fold(name: str, args: tuple[Expr, ...]) -> Expr:
    """The function of the table applied to the arguments.

    Folds constants (in float64) and the rewrites of `expression.py`, nothing else. Raises KeyError for a name that is
    not in the table and TypeError for a wrong number of arguments.
    """
    record = SCALAR[name]
    if len(args) != record.arity:
        raise TypeError(f"{name} takes {record.arity} arguments, not {len(args)}")
    if all(isinstance(a, Const) for a in args):
        values = [np.float64(a.value) for a in args if isinstance(a, Const)]
        with np.errstate(all="ignore"):
            return Const(float(_value(name)(*values)))
    return _without_neutral(name, args) or Apply(name, args)


def _is(expr: Expr, value: float) -> bool:
    return isinstance(expr, Const) and expr.value == value


def _without_neutral(name: str, args: tuple[Expr, ...]) -> Expr | None:
    match name, args:
        case ("add", (a, b)) | ("sub", (a, b)) if _is(b, 0.0):
            return a
        case "add", (a, b) if _is(a, 0.0):
            return b
        case ("mul", (a, b)) | ("div", (a, b)) | ("pow", (a, b)) | ("scaled", (a, b)) if _is(b, 1.0):
            return a
        case "mul", (a, b) if _is(a, 1.0):
            return b
        case "scaled", (a, b) if isinstance(a, Const):
            return Const(0.0) if a.value == 0.0 else apply("mul", a, b)
        case "neg", (Apply(function="neg", args=(a,)),):
            return a
        case "select", (c, a, b) if a is b or isinstance(c, Const):
            return b if _is(c, 0.0) else a
        case _:
            return None


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every expression the roots are made of, arguments before users, each once, in an order the roots alone decide."""
    done: set[Expr] = set()
    stack: list[tuple[Expr, int]] = [(root, 0) for root in reversed(roots)]
    while stack:
        expr, position = stack.pop()
        if expr in done:
            continue
        args = expr.args if isinstance(expr, Apply) else ()
        if position < len(args):
            stack.append((expr, position + 1))
            if args[position] not in done:
                stack.append((args[position], 0))
            continue
        done.add(expr)
        yield expr


def arguments(expr: Expr) -> frozenset[int]:
    """The numbers of the arguments that occur."""
    return frozenset(e.index for e in walk(expr) if isinstance(e, Arg))


def substitute(expr: Expr, args: Sequence[Expr]) -> Expr:
    """The expression with argument i replaced by `args[i]`."""
    new: dict[Expr, Expr] = {}
    for e in walk(expr):
        match e:
            case Arg():
                new[e] = args[e.index]
            case Apply():
                new[e] = fold(e.function, tuple(new[a] for a in e.args))
            case _:
                new[e] = e
    return new[expr]


# ---------------------------------------------------------------- differentiating


@functools.lru_cache(maxsize=4096)
def derivative(expr: Expr, i: int) -> Expr | None:
    """The partial derivative by argument i as an expression of the same arguments; None: structurally zero."""
    return tangent(expr, {Arg(i): Const(1.0)})


def tangent(expr: Expr, seeds: dict[Expr, Expr]) -> Expr | None:
    """The directional derivative where each expression of `seeds` (arguments, as a rule) moves as told; None: zero."""
    moving: dict[Expr, Expr | None] = {}
    for e in walk(expr):
        if e in seeds:
            moving[e] = seeds[e]
        elif isinstance(e, Apply):
            moving[e] = _chain(e, tuple(moving[a] for a in e.args))
        else:
            moving[e] = None
    return moving[expr]


def _chain(expr: Apply, tangents: tuple[Expr | None, ...]) -> Expr | None:
    if all(t is None for t in tangents):
        return None
    record = SCALAR[expr.function]
    if record.tangent is not None:
        return record.tangent(expr.args, tangents)
    total: Expr | None = None
    for partial, t in zip(record.derivatives, tangents, strict=True):
        slope = None if t is None else partial(*expr.args)
        if slope is None or t is None:
            continue
        if _is(slope, -1.0) or _is(t, -1.0):
            term = -t if _is(slope, -1.0) else -slope
        else:
            term = apply("scaled" if record.gate else "mul", slope, t)
        total = term if total is None else total + term
    return total


# ---------------------------------------------------------------- evaluating


@functools.cache
def _value(name: str) -> Any:
    record = SCALAR[name]
    names = [f"x{i}" for i in range(record.arity)]
    return eval(f"lambda {', '.join(names)}: {record.code.format(*names)}", dict(NAMESPACE))


def _literal(value: float) -> str:
    return f"({value!r})" if math.copysign(1.0, value) < 0.0 else repr(value)


def statements(expr: Expr, names: Sequence[str], prefix: str = "v") -> tuple[list[str], str]:
    """NumPy assignments, one a distinct subexpression, and the name (or literal) of the result.

    `names[i]` is the text for argument i; the variables are `prefix0, prefix1, …`. The text refers to `NAMESPACE`.
    """
    lines: list[str] = []
    text: dict[Expr, str] = {}
    for e in walk(expr):
        match e:
            case Arg():
                text[e] = names[e.index]
            case Const():
                text[e] = _literal(e.value)
            case Apply():
                text[e] = f"{prefix}{len(lines)}"
                lines.append(f"{text[e]} = {SCALAR[e.function].code.format(*(text[a] for a in e.args))}")
    return lines, text[expr]


def source(expr: Expr, names: Sequence[str], prefix: str = "_v") -> str:
    """One NumPy expression text; a subexpression that is used twice is assigned where it is first met.

    For expressions up to some 80 levels deep (Python's own limit on nested brackets); deeper ones need `statements`.
    """
    users: dict[Expr, int] = {}
    for e in walk(expr):
        if isinstance(e, Apply):
            # a template may name an argument twice
            for place, a in enumerate(e.args):
                users[a] = users.get(a, 0) + SCALAR[e.function].code.count(f"{{{place}}}")
    shared: dict[Expr, str] = {}

    def write(e: Expr) -> str:
        match e:
            case Arg():
                return names[e.index]
            case Const():
                return _literal(e.value)
            case Apply():
                if e in shared:
                    return shared[e]
                # argument by argument in the order of evaluation, so that `:=` comes before every use
                pieces = re.split(r"\{(\d)\}", SCALAR[e.function].code)
                text = "".join(write(e.args[int(p)]) if odd % 2 else p for odd, p in enumerate(pieces))
                if users.get(e, 0) > 1:
                    shared[e] = f"{prefix}{len(shared)}"
                    return f"({shared[e]} := {text})"
                return text
            case _:
                raise TypeError(f"not an expression: {e!r}")

    return write(expr)


@functools.lru_cache(maxsize=1024)
def _compiled(expr: Expr, count: int) -> Any:
    names = [f"x{i}" for i in range(count)]
    lines, result = statements(expr, names)
    body = "\n".join(f"    {line}" for line in (*lines, f"return {result}"))
    scope = dict(NAMESPACE)
    exec(f"def value({', '.join(names)}):\n{body}", scope)
    return scope["value"]


def evaluate(expr: Expr, *arrays: Any) -> Any:
    """The value for arrays (or NumPy scalars) that broadcast, in their dtype, without floating point warnings."""
    with np.errstate(all="ignore"):
        return _compiled(expr, len(arrays))(*arrays)
