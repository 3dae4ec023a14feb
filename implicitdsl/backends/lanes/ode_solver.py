"""The compiled solvers of `ode`: one module of bitcode for each (part, method, dtype, width), shared by all models.

Where loops over stages are not written out, all explicit methods are one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Literal

from implicitdsl.backends.lanes.cache import LOWERING, fingerprint, kept
from implicitdsl.backends.lanes.ode_methods import SOURCES as SOLVER_SOURCES
from implicitdsl.backends.lanes.ode_methods import named_in_bitcode, ode_method
from implicitdsl.backends.lanes.source import Source

Part = Literal["solve", "pull", "second", "thin", "costate"]

SIGNATURES: dict[Part, str] = {
    "solve": "nnaanaaanaan", "pull": "nnaanaaaaanaanaan", "second": "nnaanaaaaaaanaaan", "thin": "nnaanaaaaaaannaaaa",
    "costate": "nnaanaaaaaaanaa",
}  # fmt: skip
"""The parameters of each entry: n a whole number, a an array of elements."""
SOURCES = (
    *SOLVER_SOURCES,
    *(f"backends/lanes/{name}.py" for name in (
        "bdf_blocks", "bdf_costate_blocks", "costate_blocks", "delay_blocks", "delay_tangent_blocks",
        "esdirk_blocks", "esdirk_costate_blocks", "events_blocks", "events_costate_blocks", "events_tangent_blocks",
        "keeping_blocks", "ode_blocks", "ode_methods", "ode_solver", "ode_tangent_blocks",
        "specialise", "stiff_blocks", "stiff_costate_blocks", "thinned_blocks", "watched_blocks", *LOWERING,
    )),
)  # fmt: skip
"""All that the bitcode is made from."""


@cache
def solver(
    part: Part, method: str, dtype: str, width: int, *, written_out: bool, far: bool, events: bool = False
) -> bytes:
    """Bitcode that defines `imp_PART`; model functions, sizes and settings are external.

    `written_out`: loops over stages are written out, for models small enough to live in registers. `far`: large arrays
    come from the heap, for models that the stack does not hold. `events`: for models that have some."""
    method = method if written_out else named_in_bitcode(method)
    key = (fingerprint(SOURCES), part, method, dtype, width, written_out, far, events)
    return kept(key, lambda: _make(part, method, dtype, width, written_out=written_out, far=far, events=events))


def _make(part: Part, method: str, dtype: str, width: int, *, written_out: bool, far: bool, events: bool) -> str:
    # What compiles solvers is imported only here: a solver found on disk needs none of it.
    from implicitdsl.backends.lanes.element import INT, element, pointer
    from implicitdsl.backends.lanes.lower import lower

    kinds = {"n": INT, "a": pointer(element(dtype, width))}
    arguments = tuple(kinds[letter] for letter in SIGNATURES[part])
    functions = _functions(method, dtype, written_out=written_out, far=far, events=events)
    return lower(functions[part], arguments, INT, f"imp_{part}", modules=())


@cache
def _functions(method: str, dtype: str, *, written_out: bool, far: bool, events: bool) -> dict[str, Source]:
    """The solver functions of one method, ready to be compiled."""
    from implicitdsl.backends.lanes.specialise import rebound
    from implicitdsl.backends.lanes.words import far_buffer

    chosen = ode_method(method, events=events)
    places = {**chosen.places, "buffer": far_buffer} if far else chosen.places
    modules = chosen.modules()
    for module in modules:
        # A number of the method in the place of a constant of a solver would change what the solver means.
        clash = vars(module).keys() & chosen.places.keys() if ".solvers." in module.__name__ else ()
        if clash:
            raise ValueError(f"`{method}` would put its own {', '.join(sorted(clash))} into {module.__name__}")
    functions = [f for module in modules for f in _functions_of(module)]
    return rebound(functions, places, chosen.known(dtype) if written_out else None)


def _functions_of(module: ModuleType) -> list[Callable[..., Any]]:
    return [f for f in vars(module).values() if isinstance(f, FunctionType) and inspect.getmodule(f) is module]
