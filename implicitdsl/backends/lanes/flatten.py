"""A linked kernel, optimised: what is one function in the end becomes one before it is simplified.

LLVM inlines from the bottom up and simplifies every caller anew after what it calls has become part of it. A solver is
a chain of functions, each called by one other, so the innermost is simplified as often as the chain is long, and its
entry, which is most of the code, again when the last small function has become part of it. So chains are joined before
all else, and a function is simplified by itself, with its loops of few known rounds written out.

Dear functions of a model lie in objects of their own (`apart.py`), and leave a solver short: in the loops of an
explicit one little is to be found.

What is called from several places and small becomes part of its callers before those are simplified, and LLVM's
pipeline for modules is left out; with vectors of samples it has nothing to add. Two kinds of code are still given to it
where several functions are left, without writing out more loops. That of one lane which holds dear functions: it makes
vectors of their loops over the states of a sample. And that of small models: loops whose lengths are the counts of
others have known ones when those are written out, which takes simplifying twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import llvmlite.binding as llvm

from implicitdsl.backends.lanes.passes import FULL, builder_for, function_passes, optimise, run
from implicitdsl.backends.lanes.word_functions import LARGEST

FEW = 4
"""The largest size of models for which the quick level finds what there is to find in code of one function."""
MIDDLE = 16
"""The largest size for which loops over the states are written out."""
QUICK, MODERATE = 1, 2
"""Lower levels of LLVM's passes; of values that lie in memory already the quick one looks only for those that one
place wrote or read before, and loops over many states leave few others."""
LIGHT = ("aggressive_dce", "loop_rotate", "instruction_combine", "simplify_cfg")
"""What is left to do where all places on the stack have become values. Equal values are not looked for: machine code is
made without those of one block, and those far apart are few. The one pass for them that llvmlite offers by itself,
LLVM's `newgvn`, stops the process on some valid code, and is in none of LLVM's own pipelines."""

_SHORT = ("simplify_cfg", "instruction_combine")
"""What tells the size of a function whose loops stay."""

_CALLED = re.compile(r"@(own\.\d+)\(")
_NAMED = re.compile(r"@(own\.\d+)\b")
_DEFINITION = 1
"""How often the text of a module names a function that nothing uses."""


@dataclass(frozen=True)
class Inlining:
    """What becomes part of its callers, in instructions: a function of at most `size` that adds at most `growth` to
    them, or one of two places and at most `twice`."""

    size: int
    growth: int
    twice: int

    def takes(self, size: int, calls: int) -> bool:
        return (size <= self.size and size * (calls - 1) <= self.growth) or (calls == 2 and size <= self.twice)


_SMALL = Inlining(200, 1000, 600)
_TINY = Inlining(50, 200, 100)
"""The same of solvers of more states, whose loops are left."""
_MAY_BE_SMALL = Inlining(600, 1_000_000, 1000)
"""The same of functions that are yet to be simplified."""


def optimise_whole(
    module: llvm.ModuleRef,
    machine: llvm.TargetMachine,
    *,
    sizes: Collection[int] = (),
    is_narrow: bool = False,
    calls_others: bool = False,
) -> None:
    """Optimises a module of solver, model and words for a machine, where the model is known. `sizes` are those of the
    model, as far as they are known; `is_narrow` says that vectors have one lane, `calls_others` that dear functions of
    the model lie elsewhere. Bits stay what they are: no pass may reorder or fuse an operation."""
    builder = builder_for(machine)
    most = max(sizes, default=LARGEST + 1)
    is_one = _is_one(module)
    _gather(module, builder)
    own = [function for function in _defined(module) if is_own(function)]
    if len(_defined(module)) - len(own) == 1:
        if most <= FEW:
            simplify(module, machine, QUICK)
            run(module, builder, "jump_threading", "simplify_cfg")
        elif is_one and most > (LARGEST if calls_others else MIDDLE):
            # Words are functions, and the loops over the states that are left cost nothing beside them.
            run(module, builder, *LIGHT)
        else:
            simplify(module, machine, FULL, unrolls=most <= (LARGEST if own or calls_others else MIDDLE))
    elif (is_narrow and not calls_others) or most <= LARGEST:
        # Written out for one lane, loops over tens of states take LLVM ten times as long, for code a tenth faster.
        simplify(module, machine, FULL, unrolls=not is_narrow)
        optimise(module, machine, unrolls=False)
    else:
        inline_small(module, builder, _SMALL)
        is_large = max(sizes, default=0) > MIDDLE
        simplify(module, machine, FULL if sizes and not is_large else QUICK, unrolls=not (is_large or is_narrow))
        run(module, builder, "global_opt", "global_dead_code_eliminate", "constant_merge")


def optimise_solver(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, *, sizes: Collection[int], is_straight: bool
) -> None:
    """Optimises a solver for these sizes that calls all functions of its model. Loops are left as they are: what they
    cost is little beside the calls, and writing them out takes LLVM three to eight times as long. `is_straight` is that
    of `finish`."""
    builder = builder_for(machine)
    _gather(module, builder)
    most = max(sizes, default=0)
    if inner(module):
        quick = builder_for(machine, level=QUICK)
        # Only beside stiff steps do loops of small functions cost nothing.
        passes = function_passes(*_SHORT) if is_straight and most > FEW else quick.getFunctionPassManager()
        inline_small(module, quick, _SMALL if most <= FEW else _TINY, passes=passes)
    if most > MIDDLE:
        simplify(module, machine, QUICK, unrolls=False)
    else:
        run(module, builder, *LIGHT)
    if inner(module):
        run(module, builder, "global_opt", "global_dead_code_eliminate", "constant_merge")


def optimise_alone(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Optimises a solver of one sample, which knows no model. Chains are joined as in `optimise_whole`; functions of
    several callers stay functions, and loops become vectors of one round: so it is a third of the code, and as fast."""
    builder = builder_for(machine)
    _gather(module, builder)
    for function in inner(module):
        function.add_function_attribute("noinline")
    builder = builder_for(machine, level=MODERATE, unrolls=False, interleaves=False)
    builder.getModulePassManager().run(module, builder)


def optimise_called(module: llvm.ModuleRef, machine: llvm.TargetMachine, *, is_narrow: bool) -> None:
    """Optimises a module with functions of a model that solvers call. Their loops are written as they are to be; for
    one lane, LLVM makes vectors of those over states."""
    run(module, builder_for(machine), "always_inliner", "global_dead_code_eliminate")
    if is_narrow:
        optimise(module, machine, unrolls=False, level=QUICK)
    else:
        run(module, builder_for(machine), *LIGHT)


def simplify(module: llvm.ModuleRef, machine: llvm.TargetMachine, level: int, *, unrolls: bool = True) -> None:
    """Simplifies all functions, each by itself, with LLVM's passes for functions."""
    builder = builder_for(machine, level=level, unrolls=unrolls)
    passes = builder.getFunctionPassManager()
    for function in _defined(module):
        passes.run(function, builder)


def _gather(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    """Sizes are settled, chains joined, and what lies on the stack for no reason becomes values."""
    settle(module, builder)
    join_chains(module, builder)
    run(module, builder, "sroa")


def settle(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    """Sizes of the model are put into all functions that they are handed to, and what is never run goes: half of a
    stiff solver."""
    is_one = _is_one(module)
    known = "sccp" if is_one else "ipsccp"
    before = () if is_one else ("merge_functions", known)
    run(module, builder, *before, "always_inliner", "global_dead_code_eliminate", known, "simplify_cfg")


def join_chains(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    """What is called from one place becomes part of its caller."""
    functions = inner(module)
    if not functions:
        return
    for place, function in enumerate(functions):
        # Names were stripped, and a text calls what has none by a number that llvmlite does not tell.
        function.name = f"own.{place}"
    named = Counter(_NAMED.findall(_code(module)))
    _inline(module, builder, [f for f in functions if named[f.name] == _DEFINITION + 1])


def inline_small(
    module: llvm.ModuleRef,
    builder: llvm.PassBuilder,
    limits: Inlining,
    *,
    passes: llvm.FunctionPassManager | None = None,
) -> None:
    """Functions that are small once they are simplified become part of their callers. `passes` are what simplifies
    them, those of the builder without them."""
    passes = passes or builder.getFunctionPassManager()
    for place, function in enumerate(inner(module)):
        if not _CALLED.match(f"@{function.name}("):
            # The nought tells it from those that were named before.
            function.name = f"own.0{place}"
    texts = {function.name: str(function) for function in _defined(module)}
    calls = Counter(name for text in texts.values() for name in _CALLED.findall(text))
    small: list[llvm.ValueRef] = []
    for function in inner(module):
        count = calls[function.name] - _DEFINITION
        if _MAY_BE_SMALL.takes(_size(texts[function.name]), count):
            passes.run(function, builder)
            if limits.takes(_size(str(function)), count):
                small.append(function)
    _inline(module, builder, small)


def _inline(module: llvm.ModuleRef, builder: llvm.PassBuilder, functions: Collection[llvm.ValueRef]) -> None:
    for function in functions:
        # What may not be inlined says so itself, and LLVM refuses both.
        if not is_own(function):
            function.add_function_attribute("alwaysinline")
    run(module, builder, "always_inliner", "global_dead_code_eliminate")


def _defined(module: llvm.ModuleRef) -> list[llvm.ValueRef]:
    return [function for function in module.functions if not function.is_declaration]


def _code(module: llvm.ModuleRef) -> str:
    """The text of all functions; that of the tables beside them may be a hundred times as long."""
    return "".join(map(str, _defined(module)))


def inner(module: llvm.ModuleRef) -> list[llvm.ValueRef]:
    """The functions that nobody calls from outside."""
    return [function for function in _defined(module) if function.linkage == llvm.Linkage.internal]


def _is_one(module: llvm.ModuleRef) -> bool:
    """Whether all of a solver will be one function beside those of its own."""
    return all(_is(function, b"alwaysinline") or is_own(function) for function in inner(module))


def is_own(function: llvm.ValueRef) -> bool:
    """Whether a function says that it may not become part of others."""
    return _is(function, b"noinline")


def _is(function: llvm.ValueRef, attribute: bytes) -> bool:
    return any(attribute in words for words in function.attributes)


def _size(text: str) -> int:
    """Instructions in the text of a function; cases of a switch are lines of their own, and so is its end. To go
    through them one by one takes llvmlite ten times as long."""
    return text.count("\n  ") - text.count("\n    ") - text.count("\n  ]")
