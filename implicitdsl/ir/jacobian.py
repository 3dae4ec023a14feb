"""All derivatives of a node: by columns, by rows, or part by part.

A sweep moves every operation in all its directions. Where the output is a stack of parts, `[a, b, …]`, each of which
uses few of the operations, most of what it moves are structural zeros; a gradient a part moves what the part depends
on, once (Griewank & Walther, Evaluating Derivatives, 2nd ed., chapters 3 and 7). But parts that share much move it
again and again. So operations are counted, and the way with fewer is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from implicitdsl.ir.contraction import delta, fill, transpose, zeros
from implicitdsl.ir.cotangents import reverse
from implicitdsl.ir.layout import Ranges, place, reshape, stacked, sum_of, whole_box, within
from implicitdsl.ir.node import Node, Reshape, walk
from implicitdsl.ir.operations import work
from implicitdsl.ir.tangents import forward

LEAST_SAVED = 1 / 4
"""Of the operations of one sweep, what parts have to save: theirs are many small pieces of code, and an operation costs
more in reverse than forward (5/2 and 3/2 of itself at most, Griewank & Walther, sections 3.2 and 3.3)."""
MOST_NODES = 8
"""Nodes moved part by part, for one of the whole: those of the whole are vectors, of as many instructions and more."""


def jacobian(output: Node, wrt: Node) -> Node:
    """All derivatives d output/d wrt, of shape output.shape + wrt.shape. A stack is differentiated part by part where
    that moves fewer operations; all else in one sweep over batched directions, by columns or by rows, whichever are
    fewer."""
    shape = output.shape + wrt.shape
    if wrt.size == 0 or output.size == 0:
        return zeros(shape)
    if isinstance(output, Reshape) and output is not wrt:
        return reshape(jacobian(output.args[0], wrt), shape)
    parts = parts_apart(output, (wrt,), min(output.size, wrt.size)) if wrt.size > 1 else []
    if parts:
        rows = [_laid(jacobian(part, wrt), (*box, *whole_box(wrt.shape)), shape) for box, part in parts]
        return sum_of([term for terms in rows for term in terms])
    found = _in_one_sweep(output, wrt)
    return zeros(shape) if found is None else reshape(found, shape)


def _in_one_sweep(output: Node, wrt: Node) -> Node | None:
    if output.size == 1:
        return reverse((reshape(output, ()),), (fill(1.0, ()),), (wrt,), ())[0]
    if wrt.shape == ():
        return forward((output,), {wrt: fill(1.0, ())}, ())[0]
    if wrt.size <= output.size:
        seeds = reshape(delta(wrt.size), (wrt.size, *wrt.shape))
        columns = forward((output,), {wrt: seeds}, (wrt.size,))[0]
        return None if columns is None else transpose(columns, (*range(1, len(output.shape) + 1), 0))
    seeds = reshape(delta(output.size), (output.size, *output.shape))
    return reverse((output,), (seeds,), (wrt,), (output.size,))[0]


def matrix(outputs: Sequence[Node], unknowns: Sequence[Node]) -> Node:
    """The Jacobian of several outputs, a row for each of their scalars, a column for each scalar of the unknowns."""
    shape = (sum(o.size for o in outputs), sum(u.size for u in unknowns))
    terms: list[Node] = []
    row = 0
    for output in outputs:
        column = 0
        for unknown in unknowns:
            found = reshape(jacobian(output, unknown), (output.size, unknown.size))
            terms += _laid(found, ((row, row + output.size), (column, column + unknown.size)), shape)
            column += unknown.size
        row += output.size
    return sum_of(terms) if terms else zeros(shape)


def _laid(node: Node, outer: Ranges, shape: tuple[int, ...]) -> Iterator[Node]:
    """The node in a box of zeros; a stack part by part, so that all are written to one place, once."""
    inner = node.args[0] if isinstance(node, Reshape) else node
    lead = len(node.shape) - len(inner.shape)
    if lead < 0 or node.shape != (1,) * lead + inner.shape:
        inner, lead = node, 0
    for box, part in stacked(inner) or [(whole_box(inner.shape), inner)]:
        where = (*outer[:lead], *within(outer[lead:], box))
        yield place(reshape(part, (1,) * lead + part.shape), where, shape)


def parts_apart(output: Node, wrt: Collection[Node], directions: int) -> list[tuple[Ranges, Node]]:
    """The boxes and parts of a stack, if it is better differentiated part by part: if a sweep of each moves clearly
    fewer operations than one of the whole in so many directions, and is not much more code. Else nothing."""
    parts = stacked(output)
    if len(parts) < 2 or any(node.args for node in wrt):  # what is not a leaf may be a stack on the way
        return []
    moving = set(wrt)
    whole = 0
    for node in walk((output,)):
        if any(a in moving for a in node.args):
            moving.add(node)
            whole += work(node)
    columns = sum(node.size for node in wrt)
    operations, nodes = (1 - LEAST_SAVED) * directions * whole, MOST_NODES * len(moving)
    for _, part in parts:
        for node in walk((part,)):
            if node in moving:
                operations -= min(part.size, columns) * work(node)
                nodes -= 1
        if operations < 0 or nodes < 0:
            return []
    return parts
