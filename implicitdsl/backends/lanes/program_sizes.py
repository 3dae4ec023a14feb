"""The sizes of quadratic programs in their machine code: data of a code that serves all, or constants of one's own.

Large programs live in products of rows, whose loops may as well count to numbers that are read. In small ones a fifth
of the time is the loops themselves; with their sizes written into the code LLVM writes them out, which takes it half a
second. So a layer of small programs begins with the code that serves all, and its own is made aside once it has spent
`machine_code.PATIENCE`. Both are made of the same bitcode: the bits are the same, and a new size needs nothing lowered.
"""

from __future__ import annotations

from collections.abc import Mapping

from implicitdsl.backends.lanes.block_code import block_solver
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.serves_all import make_shared_object

SMALL = {"unknowns": 16, "constraints": 32}
"""Sizes up to which a program may have code of its own."""
SERVES_ALL, OWN = "program_", "program_own_"
"""How the names of the entries begin."""
KERNELS = {
    "prepare": ("nnnnaa", ("unknowns", "equations", "constraints")),
    "solve": ("nnnnanaaaaaan", ("unknowns", "equations", "constraints")),
    "factor": ("nnnanaaa", ("unknowns", "constraints")),
    "held": ("nnnnanaaaaaa", ("unknowns", "constraints")),
}
"""The functions of `program_kernel.py`: their parameters (n a whole number, a an array of elements), and which sizes
follow the first of them, the number of blocks."""
SOLVERS = tuple(
    f"solvers/{name}"
    for name in (
        "block_cholesky",
        "block_scaling",
        "block_prepared",
        "held_rows",
        "block_path",
        "block_rows",
        "block_program",
        "block_held",
    )
)
"""All that the code of the programs calls."""


def parts_of(sizes: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The parts of the code of programs of these sizes, and the entries of each."""
    # What solves and what differentiates share most of their functions.
    parts = {"program": tuple(f"{SERVES_ALL}{kernel}" for kernel in KERNELS)}
    if all(sizes[name] <= most for name, most in SMALL.items()):
        parts["program_own"] = tuple(f"{OWN}{kernel}" for kernel in ("solve", "factor", "held"))
    return parts


def signatures_of(sizes: Mapping[str, int]) -> dict[str, str]:
    """The parameters of the entries of `parts_of`."""
    entries = [entry for part in parts_of(sizes).values() for entry in part]
    return {entry: KERNELS[_kernel(entry)][0] for entry in entries}


def program_object(entries: tuple[str, ...], sizes: Mapping[str, int], dtype: str, width: int) -> bytes:
    """The object file that defines `imp_ENTRY` for the entries of a part."""
    kernels = [_kernel(entry) for entry in entries]
    code = [block_solver(f"program_kernel.any_{k}", KERNELS[k][0], dtype, width, SOLVERS) for k in kernels]
    make = make_object if any(entry.startswith(OWN) for entry in entries) else make_shared_object
    return make([*code, "".join(_door(entry, sizes) for entry in entries)], [f"imp_{e}" for e in entries])


def _kernel(entry: str) -> str:
    return entry.rpartition("_")[2]


def _door(entry: str, sizes: Mapping[str, int]) -> str:
    """LLVM text of an entry: it calls its kernel with the sizes that it is given, or with its own."""
    kernel = _kernel(entry)
    signature, names = KERNELS[kernel]
    kinds = ["i64" if letter == "n" else "ptr" for letter in signature]
    given = [f"{kind} %a{i}" for i, kind in enumerate(kinds)]
    passed = list(given)
    if entry.startswith(OWN):
        passed[1 : 1 + len(names)] = [f"i64 {sizes[name]}" for name in names]
    called = f"@imp_any_{kernel}"
    return (
        f"declare i64 {called}({', '.join(kinds)})\n"
        f"define i64 @imp_{entry}({', '.join(given)}) {{\n"
        f"  %told = call i64 {called}({', '.join(passed)})\n  ret i64 %told\n}}\n"
    )
