"""The order in which a sparse matrix is eliminated, and the places that its factors take, before any number is known.

Every row is given a column to be the pivot of (a transversal: its diagonal where it may be, else by augmenting paths).
Rows and columns are then ordered together, by minimum degree (A. George, J. W. H. Liu, SIAM Review 31, 1989) and by
reverse Cuthill-McKee (1969) on the pattern of B + B'; the order with fewer multiply-adds is taken. The entries of the
factors are those of elimination without a choice of pivots (T. A. Davis, Direct Methods for Sparse Linear Systems,
SIAM 2006, chapter 6).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

Rows = Sequence[Sequence[int]]
"""The columns of the entries of every row."""


@dataclass(frozen=True)
class Elimination:
    """Row `rows[k]` is the k-th of the factors, with its pivot in column `columns[k]`; `factors[k]` are the places of
    the entries of row k of L + U, in order. `operations` are the multiply-adds of a factorisation."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    factors: tuple[tuple[int, ...], ...]
    operations: int

    @property
    def entries(self) -> int:
        """The entries of L + U: the multiply-adds of a solve."""
        return sum(map(len, self.factors))


def eliminate(
    rows: Rows, candidates: Rows, limit: float = float("inf"), *, preferred: Rows | None = None
) -> Elimination | None:
    """The cheaper elimination of a square matrix with these entries, whose pivots are among the `candidates`, and as
    many as can be among the `preferred` ones; None where no choice of pivots is free of zeros, or where more than
    `limit` multiply-adds are needed."""
    pivots = transversal(candidates, preferred)
    if pivots is None:
        return None
    found: Elimination | None = None
    row_of = {column: row for row, column in enumerate(pivots)}
    graph = _neighbours(rows, row_of)
    for order in (minimum_degree(graph, limit), reverse_cuthill_mckee(graph)):
        if order is None:
            continue
        made = eliminate_in_order(rows, order, row_of, limit)
        if made is not None and (found is None or made.operations < found.operations):
            found, limit = made, made.operations
    return found


def transversal(rows: Rows, preferred: Rows | None = None) -> tuple[int, ...] | None:
    """A column for every row, each once, among the entries, the `preferred` ones first; None where there is none."""
    pivots = {row: column for column, row in matching(rows, preferred).items()}
    return tuple(pivots[row] for row in range(len(rows))) if len(pivots) == len(rows) else None


def matching(rows: Rows, preferred: Rows | None = None) -> dict[int, int]:
    """The row of every column matched, as many as can be, among the `preferred` entries and on the diagonal first; then
    by augmenting paths (H. W. Kuhn, 1955)."""
    owner = {} if preferred is None else matching(preferred)
    held = set(owner.values())
    owner |= {row: row for row, columns in enumerate(rows) if row in columns and row not in owner and row not in held}
    held = set(owner.values())
    for row in [row for row in range(len(rows)) if row not in held]:
        _augment(rows, row, owner)
    return owner


def _augment(rows: Rows, start: int, owner: dict[int, int]) -> None:
    came: dict[int, int] = {}
    stack = [start]
    while stack:
        row = stack.pop()
        for column in rows[row]:
            if column in came:
                continue
            came[column] = row
            if column in owner:
                stack.append(owner[column])
                continue
            held = {r: c for c, r in owner.items()}
            end: int | None = column
            while end is not None:
                row = came[end]
                before = held.get(row) if row != start else None
                owner[end] = row
                end = before
            return


def _neighbours(rows: Rows, row_of: dict[int, int]) -> list[set[int]]:
    """The pattern of B + B' without its diagonal, by columns; row `row_of[c]` stands in the place of column c."""
    graph: list[set[int]] = [set() for _ in rows]
    for c in range(len(rows)):
        for d in rows[row_of[c]]:
            if d != c:
                graph[c].add(d)
                graph[d].add(c)
    return graph


def minimum_degree(graph: Sequence[set[int]], limit: float = float("inf")) -> list[int] | None:
    """The order that eliminates the node with the fewest neighbours, each time; None beyond `limit` operations."""
    near = [set(s) for s in graph]
    heap = [(len(s), node) for node, s in enumerate(near)]
    heapq.heapify(heap)
    order: list[int] = []
    done = [False] * len(near)
    spent = 0
    while heap:
        degree, node = heapq.heappop(heap)
        if done[node] or degree != len(near[node]):
            continue
        done[node] = True
        order.append(node)
        group = near[node]
        spent += len(group) * len(group)
        if spent > limit:
            return None
        for other in group:
            near[other] |= group
            near[other] -= {other, node}
            heapq.heappush(heap, (len(near[other]), other))
    return order


def reverse_cuthill_mckee(graph: Sequence[set[int]]) -> list[int]:
    """The order by levels from a node far from the middle, neighbours of low degree first, turned round."""
    order: list[int] = []
    seen = [False] * len(graph)
    for start in sorted(range(len(graph)), key=lambda node: len(graph[node])):
        if seen[start]:
            continue
        level = _levels(graph, _levels(graph, start)[-1])
        order += level
        for node in level:
            seen[node] = True
    return order[::-1]


def _levels(graph: Sequence[set[int]], start: int) -> list[int]:
    found, reached = [start], {start}
    for node in found:
        for other in sorted(graph[node], key=lambda c: len(graph[c])):
            if other not in reached:
                reached.add(other)
                found.append(other)
    return found


def eliminate_in_order(
    rows: Rows, order: Sequence[int], row_of: dict[int, int], limit: float = float("inf")
) -> Elimination | None:  # fmt: skip
    """The elimination in that order of the columns, row `row_of[c]` having its pivot in column c; None beyond `limit`
    multiply-adds."""
    place = {column: k for k, column in enumerate(order)}
    factors: list[tuple[int, ...]] = []
    above: list[tuple[int, ...]] = []
    operations = 0
    for k, column in enumerate(order):
        held = {place[c] for c in rows[row_of[column]]}
        held.add(k)
        waiting = [j for j in held if j < k]
        heapq.heapify(waiting)
        while waiting:
            j = heapq.heappop(waiting)
            operations += len(above[j])
            for i in above[j]:
                if i not in held:
                    held.add(i)
                    if i < k:
                        heapq.heappush(waiting, i)
        if operations > limit:
            return None
        factors.append(tuple(sorted(held)))
        above.append(tuple(i for i in factors[-1] if i > k))
    return Elimination(tuple(row_of[c] for c in order), tuple(order), tuple(factors), operations)
