"""The functions of a model as solvers of one sample call them: by address, out of the table that stands for `p`.

The table holds the address of the flat arguments, then those of the functions: function k is `f(z, p, out)`, which
writes `out`. So one compiled solver serves every model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.arrays import View
from implicitdsl.backends.lanes.element import INDEX, INT, VOID, Kind, Pointer
from implicitdsl.backends.lanes.words import register

MOST = 3
"""Functions that a solver takes at most."""


def _typing(args: tuple[Kind, ...]) -> Any:
    match args:
        case (View(is_dense=True), Pointer(dtype=kind), View(is_dense=True)) if kind == INT:
            return VOID, args
        case _:
            return None


def _function(place: int) -> Callable[..., None]:
    def call(z: Any, table: Any, out: Any) -> None:
        raise NotImplementedError("a function of a table exists in compiled code only")

    def emit(builder: Any, result: Kind, kinds: Any, args: Any) -> None:
        (z, _), table, (out, _) = args
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte] * 3).as_pointer()

        def entry(k: int, wanted: Any) -> Any:
            return builder.inttoptr(builder.load(builder.gep(table, [ir.Constant(INDEX, k)])), wanted)

        given = builder.bitcast(z, byte), entry(0, byte), builder.bitcast(out, byte)
        builder.call(entry(1 + place, kind), given)

    register(call, _typing, emit)
    return call


TABLE_FUNCTIONS = tuple(_function(place) for place in range(MOST))
"""The functions of the table in order."""
