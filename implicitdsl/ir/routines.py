"""What generated NumPy functions call: gathers, reductions, linear algebra that gives NaN where it cannot give an
answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def result(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An output: a new array of the function's dtype that nobody else holds."""
    return np.array(value, dtype=dtype, order="C").reshape(shape)


def are_disjoint(boxes: Sequence[tuple[tuple[int, int], ...]], shape: tuple[int, ...]) -> bool:
    """Whether no two boxes in an array of the shape meet; False where it is too large to tell."""
    varying = [k for k in range(len(shape)) if len({box[k] for box in boxes}) > 1]
    if len(varying) == 1:
        spans = sorted(box[varying[0]] for box in boxes)
        return all(q <= r for (_, q), (r, _) in itertools.pairwise(spans))
    if math.prod(shape) > 1 << 20:
        return len(boxes) < 2
    taken = np.zeros(shape, np.bool_)
    for box in boxes:
        inside = taken[tuple(slice(p, q) for p, q in box)]
        if inside.any():
            return False
        inside[...] = True
    return True


def window_places(
    strides: tuple[tuple[int, ...], ...], offset: tuple[int, ...], wide: tuple[int, ...], seen: tuple[int, ...]
) -> NDArray[np.intp]:
    """For every element of the window its flat place in an array of shape `wide`, the size of that where it lies
    outside."""
    outside = np.zeros(seen, dtype=bool)
    flat = np.zeros(seen, dtype=np.intp)
    for axis, n in enumerate(wide):
        place = np.full(seen, offset[axis], dtype=np.intp)
        for k, extent in enumerate(seen):
            step = strides[k][axis]
            if step:
                place += (step * np.arange(extent)).reshape([-1 if j == k else 1 for j in range(len(seen))])
        outside |= (place < 0) | (place >= n)
        flat = flat * n + place
    return np.where(outside, math.prod(wide), flat)


def gather(a: Array, places: NDArray[np.intp]) -> Any:
    """The elements at flat places; 0 at the place past the end."""
    padded = np.append(a, a.dtype.type(0))
    return padded[places]


def scatter(a: Any, places: NDArray[np.intp], shape: tuple[int, ...]) -> Array:
    """Elements added to zeros at flat places, in row-major order; what lies past the end is dropped."""
    flat = np.zeros(math.prod(shape) + 1, dtype=a.dtype)
    np.add.at(flat, places, a)
    return flat[:-1].reshape(shape)


def max_last(a: Array) -> Any:
    """The largest along the last axis."""
    return np.maximum.reduce(a, axis=-1)


def min_last(a: Array) -> Any:
    """The smallest along the last axis."""
    return np.minimum.reduce(a, axis=-1)


def prod_last(a: Array) -> Any:
    """The product along the last axis."""
    return np.multiply.reduce(a, axis=-1)


def cumsum_last(a: Array) -> Array:
    """Running sums along the last axis."""
    return np.add.accumulate(a, axis=-1)


def logsumexp_last(a: Array) -> Any:
    """log sum exp along the last axis, shifted by the largest where that is finite."""
    top = np.maximum.reduce(a, axis=-1)
    shift = np.asarray(np.where(np.isfinite(top), top, 0.0), dtype=a.dtype)
    total: Any = np.add.reduce(np.exp(a - shift[..., None]), axis=-1)
    return np.log(total) + shift[()]


def solve(a: Array, b: Array, kind: str) -> Array:
    """A^-1 b; NaN for a singular matrix, or one that is not positive definite where Cholesky was asked for."""
    try:
        if kind == "cholesky":
            lower = np.linalg.cholesky(a)
            return np.linalg.solve(lower.T, np.linalg.solve(lower, b))
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan)


def cholesky(a: Array) -> Array:
    """The lower triangular factor, NaN where there is none."""
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)


def logabs(a: Array) -> Any:
    """log |det A|."""
    return np.linalg.slogdet(a)[1]


def det(a: Array) -> Any:
    """det A."""
    return np.linalg.det(a)
