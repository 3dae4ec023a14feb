"""Operators on whole numbers, floats, truths and lanes, with Python's meaning."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import BOOL, FLOAT64, INDEX, INT, Kind, Lanes, Real, Truth, Whole, found_lanes

_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_FLOATS: dict[type[ast.AST], str] = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_WHOLES: dict[type[ast.AST], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
WHOLE_BUILTINS: dict[Callable[..., Any], str] = {max: ">", min: "<"}
"""Functions of two whole numbers: the first of them, where it compares so to the second."""


def common_kind(op: ast.AST, x: Kind, y: Kind) -> Kind | None:
    """The kind in which an operator or a comparison takes its two operands; None where it takes no such."""
    if isinstance(x, Whole) and isinstance(y, Whole):
        return FLOAT64 if isinstance(op, ast.Div) else INT
    if type(op) not in _FLOATS and type(op) not in _SIGNS:
        return None
    if isinstance(x, Whole | Real) and isinstance(y, Whole | Real):
        return x if x == y else FLOAT64
    return found_lanes((x, y))


def compared_kind(common: Kind) -> Kind:
    """The kind of a comparison of two values of one kind."""
    return common.mask if isinstance(common, Lanes) else BOOL


def emit_operator(builder: Any, op: ast.AST, kind: Kind, x: Any, y: Any) -> Any:
    """`x op y` for operands of one kind, that of `common_kind`."""
    if not isinstance(kind, Whole):
        return getattr(builder, _FLOATS[type(op)])(x, y)
    if type(op) in _WHOLES:
        return getattr(builder, _WHOLES[type(op)])(x, y, flags=["nsw"])
    return _rounded_down(builder, op, x, y)


def emit_comparison(builder: Any, op: ast.AST, kind: Kind, x: Any, y: Any) -> Any:
    """`x op y` for operands of one kind. NaN differs from everything; every other comparison with it is false."""
    sign = _SIGNS[type(op)]
    if isinstance(kind, Whole):
        return builder.icmp_signed(sign, x, y)
    return builder.fcmp_unordered(sign, x, y) if sign == "!=" else builder.fcmp_ordered(sign, x, y)


def emit_negative(builder: Any, kind: Kind, x: Any) -> Any:
    """-x."""
    return builder.neg(x) if isinstance(kind, Whole) else builder.fneg(x)


def emit_truth(builder: Any, kind: Kind, x: Any) -> Any:
    """Whether a number is not 0. Raises TypeError for what may differ between samples."""
    match kind:
        case Truth():
            return x
        case Whole():
            return builder.icmp_signed("!=", x, ir.Constant(x.type, 0))
        case _:
            raise TypeError(f"{kind} has no truth that all samples have in common")


def _rounded_down(builder: Any, op: ast.AST, x: Any, y: Any) -> Any:
    """x // y and x % y round to minus infinity; both are 0 for y = 0."""
    zero = ir.Constant(INDEX, 0)
    none = builder.icmp_signed("==", y, zero)
    divisor = builder.select(none, ir.Constant(INDEX, 1), y)
    rest = builder.srem(x, divisor)
    other_sign = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    below = builder.and_(builder.icmp_signed("!=", rest, zero), other_sign)
    if isinstance(op, ast.Mod):
        found = builder.select(below, builder.add(rest, divisor), rest)
    else:
        quotient = builder.sdiv(x, divisor)
        found = builder.select(below, builder.sub(quotient, ir.Constant(INDEX, 1)), quotient)
    return builder.select(none, zero, found)
