"""Solvers that know no model: their functions stay functions; products of rows of any shape, called and written out."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from implicitdsl.backends.lanes.link import machine_for
from implicitdsl.backends.lanes.serves_all import TINY, make_shared_object, optimise_functions
from implicitdsl.solvers.vocabulary import add_products, subtract_products
from tests.lanes.probes import aligned, compile_probes

TYPE = ("float64", 4)
SHAPES = [(m, n, k) for m in (0, 1, 2, 3, 5, 7) for n in (0, 1, 2, 4, 6, 9) for k in (0, 1, 3)]
"""Tiles are 3 × 4: whole ones, rows and columns beside them, and none at all."""
HEIGHTS = [*range(18), 31]
"""Pieces of a column are of 8, 4, 2 and 1 elements."""


def products(size, a, b, o):
    m, n, k = size // 10000, size // 100 % 100, size % 100
    # Rows further apart than they are long, and a result with room between its rows.
    add_products(m, n, k, a, 1, k + 1, b, 0, k, o, 2, n + 1)
    subtract_products(m, n, k, b, 0, k, a, 0, k + 2, o, 2, n + 1)
    return size


def column(size, a, b, o):
    m, k = size // 100, size % 100
    add_products(m, 1, k, a, 1, k + 1, b, 0, k, o, 2, 1)
    subtract_products(m, 1, k, b, 0, k, a, 0, k, o, 2, 1)
    return size


@cache
def compiled(*, called: bool) -> dict[Any, Any]:
    """Both functions, products being called or part of their callers."""
    make = make_shared_object if called else None
    return compile_probes({f.__name__: f for f in (products, column)}, [TYPE], make=make)


def summed(start: float, left: np.ndarray, right: np.ndarray, sign: int) -> float:
    """A sum of products in index order, every step exact but for one rounding."""
    total = start
    for x, y in zip(left, right, strict=True):
        total = float(Fraction(total) + sign * Fraction(x) * Fraction(y))
    return total


def expected(
    m: int, n: int, k: int, a: np.ndarray, b: np.ndarray, o: np.ndarray, steps: tuple[int, int], out: int
) -> np.ndarray:
    """What the functions above make of o; `steps` are those of a."""
    found = o.copy()
    for i in range(m):
        for j in range(n):
            at = 2 + i * out + j
            first, second = 1 + i * steps[0], j * steps[1]
            found[at] = summed(found[at], a[first : first + k], b[j * k : j * k + k], 1)
            found[at] = summed(found[at], b[i * k : i * k + k], a[second : second + k], -1)
    return found


@pytest.mark.parametrize("called", [False, True])
def test_products_of_every_shape_are_sums_in_index_order(called: bool) -> None:
    rng = np.random.default_rng(3)
    a, b, o = rng.standard_normal((3, 128, 4))
    cases = [("products", m * 10000 + n * 100 + k, (m, n, k), (k + 1, k + 2), n + 1) for m, n, k in SHAPES]
    cases += [("column", m * 100 + k, (m, 1, k), (k + 1, k), 1) for m in HEIGHTS for k in (0, 3)]
    for name, size, (m, n, k), steps, out in cases:
        places = [aligned(x) for x in (a, b, o)]
        compiled(called=called)[name, TYPE](size, *[x.ctypes.data for x in places])
        for lane in (0, 3):
            wanted = expected(m, n, k, a[:, lane], b[:, lane], o[:, lane], steps, out)
            np.testing.assert_array_equal(places[2][:, lane], wanted, err_msg=f"{name} {m} {n} {k}")


def _long(name: str) -> str:
    """A function of more than `TINY` instructions."""
    steps = "".join(f"  %x{i + 1} = fadd double %x{i}, %x{i}\n" for i in range(TINY))
    return f"define internal double @{name}(double %x0) {{\n{steps}  ret double %x{TINY}\n}}\n"


def test_functions_stay_functions_and_equal_ones_are_one() -> None:
    text = f"""{_long("first")}{_long("second")}
define internal i64 @place(i64 %n) {{
  %at = mul i64 %n, 3
  ret i64 %at
}}
define double @imp_run(ptr %x, i64 %n) {{
  %at = call i64 @place(i64 %n)
  %here = getelementptr double, ptr %x, i64 %at
  %y = load double, ptr %here
  %z = call double @first(double %y)
  %w = call double @second(double %z)
  ret double %w
}}
"""
    module = llvm.parse_assembly(text, llvm.create_context())
    optimise_functions(module, machine_for("native"))
    left = [function.name for function in module.functions if not function.is_declaration]
    assert sorted(left) in (["first", "imp_run"], ["imp_run", "second"])
