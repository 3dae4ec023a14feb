"""An order of pivots that are good numbers at sample points, for the rows of a matrix that no shorter step mends.

The algebraic equations of circuits and networks are full of ones that cancel: an order chosen by places alone meets
pivots that are 0 though the matrix is regular. Here the matrix has numbers, at several points at once, and a pivot must
not be small beside its row at any of them: threshold pivoting with the fewest fill-ins first (H. M. Markowitz,
Management Science 3 (1957) 255-269; I. S. Duff, A. M. Erisman, J. K. Reid, Direct Methods for Sparse Matrices, 2nd ed.,
2017, chapter 7; one order for many matrices, T. A. Davis, E. Palamadai Natarajan, ACM Trans. Math. Software 37 (2010)
no. 36).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.evaluate import evaluate
from implicitdsl.ir.node import Leaf, Node, walk

POINTS = 2
THRESHOLD = 0.1
"""How small a pivot may be beside its row."""
LOOKED_AT = 6
"""Rows with few entries among which a pivot is chosen."""

Numbers = NDArray[np.float64]


def sample(nodes: Sequence[Node]) -> Numbers | None:
    """All scalars of the nodes at points near 1 of everything that they depend on, (POINTS, size); None where they are
    not finite there."""
    leaves = [node for node in walk(tuple(nodes)) if isinstance(node, Leaf)]
    rng = np.random.default_rng(7)
    found: list[Numbers] = []
    for _ in range(POINTS):
        values = {leaf: rng.uniform(0.6, 1.4, leaf.shape) for leaf in leaves}
        # A leaf that nothing depends on fixes the type where there is none.
        outputs = evaluate(nodes, values or {Leaf("const", "none"): np.zeros(())})
        found.append(np.concatenate([np.asarray(o, np.float64).reshape(-1) for o in outputs]))
    whole = np.stack(found)
    return whole if np.isfinite(whole).all() else None


def pivot_order(
    rows: Sequence[Sequence[int]],
    values: Sequence[Numbers],
    candidates: Sequence[Sequence[int]],
    firm: Sequence[Sequence[int]],
) -> tuple[list[int], dict[int, int]] | None:
    """The columns in the order of elimination, and the row of each: pivots among the `candidates` of their row that are
    large enough at every point, `firm` ones first. `values[i]` are the numbers of row i, (entries, points). None where
    there are none."""
    left = [dict(zip(row, found, strict=True)) for row, found in zip(rows, values, strict=True)]
    # 0 for a firm candidate, 1 for another.
    allowed = [{c: int(c not in sure) for c in row} for row, sure in zip(candidates, map(set, firm), strict=True)]
    holders: list[set[int]] = [set() for _ in rows]
    for row, held in enumerate(left):
        for column in held:
            holders[column].add(row)
    heap = [(len(held), row) for row, held in enumerate(left)]
    heapq.heapify(heap)
    done = [False] * len(left)
    order: list[int] = []
    row_of: dict[int, int] = {}
    while len(order) < len(left):
        chosen = _choose(heap, left, done, allowed, holders)
        if chosen is None:
            return None
        row, column = chosen
        done[row] = True
        order.append(column)
        row_of[column] = row
        for other in _eliminate(left, holders, row, column):
            heapq.heappush(heap, (len(left[other]), other))
    return order, row_of


def _choose(
    heap: list[tuple[int, int]], left: Sequence[dict[int, Numbers]], done: Sequence[bool],
    allowed: Sequence[dict[int, int]], holders: Sequence[set[int]],
) -> tuple[int, int] | None:  # fmt: skip
    """The row and column with the fewest fill-ins among rows with few entries; what was looked at goes back."""
    looked: list[tuple[int, int]] = []
    best: tuple[int, int, int] | None = None
    while heap and (best is None or len(looked) < LOOKED_AT):
        count, row = heapq.heappop(heap)
        if done[row] or count != len(left[row]) or (looked and looked[-1] == (count, row)):
            continue
        looked.append((count, row))
        column = _pivot_of(left[row], allowed[row], holders)
        if column is not None:
            cost = (count - 1) * (len(holders[column]) - 1)
            if best is None or cost < best[0]:
                best = (cost, row, column)
    for entry in looked:
        heapq.heappush(heap, entry)
    return None if best is None else (best[1], best[2])


def _pivot_of(held: dict[int, Numbers], allowed: dict[int, int], holders: Sequence[set[int]]) -> int | None:
    """The allowed column of a row with the fewest holders, firm ones first, its number being large enough."""
    if not held:
        return None
    top = np.max(np.abs(np.stack(list(held.values()))), axis=0)
    fit = [c for c, v in held.items() if c in allowed and (np.abs(v) >= THRESHOLD * top).all() and (v != 0).all()]
    return min(fit, key=lambda c: (allowed[c], len(holders[c]), c), default=None)


def _eliminate(left: Sequence[dict[int, Numbers]], holders: Sequence[set[int]], row: int, column: int) -> list[int]:
    """Takes the pivot row from all rows that hold its column; gives those."""
    pivot_row = left[row]
    pivot = pivot_row[column]
    for c in pivot_row:
        holders[c].discard(row)
    changed = sorted(holders[column])
    for other in changed:
        held = left[other]
        factor = held.pop(column) / pivot
        for c, v in pivot_row.items():
            if c != column:
                if c in held:
                    held[c] = held[c] - factor * v
                else:
                    held[c] = -factor * v
                    holders[c].add(other)
    holders[column].clear()
    return changed
