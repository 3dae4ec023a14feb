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
from implicitdsl.ir.sparsity import entries
from implicitdsl.problems.elimination import matching


def undetermined(residual: Sequence[Node], unknowns: Sequence[Leaf]) -> tuple[int, int] | None:
    """Places in `residual` and `unknowns` of an equation and an unknown that no matching of g with z can join, or None
    where g_z is structurally regular."""
    places, columns = entries(residual, unknowns)
    height, width = sum(r.size for r in residual), sum(u.size for u in unknowns)
    by_row = np.split(columns, np.searchsorted(places, np.arange(1, height)))
    owner = matching([row.tolist() for row in by_row])
    free = [j for j in range(width) if j not in owner]
    if not free:
        return None
    taken = set(owner.values())
    lonely = next(i for i in range(height) if i not in taken)
    return _member(lonely, [r.size for r in residual]), _member(free[0], [u.size for u in unknowns])


def _member(scalar: int, sizes: Sequence[int]) -> int:
    return int(np.searchsorted(np.cumsum(sizes), scalar, side="right"))
