"""The pivots of M/gamma - h*J and of its algebraic block g_z, chosen before a run, for M with zeros on its diagonal.

Where there is mass, pivots are on the diagonal, and a step that is short enough makes them good. Rows without mass have
theirs among the derivatives g_z: in the order that has good numbers at sample points (`pivot_order.py`), first those
that no unknown changes, which do not vanish on the way; where there is none, by places alone (`elimination.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.node import Leaf
from implicitdsl.ir.sparsity import entries
from implicitdsl.problems.compression import Compressed
from implicitdsl.problems.elimination import Elimination, eliminate, eliminate_in_order
from implicitdsl.problems.pivot_order import Numbers, pivot_order, sample

Rows = list[list[int]]
Whole = NDArray[np.int64]
SHORT = 1e-3
"""The size of h*J beside the mass at a sample point."""


class Pivots:
    """The entries of J at `rows` and `columns`, by rows, of which the first belong to rows with mass."""

    def __init__(
        self, n: int, rows: Whole, columns: Whole, jacobian: Compressed, unknowns: Sequence[Leaf], mass: Sequence[float]
    ) -> None:
        self._first = sum(m != 0.0 for m in mass)
        self._rows = by_row(n, rows, columns)
        changing = np.zeros(jacobian.size, bool)
        changing[entries(jacobian.nodes, unknowns)[0]] = True
        firm = ~changing[jacobian.places]
        self._firm = by_row(n, rows[firm], columns[firm])
        found = sample(jacobian.nodes)
        self._numbers: list[Numbers] | None = None
        if found is not None:
            self._numbers = np.split(found[:, jacobian.places].T, np.searchsorted(rows, np.arange(1, n)))

    def eliminations(self, limit: float) -> tuple[Elimination | None, Elimination | None]:
        """Those of the whole matrix and of g_z, counted from its first row and column; None where there is none, or
        none within `limit` multiply-adds."""
        return self._whole(limit), self._block()

    def _among(self, rows: Rows) -> Rows:
        """The entries that may be pivots."""
        first = self._first
        return [[i] if i < first else [c for c in row if c >= first] for i, row in enumerate(rows)]

    def _whole(self, limit: float) -> Elimination | None:
        first = self._first
        filled = [sorted({*row, i}) if i < first else row for i, row in enumerate(self._rows)]
        allowed, firm = self._among(self._rows), self._among(self._firm)
        numbers = None if self._numbers is None else [self._filled(i, filled[i]) for i in range(len(filled))]
        return _eliminated(filled, numbers, allowed, firm, limit)

    def _filled(self, i: int, filled: Sequence[int]) -> Numbers:
        """The numbers of a row of M - h*J, where h is short beside the row."""
        assert self._numbers is not None
        found = self._numbers[i]
        if i >= self._first:
            return found
        row = np.zeros((len(filled), found.shape[1]))
        top = np.abs(found).max(initial=0.0)
        row[np.searchsorted(filled, self._rows[i])] = -SHORT / (top if top > 0.0 else 1.0) * found
        row[list(filled).index(i)] += 1.0
        return row

    def _block(self) -> Elimination | None:
        first = self._first
        block, firm = ([[c - first for c in row if c >= first] for row in rows[first:]]
                       for rows in (self._rows, self._firm))  # fmt: skip
        numbers = None
        if self._numbers is not None:
            kept = [np.array(row) >= first for row in self._rows[first:]]
            numbers = [found[inside] for found, inside in zip(self._numbers[first:], kept, strict=True)]
        return _eliminated(block, numbers, block, firm, float("inf")) if block else None


def _eliminated(
    rows: Rows, numbers: Sequence[Numbers] | None, allowed: Rows, firm: Rows, limit: float
) -> Elimination | None:  # fmt: skip
    found = None if numbers is None else pivot_order(rows, numbers, allowed, firm)
    made = None if found is None else eliminate_in_order(rows, *found, limit)
    return eliminate(rows, allowed, limit, preferred=firm) if made is None else made


def by_row(n: int, rows: Whole, columns: Whole) -> Rows:
    """The columns of the entries of every row."""
    return [part.tolist() for part in np.split(columns, np.searchsorted(rows, np.arange(1, n)))]


def on_diagonal(rows: Rows) -> tuple[Rows, Rows]:
    """The entries with those of the diagonal, and the diagonal alone."""
    return [sorted({*row, i}) for i, row in enumerate(rows)], [[i] for i in range(len(rows))]
