"""The table of functions of the language: `FUNCTIONS`, one record each, and the constants.

An elementwise function needs its record in `SCALAR` and a line in `_ELEMENTWISE`; any other function one record in
`reductions.py`, `algebra.py` or `making.py`. The checker, the elaborator, the curvature rules and the manual read this
table and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from implicitdsl.functions import algebra, making, reductions
from implicitdsl.functions.function import Function
from implicitdsl.functions.record import Scalar
from implicitdsl.functions.scalar import SCALAR
from implicitdsl.functions.shapes import Shape, SizeMismatch, SizeUndecided, broadcast
from implicitdsl.ir import build
from implicitdsl.ir.node import Node

CONSTANTS: dict[str, float] = {"pi": math.pi, "inf": math.inf}
"""Names with a value, which a model may shadow."""

_ELEMENTWISE: tuple[str, ...] = (
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log1p",
    "sqrt", "abs", "sign", "floor", "relu", "softplus", "sigmoid", "gelu", "silu", "elu", "erf", "entropy", "clip",
)  # fmt: skip

_ARGUMENTS: dict[str, tuple[str, ...]] = {"atan2": ("y", "x"), "clip": ("x", "low", "high")}

_FITS: dict[int, tuple[tuple[tuple[Shape, ...], Shape], ...]] = {
    1: ((((),), ()), (((3,),), (3,)), (((2, 3),), (2, 3))),
    2: ((((3,), ()), (3,)), (((2, 3), (3,)), (2, 3)), (((2, 1), (1, 3)), (2, 3))),
    3: ((((3,), (), ()), (3,)), (((2, 3), (3,), (2, 1)), (2, 3))),
}
_MISFITS: dict[int, tuple[tuple[Shape, ...], ...]] = {
    1: (),
    2: (((2,), (3,)), ((2, 3), (2,))),
    3: (((2,), (3,), ()),),
}


def _builder(name: str) -> Callable[..., Node]:
    return lambda *nodes: build.apply(name, *nodes)


def _of_scalar(record: Scalar) -> Function:
    names = _ARGUMENTS.get(record.name, ("x",))
    call = f"{record.name}({', '.join(names)})"
    return Function(
        name=record.name,
        family="elementwise",
        arity=(record.arity, record.arity),
        signature=call,
        doc=record.doc,
        example=call,
        latex=record.latex,
        shape=broadcast,
        build=_builder(record.name),
        sign=record.sign,
        curvature=record.curvature,
        monotonicity=record.monotonicity,
        affine_in=(record.curvature == "affine",) * record.arity,
        kink=record.kink,
        scalar=record.name,
        fits=_FITS[record.arity],
        misfits=_MISFITS[record.arity],
    )


_RECORDS: tuple[Function, ...] = (
    *(_of_scalar(SCALAR[name]) for name in _ELEMENTWISE),
    *reductions.RECORDS,
    *algebra.RECORDS,
    *making.RECORDS,
)

FUNCTIONS: dict[str, Function] = {record.name: record for record in _RECORDS}

__all__ = ["CONSTANTS", "FUNCTIONS", "Function", "SizeMismatch", "SizeUndecided"]
