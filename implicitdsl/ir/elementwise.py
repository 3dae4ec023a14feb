"""Maps: scalar functions applied elementwise, with constants folded into the expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicitdsl.functions.expression import Arg, Const, Expr
from implicitdsl.functions.expression import apply as apply_scalar
from implicitdsl.functions.scalar import SCALAR, evaluate
from implicitdsl.ir.contraction import (
    Operand,
    ShapeError,
    broadcast_shapes,
    constant,
    contracted,
    fill,
    is_layout,
    lift,
    uniform,
)
from implicitdsl.ir.expressions import arguments
from implicitdsl.ir.expressions import substitute as replace
from implicitdsl.ir.layout import broadcast
from implicitdsl.ir.node import Constant, Contract, Map, Node

FOLDED_SIZE = 4096
"""Constants above this size are kept as they are rather than computed ahead."""


def mapped(expr: Expr, args: Sequence[Node]) -> Node:
    """The expression, elementwise, over arguments of one shape: constants folded in, arguments each once and all
    used."""
    shape = args[0].shape
    if any(a.shape != shape for a in args):
        raise ShapeError("the arguments of a Map have shapes " + ", ".join(str(list(a.shape)) for a in args))
    used = arguments(expr)
    places: dict[Node, int] = {}
    new: list[Expr] = []
    plain = True
    for i, arg in enumerate(args):
        value = uniform(arg) if i in used else None
        if i not in used:
            new.append(Arg(0))
        elif value is not None:
            new.append(Const(value))
            plain = False
            continue
        else:
            new.append(Arg(places.setdefault(arg, len(places))))
        plain = plain and i in used and places.get(arg) == i
    if not plain:
        expr = replace(expr, tuple(new))
    kept = tuple(places)
    if isinstance(expr, Const):
        return fill(expr.value, shape)
    if isinstance(expr, Arg):
        return kept[expr.index]
    if not plain and len(arguments(expr)) < len(kept):  # a fold of the substituted expression dropped an argument
        return mapped(expr, kept)
    if all(isinstance(a, Constant) for a in kept) and kept[0].size <= FOLDED_SIZE:
        values = [a.value for a in kept if isinstance(a, Constant)]
        return constant(np.broadcast_to(evaluate(expr, *values), shape))
    return _hoisted(expr, kept) or Map(expr, kept)


def _hoisted(expr: Expr, args: tuple[Node, ...]) -> Node | None:
    """A Map of broadcasts of one form is the broadcast of the Map."""
    first = args[0]
    if not (isinstance(first, Contract) and is_layout(first) and len(first.ins[0]) < len(first.out)):
        return None
    for arg in args:
        if not isinstance(arg, Contract) or arg.key != first.key:
            return None
    inner = mapped(expr, [a.args[0] for a in args])
    return contracted(first.ins, first.out, (inner,), dict(zip(first.out, first.shape, strict=True)))


def apply(function: str, *operands: Operand) -> Node:
    """A function of the scalar table, elementwise; operands broadcast. Raises ShapeError where they do not,
    KeyError for a name that is not in the table."""
    if len(operands) != SCALAR[function].arity:
        raise ShapeError(f"{function} takes {SCALAR[function].arity} arguments, {len(operands)} given")
    nodes = [lift(o) for o in operands]
    shape = broadcast_shapes(*(n.shape for n in nodes))
    expr = apply_scalar(function, *(Arg(k) for k in range(len(nodes))))
    return mapped(expr, [broadcast(n, shape) for n in nodes])


def add(a: Operand, b: Operand) -> Node:
    """a + b, elementwise."""
    return apply("add", a, b)


def sub(a: Operand, b: Operand) -> Node:
    """a - b, elementwise."""
    return apply("sub", a, b)


def mul(a: Operand, b: Operand) -> Node:
    """a * b, elementwise."""
    return apply("mul", a, b)


def div(a: Operand, b: Operand) -> Node:
    """a / b, elementwise."""
    return apply("div", a, b)


def neg(a: Operand) -> Node:
    """-a."""
    return apply("neg", a)


def power(a: Operand, b: Operand) -> Node:
    """a ^ b, elementwise."""
    return apply("pow", a, b)


def select(condition: Operand, yes: Operand, no: Operand) -> Node:
    """`yes` where the condition is not 0, else `no`; the branch not taken adds an exact 0 to every derivative."""
    return apply("select", condition, yes, no)
