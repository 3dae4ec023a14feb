"""A sparse Jacobian by few directional derivatives.

Columns that share no row move together: with S the sum of their unit vectors, J S holds the entries of all of them
(A. R. Curtis, M. J. D. Powell, J. K. Reid, J. Inst. Math. Appl. 13, 1974; coloured greedily, T. F. Coleman, J. J. Moré,
SIAM J. Numer. Anal. 20, 1983). Rows with many entries would keep columns apart: they come one by one in reverse, and
so do equations of one scalar, which thereby cost what they hold: a row written in an array of many as one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.jacobian import parts_apart
from implicitdsl.ir.layout import Ranges, stacked, whole_box
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
    outputs = _taken_apart(outputs, unknowns, rows, columns)
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
                gradient = build.zeros(unknown.shape) if found is None else found
                held, at = _held(gradient, columns[inside] - first)
                places[inside] = used + at
                nodes += held
                used += sum(node.size for node in held)
            first += unknown.size
    return Compressed(tuple(nodes), places, count, len(sweeps))


def _taken_apart(outputs: Sequence[Node], unknowns: Sequence[Leaf], rows: Whole, columns: Whole) -> list[Node]:
    """The outputs, a stack by its parts where these move fewer operations than directions for all its columns."""
    found: list[Node] = []
    first = 0
    for output in outputs:
        own = (rows >= first) & (rows < first + output.size)
        first += output.size
        parts: list[tuple[Ranges, Node]] = []
        if len(output.shape) == 1 and len(stacked(output)) > 1:
            colours = _coloured(rows[own], columns[own], sum(u.size for u in unknowns))
            parts = parts_apart(output, unknowns, int(colours.max(initial=-1)) + 1)
        if not parts:
            found.append(output)
            continue
        end = 0
        for (start, stop), part in sorted(((box[0], part) for box, part in parts), key=itemgetter(0)):
            found += [build.zeros((start - end,)), part] if start > end else [part]
            end = stop
        found += [build.zeros((output.size - end,))] if output.size > end else []
    return found


def _held(gradient: Node, columns: Whole) -> tuple[list[Node], Whole]:
    """Nodes that hold these scalars of a gradient, and where each lies in them: of a stack, the parts that are asked
    for."""
    grid = np.arange(gradient.size).reshape(gradient.shape)
    where = np.full(gradient.size, -1, np.int64)
    nodes: list[Node] = []
    used = 0
    for box, part in stacked(gradient) or [(whole_box(gradient.shape), gradient)]:
        inside = grid[tuple(slice(p, q) for p, q in box)].reshape(-1)
        if np.isin(inside, columns).any():
            where[inside] = used + np.arange(part.size)
            nodes.append(part)
            used += part.size
    at = where[columns]
    if (at < 0).any():
        nodes.append(build.zeros(()))
    return nodes, np.where(at < 0, used, at)


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
