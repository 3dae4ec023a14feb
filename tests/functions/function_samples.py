"""Where records are tested, and what mpmath says there."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
import sympy

from implicitdsl.functions.expression import Arg, Const, Expr, apply
from implicitdsl.functions.record import Interval, Scalar
from implicitdsl.functions.scalar import SCALAR, derivative, evaluate

ORDINARY = (-7.1, -3.7, -1.3, -0.6, -0.05, 0.03, 0.25, 0.9, 2.3, 5.5)
EXTREME = (-1e300, -800.0, -30.0, -1e-300, 0.0, 1e-300, 1e-8, 30.0, 800.0, 1e300)
DIGITS = 400  # exp(-700) and 1e-300 are seen beside 1


def inside(point: float, interval: Interval) -> bool:
    """Whether a point is inside, the ends left out."""
    return interval[0] < point < interval[1]


def constants(record: Scalar) -> Iterator[dict[int, float]]:
    """Some choices of the arguments that are always constants."""
    choices = [
        sorted({low, high} | ({1.0} if low <= 1.0 <= high else set()))
        for low, high in (record.domain[k] for k in record.constants)
    ]
    for values in itertools.product(*choices):
        yield dict(zip(record.constants, values, strict=True))


def expression(record: Scalar, fixed: dict[int, float]) -> Expr:
    """The function of Arg(i), with constants where it has them."""
    return apply(record.name, *(Const(fixed[i]) if i in fixed else Arg(i) for i in range(record.arity)))


def points(record: Scalar, kind: tuple[float, ...], limit: int = 60) -> list[tuple[float, ...]]:
    """Points in the natural domain, every argument's values met with some of the others'."""
    axes = [[p for p in kind if inside(p, d)] for d in record.domain]
    grid = list(itertools.product(*axes))
    if len(grid) > limit:
        grid = [grid[i] for i in np.random.default_rng(0).choice(len(grid), limit, replace=False)]
    return grid


def orders(record: Scalar, depth: int) -> list[tuple[int, ...]]:
    """Which arguments to differentiate by, one after another."""
    moving = [i for i in range(record.arity) if i not in record.constants]
    return list(itertools.combinations_with_replacement(moving, depth))


def differentiated(expr: Expr, by: tuple[int, ...]) -> Expr | None:
    """The repeated derivative; None: structurally zero."""
    found: Expr | None = expr
    for i in by:
        found = None if found is None else derivative(found, i)
    return found


@functools.cache
def reference(name: str, fixed: tuple[tuple[int, float], ...], by: tuple[int, ...]) -> Any:
    """sympy's derivative of the record's formula, as a function over mpmath numbers."""
    record = SCALAR[name]
    symbols = sympy.symbols(f"x0:{record.arity}", real=True)
    known = {i: sympy.Rational(v) for i, v in fixed}
    formula = record.sympy(sympy, *(known.get(i, s) for i, s in enumerate(symbols)))
    for i in by:
        formula = sympy.diff(formula, symbols[i])
    # away from the kinks, which are compared with torch
    formula = sympy.sympify(formula).replace(sympy.DiracDelta, lambda *a: sympy.Integer(0))
    formula = formula.replace(sympy.Heaviside, lambda a, *rest: sympy.Piecewise((1, a > 0), (0, True)))
    formula = formula.replace(lambda e: isinstance(e, sympy.Derivative | sympy.Subs), lambda e: sympy.Integer(0))
    return sympy.lambdify(symbols, formula, "mpmath")


def true_value(name: str, fixed: dict[int, float], by: tuple[int, ...], point: tuple[float, ...]) -> float | None:
    """The reference rounded to float64; NaN outside the reals, None where the formula itself is undefined."""
    with mpmath.workdps(DIGITS):
        try:
            value = reference(name, tuple(sorted(fixed.items())), by)(*map(mpmath.mpf, point))
        except (ZeroDivisionError, ValueError, OverflowError):
            return None
        if isinstance(value, mpmath.mpc):
            return math.nan if value.imag else float(value.real)
        return None if mpmath.isnan(value) else float(value)


def value_at(expr: Expr | None, point: tuple[float, ...]) -> float:
    """The expression at one point, 0 where it is structurally zero."""
    return 0.0 if expr is None else float(evaluate(expr, *map(np.float64, point)))
