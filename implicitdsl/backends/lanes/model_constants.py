"""The numbers of a model and a method as LLVM functions that return them, seen through by the optimiser after
linking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.lane_code import I32, I64


def constants_text(
    dtype: str,
    numbers: Mapping[str, int],
    reals: Mapping[str, float],
    tables: Mapping[str, Sequence[float]],
    whole_tables: Mapping[str, Sequence[int]],
) -> str:
    """The LLVM text of a module that defines the numbers, reals and tables; names as in NUMBERS, REALS, TABLES,
    WHOLE_TABLES."""
    module = ir.Module("constants")
    scalar = ir.DoubleType() if dtype == "float64" else ir.FloatType()

    def define(name: str, kind: ir.Type, value: Any) -> None:
        made = ir.Function(module, ir.FunctionType(kind, []), f"imp_{name}")
        made.attributes.add("alwaysinline")
        ir.IRBuilder(made.append_basic_block()).ret(value)

    for name, number in numbers.items():
        define(name, I64, ir.Constant(I64, number))
    for name, real in reals.items():
        define(name, scalar, ir.Constant(scalar, real))
    given = [(name, scalar, [float(x) for x in table]) for name, table in tables.items()]
    given += [(name, I32, [int(x) for x in table]) for name, table in whole_tables.items()]
    for name, element, table in given:
        kind = ir.ArrayType(element, len(table))
        held = ir.GlobalVariable(module, kind, f"imp_{name}_values")
        held.global_constant = True
        held.initializer = ir.Constant(kind, table)
        define(name, ir.PointerType(), held.bitcast(ir.PointerType()))
    return "\n".join(line for line in str(module).splitlines() if not line.startswith("target "))
