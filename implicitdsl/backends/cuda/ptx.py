"""PTX of an engine's parts: the modules that lanes are linked from, with one sample in an element, for NVIDIA GPUs.

An entry of an engine becomes a kernel of its name. Thread i runs the entry for one block that is sample i: an array
parameter of the entry is two of the kernel, where the array of sample 0 lies and how many bytes further that of the
next one does (0 for what all samples read); whole numbers are passed as they are. Before these stand how many samples
there are, and an array of whole numbers that receives what the entry returns for each.

Arithmetic carries no fast-math flag, so that LLVM writes `.rn` instructions for it, which the assembler of PTX may not
fuse: a thread computes the bits of a lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm

from implicitdsl.backends import interrupt
from implicitdsl.backends.cuda.obstacles import obstacles
from implicitdsl.backends.lanes.link import keep_inside, linked
from implicitdsl.backends.lanes.passes import FIRST, OWN, optimise
from implicitdsl.backends.lanes.target import Device

TRIPLE = "nvptx64-nvidia-cuda"
OLDEST = "sm_80"
"""The GPU that code is made for unless told otherwise: newer ones run it too, their driver assembles it for them."""
VERSION = "+ptx80"
"""The version of PTX: that of CUDA 12."""
_INSIDE = ".inside"
_PLACE = """declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
"""
_BEGIN = """define ptx_kernel void @{name}({parameters}) {{
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %threads = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block.wide = zext i32 %block to i64
  %threads.wide = zext i32 %threads to i64
  %thread.wide = zext i32 %thread to i64
  %before = mul i64 %block.wide, %threads.wide
  %i = add i64 %before, %thread.wide
  %is.one = icmp ult i64 %i, %samples
  br i1 %is.one, label %one, label %none
none:
  ret void
one:"""
_END = """  %returned = call i64 @{entry}({given})
  %told.at = getelementptr i64, ptr %told, i64 %i
  store i64 %returned, ptr %told.at
  ret void
}}
"""


def gpu(processor: str = OLDEST, *, optimised: bool = True) -> Device:
    """The device for `made_for`: parts of engines built for it are PTX texts for such a GPU, by LLVM's name; what is
    not `optimised` is made in a tenth of the time.

    Where a part is asked for, RuntimeError says what in it no GPU can run."""

    def make(modules: Sequence[str | bytes], entries: Sequence[str], sizes: Sequence[int], /) -> bytes:
        machine = _machine(processor)
        module = linked_kernels(modules, entries, sizes)
        module.triple, module.data_layout = TRIPLE, str(machine.target_data)
        module.verify()
        passes = llvm.create_new_module_pass_manager()
        for name in FIRST:
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))
        if found := obstacles(module):
            raise RuntimeError(f"no code for a GPU: {'; '.join(found)}")
        if optimised:
            optimise(module, machine)
        return machine.emit_assembly(module).encode()

    return Device(1, make)


def linked_kernels(modules: Sequence[str | bytes], entries: Sequence[str], sizes: Sequence[int]) -> llvm.ModuleRef:
    """The modules as one, with kernels for the entries, whose names begin with `OWN`; for no target yet."""
    kernels = [entry.removeprefix(OWN) for entry in entries]
    whole = linked([*_with_floats(modules), *_kernels(modules, entries)], kernels, sizes=sizes)
    keep_inside(whole, kernels)
    return whole


def _machine(processor: str) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(TRIPLE).create_target_machine(opt=3, cpu=processor, features=VERSION)


def _parsed(module: str | bytes) -> llvm.ModuleRef:
    context = llvm.create_context()
    return llvm.parse_assembly(module, context) if isinstance(module, str) else llvm.parse_bitcode(module, context)


def _types(function: Any) -> list[str]:
    return [str(argument.type) for argument in function.arguments]


# ---------------------------------------------------------------- kernels


def _kernels(modules: Iterable[str | bytes], entries: Sequence[str]) -> list[str]:
    """LLVM text of the kernels of the entries. Nobody interrupts one: what a solve takes is bounded by `max_steps`."""
    found: dict[str, list[str]] = {}
    for module in map(_parsed, modules):
        found |= {f.name: _types(f) for f in module.functions if f.name in entries and not f.is_declaration}
    declared = [f"declare i64 @{entry}({', '.join(kinds)})" for entry, kinds in found.items()]
    made = [_kernel(entry, found[entry]) for entry in entries]
    return ["\n".join([f"@{interrupt.SYMBOL} = constant i32 0", _PLACE, *declared, *made])]


def _kernel(entry: str, kinds: Sequence[str]) -> str:
    parameters, body, given = ["i64 %samples", "ptr %told"], [], []
    for k, kind in enumerate(kinds):
        parameters.append(f"{kind} %a{k}")
        given.append(f"{kind} %a{k}")
        if kind == "ptr":
            parameters.append(f"i64 %step{k}")
            body.append(f"  %far{k} = mul i64 %i, %step{k}\n  %at{k} = getelementptr i8, ptr %a{k}, i64 %far{k}")
            given[-1] = f"ptr %at{k}"
    begin = _BEGIN.format(name=entry.removeprefix(OWN), parameters=", ".join(parameters))
    return "\n".join([begin, *body, _END.format(entry=entry, given=", ".join(given))])


# ---------------------------------------------------------------- elements of one float


def _with_floats(modules: Sequence[str | bytes]) -> list[str | bytes]:
    """The modules, with doors to the functions of the model that solvers give elements by value: solvers have vectors
    of one float, models the float."""
    wanted = {
        function.name
        for module in map(_parsed, (m for m in modules if isinstance(m, bytes)))
        for function in module.functions
        if function.is_declaration and function.name.startswith(OWN) and any("<1 x" in t for t in _types(function))
    }
    found: list[str | bytes] = []
    for given in modules:
        if isinstance(given, bytes) or not any(name in given for name in wanted):
            found.append(given)
            continue
        module, doors = _parsed(given), list[str]()
        for function in module.functions:
            if function.name in wanted and not function.is_declaration:
                doors.append(_door(function.name, _types(function)))
                function.name += _INSIDE
        found += [str(module), *doors]
    return found


def _door(name: str, kinds: Sequence[str]) -> str:
    """LLVM text of a function that takes vectors of one float and calls `name` inside with floats."""
    outside, body, given = [], [], []
    for k, kind in enumerate(kinds):
        by_value = kind in ("double", "float")
        outside.append(f"<1 x {kind}> %a{k}" if by_value else f"{kind} %a{k}")
        given.append(f"{kind} %x{k}" if by_value else f"{kind} %a{k}")
        if by_value:
            body.append(f"  %x{k} = extractelement <1 x {kind}> %a{k}, i32 0")
    return "\n".join([
        f"declare void @{name}{_INSIDE}({', '.join(kinds)})",
        f"define void @{name}({', '.join(outside)}) alwaysinline {{",
        *body,
        f"  call void @{name}{_INSIDE}({', '.join(given)})\n  ret void\n}}\n",
    ])  # fmt: skip
