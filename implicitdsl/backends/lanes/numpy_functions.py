"""NumPy's functions of numbers, as solvers of one sample call them: on numbers, and on each element of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from implicitdsl.backends.lanes.element import BOOL, FLOAT64, Kind, Real, Truth, Whole
from implicitdsl.backends.lanes.words import intrinsic

Kinds = tuple[Kind, ...]


@dataclass(frozen=True)
class Elementwise:
    """`result` gives the kind for operands that are of one kind; `emit(builder, *operands)` writes the instructions."""

    result: Callable[[Kind], Kind]
    emit: Callable[..., Any]


def one_kind(kinds: Kinds) -> Kind | None:
    """The kind in which numbers meet; None where they do not."""
    if not all(isinstance(kind, Real | Whole) for kind in kinds):
        return None
    return kinds[0] if all(kind == kinds[0] for kind in kinds) else FLOAT64


def _same(kind: Kind) -> Kind:
    return kind


def _truth(kind: Kind) -> Kind:
    return BOOL


def _named(name: str) -> Elementwise:
    return Elementwise(_same, lambda b, x: intrinsic(b, name, x))


def _is_finite(b: Any, x: Any) -> Any:
    return b.fcmp_ordered("<", intrinsic(b, "fabs", x), ir.Constant(x.type, float("inf")))


def _sign(b: Any, x: Any) -> Any:
    zero, one = ir.Constant(x.type, 0.0), ir.Constant(x.type, 1.0)
    # NaN stays NaN, and a zero becomes one without a sign.
    small = b.select(b.fcmp_ordered("==", x, zero), zero, x)
    below = b.select(b.fcmp_ordered("<", x, zero), b.fneg(one), small)
    return b.select(b.fcmp_ordered(">", x, zero), one, below)


def _extreme(sign: str) -> Elementwise:
    """The larger or the smaller one; the first NaN where there is one."""

    def emit(b: Any, x: Any, y: Any) -> Any:
        chosen = b.select(b.fcmp_ordered(sign, x, y), x, y)
        chosen = b.select(b.fcmp_unordered("uno", y, y), y, chosen)
        return b.select(b.fcmp_unordered("uno", x, x), x, chosen)

    return Elementwise(_same, emit)


NUMPY: dict[Any, Elementwise] = {
    np.abs: _named("fabs"),
    np.sqrt: _named("sqrt"),
    np.log: _named("log"),
    np.log2: _named("log2"),
    np.round: Elementwise(_same, lambda b, x: intrinsic(b, "rint", x)),
    np.sign: Elementwise(_same, _sign),
    np.isnan: Elementwise(_truth, lambda b, x: b.fcmp_unordered("uno", x, x)),
    np.isfinite: Elementwise(_truth, _is_finite),
    np.maximum: _extreme(">="),
    np.minimum: _extreme("<="),
}
"""All of them, for floats alone."""


def takes(function: Any, kinds: Kinds) -> Kind | None:
    """The kind of the operands once they are of one kind; None where the function takes no such."""
    common = one_kind(kinds)
    return common if isinstance(common, Real) and len(kinds) == _COUNTS.get(function, 1) else None


_COUNTS = {np.maximum: 2, np.minimum: 2}


@dataclass(frozen=True)
class Reduction:
    """A value made of all elements, in their order: `begin(builder, kind)` and `step(builder, held, element)`. Without
    `begin` the first element begins, and there must be one."""

    takes: type[Kind]
    begin: Callable[[Any], Any] | None
    step: Callable[..., Any]


def _larger(b: Any, held: Any, x: Any) -> Any:
    """The larger one; a NaN once found stays."""
    more = b.fcmp_unordered(">", x, held)
    return b.select(b.and_(more, b.fcmp_ordered("ord", held, held)), x, held)


REDUCTIONS: dict[Any, Reduction] = {
    np.sum: Reduction(Real, lambda kind: ir.Constant(kind, 0.0), lambda b, held, x: b.fadd(held, x)),
    np.max: Reduction(Real, None, _larger),
    np.any: Reduction(Truth, lambda kind: ir.Constant(kind, 0), lambda b, held, x: b.or_(held, x)),
    np.all: Reduction(Truth, lambda kind: ir.Constant(kind, 1), lambda b, held, x: b.and_(held, x)),
}
