"""The sizes of quadratic programs in their machine code: data of a code that serves all, or constants of one's own.

Large programs live in products of rows, whose loops may as well count to numbers that are read. In small ones a quarter
of the time would be the loops themselves: their sizes are written into the code, which LLVM then unrolls. Both are made
of the same bitcode, so the bits are the same, and a new size needs no Numba.
"""

from __future__ import annotations

from collections.abc import Mapping

from implicitdsl.backends.lanes.block_code import block_solver
from implicitdsl.backends.lanes.link import make_object

SMALL = {"unknowns": 16, "constraints": 32}
"""Sizes up to which a program has code of its own, a second's work of LLVM."""
SIGNATURES = {
    "program_prepare": "nnnnaa", "program_solve": "nnnnanaaaaa", "program_factor": "nnnanaaa",
    "program_held": "nnnnanaaaaaa",
}  # fmt: skip
"""The parameters of each entry: n a whole number, a an array of elements."""
SIZES = {
    "program_prepare": ("unknowns", "equations", "constraints"),
    "program_solve": ("unknowns", "equations", "constraints"),
    "program_factor": ("unknowns", "constraints"),
    "program_held": ("unknowns", "constraints"),
}
"""Which sizes follow the first parameter of each entry, the number of blocks."""
SOLVERS = tuple(
    f"solvers/{name}"
    for name in (
        "block_cholesky",
        "block_scaling",
        "block_prepared",
        "held_rows",
        "block_path",
        "block_program",
        "block_held",
    )
)
"""All that the code of the programs calls."""


def kernel(entry: str) -> str:
    """The function of `program_kernel.py` behind an entry."""
    return f"any_{entry.removeprefix('program_')}"


def program_object(entries: tuple[str, ...], sizes: Mapping[str, int], dtype: str, width: int) -> bytes:
    """The object file that defines `imp_ENTRY` for some entries; `sizes` are those of the programs it has to serve."""
    code = [block_solver(f"program_kernel.{kernel(e)}", SIGNATURES[e], dtype, width, SOLVERS) for e in entries]
    known = sizes if all(sizes[name] <= most for name, most in SMALL.items()) else {}
    doors = "".join(_door(entry, known) for entry in entries)
    return make_object([*code, doors], [f"imp_{entry}" for entry in entries])


def _door(entry: str, known: Mapping[str, int]) -> str:
    """LLVM text of an entry that calls its kernel, with the sizes that are known in the place of those it is given."""
    kinds = ["i64" if letter == "n" else "ptr" for letter in SIGNATURES[entry]]
    given = [f"{kind} %a{i}" for i, kind in enumerate(kinds)]
    passed = list(given)
    for place, name in enumerate(SIZES[entry], 1):
        if name in known:
            passed[place] = f"i64 {known[name]}"
    called = f"@imp_{kernel(entry)}"
    return (
        f"declare i64 {called}({', '.join(kinds)})\n"
        f"define i64 @imp_{entry}({', '.join(given)}) {{\n"
        f"  %told = call i64 {called}({', '.join(passed)})\n  ret i64 %told\n}}\n"
    )
