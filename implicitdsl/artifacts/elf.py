"""The names that an object file takes from the process that loads it (ELF, 64 bits, little-endian)."""

from __future__ import annotations

import struct

SYMBOL_TABLE = 2
SYMBOL = struct.Struct("<IBBHQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")


def undefined_symbols(code: bytes) -> frozenset[str]:
    """The undefined symbols of an object file; none for another format. See the System V ABI, chapter 4."""
    if code[:6] != b"\x7fELF\x02\x01":
        return frozenset()
    (offset,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [SECTION.unpack_from(code, offset + k * size) for k in range(count)]
    found: set[str] = set()
    for _, kind, _, _, start, length, link, *_ in sections:
        if kind != SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for place in range(start, start + length, SYMBOL.size):
            name, info, _, section, _, _ = SYMBOL.unpack_from(code, place)
            if name and section == 0 and info >> 4:
                end = code.index(b"\0", names + name)
                found.add(code[names + name : end].decode())
    # The loader makes this one itself.
    return frozenset(found - {"_GLOBAL_OFFSET_TABLE_"})
