"""Solvers that work on NumPy arrays to LLVM text, by Numba: once for each (function, dtype).

No Python object can occur in what is made; it allocates by the functions of `memory.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core import compiler, config
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.extending import lower_builtin, register_jitable
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from implicitdsl.backends.lanes.words import ELEMENTWISE, WORDS
from implicitdsl.solvers import vocabulary

_LOCK = threading.Lock()
_known: set[FunctionType] = set()
_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_LLVM = {types.float64: "double", types.float32: "float", types.int64: "i64"}


def make_callable(functions: Iterable[Callable[..., Any]]) -> None:
    """Let compiled functions call these plain functions."""
    for function in functions:
        if isinstance(function, FunctionType) and function not in _known:
            _known.add(function)
            register_jitable(**_OPTIONS)(function)


def lower_with_arrays(
    function: Callable[..., Any], arguments: tuple[types.Type, ...], result: types.Type, symbol: str, *, broken: int
) -> str:
    """The LLVM text of a module that defines `symbol` as the C function of these argument and result types; it gives
    `broken` where the function would raise an exception.

    Raises numba's TypingError for a function outside Numba's subset."""
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.nrt = True
    flags.enable_pyobject = False
    with _LOCK:
        typing, target = cpu_target.typing_context, cpu_target.target_context
        rtsys.initialize(target)
        level, codegen = config.OPT, target._internal_codegen
        config.OPT = type(level)(0)
        # The usual code generator would load each module at once, and fail on model functions, which are linked later.
        target._internal_codegen = _code_generator()
        try:
            typing.refresh()
            target.refresh()
            found = compiler.compile_extra(typing, target, function, arguments, result, flags, {})
        finally:
            config.OPT = level
            target._internal_codegen = codegen
    text = found.library.get_llvm_str()
    # Nothing else calls it.
    found.library.release()
    return text + _entry(found.fndesc.llvm_func_name, arguments, result, symbol, broken)


def _entry(body: str, arguments: tuple[types.Type, ...], result: types.Type, symbol: str, broken: int) -> str:
    """The C function around Numba's, which returns through a pointer and has a place for exceptions."""
    given = [f"{_llvm(kind)} %a{i}" for i, kind in enumerate(arguments)]
    r = _llvm(result)
    passed = "".join(f", {text}" for text in given)
    # 0 is a return, -2 the return of None; all else is an exception.
    return (
        f"\ndefine {r} @{symbol}({', '.join(given)}) {{\n"
        f"  %result = alloca {r}\n  %raised = alloca ptr\n"
        f"  %status = call i32 @{body}(ptr %result, ptr %raised{passed})\n"
        f"  %value = load {r}, ptr %result\n  %raised.now = icmp ne i32 %status, 0\n"
        f"  %told = select i1 %raised.now, {r} {broken}, {r} %value\n  ret {r} %told\n}}\n"
    )


def _llvm(kind: types.Type) -> str:
    return "ptr" if isinstance(kind, types.CPointer) else _LLVM[kind]


class TextLibrary(JITCodeLibrary):
    """Code that is never loaded. What others link is kept as bitcode: a process keeps all that it has lowered, and
    modules take far more room."""

    _bitcode: bytes | None = None

    def _get_module_for_linking(self) -> llvm.ModuleRef:
        if self._bitcode is None:
            self._bitcode = super()._get_module_for_linking().as_bitcode()
            self.release()
        return llvm.parse_bitcode(self._bitcode)

    def release(self) -> None:
        """Lets go of the module, whose text is no longer asked for."""
        self._final_module = self._shared_module = None

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    def _finalize_specific(self) -> None:
        pass


class TextOnly(JITCPUCodegen):
    """Makes LLVM modules and no machine code."""

    _library_class = TextLibrary

    def _add_module(self, module: Any) -> None:
        pass

    def set_env(self, env_name: str, env: Any) -> None:
        pass


@cache
def _code_generator() -> TextOnly:
    # One for the life of the process: what it made is linked into what is made later.
    return TextOnly("arrays")


def _teach(word: Callable[..., Any], typing: Callable[[tuple[types.Type, ...]], Any]) -> None:
    """Let Numba compile a word of the lanes; `typing` gives the type of its result and of its arguments, or None."""

    class Template(AbstractTemplate):
        key = word

        def generic(self, args: Any, kws: Any) -> Any:
            found = typing(args)
            return None if found is None else signature(found, *[found] * len(args))

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return WORDS[word].emit(builder, None, (), args)

    infer_global(word)(Template)
    lower_builtin(word, types.VarArg(types.Any))(lower)


def _floats(args: tuple[types.Type, ...]) -> Any:
    if not all(isinstance(a, types.Float) for a in args):
        return None
    return types.float64 if types.float64 in args else types.float32


# Before `make_callable`: what comes first counts, and a float is to have the bits that it has on lanes.
for _word in ELEMENTWISE:
    _teach(_word, _floats)
_teach(vocabulary.interrupted, lambda args: None if args else types.boolean)
