"""The numbers of a model and a method as LLVM functions that return them, seen through by the optimiser after linking;
those that code reads from memory are in `data.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from llvmlite import ir

from implicitdsl.backends.lanes.data import Data, data_text
from implicitdsl.backends.lanes.lane_code import I32, I64
from implicitdsl.backends.lanes.open_numbers import OPEN

T = TypeVar("T")
_SIZES = ("states", "unknowns", "size_out")


def sizes_of(numbers: Mapping[str, int], *, is_open: bool) -> list[int]:
    """Such of the numbers as the loops of solvers run to most often; `is_open` leaves out what code does not know."""
    return [numbers[name] for name in _SIZES if name in numbers and not (is_open and name in OPEN)]


def constants_text(
    dtype: str,
    *,
    read_by: Sequence[str | bytes],
    numbers: Mapping[str, int],
    reals: Mapping[str, float] | None = None,
    tables: Mapping[str, Sequence[float]] | None = None,
    whole_tables: Mapping[str, Sequence[int]] | None = None,
    data: Data | None = None,
) -> str:
    """The LLVM text of a module that defines the numbers, reals and tables, and has places for the data; names as in
    NUMBERS, REALS, TABLES, WHOLE_TABLES, and what is among the data is no constant. What none of the modules `read_by`
    names is left out, so that what a solver does not read does not tell two objects apart. Where
    this module is linked first, what is inlined knows the numbers."""
    module = ir.Module("constants")
    scalar = ir.DoubleType() if dtype == "float64" else ir.FloatType()

    def named(values: Mapping[str, T]) -> dict[str, T]:
        # Names stand in bitcode as they are; what is found by chance is defined in vain.
        return {name: value for name, value in values.items() if any(_names(m, f"imp_{name}") for m in read_by)}

    places = named(data or {})

    def read(values: Mapping[str, T] | None) -> dict[str, T]:
        return {name: value for name, value in named(values or {}).items() if name not in places}

    def define(name: str, kind: ir.Type, value: Any) -> None:
        made = ir.Function(module, ir.FunctionType(kind, []), f"imp_{name}")
        made.attributes.add("alwaysinline")
        ir.IRBuilder(made.append_basic_block()).ret(value)

    for name, number in read(numbers).items():
        define(name, I64, ir.Constant(I64, number))
    for name, real in read(reals).items():
        define(name, scalar, ir.Constant(scalar, real))
    given = [(name, scalar, [float(x) for x in table]) for name, table in read(tables).items()]
    given += [(name, I32, [int(x) for x in table]) for name, table in read(whole_tables).items()]
    for name, element, table in given:
        kind = ir.ArrayType(element, len(table))
        held = ir.GlobalVariable(module, kind, f"imp_{name}_values")
        held.global_constant = True
        held.initializer = ir.Constant(kind, table)
        define(name, ir.PointerType(), held.bitcast(ir.PointerType()))
    lines = [line for line in str(module).splitlines() if not line.startswith("target ")]
    return "\n".join([*lines, data_text(places, str(scalar))])


def _names(module: str | bytes, symbol: str) -> bool:
    return symbol in module if isinstance(module, str) else symbol.encode() in module
