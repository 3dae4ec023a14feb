"""Several object files as one, where the solver and the model of a kernel are compiled apart (`apart.py`)."""

from __future__ import annotations

from collections.abc import Sequence

MARK = b"imp pieces\n"
"""How such bytes begin; an object file begins otherwise."""
_COUNT = 8


def joined(objects: Sequence[bytes]) -> bytes:
    """Some object files as one value."""
    return MARK + b"".join(len(each).to_bytes(_COUNT, "little") + each for each in objects)


def pieces(code: bytes) -> list[bytes]:
    """The object files that were joined, or the one that the bytes are."""
    if not code.startswith(MARK):
        return [code]
    found: list[bytes] = []
    at = len(MARK)
    while at < len(code):
        start = at + _COUNT
        at = start + int.from_bytes(code[at:start], "little")
        found.append(code[start:at])
    return found
