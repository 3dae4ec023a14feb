"""How the matrix of implicit steps of M y' = f(t, y, p) is held: dense, or by its pattern, whichever costs less.

The pattern of f_y is that of its form (`ir/sparsity.py`). A sparse matrix has its entries made by few directional
derivatives (`compression.py`) and its factors in places fixed here (`elimination.py`): all of that is data for
`solvers/step_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.sparsity import entries
from implicitdsl.problems.compression import Compressed, compress
from implicitdsl.problems.elimination import Elimination, eliminate
from implicitdsl.problems.pivots import Pivots, by_row, on_diagonal
from implicitdsl.solvers.sparse_lu import HEAD, KEPT, sparse_factor_size
from implicitdsl.solvers.step_matrix import DENSE, SPARSE, WHOLE

SMALLEST = 24
"""States below which a matrix is dense: its rows are in the cache, and pivots can be chosen."""
PIVOTED = 200
"""Unknowns below which a matrix with algebraic rows is dense: a shorter step does not mend their pivots as it mends
those of M/gamma - h*J, and refining costs more than choosing them."""
SOLVES = 8
"""Solves with one matrix that are counted for a factorisation."""
SPARSE_COST = 8
"""What an operation of sparse factors costs beside one of dense factors, whose rows lie side by side."""
CHOICES = ("auto", "dense", "sparse")


@dataclass(frozen=True, eq=False)
class StepPattern:
    """`numbers` is what solvers call the pattern; `jacobian` the derivatives in storage, None where it is dense."""

    numbers: NDArray[np.int32]
    jacobian: Compressed | None
    states: int
    entries: int = 0
    factor_entries: int = 0
    operations: int = 0
    """Multiply-adds of a factorisation."""

    @property
    def storage(self) -> int:
        """The numbers that hold the Jacobian."""
        return self.states**2 if self.jacobian is None else self.jacobian.size

    @property
    def factor_size(self) -> int:
        """The numbers that hold the factors."""
        if self.jacobian is None:
            return self.states**2
        return int(sparse_factor_size(self.numbers, self.numbers[WHOLE]))

    @property
    def about(self) -> str:
        """What `inspect` says."""
        n = self.states
        if self.jacobian is None:
            return f"dense: {n}x{n}, {_dense(n)} multiply-adds a factorisation, {n * n} a solve, pivots chosen"
        sweeps = [(self.jacobian.directions, "direction"), (self.jacobian.gradients, "gradient")]
        made = " and ".join(f"{k} {word}{'s' if k > 1 else ''}" for k, word in sweeps if k)
        return (
            f"sparse: {self.entries} of {n * n} derivatives, made by {made}; {self.operations} multiply-adds a "
            f"factorisation, {self.factor_entries} a solve (dense {_dense(n)}, {n * n}), pivots fixed"
            f"{', refined where one is small' if self.numbers[self.numbers[WHOLE] + KEPT] else ''}"
        )


def _dense(n: int) -> int:
    return n * (n * n - 1) // 3


def step_pattern(
    rhs: Sequence[Node], unknowns: Sequence[Leaf], mass: Sequence[float], choice: str = "auto"
) -> StepPattern:
    """The pattern for M y' = rhs with y = `unknowns` and M = diag(mass), whose zeros come last; `choice` is among
    CHOICES. Where no pivots are free of zeros, the matrix is dense whatever is chosen."""
    n = len(mass)
    dense = StepPattern(np.array([DENSE], np.int32), None, n)
    if choice == "dense" or (choice == "auto" and n < (PIVOTED if 0.0 in mass else SMALLEST)):
        return dense
    rows, columns = entries(rhs, unknowns)
    limit = (_dense(n) + SOLVES * n * n) / SPARSE_COST if choice == "auto" else float("inf")
    if SOLVES * len(rows) > limit:
        return dense
    if 0.0 in mass:
        jacobian = compress(rhs, unknowns, rows, columns)
        whole, algebraic = Pivots(n, rows, columns, jacobian, unknowns, mass).eliminations(limit)
    else:
        jacobian, algebraic = None, None
        whole = eliminate(*on_diagonal(by_row(n, rows, columns)), limit)
    if whole is None or whole.operations + SOLVES * whole.entries > limit or (algebraic is None and 0.0 in mass):
        return dense
    jacobian = compress(rhs, unknowns, rows, columns) if jacobian is None else jacobian
    if choice == "auto" and jacobian.size > n * n // 2:
        return dense
    numbers = _numbers(n, rows, columns, jacobian, whole, algebraic)
    return StepPattern(numbers, jacobian, n, len(rows), whole.entries, whole.operations)


def _numbers(
    n: int, rows: NDArray[np.int64], columns: NDArray[np.int64], jacobian: Compressed, whole: Elimination,
    algebraic: Elimination | None,
) -> NDArray[np.int32]:  # fmt: skip
    """The pattern as `solvers/step_matrix.py` has it."""
    starts = np.searchsorted(rows, np.arange(n + 1))
    parts = [starts, columns, jacobian.places]
    head = [SPARSE, jacobian.size]
    at = 7
    for part in parts:
        head.append(at)
        at += len(part)
    # Rows without mass have pivots that no shorter step mends.
    kept = 0 if algebraic is None else len(columns)
    described = _description(whole, n, 0, at, kept)
    head.append(at)
    parts.append(described)
    at += len(described)
    head.append(0 if algebraic is None else at)
    if algebraic is not None:
        parts.append(_description(algebraic, n, n - len(algebraic.rows), at, kept))
    return np.concatenate([head, *parts]).astype(np.int32)


def _description(elimination: Elimination, n: int, shift: int, at: int, kept: int = 0) -> NDArray[np.int64]:
    """The description of factors as `solvers/sparse_lu.py` has it; their matrix begins at row and column `shift`, and
    `kept` of its Jacobian's entries are kept to refine."""
    m = len(elimination.rows)
    rows, columns = np.array(elimination.rows) + shift, np.array(elimination.columns) + shift
    place = np.full(n, -1)
    place[columns] = np.arange(m)
    counts = np.array([len(f) for f in elimination.factors])
    starts = np.concatenate([[0], np.cumsum(counts)])
    diagonals = starts[:-1] + np.array([f.index(k) for k, f in enumerate(elimination.factors)])
    places = np.concatenate([np.array(f) for f in elimination.factors])
    parts = [rows, columns, place, starts, diagonals, places]
    head = [m, shift]
    at += HEAD
    for part in parts:
        head.append(at)
        at += len(part)
    return np.concatenate([[*head, kept], *parts])
