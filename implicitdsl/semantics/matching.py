"""Which equation determines which unknown: a maximum flow between equations and the unknowns that stand in them.

Equations and unknowns are blocks of as many scalars as their shapes have; a flow of all scalars is a matching of the
scalar system (a generic one: every scalar of a block is taken to stand in every scalar of an equation that names it).
Dinic's algorithm (1970), every search a loop. The structural index of a dae is Pantelides' (1988), on whole blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """How many scalars of every equation and of every unknown stay without a partner."""

    equations: tuple[int, ...]
    unknowns: tuple[int, ...]

    @property
    def perfect(self) -> bool:
        return not any(self.equations) and not any(self.unknowns)


def match_blocks(equations: Sequence[int], unknowns: Sequence[int], stands_in: Sequence[Sequence[int]]) -> Match:
    """The largest matching of counts of scalars. `stands_in[i]` are the numbers of the unknowns in equation i."""
    graph = _Graph(len(equations) + len(unknowns) + 2)
    source, sink = len(equations) + len(unknowns), len(equations) + len(unknowns) + 1
    first = [graph.add(source, i, size) for i, size in enumerate(equations)]
    last = [graph.add(len(equations) + j, sink, size) for j, size in enumerate(unknowns)]
    for i, found in enumerate(stands_in):
        for j in found:
            graph.add(i, len(equations) + j, min(equations[i], unknowns[j]))
    graph.fill(source, sink)
    return Match(tuple(graph.room[e] for e in first), tuple(graph.room[e] for e in last))


class _Graph:
    """A flow network: arc e goes to `to[e]` and has `room[e]` left; arc e^1 is its reverse."""

    def __init__(self, nodes: int) -> None:
        self.arcs: list[list[int]] = [[] for _ in range(nodes)]
        self.to: list[int] = []
        self.room: list[int] = []

    def add(self, start: int, stop: int, room: int) -> int:
        for node, target, free in ((start, stop, room), (stop, start, 0)):
            self.arcs[node].append(len(self.to))
            self.to.append(target)
            self.room.append(free)
        return len(self.to) - 2

    def fill(self, source: int, sink: int) -> None:
        while (level := self._levels(source))[sink] >= 0:
            self._block(source, sink, level)

    def _levels(self, source: int) -> list[int]:
        level = [-1] * len(self.arcs)
        level[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for arc in self.arcs[node]:
                if self.room[arc] > 0 and level[self.to[arc]] < 0:
                    level[self.to[arc]] = level[node] + 1
                    queue.append(self.to[arc])
        return level

    def _block(self, source: int, sink: int, level: list[int]) -> None:
        """A blocking flow along arcs that go one level up."""
        tried = [0] * len(self.arcs)
        path: list[int] = []
        node = source
        while True:
            if node == sink:
                amount = min(self.room[arc] for arc in path)
                for arc in path:
                    self.room[arc] -= amount
                    self.room[arc ^ 1] += amount
                cut = next(i for i, arc in enumerate(path) if self.room[arc] == 0)
                node = self.to[path[cut] ^ 1]
                del path[cut:]
                continue
            while tried[node] < len(self.arcs[node]):
                arc = self.arcs[node][tried[node]]
                if self.room[arc] > 0 and level[self.to[arc]] == level[node] + 1:
                    path.append(arc)
                    node = self.to[arc]
                    break
                tried[node] += 1
            else:
                if not path:
                    return
                level[node] = -1
                node = self.to[path.pop() ^ 1]


def structural_index(
    states: int, unknowns: int, derivatives: Sequence[Sequence[int]], algebraic: Sequence[Sequence[int]]
) -> int:
    """The structural index of a dae; the system must have a matching (else the search only ends at its bound).

    Columns 0 … states-1 are the states, the next ones the algebraic unknowns. `derivatives[i]` are the columns on the
    right-hand side of state i, `algebraic[j]` those of an algebraic equation.
    """
    # A node is (column, how often it is differentiated); an equation lists its nodes.
    equations: list[set[tuple[int, int]]] = [{(c, 0) for c in right} | {(i, 1)} for i, right in enumerate(derivatives)]
    equations += [{(c, 0) for c in columns} for columns in algebraic]
    highest = [1] * states + [0] * unknowns
    rounds = [0] * len(equations)
    partner: dict[tuple[int, int], int] = {}
    for start in range(len(derivatives) + len(algebraic)):
        current = start
        for _ in range(states + unknowns + 2):
            seen = _augment(current, equations, highest, partner)
            if seen is None:
                break
            columns, visited = seen
            for column in columns:
                highest[column] += 1
            renamed: dict[int, int] = {}
            for number in sorted(visited):
                equations.append(equations[number] | {(c, order + 1) for c, order in equations[number]})
                rounds.append(rounds[number] + 1)
                renamed[number] = len(equations) - 1
            for column in columns:
                partner[(column, highest[column])] = renamed[partner[(column, highest[column] - 1)]]
            current = renamed[current]
    return max(rounds, default=0) + 1 if algebraic else 0


def _augment(
    start: int, equations: Sequence[set[tuple[int, int]]], highest: Sequence[int], partner: dict[tuple[int, int], int]
) -> tuple[set[int], set[int]] | None:
    """Give an equation a highest derivative of its own by an alternating path; else the columns and equations met."""
    columns: set[int] = set()
    visited = {start}
    came: dict[tuple[int, int], int] = {}
    queue = deque([start])
    while queue:
        equation = queue.popleft()
        for column, order in sorted(equations[equation]):
            node = (column, order)
            if order != highest[column] or column in columns:
                continue
            columns.add(column)
            came[node] = equation
            if node not in partner:
                while True:
                    before = next((n for n, e in partner.items() if e == came[node]), None)
                    partner[node] = came[node]
                    if before is None or came[node] == start:
                        return None
                    node = before
            owner = partner[node]
            if owner not in visited:
                visited.add(owner)
                queue.append(owner)
    return columns, visited
