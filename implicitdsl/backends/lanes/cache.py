"""What was compiled, on disk, in the user's cache directory; a damaged or missing entry is made again.

The key of an entry holds what it was made from and the versions of what made it, so no entry is ever wrong, only
unused. Files are written beside their place and moved there, so that a reader sees a whole file or none.
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

from platformdirs import user_cache_path

FOLDER = "IMPLICITDSL_CACHE"
"""The environment variable that names another cache directory."""


def cache_folder() -> Path | None:
    """The cache directory, made with access for its owner alone; None where there can be none."""
    folder = Path(os.environ[FOLDER]) if FOLDER in os.environ else user_cache_path("implicitdsl")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return None
    # Code is loaded from here: a directory that others may write to, or own, is left alone.
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
    name = hashlib.sha256("\0".join(str(part) for part in key).encode()).hexdigest()[:40]
    return _kept(f"{name}.bc", lambda: _bitcode(make()))


def kept_object(key: str, make: Callable[[], bytes]) -> bytes:
    """The object file under a key: from disk if it is there, else made and put there."""
    return _kept(f"{key[:40]}.o", make)


def _bitcode(text: str) -> bytes:
    import llvmlite.binding as llvm

    return llvm.parse_assembly(text, llvm.create_context()).as_bitcode()


def _kept(name: str, make: Callable[[], bytes]) -> bytes:
    folder = cache_folder()
    if folder is not None:
        found = read(folder / name)
        if found is not None:
            return found
    made = make()
    if folder is not None:
        write(folder / name, made)
    return made


def read(path: Path) -> bytes | None:
    """What `write` put there; None where there is nothing, or something else than it put there."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    # A digest stands before the code, because LLVM may crash on a torn file.
    digest, code = whole[:32], whole[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def write(path: Path, code: bytes) -> None:
    """Put it there, whole or not at all."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path)
    except OSError:
        # A full or read-only disk costs time at the next start, nothing else.
        if temporary:
            Path(temporary).unlink(missing_ok=True)
