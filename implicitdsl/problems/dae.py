"""`dae`: dx/dt = f(t, x, z, p), 0 = g(t, x, z, p), x(t0) = x0(p), of index 1: g_z is regular along the solution.

It is M y' = F(t, y, p) with y = (x, z), F = (f, g) and M = diag(1, …, 1, 0, …, 0), the problem of `ode.py` with
`algebraic` unknowns: a method for stiff systems solves it as it stands (Hairer & Wanner, Solving Ordinary Differential
Equations II, sections VI.1 and VI.3). The start of z is the root of 0 = g(t0, x0, z, p) near its guess; its derivative
is that of the implicit function theorem, and does not depend on the guess.

Where no rearrangement of the equations gives every z one equation g of its own, g_z is singular whatever the values
are: the index is above 1, and the equations must be differentiated by hand (C. C. Pantelides, SIAM J. Sci. Stat.
Comput. 9 (1988) 213–231).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.sparsity import pattern


def undetermined(residual: Sequence[Node], unknowns: Sequence[Leaf]) -> tuple[int, int] | None:
    """Places in `residual` and `unknowns` of an equation and an unknown that no matching of g with z can join, or None
    where g_z is structurally regular."""
    rows = np.concatenate(
        [np.concatenate([pattern(r, u) for u in unknowns], axis=1) for r in residual if r.size], axis=0
    )
    owner = _matching(rows)
    free = [j for j in range(rows.shape[1]) if j not in owner]
    if not free:
        return None
    taken = set(owner.values())
    lonely = next(i for i in range(rows.shape[0]) if i not in taken)
    return _member(lonely, [r.size for r in residual]), _member(free[0], [u.size for u in unknowns])


def _matching(rows: np.ndarray) -> dict[int, int]:
    """The row of every column matched, by augmenting paths (H. W. Kuhn, 1955)."""
    owner: dict[int, int] = {}
    for start in range(rows.shape[0]):
        came: dict[int, int] = {}
        stack, end = [start], None
        while stack and end is None:
            row = stack.pop()
            for column in np.flatnonzero(rows[row]).tolist():
                if column in came:
                    continue
                came[column] = row
                if column not in owner:
                    end = column
                    break
                stack.append(owner[column])
        while end is not None:
            row = came[end]
            before = next((c for c, r in owner.items() if r == row and c != end), None)
            owner[end] = row
            end = None if row == start else before
    return owner


def _member(scalar: int, sizes: Sequence[int]) -> int:
    return int(np.searchsorted(np.cumsum(sizes), scalar, side="right"))
