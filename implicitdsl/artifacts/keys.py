"""What entries are found by: everything that they were made from, and what they were made with."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from implicitdsl.backends.lanes.cache import find, installed, keep
from implicitdsl.layers.options import Options, named_by_environment

Recipe = tuple[Any, ...]
"""(texts by name, name of the main text, definition, sizes, options): what a layer is built from."""
APART = frozenset({"cli", "lsp", "__pycache__"})
"""Folders of the package that take no part in what is compiled."""


def source_hash() -> str:
    """A hash of the sources of this package that take part in what is compiled and how it is run."""
    found = hashlib.sha256()
    root = Path(__file__).parents[1]
    for folder, inside, files in os.walk(root):
        inside[:] = sorted(set(inside) - APART)
        for name in sorted(files):
            if name.endswith((".py", ".lark")):
                path = os.path.join(folder, name)
                found.update(os.path.relpath(path, root).encode() + b"\0")
                found.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return found.hexdigest()


@cache
def toolchain() -> str:
    """What makes entries: this package and the versions of what it compiles with. An entry of another is not found."""
    versions = [f"{name} {installed(name)}" for name in ("llvmlite", "sympy", "lark", "numpy")]
    return key_of(source_hash(), platform.python_version(), platform.machine(), torch.__version__, *versions)


def key_of(*parts: object) -> str:
    """The name of what was made from these parts: texts, numbers, and dataclasses and tuples of them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def layer_key(recipe: Recipe) -> str:
    """The key of a blueprint."""
    return key_of(toolchain(), "layer", named_by_environment(), recipe)


def engine_key(recipe: Recipe, piece: int, dtype: str, call_sizes: tuple[tuple[str, int], ...], target: str) -> str:
    """The key of an engine. Options that change no code take no part."""
    texts, main, name, sizes, options = recipe
    layer = (texts, main, name, sizes, code_options(options), named_by_environment())
    return key_of(toolchain(), "engine", layer, piece, dtype, call_sizes, target)


VALUES = ("rtol", "atol", "max_steps", "dt")
"""The options that machine code is loaded with."""


def without_values(recipe: Recipe) -> Recipe:
    """The recipe without the options that machine code is loaded with: with others it is the same code."""
    *rest, options = recipe
    step = None if options.dt is None else 1.0
    return (*rest, replace(options, rtol=None, atol=None, max_steps=None, dt=step))


def code_options(options: Options) -> Options:
    """The options that decide what code does; the others decide what is done with it."""
    return replace(options, on_fail="raise", seed=None, threads=None, dtype=None, device="cpu")


def find_record(name: str) -> Any:
    """The object kept under a name, or None."""
    found = find(name)
    if found is None:
        return None
    try:
        return pickle.loads(found)
    except Exception:  # whatever a stale pickle raises, the record is made again
        return None


def keep_record(name: str, record: object) -> None:
    """Keeps an object of plain data under a name."""
    keep(name, pickle.dumps(record, protocol=5))
