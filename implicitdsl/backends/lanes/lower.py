"""Solver functions to unoptimised LLVM text, by Numba: once for each (function, dtype, width).

The text is left unoptimised, because it is optimised after model functions are linked in: optimising twice costs a
third of the speed. No Python object can occur in it; an exception and an allocation only in what `lower_with_arrays`
lowers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType
from typing import Any

from numba import types
from numba.core import compiler, config
from numba.core.extending import register_jitable
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

from implicitdsl.backends.lanes import rows as rows  # registers rows that differ between lanes
from implicitdsl.backends.lanes import tiles as tiles  # registers the products of rows
from implicitdsl.backends.lanes import words as words  # registers the vocabulary
from implicitdsl.backends.lanes.pipeline import SolverCompiler, TextOnly, compiling

_LOCK = threading.Lock()
_known: set[FunctionType] = set()
_PLACE = re.compile(rf"  (%\"?{re.escape(words.FAR)}[\d.]*\"?) = alloca ptr")
_OPTIONS = {
    "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": SolverCompiler,
}  # fmt: skip
_LLVM = {types.float64: "double", types.float32: "float", types.int64: "i64"}


@cache
def _code_generator() -> TextOnly:
    # One for the life of the process: what it made is linked into what is made later.
    return TextOnly("lanes")


def _llvm(kind: types.Type) -> str:
    return "ptr" if isinstance(kind, types.CPointer) else _LLVM[kind]


def make_callable(functions: Iterable[Callable[..., Any]]) -> None:
    """Let compiled functions call these plain functions."""
    for function in functions:
        if isinstance(function, FunctionType) and function not in _known:
            _known.add(function)
            register_jitable(**_OPTIONS)(function)


def lower(function: Callable[..., Any], arguments: tuple[types.Type, ...], result: types.Type, symbol: str) -> str:
    """The LLVM text of a module that defines `symbol` as the C function of these argument and result types.

    Raises numba's TypingError for a function outside Numba's subset."""
    found = _compiled(function, arguments, result, arrays=False)
    text = _given_back(_text_of(found))
    return text + _entry(found.fndesc.llvm_func_name, arguments, result, symbol)


def lower_with_arrays(
    function: Callable[..., Any], arguments: tuple[types.Type, ...], result: types.Type, symbol: str, *, broken: int
) -> str:
    """As `lower`, for a function that makes NumPy arrays: it needs the functions of `memory.py`, and gives `broken`
    where it would raise an exception."""
    found = _compiled(function, arguments, result, arrays=True)
    return _text_of(found) + _entry(found.fndesc.llvm_func_name, arguments, result, symbol, broken)


def _text_of(found: Any) -> str:
    """The text of what was compiled, which is called by nothing else."""
    text = found.library.get_llvm_str()
    found.library.release()
    return text


def _given_back(text: str) -> str:
    """The text with every far buffer freed where the function that made it returns."""
    lines: list[str] = []
    places: list[str] = []
    for line in text.splitlines():
        if line.startswith("define "):
            places = []
        made = _PLACE.match(line)
        if made:
            places.append(made[1])
        if places and line.startswith("  ret "):
            for place in places:
                name = f"%given.back.{len(lines)}"
                lines += [f"  {name} = load ptr, ptr {place}", f"  call void @free(ptr {name})"]
        lines.append(line)
    whole = "\n".join(lines) + "\n"
    declared = "declare void @free(" in whole or "call void @free(" not in whole
    return whole if declared else whole + "declare void @free(ptr)\n"


def _compiled(
    function: Callable[..., Any], arguments: tuple[types.Type, ...], result: types.Type, *, arrays: bool
) -> Any:
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.nrt = arrays
    flags.enable_pyobject = False
    with _LOCK:
        typing, target = cpu_target.typing_context, cpu_target.target_context
        if arrays:
            rtsys.initialize(target)
        level, codegen = config.OPT, target._internal_codegen
        config.OPT = type(level)(0)
        # The usual code generator would load each module at once, and fail on model functions, which are linked later.
        target._internal_codegen = _code_generator()
        try:
            typing.refresh()
            target.refresh()
            with compiling(arrays=arrays):
                return compiler.compile_extra(
                    typing, target, function, arguments, result, flags, {}, pipeline_class=SolverCompiler
                )
        finally:
            config.OPT = level
            target._internal_codegen = codegen


def _entry(
    body: str, arguments: tuple[types.Type, ...], result: types.Type, symbol: str, broken: int | None = None
) -> str:
    """The C function around Numba's, which returns through a pointer and has a place for exceptions."""
    given = [f"{_llvm(kind)} %a{i}" for i, kind in enumerate(arguments)]
    r = _llvm(result)
    passed = "".join(f", {text}" for text in given)
    value = "%value"
    chosen = ""
    if broken is not None:
        value = "%told"
        # 0 is a return, -2 the return of None; all else is an exception.
        chosen = f"  %raised.now = icmp ne i32 %status, 0\n  %told = select i1 %raised.now, {r} {broken}, {r} %value\n"
    return (
        f"\ndefine {r} @{symbol}({', '.join(given)}) {{\n"
        f"  %result = alloca {r}\n  %raised = alloca ptr\n"
        f"  %status = call i32 @{body}(ptr %result, ptr %raised{passed})\n"
        f"  %value = load {r}, ptr %result\n{chosen}  ret {r} {value}\n}}\n"
    )
