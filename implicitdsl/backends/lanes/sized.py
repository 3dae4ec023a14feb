"""A solver for the sizes of a small model: made once for them, and finished by each model that has them.

Most of what LLVM does to a kernel of a few states follows from the solver and the numbers of the model alone: which
half of the solver is never run, how often its loops run, which words stand for which sizes. The functions of the model
are single calls in it meanwhile. So that much is done once and kept on disk, as bitcode that has no loop over the
states left; a model, or its formulas after a change, then costs what its own functions add, and the machine code.

Before the functions of the model are part of it, a solver is a third of what it is afterwards, and each word comes as
what it does for one size: nearly all places on the stack become values at once.
"""

from __future__ import annotations

from collections.abc import Callable

import llvmlite.binding as llvm

from implicitdsl.backends.lanes.flatten import (
    LIGHT,
    QUICK,
    Inlining,
    inline_small,
    inner,
    join_chains,
    settle,
    simplify,
)
from implicitdsl.backends.lanes.passes import builder_for, run

FEW = 4
"""The largest size of models that solvers are written out for."""

_WRITE_OUT = ("loop_unroll", "simplify_cfg")
"""Loops of few known rounds become what they do; those inside others have known rounds the second time."""
_INLINE = ("always_inliner", "global_dead_code_eliminate")
_SMALL = Inlining(260, 1500, 600)
"""Solvers of few states are to be one function."""


def write_out(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, *, add_words: Callable[[], None], is_one: bool
) -> None:
    """Makes of solvers and numbers, without words, the solver for these numbers: a module that calls the functions of
    the model. `add_words` links the words that stand in it when their sizes are known; `is_one` says that all of the
    solver is one function then."""
    builder = builder_for(machine)
    settle(module, builder)
    join_chains(module, builder)
    run(module, builder, "instruction_combine", *_WRITE_OUT)
    add_words()
    run(module, builder, *_INLINE)
    if not is_one:
        run(module, builder, "sroa")
        inline_small(module, builder, _SMALL)
        # In a dense factorisation the length of a loop is the count of another one.
        run(
            module, builder, *_WRITE_OUT, *_WRITE_OUT, "sroa", "instruction_combine", "loop_rotate", *_WRITE_OUT, "sroa"
        )
    run(module, builder, "strip_symbols", "strip_dead_prototype")


def finish(module: llvm.ModuleRef, machine: llvm.TargetMachine, *, is_straight: bool) -> None:
    """Optimises a solver for these sizes that the functions of a model are linked with. `is_straight` says that
    nothing is to be found that could be moved out of a loop within a step."""
    builder = builder_for(machine)
    run(module, builder, *_INLINE)
    if inner(module):
        inline_small(module, builder, _SMALL)
    run(module, builder, "sroa")
    if is_straight:
        run(module, builder, *LIGHT)
    else:
        simplify(module, machine, QUICK)
    if inner(module):
        run(module, builder, "global_opt", *_INLINE, "constant_merge")
