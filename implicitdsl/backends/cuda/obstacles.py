"""What in a module of kernels a GPU cannot run.

Solvers are written so that nothing of it occurs: they call one another directly and never themselves, and what they
need is in the module. Memory from the heap, for models that the stack of a processor does not hold, is the exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llvmlite.binding import ValueKind

OTHERS = ("llvm.x86.", "llvm.aarch64.")
"""How the intrinsics of processors begin."""


def obstacles(module: Any) -> list[str]:
    """One sentence for each of what a GPU cannot run in an LLVM module (of llvmlite's binding)."""
    found: list[str] = []
    calls: dict[str, set[str]] = {}
    for k, function in enumerate(module.functions):
        # The bitcode of solvers has no names of its own.
        function.name = function.name or f"function{k}"
    for function in module.functions:
        if function.is_declaration:
            continue
        called = calls[function.name] = set[str]()
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opcode == "call":
                    *_, target = instruction.operands
                    if target.value_kind == ValueKind.function:
                        called.add(target.name)
                    else:
                        found.append(f"`{function.name}` calls a function that is known only when it runs")
    outside = set[str]().union(*calls.values()) - calls.keys()
    found += [f"`{name}` does not exist on a GPU" for name in sorted(outside) if not _is_intrinsic(name)]
    found += [f"`{name}` calls itself" for name in calls if _reaches(name, calls)]
    places = (v for v in module.global_variables if v.is_declaration)
    return [*found, *(f"`{variable.name}` lies in the memory of the process" for variable in places)]


def _is_intrinsic(name: str) -> bool:
    return name.startswith("llvm.") and not name.startswith(OTHERS)


def _reaches(name: str, calls: Mapping[str, set[str]]) -> bool:
    """Whether a function is among those that it calls, directly or not."""
    seen, left = set[str](), list(calls[name])
    while left:
        one = left.pop()
        if one == name:
            return True
        if one not in seen:
            seen.add(one)
            left += calls.get(one, ())
    return False
