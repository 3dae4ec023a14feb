"""Whether a map contracts wherever it is: from the matrices that all samples share, once for all of them.

`slope_bound` bounds the 2-norm of df/dz at every point by norms of matrices. Where that is so far below 1 that the
proof of `block_picard` would succeed for every sample, blocks need not make it: they do the same then, bit for bit,
without its products. The norms themselves are bounds, rounding included: with G = A'A, |A|² = |G| and
|G|^(2^k) = |G^(2^k)| <= |G^(2^k)|_F, squared a few times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implicitdsl.backends.engine import Array
from implicitdsl.solvers.block_picard import certain_rate

SQUARINGS = 3
"""The norm is then found to 1 % or so, where it belongs to few directions."""
PRODUCTS = 9
OVERHEAD = 100_000
"""What a proof takes in a block, in products with df/dz, and the multiply–adds that calls of NumPy are worth."""


@dataclass(frozen=True)
class Matrices:
    """The matrices that some axes of an argument span."""

    argument: int
    shape: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def norm(self, value: Array) -> float:
        """No less than the largest of their 2-norms; inf or NaN where that is not known."""
        others = [k for k in range(len(self.shape)) if k not in self.rows and k not in self.columns]
        count, rows, columns = (math.prod(self.shape[k] for k in axes) for axes in (others, self.rows, self.columns))
        if rows * columns == 1:
            return float(np.abs(value).max(initial=0.0))
        placed = value.reshape(self.shape).transpose([*others, *self.rows, *self.columns])
        return max((norm_bound(matrix) for matrix in placed.reshape(count, rows, columns)), default=0.0)

    @property
    def entries(self) -> int:
        """Numbers in the argument."""
        return math.prod(self.shape)

    @property
    def price(self) -> int:
        """Multiply–adds that the norm takes."""
        rows, columns = (math.prod(self.shape[k] for k in axes) for axes in (self.rows, self.columns))
        small, large = min(rows, columns), max(rows, columns, 1)
        return self.entries * small + SQUARINGS * self.entries * small**2 // large


Sum = tuple[tuple[float, tuple[Matrices, ...]], ...]
"""A sum of products of a number and of norms: `Bound` of `slope_bound`, over the numbers of arguments."""


class Contraction:
    """What is known of a map with the arguments of the last calls."""

    def __init__(self, bounds: tuple[Sum, ...], n: int) -> None:
        """`bounds` are those of all outputs, () where one is not known, n the number of unknowns."""
        self._bounds, self._limit = bounds, certain_rate(n)
        self._matrices = tuple(dict.fromkeys(m for terms in bounds for _, norms in terms for m in norms))
        self._price = OVERHEAD + sum(m.price for m in self._matrices)
        self._entries = max(sum(m.entries for m in self._matrices), n)
        self._known: tuple[list[Array], int, bool | None] = ([], 0, None)

    def is_proved(self, values: Sequence[Array], samples: int) -> bool:
        """Whether the map contracts for all samples, given the flat arguments. The norms are found once the samples
        since these matrices were first seen make that worth it: no bit depends on it."""
        if not self._bounds:
            return False
        given = [values[m.argument] for m in self._matrices]
        if any(a.ndim != 1 for a in given):
            return False
        held, seen, found = self._known
        if not (held and all((a == b).all() for a, b in zip(held, given, strict=True))):
            held, seen, found = [a.copy() for a in given], 0, None
        seen += samples
        if found is None and seen * PRODUCTS * self._entries >= self._price:
            found = self.bound(values) <= self._limit
        self._known = held, seen, found
        return bool(found)

    def bound(self, values: Sequence[Array]) -> float:
        """No less than the 2-norm of the Jacobian of all outputs, given the flat arguments; inf or NaN: not known."""
        with np.errstate(all="ignore"):
            norms = {m: m.norm(values[m.argument]) for m in self._matrices}
            parts = (sum(factor * math.prod(norms[m] for m in of) for factor, of in terms) for terms in self._bounds)
            return math.sqrt(sum(part * part for part in parts))


def norm_bound(a: Array) -> float:
    """No less than the 2-norm of a matrix, rounding included; inf or NaN where squares leave the range of floats.

    A product over k places errs by at most g |X|_F |Y|_F, g = k eps (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.5), and by the smallest numbers where those round to 0."""
    squares = _squares(a)
    if not 1e-20 < squares < 1e20:
        return math.sqrt(squares)
    # By a power of 2, so that high powers stay in the range of floats.
    scale = 2.0 ** -math.frexp(math.sqrt(squares / min(a.shape)))[1]
    a = a * a.dtype.type(scale)
    small = a.T @ a if a.shape[1] <= a.shape[0] else a @ a.T
    return math.sqrt(_symmetric(small, SQUARINGS) + _error(a, max(a.shape))) / scale


def _symmetric(g: Array, squarings: int) -> float:
    if squarings == 0:
        return math.sqrt(_squares(g))
    return math.sqrt(_symmetric(g @ g, squarings - 1) + _error(g, len(g)))


def _error(x: Array, terms: int) -> float:
    """What the Gram matrix of x may err by, in the 2-norm."""
    limits = np.finfo(x.dtype)
    return terms * (float(limits.eps) * _squares(x) + x.size * float(limits.tiny))


def _squares(x: Array) -> float:
    """No less than the sum of squares."""
    limits = np.finfo(x.dtype)
    return float(np.vdot(x, x)) * (1.0 + x.size * float(limits.eps)) + x.size * float(limits.tiny)
