"""Bitcode of solvers on disk, in the user's cache directory; a damaged or missing entry is made again.

The key of an entry holds the sources it was made from and the versions of what made it, so no entry is ever wrong,
only unused.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
from platformdirs import user_cache_path

FOLDER = "IMPLICITDSL_CACHE"
"""The environment variable that names another cache directory."""


def cache_folder() -> Path | None:
    """The cache directory, made with access for its owner alone; None where there can be none."""
    folder = Path(os.environ[FOLDER]) if FOLDER in os.environ else user_cache_path("implicitdsl")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    # Code is loaded from here: a directory that others may write to, or own, is left alone.
    facts = folder.stat()
    return folder if facts.st_uid == os.getuid() and not facts.st_mode & 0o022 else None


@cache
def fingerprint(files: tuple[str, ...]) -> str:
    """A hash of some sources of this package (paths inside it) and of the versions of what they are compiled with."""
    found = hashlib.sha256()
    root = Path(__file__).parents[2]
    for name in (platform.python_version(), version("numba"), version("llvmlite"), platform.machine()):
        found.update(name.encode() + b"\0")
    for name in files:
        found.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return found.hexdigest()


def kept(key: Iterable[object], make: Callable[[], str]) -> bytes:
    """The bitcode of the LLVM text that `make` gives: from disk if it is there, else made and put there."""
    name = hashlib.sha256("\0".join(str(part) for part in key).encode()).hexdigest()[:40] + ".bc"
    folder = cache_folder()
    if folder is not None:
        found = _read(folder / name)
        if found is not None:
            return found
    made = llvm.parse_assembly(make(), llvm.create_context()).as_bitcode()
    if folder is not None:
        _write(folder, name, made)
    return made


def _read(path: Path) -> bytes | None:
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    # A digest stands before the code, because LLVM may crash on a torn file.
    digest, code = whole[:32], whole[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def _write(folder: Path, name: str, code: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, folder / name)
    except OSError:
        # A full or read-only disk costs time at the next start, nothing else.
        return
