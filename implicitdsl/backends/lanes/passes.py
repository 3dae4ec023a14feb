"""What is done to LLVM modules beside LLVM's own pipeline, so that it has less to do.

The LLVM of llvmlite is built with assertions: each loop that is rotated or unrolled has the dominators and the loops
of its whole function checked, which makes a function of a thousand blocks slower to compile than a hundred of ten.
So loops are unrolled before functions are put into one another.
"""

from __future__ import annotations

import llvmlite.binding as llvm

APART = (
    "global_dead_code_eliminate", "ipsccp", "sroa", "simplify_cfg", "instruction_combine", "loop_rotate", "loop_unroll",
    "sroa", "instruction_combine", "simplify_cfg",
)  # fmt: skip
"""Sizes of the model reach every function, then loops over them are written out where they are few."""


def simplify_apart(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Simplifies every function of a linked module by itself, its sizes being known; what is called becomes part of
    nothing yet."""
    _run(module, machine, APART)


def _run(module: llvm.ModuleRef, machine: llvm.TargetMachine, names: tuple[str, ...]) -> None:
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)
