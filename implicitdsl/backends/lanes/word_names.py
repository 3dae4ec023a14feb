"""The names by which a solver calls the words that `word_functions.py` writes: what bitcode and model agree on."""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "imp_word_"
"""How the names of the functions begin; the word and its type follow, as in `imp_word_axpy.v8f64`."""
SCALARS = {"float64": ("double", "f64"), "float32": ("float", "f32")}
"""LLVM's names of a float, in types and in names of functions."""


def name_of(word: str, dtype: str, width: int) -> str:
    """The function of a word on elements of `width` lanes."""
    return f"{PREFIX}{word}.v{width}{SCALARS[dtype][1]}"


def types_of(names: Iterable[str]) -> list[tuple[str, int]]:
    """The dtypes and widths of the words among these names."""
    dtypes = {short: dtype for dtype, (_, short) in SCALARS.items()}
    found = {name.rpartition(".v")[2] for name in names if name.startswith(PREFIX)}
    return [(dtypes[each[-3:]], int(each[:-3])) for each in sorted(found)]
