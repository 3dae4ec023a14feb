"""Bitcode of solvers that came with the package: found before the user's cache, so that nothing need be lowered.

A wheel holds it in the folder `bitcode` of the package, compressed, under the names that the cache gives it. A name
tells the sources, versions and kind of machine, so what was made from others is simply not found.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "bitcode"

_noted: ContextVar[dict[str, bytes] | None] = ContextVar("bitcode that was asked for, by name", default=None)


def find(name: str) -> bytes | None:
    """The bitcode of a name, or None where the package has none, or a damaged one."""
    try:
        return zlib.decompress((FOLDER / name).read_bytes())
    except (OSError, zlib.error):
        return None


def note(name: str, content: bytes) -> None:
    """Tells `noting` what was asked for."""
    found = _noted.get()
    if found is not None:
        found[name] = content


@contextmanager
def noting() -> Iterator[dict[str, bytes]]:
    """Gives a dictionary of all bitcode that is asked for inside, by name."""
    found: dict[str, bytes] = {}
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def write(entries: Mapping[str, bytes]) -> int:
    """Puts bitcode into the package; gives the bytes that it takes there."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in entries.items():
        (FOLDER / name).write_bytes(zlib.compress(content, 9))
    return sum((FOLDER / name).stat().st_size for name in entries)


def clear() -> None:
    """Removes the bitcode of the package."""
    for path in FOLDER.glob("*.bc"):
        path.unlink()
