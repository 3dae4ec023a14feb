"""Link solver and model, optimise once, and make machine code: an object file.

Everything but the entries becomes internal and is inlined where it pays. Forking while another thread is inside LLVM
would leave the child waiting for llvmlite's lock for ever, so the lock is held over every fork.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from implicitdsl.backends import aside
from implicitdsl.backends.lanes.cache import fingerprint, kept_object, kept_sized
from implicitdsl.backends.lanes.data import is_of_data
from implicitdsl.backends.lanes.flatten import (
    MIDDLE,
    QUICK,
    is_own,
    optimise_alone,
    optimise_called,
    optimise_solver,
    optimise_whole,
)
from implicitdsl.backends.lanes.passes import FULL, OWN, optimise
from implicitdsl.backends.lanes.product_functions import product_functions
from implicitdsl.backends.lanes.sized import FEW, finish, write_out
from implicitdsl.backends.lanes.sum_functions import WIDE, sum_functions
from implicitdsl.backends.lanes.target import device
from implicitdsl.backends.lanes.word_functions import LARGEST, word_functions, words_of_calls
from implicitdsl.backends.lanes.word_names import PREFIX, types_of

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

PORTABLE = "x86-64-v3"
"""AVX2 with fused multiply-add: what `compile` aims at unless told otherwise."""


_aim: ContextVar[str | None] = ContextVar("the processor that a package is made for", default=None)


@contextmanager
def aiming_at(cpu: str) -> Iterator[None]:
    """What is compiled inside is for a package, and for that processor, by LLVM's name; `native` is this machine's."""
    token = _aim.set(cpu)
    try:
        yield
    finally:
        _aim.reset(token)


def aim() -> str:
    """The processor that code is made for."""
    return _aim.get() or "native"


def is_for_package() -> bool:
    """Whether code is made for a package."""
    return _aim.get() is not None


def _hold_over_fork() -> None:
    # The lock is private to llvmlite, which is pinned to a minor version; a test forks with a thread inside LLVM.
    lock: Any = ffi.lib._lock

    def hold() -> None:
        # What is made aside ends first: it takes the lock.
        aside.hold()
        lock.__enter__()

    def release() -> None:
        lock.__exit__(None, None, None)
        aside.release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=lambda: lock.__exit__(None, None, None))


_hold_over_fork()


CODE_MODEL = "large"
"""LLVM lays code, constants and tables of addresses wherever the process has room, which may be more than 2 GiB apart;
the smaller models reach no further, and LLVM then ends the process."""
SHORT = 60_000
"""Bytes of solvers, and characters of the functions of a model, up to which a kernel is small; beyond them what is
written out early takes longer than it saves."""
LINE = 64
"""Bytes of a line of the cache."""
PIPELINE = tuple(
    f"backends/lanes/{name}.py"
    for name in (
        "apart", "data", "flatten", "link", "passes", "pieces", "product_functions", "serves_all", "sized",
        "sum_functions", "word_functions", "word_names",
    )
)  # fmt: skip
"""The sources that decide what modules become."""


@cache
def processor(cpu: str) -> tuple[str, str]:
    """Name and features of a processor for LLVM; `native` is this machine's."""
    if cpu == "native":
        return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return cpu, ""


def _is_x86() -> bool:
    return llvm.get_process_triple().startswith(("x86_64", "i686"))


def machine_for(cpu: str, *, is_apart: bool = False, is_narrow: bool = False, level: int = FULL) -> llvm.TargetMachine:
    """What makes machine code for a processor; `is_apart` if another object is loaded beside it, `is_narrow` if vectors
    have one lane. `level` is that of LLVM's passes for machine code."""
    name, features = processor(cpu)
    if is_narrow and _is_x86():
        # LLVM has no copy of a truth value in a register of masks from one in a flag, and ends the process.
        features = f"{features},-avx512f".lstrip(",")
    # The loader of objects reckons every address that is relative to a table from the table of the first object.
    reloc = "static" if is_apart else "pic"
    return llvm.Target.from_default_triple().create_target_machine(
        opt=level, cpu=name, features=features, reloc=reloc, codemodel=CODE_MODEL
    )


def make_object(
    modules: Iterable[str | bytes], entries: Sequence[str], *, model: Iterable[str] = (), inline_all: bool = False,
    is_straight: bool = False, sizes: Iterable[int] = (), cpu: str | None = None, calls_others: bool = False,
) -> bytes:  # fmt: skip
    """The object file of some modules, LLVM texts or bitcode; `inline_all` makes one function of each entry. `model`
    are texts of functions that the modules call; `is_straight` is that of `finish`. `sizes` are
    those of a model that words are written out for. `cpu` is a processor by LLVM's name, or `native`; without it, that
    of `aiming_at`. `calls_others` says that functions of the model are missing, which are loaded beside it.

    What was made once is found again on disk by its content. Raises RuntimeError for modules that do not fit together.
    """
    parts, functions, cpu, sizes = list(modules), list(model), cpu or aim(), sorted(set(sizes))
    if (elsewhere := device()) is not None:
        return elsewhere.make([*parts, *functions], entries, sizes)
    has_model = bool(functions) or calls_others
    decides = (len(functions), list(entries), inline_all, is_straight, sizes, calls_others)

    def make() -> bytes:
        context = llvm.create_context()
        # Without the functions of the model, what an explicit method makes of more states is short enough.
        most = LARGEST if calls_others and inline_all else FEW
        if functions and _is_small(parts, functions, sizes, most):
            whole = llvm.parse_bitcode(_sized(parts, entries, sizes, cpu, inline_all=inline_all), context)
            whole.link_in(joined(functions, entries, context))
            add_words(whole, sizes, context, is_one=inline_all)
            keep_inside(whole, entries, inline_all=inline_all)
            # What lies in registers is the same code at every level.
            machine = machine_for(cpu, is_apart=calls_others, level=QUICK)
            finish(whole, machine, is_straight=is_straight)
            return machine.emit_object(whole)
        whole = joined(parts, entries, context)
        if has_model:
            align_frames(whole, entries, context)
        if functions:
            whole.link_in(joined(functions, entries, context))
        # Each of several functions would have the sums of many states for itself.
        sums_are_called = not inline_all and max(sizes, default=0) > MIDDLE
        calls_all = calls_others and not functions
        # Where code in one piece takes over in a while, a word that has some states to see to may be a call as well.
        are_called = calls_all and is_straight and not inline_all and FEW < max(sizes, default=0) <= MIDDLE
        add_words(
            whole, sizes, context, is_one=inline_all, calls_others=calls_others, are_called=are_called,
            sums_are_called=sums_are_called,
        )  # fmt: skip
        keep_inside(whole, entries, inline_all=inline_all)
        return compiled(
            whole, cpu, sizes=sizes, is_apart=calls_others, calls_all=calls_all, is_straight=is_straight
        )  # fmt: skip

    return kept_object(key_of_modules([*parts, *functions], cpu, *decides), make)


def _sized(
    parts: Sequence[str | bytes], entries: Sequence[str], sizes: Sequence[int], cpu: str, *, inline_all: bool
) -> bytes:
    """The bitcode of a solver for the sizes of a small model, from disk if it is there."""

    def make() -> bytes:
        context = llvm.create_context()
        solver = joined(parts, entries, context)
        align_frames(solver, entries, context)
        if inline_all:
            _inline_all(solver)

        def add_known_words() -> None:
            add_words(solver, sizes, context, calls=str(solver), is_one=inline_all)
            # Numbers stay, for functions of a model may ask for them too.
            keep_inside(solver, [f.name for f in solver.functions if not f.name.startswith(PREFIX)])

        write_out(solver, machine_for(cpu), add_words=add_known_words, is_one=inline_all)
        return solver.as_bitcode()

    return kept_sized(key_of_modules(parts, cpu, "sized", list(entries), inline_all, sizes), make)


def optimised_alone(modules: Sequence[str | bytes], entries: Sequence[str]) -> bytes:
    """The bitcode of solvers of one sample. No model is linked with them, so nothing is left to do but machine code, of
    any processor: loops are vectors of the size that all of them have."""
    whole = joined(modules, entries, llvm.create_context())
    keep_inside(whole, entries)
    optimise_alone(whole, machine_for(PORTABLE if _is_x86() else ""))
    return whole.as_bitcode()


def make_alone(code: bytes, entries: Sequence[str]) -> bytes:
    """The object file of what `optimised_alone` made; see `make_object`."""
    cpu = aim()
    if (elsewhere := device()) is not None:
        return elsewhere.make([code], entries, ())

    def make() -> bytes:
        return machine_for(cpu).emit_object(llvm.parse_bitcode(code, llvm.create_context()))

    return kept_object(key_of_modules([code], cpu, "alone"), make)


def _is_small(parts: Sequence[str | bytes], functions: Sequence[str], sizes: Sequence[int], most: int) -> bool:
    """Whether solvers, which are bitcode, are to be written out before functions of a model are linked with them; for
    sizes up to `most`."""
    # What a model asks to stay a function is large.
    return (
        max(sizes, default=most + 1) <= most
        and sum(len(part) for part in parts if isinstance(part, bytes)) <= SHORT
        and sum(map(len, functions)) <= SHORT
        and not any(map(stays_function, functions))
        and not any(map(_has_one_lane, parts))
    )


def _has_one_lane(module: str | bytes) -> bool:
    # Names stand in bitcode as they are.
    return (".v1f" in module) if isinstance(module, str) else (b".v1f" in module)


def stays_function(text: str) -> bool:
    """Whether the text of a model's function asks that it stays one."""
    return "noinline" in text


def key_of_modules(modules: Iterable[str | bytes], cpu: str, *more: object) -> str:
    """What an object is found by that is made of modules for a processor; `more` is what else decides about it."""
    found = hashlib.sha256(repr((fingerprint(PIPELINE), processor(cpu), CODE_MODEL, *more)).encode())
    for module in modules:
        found.update(hashlib.sha256(module.encode() if isinstance(module, str) else module).digest())
    return found.hexdigest()


def linked(
    modules: Sequence[str | bytes], entries: Container[str] = (), *, sizes: Sequence[int] = (), is_one: bool = False
) -> llvm.ModuleRef:
    """The modules as one, with the words that they call; entries and what begins with `imp_` are seen from outside.
    `is_one` says that all of a solver will be one function."""
    context = llvm.create_context()
    whole = joined(modules, entries, context)
    add_words(whole, sizes, context, is_one=is_one)
    return whole


def joined(modules: Sequence[str | bytes], entries: Container[str], context: llvm.ContextRef) -> llvm.ModuleRef:
    """The modules as one, without words. Raises RuntimeError for a wrong module, and for two that do not fit."""
    parsed = [
        llvm.parse_assembly(m, context) if isinstance(m, str) else llvm.parse_bitcode(m, context) for m in modules
    ]
    for module in parsed:
        for function in module.functions:
            # Two solvers may hold functions of one name, which need not be the same.
            if not (function.is_declaration or function.name.startswith(OWN) or function.name in entries):
                function.linkage = "internal"
    whole = parsed[0]
    for other in parsed[1:]:
        whole.link_in(other)
    whole.verify()
    for variable in whole.global_variables:
        if not (variable.is_declaration or is_of_data(variable.name)):
            variable.linkage = "internal"
    return whole


def align_frames(whole: llvm.ModuleRef, entries: Sequence[str], context: llvm.ContextRef) -> None:
    """The frames of entries begin where lines of the cache do. LLVM sees to that only where it knows of an array on the
    stack before it chooses registers; else what it puts aside lies across two lines, or not, by where the stack of the
    process begins, which took up to a fifth of the time."""
    doors: list[str] = []
    for entry in entries:
        body = whole.get_function(entry)
        returned, _, kinds = str(body.global_value_type).partition(" (")
        given = [f"{kind} %a{i}" for i, kind in enumerate(kinds.removesuffix(")").split(", "))]
        body.name = f"{entry}.body"
        body.add_function_attribute("alwaysinline")
        doors.append(
            f"declare {returned} @{body.name}({kinds}\n"
            f"define {returned} @{entry}({', '.join(given)}) alignstack({LINE}) {{\n"
            f"  %told = call {returned} @{body.name}({', '.join(given)})\n  ret {returned} %told\n}}\n"
        )
    whole.link_in(llvm.parse_assembly("".join(doors), context))
    for entry in entries:
        whole.get_function(f"{entry}.body").linkage = "internal"


def add_words(
    whole: llvm.ModuleRef, sizes: Sequence[int], context: llvm.ContextRef, *, calls: str | None = None,
    is_one: bool = False, calls_others: bool = False, are_called: bool = False, sums_are_called: bool = False,
) -> None:  # fmt: skip
    """Links a module with the words that it calls, written out for such of the sizes as are small, or, where the text
    of all `calls` is given, for those that stand there. `is_one` says that all of a solver will be one function,
    `calls_others` that dear functions of the model lie elsewhere, `are_called` that words stay functions, and
    `sums_are_called` that those for sums do."""
    # Beside a dear function of the model a loop over the states costs nothing, nor does calling it; without one, many
    # states lie in memory either way.
    most = max(sizes, default=0) if is_one else 0
    has_dear = calls_others or any(map(is_own, whole.functions))
    sums_are_called |= are_called or most > (LARGEST if has_dear else WIDE)
    are_called |= most > (LARGEST if has_dear else MIDDLE)
    called = [function.name for function in whole.functions if function.is_declaration]
    for dtype, width in types_of(called):
        if calls is None:
            words = word_functions(dtype, width, sizes, are_called=are_called)
        else:
            words = words_of_calls(dtype, width, calls)
        whole.link_in(llvm.parse_assembly(words, context))
        products = product_functions(dtype, width, called, are_called=are_called)
        sums = sum_functions(dtype, width, called, sizes=sizes, calls=calls or "", are_called=sums_are_called)
        for text in filter(None, (products, sums)):
            whole.link_in(llvm.parse_assembly(text, context))


def keep_inside(module: llvm.ModuleRef, entries: Container[str], *, inline_all: bool = False) -> None:
    """Makes all functions but the entries internal."""
    for function in module.functions:
        if not function.is_declaration and function.name not in entries:
            function.linkage = "internal"
    if inline_all:
        _inline_all(module)


def _inline_all(module: llvm.ModuleRef) -> None:
    for function in module.functions:
        # What may not be inlined says so itself, and LLVM refuses both.
        if function.linkage == llvm.Linkage.internal and not is_own(function):
            function.add_function_attribute("alwaysinline")


def compiled(
    module: llvm.ModuleRef, cpu: str, *, sizes: Sequence[int] | None = (), is_apart: bool = False,
    calls_all: bool = False, is_straight: bool = False,
) -> bytes:  # fmt: skip
    """The object file of a module, after all passes; `sizes` are those of the model in it, None where it does not know
    its numbers. `is_apart` says that another one is loaded beside it, `calls_all` that all functions of the model lie
    there, `is_straight` is that of `finish`."""
    widths = {width for _, width in types_of(function.name for function in module.functions)}
    machine = machine_for(cpu, is_apart=is_apart, is_narrow=1 in widths)
    if sizes is None:
        # Without sizes, chains that are joined stay long: the gradient of a stiff solver took twice as long.
        optimise(module, machine, unrolls=False)
    elif calls_all:
        optimise_solver(module, machine, sizes=sizes, is_straight=is_straight)
    else:
        # Functions of a model for one lane may name no word, and so no width.
        is_narrow = 1 in widths or not widths
        optimise_whole(module, machine, sizes=sizes, is_narrow=is_narrow, calls_others=is_apart)
    return machine.emit_object(module)


def compiled_functions(module: llvm.ModuleRef, cpu: str, *, is_narrow: bool) -> bytes:
    """The object file of a module that holds functions of a model, which another object calls."""
    machine = machine_for(cpu, is_apart=True)
    _inline_all(module)
    optimise_called(module, machine, is_narrow=is_narrow)
    return machine.emit_object(module)
