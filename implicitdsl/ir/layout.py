"""Moving scalars about: reshape, boxes and their padding, concatenation, strided windows."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from implicitdsl.functions.expression import Arg, Expr, apply
from implicitdsl.ir.contraction import (
    Operand,
    ShapeError,
    broadcast_axes,
    broadcast_shapes,
    constant,
    fill,
    lift,
    uniform,
    zeros,
)
from implicitdsl.ir.node import Constant, Map, Node, Pick, Place, Reshape, Scatter, Shape, Window
from implicitdsl.ir.routines import are_disjoint

Ranges = Sequence[tuple[int, int]]


def reshape(a: Operand, shape: Sequence[int]) -> Node:
    """The same scalars in row-major order under another shape. Raises ShapeError if the sizes differ."""
    node, target = lift(a), tuple(shape)
    if any(n < 0 for n in target) or math.prod(target) != node.size:
        raise ShapeError(f"a shape {list(node.shape)} cannot become {list(target)}")
    if isinstance(node, Reshape):
        node = node.args[0]
    if node.shape == target:
        return node
    value = uniform(node)
    if value is not None:
        return fill(value, target)
    if isinstance(node, Constant):
        return constant(node.value.reshape(target))
    return Reshape(node, target)


def broadcast(a: Operand, shape: Sequence[int]) -> Node:
    """A node spread to a shape: missing leading axes are added, axes of size 1 stretched. Raises ShapeError."""
    node, target = lift(a), tuple(shape)
    if node.shape == target:
        return node
    if len(node.shape) > len(target) or broadcast_shapes(node.shape, target) != target:
        raise ShapeError(f"a shape {list(node.shape)} does not broadcast to {list(target)}")
    lead = len(target) - len(node.shape)
    kept = [lead + k for k, n in enumerate(node.shape) if n == target[lead + k]]
    return broadcast_axes(reshape(node, [target[k] for k in kept]), kept, target)


def pick(a: Operand, ranges: Ranges) -> Node:
    """The box given by (start, stop) for every axis. Raises ShapeError if it leaves the node's shape."""
    node, box = lift(a), tuple((int(p), int(q)) for p, q in ranges)
    if len(box) != len(node.shape) or any(not 0 <= p <= q <= n for (p, q), n in zip(box, node.shape, strict=False)):
        raise ShapeError(f"the box {list(box)} does not lie in a shape {list(node.shape)}")
    return _picked(node, box)


def whole_box(shape: Shape) -> tuple[tuple[int, int], ...]:
    """The box that is all of a shape."""
    return tuple((0, n) for n in shape)


def within(outer: Ranges, inner: Ranges) -> tuple[tuple[int, int], ...]:
    """The box `inner` of a box, as a box of what that lies in."""
    return tuple((p + r, p + s) for (p, _), (r, s) in zip(outer, inner, strict=True))


def _picked(node: Node, box: tuple[tuple[int, int], ...]) -> Node:
    shape = tuple(q - p for p, q in box)
    while True:
        if shape == node.shape:
            return node
        if 0 in shape:
            return zeros(shape)
        if isinstance(node, Pick):
            box = within(node.ranges, box)
            node = node.args[0]
            continue
        if isinstance(node, Place):
            meeting = _meet(box, node.ranges)
            if meeting == "outside":
                return zeros(shape)
            if meeting == "partly":
                break
            box = tuple((p - r, q - r) for (p, q), (r, _) in zip(box, node.ranges, strict=True))
            node = node.args[0]
            continue
        part = _only_part(node, box)
        if part is None:
            break
        node = part
    value = uniform(node)
    if value is not None:
        return fill(value, shape)
    if isinstance(node, Constant):
        return constant(node.value[tuple(slice(p, q) for p, q in box)])
    return Pick(box, node)


def _meet(box: Ranges, ranges: Ranges) -> str:
    if any(q <= r or s <= p for (p, q), (r, s) in zip(box, ranges, strict=True)):
        return "outside"
    return "inside" if all(r <= p and q <= s for (p, q), (r, s) in zip(box, ranges, strict=True)) else "partly"


def _only_part(node: Node, box: Ranges) -> Node | None:
    """The one Place of a concatenation that the box lies in."""
    if not is_sum(node):
        return None
    found: Node | None = None
    for arg in node.args:
        if not isinstance(arg, Place):
            return None
        meeting = _meet(box, arg.ranges)
        if meeting == "partly" or (meeting == "inside" and found is not None):
            return None
        if meeting == "inside":
            found = arg
    return found


def place(a: Operand, ranges: Ranges, shape: Sequence[int]) -> Node:
    """The node in the box `ranges` of zeros of a shape. Raises ShapeError if the box does not fit."""
    node, target, box = lift(a), tuple(shape), tuple((int(p), int(q)) for p, q in ranges)
    if len(box) != len(target) or any(not 0 <= p <= q <= n for (p, q), n in zip(box, target, strict=False)):
        raise ShapeError(f"the box {list(box)} does not lie in a shape {list(target)}")
    if tuple(q - p for p, q in box) != node.shape:
        raise ShapeError(f"a shape {list(node.shape)} does not fill the box {list(box)}")
    if node.shape == target:
        return node
    if node.size == 0 or (uniform(node) == 0.0 and not np.signbit(uniform(node) or 0.0)):
        return zeros(target)
    if isinstance(node, Place):
        box = within(box, node.ranges)
        node = node.args[0]
    return Place(box, node, target)


@functools.cache
def sum_expr(n: int) -> Expr:
    """a0 + a1 + … + a(n-1), bracketed as a balanced tree, so that no walk goes deep."""
    terms: list[Expr] = [Arg(k) for k in range(n)]
    while len(terms) > 1:
        paired = [apply("add", terms[k], terms[k + 1]) for k in range(0, len(terms) - 1, 2)]
        terms = paired + terms[len(terms) - len(terms) % 2 :]
    return terms[0]


def is_sum(node: Node) -> bool:
    """Whether a node is the plain sum of its arguments."""
    return isinstance(node, Map) and len(node.args) > 1 and node.expr is sum_expr(len(node.args))


def is_padded_sum(node: Node) -> bool:
    """Whether a node is a sum with terms in boxes of zeros: these are written in place, and added where they meet."""
    return is_sum(node) and any(isinstance(a, Place) for a in node.args)


def sum_of(terms: Sequence[Node]) -> Node:
    """The sum of nodes of one shape: one Map. Raises ShapeError where the shapes differ or nothing is given."""
    if not terms or any(t.shape != terms[0].shape for t in terms):
        raise ShapeError("the terms of a sum have different shapes" if terms else "a sum of nothing")
    kept = [t for t in terms if uniform(t) != 0.0]
    if len(kept) < 2:
        return kept[0] if kept else terms[0]
    return Map(sum_expr(len(kept)), tuple(kept))


def concat(parts: Sequence[Operand], axis: int = 0) -> Node:
    """The parts one after the other along an axis; shapes agree elsewhere. Raises ShapeError."""
    nodes = [lift(p) for p in parts]
    if not nodes or any(not n.shape for n in nodes):
        raise ShapeError("nothing to concatenate" if not nodes else "a scalar has no axis to concatenate along")
    rank = len(nodes[0].shape)
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} of a shape {list(nodes[0].shape)}")
    k = axis % rank
    rest = nodes[0].shape[:k] + nodes[0].shape[k + 1 :]
    if any(n.shape[:k] + n.shape[k + 1 :] != rest or len(n.shape) != rank for n in nodes):
        shapes = ", ".join(str(list(n.shape)) for n in nodes)
        raise ShapeError(f"shapes {shapes} do not concatenate along axis {k}")
    shape: Shape = rest[:k] + (sum(n.shape[k] for n in nodes),) + rest[k:]
    present = [n for n in nodes if n.shape[k]]
    if len(present) == 1:
        return present[0]
    if all(isinstance(n, Constant) or uniform(n) is not None for n in present) and math.prod(shape) <= 1 << 16:
        values = [n.value if isinstance(n, Constant) else np.full(n.shape, uniform(n)) for n in present]
        return constant(np.concatenate(values, axis=k)) if values else zeros(shape)
    placed: list[Node] = []
    start = 0
    for n in present:
        box = tuple((start, start + n.shape[k]) if j == k else (0, m) for j, m in enumerate(shape))
        placed.append(place(n, box, shape))
        start += n.shape[k]
    return sum_of(placed)


def stacked(node: Node) -> list[tuple[Ranges, Node]]:
    """The boxes that a node is put together of, as `concat` and `place` do, and what lies in each: the boxes do not
    meet, and outside them are zeros. Nothing for any other node."""
    terms = node.args if is_sum(node) else (node,)
    placed = [term for term in terms if isinstance(term, Place)]
    if len(placed) < len(terms) or not are_disjoint([term.ranges for term in placed], node.shape):
        return []
    found: list[tuple[Ranges, Node]] = []
    for term in placed:
        part = term.args[0]
        for box, inner in stacked(part) or [(whole_box(part.shape), part)]:
            found.append((within(term.ranges, box), inner))
    return found


def stack(parts: Sequence[Operand], axis: int = 0) -> Node:
    """The parts, of one shape, along a new axis. Raises ShapeError."""
    nodes = [lift(p) for p in parts]
    if not nodes:
        raise ShapeError("nothing to stack")
    if any(n.shape != nodes[0].shape for n in nodes):
        raise ShapeError("shapes " + ", ".join(str(list(n.shape)) for n in nodes) + " do not stack")
    rank = len(nodes[0].shape) + 1
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} of {rank} axes")
    k = axis % rank
    return concat([reshape(n, n.shape[:k] + (1,) + n.shape[k:]) for n in nodes], axis=k)


Where = int | slice


def index(a: Operand, where: Where | Sequence[Where]) -> Node:
    """a[i], a[i, p:q], …: an int drops its axis, a slice (step 1) keeps it; negative places count from the end. Raises
    ShapeError for a place or slice outside."""
    node = lift(a)
    items: tuple[Where, ...] = (where,) if isinstance(where, int | slice) else tuple(where)
    if len(items) > len(node.shape):
        raise ShapeError(f"{len(items)} indices for a shape {list(node.shape)}")
    ranges: list[tuple[int, int]] = []
    kept: list[int] = []
    for k, n in enumerate(node.shape):
        item = items[k] if k < len(items) else slice(None)
        if isinstance(item, slice):
            p, q = _bounds(item, n)
            kept.append(q - p)
        else:
            p = item + n if item < 0 else item
            q = p + 1
            if not 0 <= p < n:
                raise ShapeError(f"index {item} is outside an axis of size {n}")
        ranges.append((p, q))
    return reshape(pick(node, ranges), kept)


def _bounds(item: slice, n: int) -> tuple[int, int]:
    if item.step not in (None, 1):
        raise ShapeError(f"a slice with step {item.step}")
    p, q = (0 if item.start is None else int(item.start)), (n if item.stop is None else int(item.stop))
    p, q = (p + n if p < 0 else p), (q + n if q < 0 else q)
    if not 0 <= p <= q <= n:
        raise ShapeError(f"slice {p}:{q} is outside an axis of size {n}")
    return p, q


def window(a: Operand, strides: Sequence[Sequence[int]], offset: Sequence[int], shape: Sequence[int]) -> Node:
    """A strided view: `out[k] = a[offset + sum_j k_j*strides[j]]`, 0 where that lies outside. Raises ShapeError."""
    node, target = lift(a), tuple(shape)
    steps, first = tuple(tuple(s) for s in strides), tuple(offset)
    _check_window(steps, first, node.shape, target)
    return Window(steps, first, node, target)


def scatter(a: Operand, strides: Sequence[Sequence[int]], offset: Sequence[int], shape: Sequence[int]) -> Node:
    """The adjoint of `window` into zeros of a shape: `out[offset + sum_j k_j*strides[j]] += a[k]`. Raises
    ShapeError."""
    node, target = lift(a), tuple(shape)
    steps, first = tuple(tuple(s) for s in strides), tuple(offset)
    _check_window(steps, first, target, node.shape)
    return Scatter(steps, first, node, target)


def _check_window(steps: tuple[tuple[int, ...], ...], first: Shape, wide: Shape, seen: Shape) -> None:
    if len(steps) != len(seen) or len(first) != len(wide) or any(len(s) != len(wide) for s in steps):
        raise ShapeError(f"strides {steps}, offset {first} do not lead from {list(wide)} to {list(seen)}")


def flip(a: Operand, axis: int = -1) -> Node:
    """The axis in reverse order."""
    node = lift(a)
    rank = len(node.shape)
    k = range(rank)[axis]
    steps = [tuple((-1 if j == k else 1) if i == j else 0 for i in range(rank)) for j in range(rank)]
    return window(node, steps, [n - 1 if j == k else 0 for j, n in enumerate(node.shape)], node.shape)


def diagonal(a: Operand) -> Node:
    """The diagonal of a square matrix: read, so that what lies beside it (inf, NaN) has no part."""
    node = lift(a)
    if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
        raise ShapeError(f"the diagonal of a shape {list(node.shape)}")
    return window(node, ((1, 1),), (0, 0), node.shape[:1])


def diagonal_matrix(a: Operand) -> Node:
    """The matrix with a vector on its diagonal and exact zeros beside it."""
    node = lift(a)
    if len(node.shape) != 1:
        raise ShapeError(f"a diagonal of shape {list(node.shape)}")
    return scatter(node, ((1, 1),), (0, 0), node.shape * 2)
