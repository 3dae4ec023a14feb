"""A sparse Jacobian by few directional derivatives.

Columns that share no row move together: with S the sum of their unit vectors, J S holds the entries of all of them
(A. R. Curtis, M. J. D. Powell, J. K. Reid, J. Inst. Math. Appl. 13, 1974; coloured greedily, T. F. Coleman, J. J. Moré,
SIAM J. Numer. Anal. 20, 1983). Rows with many entries would keep columns apart: they come one by one in reverse, and
so do equations of one scalar, which thereby cost what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.node import Leaf, Node

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Compressed:
    """`nodes`, one after the other, hold the entries: entry k of the pattern is their scalar `places[k]`. `directions`
    and `gradients` count the sweeps that make them."""

    nodes: tuple[Node, ...]
    places: Whole
    directions: int
    gradients: int

    @property
    def size(self) -> int:
        return sum(node.size for node in self.nodes)


def compress(outputs: Sequence[Node], unknowns: Sequence[Leaf], rows: Whole, columns: Whole) -> Compressed:
    """The Jacobian of the outputs, whose entries are at these rows and columns, by rows."""
    sizes = np.array([o.size for o in outputs])
    firsts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(outputs)), sizes)
    apart = _rows_apart(rows, sizes[owner] == 1)
    forward = ~apart[rows]
    colours = _coloured(rows[forward], columns[forward], sum(u.size for u in unknowns))
    count = int(colours.max(initial=-1)) + 1
    nodes: list[Node] = []
    places = np.zeros(len(rows), np.int64)
    used = 0
    if count:
        wide = [k for k in range(len(outputs)) if not apart[firsts[k] : firsts[k] + sizes[k]].all()]
        starts = np.zeros(len(outputs), np.int64)
        for k, node in zip(wide, _moved([outputs[k] for k in wide], unknowns, colours, count), strict=True):
            starts[k], used = used, used + node.size
            nodes.append(node)
        of = owner[rows[forward]]
        places[forward] = starts[of] + colours[columns[forward]] * sizes[of] + rows[forward] - firsts[of]
    sweeps = np.flatnonzero(apart & (np.bincount(rows, minlength=len(apart)) > 0))
    for row in sweeps.tolist():
        k = int(owner[row])
        local = row - int(firsts[k])
        begin, end = (int(i) for i in np.searchsorted(rows, (row, row + 1)))
        here: Whole = np.arange(begin, end)
        flat = build.reshape(outputs[k], (outputs[k].size,))
        scalar = build.reshape(build.pick(flat, ((local, local + 1),)), ())
        first = 0
        for unknown, found in zip(unknowns, calculus.pullback((scalar,), (1.0,), unknowns), strict=True):
            inside: Whole = here[(columns[here] >= first) & (columns[here] < first + unknown.size)]
            if len(inside):
                places[inside] = used + columns[inside] - first
                nodes.append(build.zeros(unknown.shape) if found is None else found)
                used += unknown.size
            first += unknown.size
    return Compressed(tuple(nodes), places, count, len(sweeps))


def _rows_apart(rows: Whole, scalar: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rows to be made in reverse: those of scalar equations, and the fullest others as long as each saves more
    directions than the sweep it takes."""
    counts = np.bincount(rows, minlength=len(scalar))
    apart = scalar.copy()
    order = np.argsort(np.where(scalar, 0, -counts), kind="stable")
    left = np.append(counts[order][: int((~scalar).sum())], 0)
    if len(left) > 1:
        apart[order[: int(np.argmin(np.arange(len(left)) + left))]] = True
    return apart


def _coloured(rows: Whole, columns: Whole, width: int) -> Whole:
    """A colour for every column that has entries, -1 for the others."""
    by_row: dict[int, list[int]] = {}
    by_column: dict[int, list[int]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        by_row.setdefault(row, []).append(column)
        by_column.setdefault(column, []).append(row)
    best = np.full(width, -1, np.int64)
    fewest = width + 1
    # As they stand is best for bands; the fullest first for most else.
    for order in (sorted(by_column), sorted(by_column, key=lambda c: -len(by_column[c]))):
        found = np.full(width, -1, np.int64)
        for column in order:
            taken = {found[other] for row in by_column[column] for other in by_row[row]}
            colour = 0
            while colour in taken:
                colour += 1
            found[column] = colour
        if int(found.max(initial=-1)) + 1 < fewest:
            best, fewest = found, int(found.max(initial=-1)) + 1
    return best


def _moved(outputs: Sequence[Node], unknowns: Sequence[Leaf], colours: Whole, count: int) -> list[Node]:
    """The derivatives of the outputs along all directions, a leading axis."""
    tangents: dict[Node, Node] = {}
    first = 0
    for unknown in unknowns:
        own = colours[first : first + unknown.size]
        seed = (own[None, :] == np.arange(count)[:, None]).astype(np.float64)
        if seed.any():
            tangents[unknown] = build.constant(seed.reshape(count, *unknown.shape))
        first += unknown.size
    found = calculus.pushforward(outputs, tangents, extra=count)
    return [build.zeros((count, *o.shape)) if d is None else d for o, d in zip(outputs, found, strict=True)]
