"""The functions and numbers of a model, as the compiled solvers call them: declared here, defined when linked.

Calling one of the functions below in compiled code calls the LLVM function `imp_NAME` that `emit.py` writes; elements
are passed by value, arrays as pointers. `states` … are constants of the model, tableau and settings constants of the
method, which the optimiser sees through after linking: `model_constants.py` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.element import INDEX, INT, INT32, VOID, Kind, Lanes, Pointer, pointer
from implicitdsl.backends.lanes.instructions import declared
from implicitdsl.backends.lanes.words import register
from implicitdsl.solvers.stepping import ROWS

FUNCTIONS = (
    "rhs", "rhs_vjp", "rhs_tangent", "rhs_tangent_vjp", "output", "output_vjp", "output_jvp", "output_jvp_vjp", "begin",
    "begin_vjp", "begin_jvp", "begin_jvp_vjp", "at", "at_vjp", "at_jvp", "at_jvp_vjp", "linearise", "linearise_vjp",
    "linearise_tangent", "linearise_tangent_vjp", "start", "residual", "residual_jacobian", "residual_along",
    "residual_p", "residual_p_jvp", "residual_jvp_z", "residual_jvp_p", "kinks", "output_z", "output_p", "output_jvp_z",
    "output_jvp_p", "quadratic_matrices", "quadratic_vectors",
    "conditions", "objective", "guards", "guards_rate", "guards_vjp", "guards_vjp_y", "guards_jvp", "guards_jvp_vjp",
    "guards_jvp_vjp_y", "modes", "reset", "reset_vjp", "reset_jvp", "reset_jvp_vjp", "rhs_vjp_y", "rhs_tangent_y",
    "rhs_tangent_vjp_y", "linearise_vjp_y", "linearise_tangent_y", "linearise_tangent_vjp_y",
    "rhs_costate", "rhs_gradient", "rhs_costate_rate", "rhs_keeping", "rhs_vjp_kept", "prepare", "slope",
    "residual_kept", "along_slope", "residual_z_slope", "residual_p_slope",
    "history", "history_vjp", "history_jvp", "history_jvp_vjp", "lags", "lags_vjp", "lags_jvp", "lags_jvp_vjp",
)  # fmt: skip
NUMBERS = (
    "states", "size_p", "size_q", "size_bar", "own_bar", "save_times", "size_out", "has_times", "from_times",
    "max_steps", "size_kinks", "algebraic", "unknowns", "equations", "constraints", "size_conditions",
    "event_guards", "event_modes", "event_blocks", "stages", "degree", "last_row",
    "carried", "nodes", "delay_lags", "delay_points", "highest_order", "size_kept", "size_slope", "resumed",
)  # fmt: skip
REALS = ("rtol", "atol", "dt")
TABLES = (
    "tableau_a", "tableau_c", "tableau_error", "tableau_dense", "tableau_couple", "tableau_drive", "tableau_predict",
    "mass", "control", "gauss", "costate_a", "costate_couple", "costate_c", "costate_drive", "costate_error",
    "costate_dense", "costate_control", "delay_breaks",
)  # fmt: skip
WHOLE_TABLES = (
    "pattern", "event_places", "event_steps", "event_strict", "event_steers", "event_stops", "event_touches",
)  # fmt: skip
"""Tables of whole numbers."""


def _declared(name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise NotImplementedError(f"{name} exists in compiled code only")

    function.__name__ = name
    return function


model: dict[str, Callable[..., Any]] = {
    name: _declared(name) for name in (*FUNCTIONS, *NUMBERS, *REALS, *TABLES, *WHOLE_TABLES, "rows_of")
}
"""What compiled sources name."""


def _register_function(name: str) -> None:
    def typing(args: tuple[Kind, ...]) -> Any:
        # A scalar where an element is asked for (the time of a group `t`) becomes one.
        lanes = next(a.dtype for a in args if isinstance(a, Pointer))
        return VOID, tuple(a if isinstance(a, Pointer) else lanes for a in args)

    def emit(builder: Any, result: Kind, kinds: Any, args: Any) -> None:
        types = [a.llvm if isinstance(a, Lanes) else ir.PointerType() for a in kinds]
        builder.call(declared(builder, ir.FunctionType(ir.VoidType(), types), f"imp_{name}"), args)

    register(model[name], typing, emit)


def _register_constant(name: str, result: Callable[[Any], Kind]) -> None:
    def typing(args: tuple[Kind, ...]) -> Any:
        return result(args[0] if args else None), args

    def emit(builder: Any, result: Kind, kinds: Any, args: Any) -> Any:
        return builder.call(declared(builder, ir.FunctionType(result.llvm, []), f"imp_{name}"), [])

    register(model[name], typing, emit)


def _first_whole(builder: Any, result: Kind, kinds: Any, args: Any) -> Any:
    place = builder.gep(args[0], [ir.Constant(INDEX, 1 + ROWS)])
    number = builder.extract_element(builder.load(place), ir.Constant(ir.IntType(32), 0))
    return builder.fptosi(number, INDEX)


# The rows of a tape are those of the whole block: any lane tells.
register(model["rows_of"], lambda args: (INT, args), _first_whole)


def _real(like: Any) -> Kind:
    return like.dtype.dtype


for _name in FUNCTIONS:
    _register_function(_name)
for _name in NUMBERS:
    _register_constant(_name, lambda _: INT)
for _name in REALS:
    _register_constant(_name, _real)
for _name in TABLES:
    _register_constant(_name, lambda like: pointer(_real(like)))
for _name in WHOLE_TABLES:
    _register_constant(_name, lambda _: pointer(INT32))
