"""What `inspect --after bind` prints: which back end, solver and adjoint a layer got and why, where its numbers lie,
what its functions cost, and which kernels there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from implicitdsl.backends.engine import Argument, Engine
from implicitdsl.backends.settings import ADJOINTS, SOLVERS, Settings
from implicitdsl.ir.operations import operations
from implicitdsl.problems.derived import Derived

HEAD = 10
"""The width of the words on the left."""


@dataclass(frozen=True)
class Reasons:
    """Why the back end, the solver and the adjoint are what they are."""

    back_end: str
    solver: str
    adjoint: str


def bind_text(
    back_end: str, settings: Settings, reasons: Reasons, engines: Mapping[int, Engine], functions: Mapping[str, Derived]
) -> str:
    """The report on a layer made of these engines, by piece (several for a `net` that is cut at calls)."""
    width = max((getattr(engine, "width", 1) for engine in engines.values()), default=1)
    # Half the size, twice as many in a vector.
    many = (
        f"vectors of {width} samples in float64, {2 * width} in float32"
        if back_end == "lanes"
        else "a sample at a time"
    )
    lines = [_line("back end", f"{back_end}, {many} ({reasons.back_end})")]
    lines += _methods(settings, reasons)
    for number, engine in engines.items():
        title = "memory" if len(engines) == 1 else f"piece {number}"
        lines.append(_line(title, _memory(engine)))
        lines += [_line("matrix", text) for text in [getattr(engine, "step_matrix", "")] if text]
        lines.append(_line("arguments", ""))
        names = [f"{a.name}{list(a.shape) if a.shape else ''}" for a in engine.arguments]
        longest = max(map(len, names), default=0)
        lines += [
            f"  {name:<{longest}}  {a.role}, {_place(a, back_end)}"
            for name, a in zip(names, engine.arguments, strict=True)
        ]
    lines.append(_line("functions", ""))
    forms = _forms(back_end, functions, width)
    dear = {name: cost for name, f in functions.items() if (cost := _cost(f))}
    longest = max(map(len, dear), default=0)
    lines += [f"  {name:<{longest}}  {cost}, {forms[name]}" for name, cost in dear.items()]
    cheap = ", ".join(name for name in functions if name not in dear)
    lines += [f"  without operations: {cheap}"] if cheap else []
    lines += _kernels(back_end, tuple(engines.values()))
    return "\n".join(lines)


def _line(head: str, text: str) -> str:
    return f"{head:<{HEAD}}{text}".rstrip()


def _methods(settings: Settings, reasons: Reasons) -> list[str]:
    if not settings.solver:
        return [_line("solver", "none: the layer is explicit")]
    tolerances = [f"rtol {settings.rtol:g}"] + ([f"atol {settings.atol:g}"] if settings.atol else [])
    tolerances += [f"steps of {settings.dt:g}"] if settings.dt is not None else []
    tolerances += [f"{name} {value}" for name, value in settings.options.items()]
    solver, adjoint = SOLVERS[settings.solver], ADJOINTS[settings.adjoint]
    return [
        _line("solver", f"{solver.name}: {solver.about} ({reasons.solver})"),
        _line("", f"{', '.join(tolerances)}, at most {settings.max_steps} steps; in float64"),
        _line("adjoint", f"{adjoint.name}: {adjoint.about} ({reasons.adjoint})"),
    ]


def _memory(engine: Engine) -> str:
    item = engine.dtype.itemsize
    inputs = sum(math.prod(a.shape) for a in engine.arguments if a.role == "input") * item
    weights = sum(math.prod(a.shape) for a in engine.arguments if a.role != "input") * item
    outputs = sum(math.prod(shape) for shape in engine.outputs) * item
    saved = sum(math.prod(shape) * kind.itemsize for shape, kind in engine.saved)
    room = getattr(engine, "room", 0)
    works = f", {room} while it is solved and differentiated" if room else ""
    return (
        f"a sample takes {inputs} bytes of inputs, {outputs} of outputs, {saved} kept for the derivative{works}; "
        f"params and consts {weights} bytes, once"
    )


def _place(argument: Argument, back_end: str) -> str:
    if back_end != "lanes":
        return "an array of its own" if argument.role == "input" else "an array for all samples"
    from implicitdsl.backends.lanes.layout import LARGE

    if argument.role == "input":
        return "in the lanes" if len(argument.shape) < 2 else "in the lanes; given without a batch, one array for all"
    return "one array for all lanes" if math.prod(argument.shape) >= LARGE else "in the lanes"


def _cost(function: Derived) -> str:
    """What a function computes; empty where it is zero or moves numbers only."""
    scalar, multiply_adds = operations(function.nodes)
    counted = [(sum(scalar.values()), "operation"), (multiply_adds, "multiply-add")]
    return " and ".join(f"{number} {noun}{'s' if number > 1 else ''}" for number, noun in counted if number)


def _forms(back_end: str, functions: Mapping[str, Derived], width: int) -> dict[str, str]:
    if back_end != "lanes":
        return dict.fromkeys(functions, "NumPy on arrays")
    from implicitdsl.backends.lanes.emit import looped_nodes

    return {name: _form(looped_nodes(function, "float64", width)) for name, function in functions.items()}


def _form(looped: int | None) -> str:
    match looped:
        case None:
            return "not emitted"
        case 0:
            return "written out"
        case _:
            return f"{looped} {'loop' if looped == 1 else 'loops'} over arrays"


def _kernels(back_end: str, engines: Sequence[Engine]) -> list[str]:
    if back_end != "lanes":
        return [_line("kernels", "none: solvers run as Python")]
    found, later = dict[str, None](), dict[str, None]()
    for engine in engines:
        for name, part in getattr(engine, "parts", {"": engine}).items():
            code: Any = getattr(part, "code", None)
            if code is not None:
                found |= dict.fromkeys(f"{name} {kernel}".strip() for kernel in code.parts)
                later |= dict.fromkeys(f"{name} {kernel}".strip() for kernel in code.of_two_forms)
    lines = [_line("kernels", f"{', '.join(found)}; each is compiled, or found in the cache, at its first use")]
    if later:
        again = "call the functions of the model, and are compiled with them in one piece once they have run for long"
        lines.append(_line("", f"{', '.join(later)} {again}"))
    return lines
