"""Save times that are an argument as it stands, `at ts`: their functions for any number of times.

Written for so many times as `imp_save_times` tells when the code runs, so that series of different lengths are one
object. Where times are computed (`at [0, 0.1*T]`), `emit.py` writes the functions for their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from implicitdsl.backends.lanes.lane_code import I64, POINTER, Dtype, LaneCode

Write = Callable[[LaneCode, Any, list[Any]], None]


def _copy(code: LaneCode, i: Any, given: list[Any]) -> None:
    *_, source, target = given
    code.store(code.load(source, i), target, i)


def _add(code: LaneCode, i: Any, given: list[Any]) -> None:
    *_, source, target = given
    code.store(code.add(code.load(target, i), code.load(source, i)), target, i)


def _add_to_dot(code: LaneCode, i: Any, given: list[Any]) -> None:
    q, q_dot, cotangent, _, q_dot_bar = given
    _add(code, i, [q, q_dot, cotangent, q_dot_bar])


FUNCTIONS: dict[str, tuple[int, Write]] = {
    "at": (2, _copy),  # q → times
    "at_vjp": (3, _add),  # q, times_cot → q_bar
    "at_jvp": (3, _copy),  # q, q_dot → times
    "at_jvp_vjp": (5, _add_to_dot),  # q, q_dot, times_cot → q_bar, q_dot_bar
}
"""The functions of `at` (see `problems/ode.py`) with their groups, and what each does for one time."""


def times_text(dtype: Dtype, width: int) -> str:
    """The LLVM text of a module with `imp_NAME` for each of FUNCTIONS, where q is the times and nothing else."""
    module = ir.Module("times")
    number = ir.Function(module, ir.FunctionType(I64, []), "imp_save_times")
    for name, (groups, write) in FUNCTIONS.items():
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * groups), f"imp_{name}")
        made.attributes.add("alwaysinline")
        made.attributes.add("nounwind")
        code = LaneCode(made, dtype, width)
        given = list(made.args)
        count = code.builder.call(number, [])
        code.loop(0, count, lambda i, _, code=code, given=given, write=write: write(code, i, given) or ())
        code.finish()
    return "\n".join(line for line in str(module).splitlines() if not line.startswith("target "))
