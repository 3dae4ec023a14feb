"""Numbers that machine code reads from memory of its own, so that one object serves every tolerance.

Tolerances, the bound of the steps, the numbers of a controller: code is compiled without them, has a place for each,
and whoever loads it writes them there before it runs. An object lists its places in a text, the symbol `imp_data`, so
that no value can be forgotten: `write_data` refuses an object whose list it cannot fill.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

Value = int | float | tuple[float, ...]
"""A whole number, a real number in the dtype of the code, or a table of these."""
Data = Mapping[str, Value]
"""Values by name; the names are those of `model_functions.py`."""

LISTED = "imp_data"
"""The symbol of the list: of each place the name, the type of its numbers, and how many there are."""
PLACE = "imp_datum_"
"""How the symbols of places begin."""
DRIVE = "tableau_drive"
"""The table that holds rtol and atol, for methods that have their tolerances in their tables."""
POSITIVE = frozenset({"dt"})
"""Values that code may take for positive: solvers ask whether a step is given."""
_TYPES: dict[str, Any] = {"i64": ctypes.c_int64, "double": ctypes.c_double, "float": ctypes.c_float}


_POSITIVE = "  %positive = fcmp ogt {kind} %value, 0.0\n  call void @llvm.assume(i1 %positive)\n"


def blank(data: Data) -> dict[str, Value]:
    """Zeros in the place of values: what code knows of them."""
    return {name: (0.0,) * len(v) if isinstance(v, tuple) else type(v)(0) for name, v in data.items()}


def changed(data: Data, values: Mapping[str, int | float], kind: Callable[[float], Any]) -> dict[str, Value]:
    """The data with other `values` by the names of a layer's options; `kind` rounds to the dtype of the code.

    Raises KeyError for a name that is not among the data."""
    found = dict(data)
    for name, value in values.items():
        old = found[name]
        assert not isinstance(old, tuple), name
        found[name] = float(kind(value)) if name in POSITIVE else type(old)(value)
    if DRIVE in found:
        found[DRIVE] = (found["rtol"], found["atol"])  # type: ignore[assignment] - both are real numbers
    return found


def is_of_data(symbol: str) -> bool:
    """Whether a symbol must be found in the object: the loader reads the list and writes into the places."""
    return symbol == LISTED or symbol.startswith(PLACE)


def data_text(data: Data, scalar: str) -> str:
    """LLVM text that gives each value a place, and `imp_NAME`, the function that solvers call for it: a table is told
    by its address. The values are not in it; `scalar` is LLVM's type of a real number."""
    lines: list[str] = []
    listed: list[str] = []
    for name, value in data.items():
        kind = "i64" if isinstance(value, int) else scalar
        count = len(value) if isinstance(value, tuple) else 1
        listed.append(f"{name} {kind} {count}")
        lines.append(f"@{PLACE}{name} = dso_local externally_initialized global [{count} x {kind}] zeroinitializer")
        if isinstance(value, tuple):
            lines.append(f"define ptr @imp_{name}() alwaysinline {{\n  ret ptr @{PLACE}{name}\n}}")
        else:
            # Written before the first call and never after: no store of the code changes it.
            lines.append(
                f"define {kind} @imp_{name}() alwaysinline {{\n"
                f"  %value = load {kind}, ptr @{PLACE}{name}, !invariant.load !0\n"
                + (_POSITIVE.format(kind=kind) if name in POSITIVE else "")
                + f"  ret {kind} %value\n}}"
            )
    if not lines:
        return ""
    text = "; ".join(listed)
    lines.append(f'@{LISTED} = dso_local constant [{len(text) + 1} x i8] c"{text}\\00"')
    return "\n".join([*lines, "declare void @llvm.assume(i1)", "!0 = !{}", ""])


def write_data(address: Callable[[str], int], data: Data) -> None:
    """Writes the values that a loaded object asks for; `address` tells where a symbol lies, 0 where there is none.

    Raises RuntimeError where one is not given, or is of another kind: the object would run on zeros."""
    listed = address(LISTED)
    if not listed:
        return
    for entry in ctypes.string_at(listed).decode().split("; "):
        name, kind, count = entry.split(" ")
        value = data.get(name)
        if value is None:
            raise RuntimeError(f"machine code reads `{name}` from memory, and nobody gave it")
        numbers = value if isinstance(value, tuple) else (value,)
        if len(numbers) != int(count) or (kind == "i64") != isinstance(value, int):
            raise RuntimeError(f"machine code reads `{name}` as {count} × {kind}, and was given {value!r}")
        if name in POSITIVE and not all(number > 0 for number in numbers):
            raise RuntimeError(f"machine code takes `{name}` for positive, and was given {value!r}")
        (_TYPES[kind] * len(numbers)).from_address(address(f"{PLACE}{name}"))[:] = numbers
