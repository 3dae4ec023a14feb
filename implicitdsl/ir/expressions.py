"""Facts about scalar expressions that graphs ask for again and again, remembered."""

from __future__ import annotations

import functools

from implicitdsl.functions import scalar
from implicitdsl.functions.expression import Arg, Expr

_REMEMBERED = 4096


@functools.lru_cache(maxsize=_REMEMBERED)
def arguments(expr: Expr) -> frozenset[int]:
    """The numbers of the arguments that occur."""
    return scalar.arguments(expr)


@functools.lru_cache(maxsize=_REMEMBERED)
def tangent(expr: Expr, seeds: tuple[tuple[int, int], ...]) -> Expr | None:
    """The directional derivative where argument i moves by argument j, for each pair (i, j); None: zero."""
    return scalar.tangent(expr, {Arg(i): Arg(j) for i, j in seeds})


@functools.lru_cache(maxsize=_REMEMBERED)
def substitute(expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """The expression with argument i replaced by `args[i]`."""
    return scalar.substitute(expr, args)


@functools.lru_cache(maxsize=_REMEMBERED)
def is_linear_in(expr: Expr, i: int) -> bool:
    """Whether the derivative by argument i is a constant."""
    slope = scalar.derivative(expr, i)
    return slope is None or not scalar.arguments(slope)
