"""Whether SLEEF's elementary functions on vectors are at hand: torch's CPU library exports them."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import llvmlite.binding as llvm

ACCURACY = {"hypot": "u05"}
"""SLEEF's bound in tenths of a unit in the last place; `u10` unless told."""

VECTOR_FUNCTIONS = ("sinh", "cosh", "tan", "asin", "acos", "atan", "atan2", "pow", "hypot")
"""What is called from the library; the rest is our own."""


def vector_symbol(name: str, dtype: str) -> str:
    """The symbol of a function on 32 bytes of elements."""
    kind = "d4" if dtype == "float64" else "f8"
    return f"Sleef_{name}{kind}_{ACCURACY.get(name, 'u10')}avx2"


@functools.cache
def sleef_library() -> bool:
    """Whether SLEEF's AVX2 functions are at hand; torch's library is loaded here if need be."""
    found = importlib.util.find_spec("torch")
    features = llvm.get_host_cpu_features()
    if found is None or found.origin is None or not (features.get("avx2") and features.get("fma")):
        return False
    library = Path(found.origin).parent / "lib" / "libtorch_cpu.so"
    if not library.exists():
        return False
    llvm.load_library_permanently(str(library))
    names = [vector_symbol(name, dtype) for name in VECTOR_FUNCTIONS for dtype in ("float64", "float32")]
    return all(llvm.address_of_symbol(name) for name in names)


def library_name() -> str:
    """What the functions that are not our own come from: part of the key of whatever is compiled."""
    return "sleef-avx2" if sleef_library() else "libm"
