"""Our own elementary functions on the GPU: one kernel each, with one text for lanes and threads."""

from __future__ import annotations

import ctypes
from typing import Any

import mpmath
import numpy as np

from benchmarks.cuda.plan import Array, Buffer, Case, Launch, Output, points
from implicitdsl.backends.lanes.element import SCALARS
from implicitdsl.backends.lanes.elementary_polynomials import FUNCTIONS
from implicitdsl.backends.lanes.emit import emit_functions
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.loaded import Loaded
from implicitdsl.backends.lanes.target import Device
from implicitdsl.ir import build as b
from implicitdsl.problems.derived import Derived, group

COUNT = 1 << 20
CHECKED = 1000
WIDTH = {"float64": 8, "float32": 16}
_RUN = """
define i64 @imp_run_{name}(i64 %blocks, ptr %x, ptr %y) {{
entry:
  br label %each
each:
  %i = phi i64 [ 0, %entry ], [ %next, %each ]
  %at = mul i64 %i, {width}
  %x.at = getelementptr {scalar}, ptr %x, i64 %at
  %y.at = getelementptr {scalar}, ptr %y, i64 %at
  call void @imp_{name}(ptr %x.at, ptr %y.at)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %blocks
  br i1 %more, label %each, label %done
done:
  ret i64 0
}}
declare void @imp_{name}(ptr, ptr)
"""
_NOT_ASKED = """
define {scalar} @imp_not_asked({scalar} %x) {{
  ret {scalar} 0x7FF8000000000000
}}
"""
"""In the place of the C library's, which is asked for the sine of what is beyond 1e6: here nothing is."""


def _modules(name: str, dtype: str, width: int) -> list[str]:
    x = b.leaf("input", "x", ())
    function = Derived(name, (group("p", (x,)),), (group("out", (b.apply(name, x),)),))
    scalar = str(SCALARS[dtype].llvm)
    return [emit_functions([function], dtype, width), _RUN.format(name=name, width=width, scalar=scalar)]  # type: ignore[arg-type] - one of two names


def case(dtype: str, device: Device) -> tuple[Case, dict[str, bytes]]:
    """The case of all functions in a dtype, and its modules."""
    found = Case(
        f"elementary_{dtype}", f"{', '.join(FUNCTIONS)} of {COUNT} points, {dtype}", dtype, [COUNT], {}, [], {}
    )
    modules = {}
    for name in FUNCTIONS:
        given = _modules(name, dtype, 1)
        if name in ("sin", "cos"):
            symbol = name if dtype == "float64" else f"{name}f"
            given[0] = given[0].replace(f'@"{symbol}"', '@"imp_not_asked"')
            given.append(_NOT_ASKED.format(scalar=SCALARS[dtype].llvm))
        modules[f"{name}_{dtype}"] = device.make(given, [f"imp_run_{name}"], [])
        found.buffers |= {f"x_{name}": Buffer(1, "points", held=name), f"y_{name}": Buffer(1)}
        found.launches.append(Launch(f"{name}_{dtype}", f"run_{name}", [1, f"x_{name}", f"y_{name}"]))
        found.outputs[name] = Output(f"y_{name}", 0, 1)
    return found, modules


def on_lanes(name: str, dtype: str, values: Array) -> Array:
    """The values of a function by lanes."""
    width = WIDTH[dtype]
    code = Loaded(make_object(_modules(name, dtype, width), [f"imp_run_{name}"]))
    entry = code.function(f"imp_run_{name}", ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    given, found = np.ascontiguousarray(values), np.empty_like(values)
    entry(len(values) // width, given.__array_interface__["data"][0], found.__array_interface__["data"][0])
    return found


def expected(dtype: str, count: int = COUNT) -> dict[str, Array]:
    """What lanes make of the points, by function."""
    return {name: on_lanes(name, dtype, points(name, count, dtype)) for name in FUNCTIONS}


def exact(name: str, dtype: str, count: int = COUNT) -> tuple[Array, Array]:
    """The places of some points, and the function's values there to more digits than a float has: the nearest float
    and what it leaves, as two columns."""
    given = points(name, count, dtype)[:, 0]
    places = np.linspace(0, count - 1, CHECKED).astype(np.int64)
    function: Any = getattr(mpmath, {"log1p": "log1p", "expm1": "expm1"}.get(name, name))
    found = np.empty((CHECKED, 2))
    with mpmath.workdps(60):
        for k, x in enumerate(given[places]):
            with np.errstate(over="ignore"):
                value = function(mpmath.mpf(float(x))) if x != 0 or name != "log" else mpmath.mpf("-inf")
                near = float(value)
            found[k] = near, 0.0 if not np.isfinite(near) else float(value - mpmath.mpf(near))
    return places, found
