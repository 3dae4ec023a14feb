"""What is done to LLVM modules beside LLVM's own pipeline, so that it has less to do."""

from __future__ import annotations

import llvmlite.binding as llvm

llvm.initialize_native_target()

TIDY = (
    "global_dead_code_eliminate", "sroa", "instruction_combine", "simplify_cfg", "dead_arg_elimination",
    "strip_symbols", "strip_dead_prototype",
)  # fmt: skip
"""Places on the stack become values. Nothing is inlined or unrolled: that is for when a model is known."""
FIRST = ("always_inliner", "global_dead_code_eliminate", "sccp", "simplify_cfg", "sroa")
"""What a linked module goes through before LLVM's pipeline: with a model known, a third of it is never run, and words
are what they do for one size."""
FULL = 3
"""The level of LLVM's own pipeline."""
OWN = "imp_"
"""How the names begin by which modules know one another's functions; all else is a module's own."""


def tidied(text: str) -> bytes:
    """The bitcode of a solver's LLVM text, every function simplified by itself and all names dropped that do not begin
    with `OWN`: a third of the size, done once instead of for every model. Raises RuntimeError for a wrong text."""
    module = llvm.parse_assembly(text, llvm.create_context())
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and not item.name.startswith(OWN):
            item.linkage = "internal"
    # For no processor in particular: what is kept may be read on another.
    run(module, builder_for(llvm.Target.from_default_triple().create_target_machine()), *TIDY)
    return module.as_bitcode()


def optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine, *, unrolls: bool = True, level: int = FULL) -> None:
    """Optimises a module of solver, model and words for a machine; loops are unrolled where the model is known."""
    builder = builder_for(machine, level=level, unrolls=unrolls)
    run(module, builder, *FIRST)
    builder.getModulePassManager().run(module, builder)


def builder_for(
    machine: llvm.TargetMachine, *, level: int = FULL, unrolls: bool = True, interleaves: bool = True
) -> llvm.PassBuilder:
    """What passes are made with, for one of LLVM's levels."""
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_unrolling = unrolls
    options.loop_interleaving = interleaves
    return llvm.create_pass_builder(machine, options)


def run(module: llvm.ModuleRef, builder: llvm.PassBuilder, *names: str) -> None:
    """Runs passes by llvmlite's names, one after the other."""
    passes = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)


def function_passes(*names: str) -> llvm.FunctionPassManager:
    """What runs passes by llvmlite's names on one function."""
    passes = llvm.create_new_function_pass_manager()
    for name in names:
        getattr(passes, f"add_{name}_pass")()
    return passes
