"""The words that solver functions are written in: elements, masks, arrays.

An element is the float of one sample, or later a SIMD vector holding one float of each of several samples; a mask is the
result of comparing elements. Solver functions use these words wherever samples may part ways, so that the same source
serves both. The bodies here are for one sample: `backend="python"` runs them as they are.

Runs: `interrupted`.
Elements: `select fma vmin vmax vabs vsqrt vlog2 vexp2 power is_finite copy_sign binade epsilon`. Masks: `and_ or_ not_
any_ all_`.
Arrays (1-D, row-major; `x_at` is the place of the first element): `buffer view fill copy copy_where axpy sum_rows
add_rows step_along add_to_rows scale dot all_finite add_products subtract_products`. Every sum runs in index order. Rows
that differ between samples: `gather scatter_add`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Element = Any
Mask = Any
Array = NDArray[Any]


def select(mask: Mask, a: Element, b: Element) -> Element:
    """`a` where the mask holds, else `b`; both are evaluated, and the one not taken leaves no trace."""
    return a if mask else b


def and_(a: Mask, b: Mask) -> Mask:
    """The conjunction of two masks."""
    return a and b


def or_(a: Mask, b: Mask) -> Mask:
    """The disjunction of two masks."""
    return a or b


def not_(a: Mask) -> Mask:
    """The negation of a mask."""
    return not a


def any_(mask: Mask) -> bool:
    """Whether the mask holds for some sample: what a loop over a block of samples goes on by."""
    return bool(mask)


def all_(mask: Mask) -> bool:
    """Whether the mask holds for every sample."""
    return bool(mask)


def fma(a: Element, b: Element, c: Element) -> Element:
    """a*b + c; a target that fuses does so here and nowhere else."""
    return a * b + c


def vmin(a: Element, b: Element) -> Element:
    """`a` where a < b, else `b` (so a NaN in either place gives `b`)."""
    return a if a < b else b


def vmax(a: Element, b: Element) -> Element:
    """`a` where a > b, else `b` (so a NaN in either place gives `b`)."""
    return a if a > b else b


def vabs(a: Element) -> Element:
    """The absolute value."""
    return abs(a)


def vsqrt(a: Element) -> Element:
    """The square root, NaN below 0."""
    return np.sqrt(a)


def vlog2(a: Element) -> Element:
    """The logarithm to base 2 of a positive normal number, to 2e-7 on lanes: for step-size control."""
    return np.log2(a)


def vexp2(a: Element) -> Element:
    """2 to the power `a`, a normal number, to 3e-7 of it on lanes: for step-size control."""
    return np.exp2(a)


def power(a: Element, exponent: Element) -> Element:
    """`a` to a real power, for step-size control: to nine digits on lanes of float64; `a` is at least 0."""
    return a**exponent


def is_finite(a: Element) -> Mask:
    """Whether the element is neither NaN nor infinite."""
    return np.isfinite(a)


def copy_sign(magnitude: Element, sign: Element) -> Element:
    """The magnitude with the sign of `sign` (-0.0 is negative)."""
    return np.copysign(magnitude, sign)


def binade(a: Element) -> Element:
    """The largest power of 2 that is not above a positive normal number: scaling by it rounds nothing."""
    _, exponent = math.frexp(a)
    return a * 0.0 + math.ldexp(0.5, exponent)


def interrupted() -> bool:
    """Whether the run is to end now, whatever it has: in plain Python an exception says so."""
    return False


def epsilon(like: Array) -> Element:
    """The distance from 1 to the next float of the array's type."""
    return np.finfo(like.dtype).eps


def buffer(like: Array, n: int) -> Array:
    """A new array of n zeros whose elements are those of `like`."""
    return np.zeros(n, like.dtype)


def view(x: Array, at: int, n: int) -> Array:
    """The n elements from `at` on, sharing storage with `x`."""
    return x[at : at + n]


def fill(n: int, value: Element, x: Array, x_at: int) -> None:
    """x := value."""
    x[x_at : x_at + n] = value


def copy(n: int, x: Array, x_at: int, y: Array, y_at: int) -> None:
    """y := x."""
    y[y_at : y_at + n] = x[x_at : x_at + n]


def copy_where(mask: Mask, n: int, x: Array, x_at: int, y: Array, y_at: int) -> None:
    """y := x for the samples where the mask holds."""
    if mask:
        y[y_at : y_at + n] = x[x_at : x_at + n]


def gather(n: int, row: Element, step: int, x: Array, y: Array, y_at: int) -> None:
    """y := the n elements from place row*step of `x` on, each sample's from its own `row`, a whole number."""
    at = int(row) * step
    y[y_at : y_at + n] = x[at : at + n]


def scatter_add(mask: Mask, n: int, x: Array, x_at: int, row: Element, step: int, y: Array) -> None:
    """Add x to the n elements from place row*step of `y` on, for the samples where the mask holds: `gather`
    transposed."""
    if mask:
        at = int(row) * step
        y[at : at + n] += x[x_at : x_at + n]


def axpy(n: int, alpha: Element, x: Array, x_at: int, y: Array, y_at: int) -> None:
    """y := alpha*x + y."""
    y[y_at : y_at + n] += alpha * x[x_at : x_at + n]


def sum_rows(
    n: int, count: int, weights: Array, weights_at: int, weights_step: int, x: Array, x_at: int, x_step: int,
    y: Array, y_at: int,
) -> None:  # fmt: skip
    """y := the sum of w_j*x_j over `count` rows x_j of n elements, the first one first. The weights are numbers that all
    samples share; rows of weight 0 are left out. Steps lie between one weight or row and the next, and may be negative.
    y must not overlap the rows."""
    fill(n, 0.0, y, y_at)
    add_rows(n, count, weights, weights_at, weights_step, x, x_at, x_step, y, y_at)


def add_rows(
    n: int, count: int, weights: Array, weights_at: int, weights_step: int, x: Array, x_at: int, x_step: int,
    y: Array, y_at: int,
) -> None:  # fmt: skip
    """y := (y + w_0*x_0) + w_1*x_1 …; all else as in `sum_rows`."""
    for j in range(count):
        weight = weights[weights_at + j * weights_step]
        if weight != 0.0:
            axpy(n, weight, x, x_at + j * x_step, y, y_at)


def step_along(
    n: int, count: int, h: Element, weights: Array, weights_at: int, weights_step: int, x: Array, x_at: int,
    x_step: int, y: Array, y_at: int, out: Array, out_at: int,
) -> None:  # fmt: skip
    """out := h*(w_0*x_0 + w_1*x_1 …) + y, with the sum of `sum_rows`. out must not overlap the rows."""
    total = buffer(out, n)
    sum_rows(n, count, weights, weights_at, weights_step, x, x_at, x_step, total, 0)
    copy(n, y, y_at, out, out_at)
    axpy(n, h, total, 0, out, out_at)


def add_to_rows(
    n: int, count: int, alpha: Element, weights: Array, weights_at: int, weights_step: int, x: Array, x_at: int,
    y: Array, y_at: int, y_step: int,
) -> None:  # fmt: skip
    """y_j := (alpha*w_j)*x + y_j for `count` rows y_j of n elements, `y_step` apart: `add_rows` transposed. Rows of weight
    0 stay as they are; x must not overlap the rows."""
    for j in range(count):
        weight = weights[weights_at + j * weights_step]
        if weight != 0.0:
            axpy(n, alpha * weight, x, x_at, y, y_at + j * y_step)


def scale(n: int, alpha: Element, x: Array, x_at: int) -> None:
    """x := alpha*x."""
    x[x_at : x_at + n] *= alpha


def dot(n: int, x: Array, x_at: int, y: Array, y_at: int) -> Element:
    """The sum of x*y, in index order."""
    total = x[x_at] * y[y_at]
    for i in range(1, n):
        total = fma(x[x_at + i], y[y_at + i], total)
    return total


def all_finite(n: int, x: Array, x_at: int) -> Mask:
    """Whether all n elements are finite."""
    return np.all(np.isfinite(x[x_at : x_at + n]))


def add_products(
    m: int, n: int, k: int, a: Array, a_at: int, a_step: int, b: Array, b_at: int, b_step: int,
    out: Array, out_at: int, out_step: int,
) -> None:  # fmt: skip
    """out_ij := out_ij + a_i'b_j for rows a_i of m and b_j of n, each of k elements; a step is the distance between rows.

    Matrix times vector is n = 1; out must not overlap what is read."""
    for i in range(m):
        for j in range(n):
            total = out[out_at + i * out_step + j]
            for t in range(k):
                total = fma(a[a_at + i * a_step + t], b[b_at + j * b_step + t], total)
            out[out_at + i * out_step + j] = total


def subtract_products(
    m: int, n: int, k: int, a: Array, a_at: int, a_step: int, b: Array, b_at: int, b_step: int,
    out: Array, out_at: int, out_step: int,
) -> None:  # fmt: skip
    """out_ij := out_ij - a_i'b_j; all else as in `add_products`."""
    for i in range(m):
        for j in range(n):
            total = out[out_at + i * out_step + j]
            for t in range(k):
                total = fma(-a[a_at + i * a_step + t], b[b_at + j * b_step + t], total)
            out[out_at + i * out_step + j] = total
