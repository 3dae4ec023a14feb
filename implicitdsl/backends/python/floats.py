"""The words of `solvers/vocabulary.py` on Python's floats and on memoryviews of float64: the same values, bit for bit.

An element of a memoryview is a float, whose arithmetic takes a third of the time of NumPy's scalars; slices share
storage, as views do. Sums, products and comparisons of floats are those of IEEE; a division by 0 and a power beyond
the range raise in Python, and are NumPy's here (`quotient`, `raised`). Long arrays are handled by NumPy. What each word
means is said where the vocabulary defines it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import numpy as np

from implicitdsl.solvers import vocabulary

Element = Any
Mask = Any
Array = memoryview
"""Of float64, with one axis."""

LONG = 16
"""Elements up to which a loop is faster than NumPy."""
EPSILON = float(np.finfo(np.float64).eps)


def quotient(a: Element, b: Element) -> Element:
    """a / b, infinite or NaN where b is 0."""
    if b:
        return a / b
    return float(np.float64(a) / np.float64(b))


def raised(a: Element, b: Element) -> Element:
    """a to the power b as NumPy has it."""
    return float(np.float64(a) ** b)


def select(mask: Mask, a: Element, b: Element) -> Element:
    return a if mask else b


def and_(a: Mask, b: Mask) -> Mask:
    return a and b


def or_(a: Mask, b: Mask) -> Mask:
    return a or b


def not_(a: Mask) -> Mask:
    return not a


def any_(mask: Mask) -> bool:
    return bool(mask)


all_ = any_


def fma(a: Element, b: Element, c: Element) -> Element:
    return a * b + c


def vmin(a: Element, b: Element) -> Element:
    return a if a < b else b


def vmax(a: Element, b: Element) -> Element:
    return a if a > b else b


vabs = abs


def vsqrt(a: Element) -> Element:
    return math.sqrt(a) if a >= 0.0 else math.nan


def vlog2(a: Element) -> Element:
    return float(np.log2(a))


def vexp2(a: Element) -> Element:
    return float(np.exp2(a))


power = raised


def is_finite(a: Element) -> Mask:
    return a - a == 0.0


copy_sign = math.copysign


def binade(a: Element) -> Element:
    _, exponent = math.frexp(a)
    return a * 0.0 + math.ldexp(0.5, exponent)


def interrupted() -> bool:
    return False


def epsilon(like: Array) -> Element:
    return EPSILON


def buffer(like: Array, n: int) -> Array:
    return memoryview(array("d", bytes(8 * n)))


def view(x: Array, at: int, n: int) -> Array:
    return x[at : at + n]


def fill(n: int, value: Element, x: Array, x_at: int) -> None:
    if n <= LONG:
        for i in range(x_at, x_at + n):
            x[i] = value
    else:
        np.asarray(x[x_at : x_at + n]).fill(value)


def copy(n: int, x: Array, x_at: int, y: Array, y_at: int) -> None:
    y[y_at : y_at + n] = x[x_at : x_at + n]


def copy_where(mask: Mask, n: int, x: Array, x_at: int, y: Array, y_at: int) -> None:
    if mask:
        y[y_at : y_at + n] = x[x_at : x_at + n]


def gather(n: int, row: Element, step: int, x: Array, y: Array, y_at: int) -> None:
    at = int(row) * step
    y[y_at : y_at + n] = x[at : at + n]


def scatter_add(mask: Mask, n: int, x: Array, x_at: int, row: Element, step: int, y: Array) -> None:
    if mask:
        at = int(row) * step
        for i in range(n):
            y[at + i] += x[x_at + i]


def axpy(n: int, alpha: Element, x: Array, x_at: int, y: Array, y_at: int) -> None:
    if n == 2:
        y[y_at] += alpha * x[x_at]
        y[y_at + 1] += alpha * x[x_at + 1]
    elif n <= LONG:
        for v in x[x_at : x_at + n]:
            y[y_at] += alpha * v
            y_at += 1
    else:
        part = np.asarray(y[y_at : y_at + n])
        part += alpha * np.asarray(x[x_at : x_at + n])


def _in_words(word: FunctionType) -> FunctionType:
    """A word that the vocabulary says in others, in those of this file."""
    return FunctionType(word.__code__, globals(), word.__name__)


sum_rows, add_rows, step_along, add_to_rows = map(
    _in_words, (vocabulary.sum_rows, vocabulary.add_rows, vocabulary.step_along, vocabulary.add_to_rows)
)


def scale(n: int, alpha: Element, x: Array, x_at: int) -> None:
    for i in range(x_at, x_at + n):
        x[i] *= alpha


def dot(n: int, x: Array, x_at: int, y: Array, y_at: int) -> Element:
    total = x[x_at] * y[y_at]
    for a, b in zip(x[x_at + 1 : x_at + n], y[y_at + 1 : y_at + n], strict=True):
        total = a * b + total
    return total


def all_finite(n: int, x: Array, x_at: int) -> Mask:
    # The sum of differences that are all 0, or NaN.
    total = 0.0
    for v in x[x_at : x_at + n]:
        total += v - v
    return total == 0.0


def add_products(
    m: int, n: int, k: int, a: Array, a_at: int, a_step: int, b: Array, b_at: int, b_step: int,
    out: Array, out_at: int, out_step: int,
) -> None:  # fmt: skip
    columns = list(_rows(n, k, b, b_at, b_step))
    for i, row in enumerate(_rows(m, k, a, a_at, a_step)):
        _add_sums(row, columns, out, out_at + i * out_step)


def subtract_products(
    m: int, n: int, k: int, a: Array, a_at: int, a_step: int, b: Array, b_at: int, b_step: int,
    out: Array, out_at: int, out_step: int,
) -> None:  # fmt: skip
    columns = list(_rows(n, k, b, b_at, b_step))
    for i, row in enumerate(_rows(m, k, a, a_at, a_step)):
        _add_sums([-x for x in row], columns, out, out_at + i * out_step)


def _rows(m: int, k: int, a: Array, at: int, step: int) -> Iterator[list[Element]]:
    return (a[at + i * step : at + i * step + k].tolist() for i in range(m))


def _add_sums(row: list[Element], columns: list[list[Element]], out: Array, at: int) -> None:
    for column in columns:
        total = out[at]
        for x, y in zip(row, column, strict=True):
            total = x * y + total
        out[at] = total
        at += 1
