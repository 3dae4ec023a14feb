"""Machine code of solvers that serve all models: they know no model and no sizes, and are made once a machine.

Where no size is known nothing is written out and no branch falls away, and what a call costs is nothing beside the
loops of what is called. So functions stay functions, one for all that call it, and LLVM's passes, which simplify what
has become part of something else, have next to nothing to do: what is left is the machine code of every instruction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import llvmlite.binding as llvm

from implicitdsl.backends.lanes.cache import kept_object
from implicitdsl.backends.lanes.flatten import is_own
from implicitdsl.backends.lanes.link import add_words, aim, joined, keep_inside, key_of_modules, machine_for
from implicitdsl.backends.lanes.passes import run
from implicitdsl.backends.lanes.target import device
from implicitdsl.backends.lanes.word_names import types_of

TINY = 10
"""Instructions of a function that become part of its callers: the places of arrays."""
SIMPLIFY = ("instruction_combine", "loop_rotate", "simplify_cfg")


def make_shared_object(modules: Iterable[str | bytes], entries: Sequence[str]) -> bytes:
    """The object file of solvers, LLVM texts or bitcode, for the processor that code is made for; see `make_object`."""
    parts, cpu = list(modules), aim()
    if (elsewhere := device()) is not None:
        return elsewhere.make(parts, entries, ())

    def make() -> bytes:
        context = llvm.create_context()
        whole = joined(parts, entries, context)
        add_words(whole, (), context, are_called=True)
        keep_inside(whole, entries)
        widths = {width for _, width in types_of(function.name for function in whole.functions)}
        machine = machine_for(cpu, is_narrow=1 in widths)
        optimise_functions(whole, machine)
        return machine.emit_object(whole)

    return kept_object(key_of_modules(parts, cpu, "serves all", list(entries)), make)


def optimise_functions(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Optimises a module of solvers and words, whose functions stay functions. Bits stay what they are."""
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    run(module, builder, "merge_functions")
    for function in module.functions:
        if _is_tiny(function) and function.linkage == llvm.Linkage.internal and not is_own(function):
            function.add_function_attribute("alwaysinline")
    run(module, builder, "always_inliner", "global_dead_code_eliminate", *SIMPLIFY)


def _is_tiny(function: llvm.ValueRef) -> bool:
    instructions = chain.from_iterable(block.instructions for block in function.blocks)
    return not function.is_declaration and next(islice(instructions, TINY, None), None) is None
