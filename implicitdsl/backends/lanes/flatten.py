"""A linked kernel, optimised: functions that are called from one place become part of their caller before all else.

LLVM inlines from the bottom up and simplifies every caller anew after what it calls has become part of it. A solver is
a chain of functions, each called by one other, so the innermost is simplified as often as the chain is long: most of
the time a kernel took. Joined first, the chain is simplified once.

A function is then simplified by itself, with its loops of few known rounds written out. Where several are left,
called from many places, LLVM's own pipeline judges which to inline, and writes out no more loops: with vectors of
samples, rounds of a loop have nothing to share, and code for loops of unknown length was what objects mostly held.
"""

from __future__ import annotations

import re
from collections import Counter

import llvmlite.binding as llvm

from implicitdsl.backends.lanes.passes import optimise

_NAMED = re.compile(r'@("[^"]*"|[\w.$-]+)')
_DEFINITION = 1
"""How often the text of a module names a function that nothing uses."""


def optimise_whole(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Optimises a module of solver, model and words for a machine, where the model is known. Bits stay what they are:
    no pass may reorder or fuse an operation."""
    builder = _builder(machine)
    _settle(module, builder)
    _join_chains(module, builder)
    functions = _defined(module)
    simplify = builder.getFunctionPassManager()
    for function in functions:
        simplify.run(function, builder)
    if len(functions) > 1:
        optimise(module, machine, unrolls=False)


def _builder(machine: llvm.TargetMachine) -> llvm.PassBuilder:
    return llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))


def _settle(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    """Sizes of the model are put into all functions that they are handed to, and what is never run goes: half of a
    stiff solver."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_ipsccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_sroa_pass()
    passes.run(module, builder)


def _join_chains(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    inner = [f for f in _defined(module) if f.linkage == llvm.Linkage.internal]
    if not inner:
        return
    for place, function in enumerate(inner):
        # Names were stripped, and a text calls what has none by a number that llvmlite does not tell.
        function.name = f"own.{place}"
    named = Counter(_NAMED.findall(str(module)))
    for function in inner:
        once = named[function.name] == _DEFINITION + 1
        if once and not any(b"noinline" in words for words in function.attributes):
            function.add_function_attribute("alwaysinline")
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)


def _defined(module: llvm.ModuleRef) -> list[llvm.ValueRef]:
    return [function for function in module.functions if not function.is_declaration]
