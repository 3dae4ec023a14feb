"""Which derivatives can be anything but 0, by form alone.

Tight for Maps, Contracts and moves, knowing the zeros of constants, deltas and padding; a solve, a determinant or a
factorisation counts as dense.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.scalar import SCALAR, derivative, evaluate
from implicitdsl.functions.scalar import walk as walk_expr
from implicitdsl.ir.node import (
    Cholesky,
    Constant,
    Contract,
    Delta,
    LogDet,
    Map,
    Node,
    Pick,
    Place,
    Reduce,
    Reshape,
    Scatter,
    Solve,
    Window,
    walk,
)
from implicitdsl.ir.routines import window_places

Mask = NDArray[np.bool_]


Codes = NDArray[np.int64]
"""Pairs (place, column) as place*width + column, in order, each once."""
MOST_STEPS = 1 << 20
"""Pairs gone through one by one, beyond which a contraction is taken as one of whole matrices."""


def pattern(output: Node, wrt: Node) -> Mask:
    """A bool array (output.size, wrt.size), False where d output/d wrt is 0 for all values of the leaves."""
    result = np.zeros((output.size, wrt.size), dtype=bool)
    result[entries((output,), (wrt,))] = True
    return result


def entries(outputs: Sequence[Node], wrt: Sequence[Node]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns, by rows, where the Jacobian of the outputs with respect to the nodes `wrt` can be other than 0.

    The work is that of the entries of the derivatives on the way, not of whole matrices."""
    width = sum(node.size for node in wrt)
    begins = dict(zip(wrt, np.cumsum([0, *(node.size for node in wrt)]).tolist(), strict=False))
    nonzero: dict[Node, Mask] = {}
    moved: dict[Node, Codes] = {}
    for node in walk(tuple(outputs)):
        nonzero[node] = _nonzero(node, nonzero)
        if node in begins:
            moved[node] = np.arange(node.size, dtype=np.int64) * (width + 1) + begins[node]
        elif any(a in moved for a in node.args):
            moved[node] = _dependence(node, nonzero, moved, width)
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    first = 0
    for output in outputs:
        codes = moved.get(output, np.zeros(0, np.int64))
        rows.append(codes // max(width, 1) + first)
        columns.append(codes % max(width, 1))
        first += output.size
    return np.concatenate(rows), np.concatenate(columns)


# ---------------------------------------------------------------- zeros of values


def _nonzero(node: Node, known: Mapping[Node, Mask]) -> Mask:
    args = [known[a] for a in node.args]
    match node:
        case Constant():
            return np.asarray(node.value != 0.0)
        case Delta():
            return np.eye(node.shape[0], dtype=bool)
        case Map():
            return _nonzero_expr(node.expr, args)
        case Contract():
            return _einsum(node, args, -1, 0)
        case Pick() | Place() | Reshape() | Window() | Scatter():
            return np.asarray(_moves(node, args[0][..., None])[..., 0])
        case _:
            return np.ones(node.shape, dtype=bool)


def _nonzero_expr(expr: Expr, args: Sequence[Mask]) -> Mask:
    found: dict[Expr, Mask] = {}
    whole = np.ones(args[0].shape, dtype=bool)
    for e in walk_expr(expr):
        match e:
            case Arg():
                found[e] = args[e.index]
            case Const():
                found[e] = whole if e.value != 0.0 else np.zeros_like(whole)
            case Apply():
                found[e] = _nonzero_function(e, [found[a] for a in e.args], whole)
            case _:
                found[e] = whole
    return found[expr]


def _nonzero_function(expr: Apply, args: Sequence[Mask], whole: Mask) -> Mask:
    match expr.function:
        case "add" | "sub":
            return np.asarray(args[0] | args[1])
        case "mul" | "scaled":
            return np.asarray(args[0] & args[1])
        case "div":
            return args[0]
        case "select":
            return np.asarray(args[1] | args[2])
        case _ if len(args) == 1 and _is_zero_at_zero(expr.function):
            return args[0]
        case _:
            return whole


@functools.cache
def _is_zero_at_zero(function: str) -> bool:
    return SCALAR[function].arity == 1 and float(evaluate(Apply(function, (Arg(0),)), np.float64(0.0))) == 0.0


# ---------------------------------------------------------------- dependence


def _dependence(node: Node, nonzero: Mapping[Node, Mask], moved: Mapping[Node, Codes], width: int) -> Codes:
    match node:
        case Map():
            values = [nonzero[a] for a in node.args]
            parts: list[Codes] = []
            for i, arg in enumerate(node.args):
                slope = derivative(node.expr, i) if arg in moved else None
                if slope is not None:
                    codes = moved[arg]
                    parts.append(codes[_nonzero_expr(slope, values).reshape(-1)[codes // width]])
            return _united(parts)
        case Contract():
            return _united([_contracted(node, i, nonzero, moved, width) for i, a in enumerate(node.args) if a in moved])
        case Pick() | Place() | Reshape() | Window():
            arg = node.args[0]
            sources = _moves(node, np.arange(1, arg.size + 1).reshape(*arg.shape, 1)).reshape(-1) - 1
            outs = np.flatnonzero(sources >= 0)
            return _joined(outs, sources[outs], moved[arg], arg.size, width)
        case Scatter():
            codes = moved[node.args[0]]
            targets = window_places(node.strides, node.offset, node.shape, node.args[0].shape).reshape(-1)
            places = targets[codes // width]
            inside = places < node.size
            return np.unique(places[inside] * width + codes[inside] % width)
        case Reduce(kind=kind) if kind != "cumsum":
            codes = moved[node.args[0]]
            return np.unique(codes // width // node.args[0].shape[-1] * width + codes % width)
        case _:
            masks = {a: _mask_of(moved[a], a, width) for a in node.args if a in moved}
            return np.flatnonzero(_moved(node, nonzero, masks, width))


def _united(parts: Sequence[Codes]) -> Codes:
    kept = [p for p in parts if p.size]
    if len(kept) < 2:
        return kept[0] if kept else np.zeros(0, np.int64)
    return np.unique(np.concatenate(kept))


def _joined(outs: Codes, sources: Codes, codes: Codes, size: int, width: int) -> Codes:
    """The columns of each source place, under the output place beside it."""
    counts = np.bincount(codes // width, minlength=size)
    starts = np.cumsum(counts) - counts
    many = counts[sources]
    ends = np.cumsum(many)
    which = np.arange(int(many.sum()), dtype=np.int64) + np.repeat(starts[sources] - (ends - many), many)
    return np.unique(np.repeat(outs, many) * width + codes[which] % width)


def _contracted(node: Contract, i: int, nonzero: Mapping[Node, Mask], moved: Mapping[Node, Codes], width: int) -> Codes:
    """What a contraction makes of the dependence of argument i: its products one by one, or whole matrices."""
    arg = node.args[i]
    sizes = dict(zip(node.out, node.shape, strict=True))
    for text, a in zip(node.ins, node.args, strict=True):
        sizes |= zip(text, a.shape, strict=True)
    total = math.prod(sizes.values())
    if total * max(moved[arg].size // max(arg.size, 1), 1) > MOST_STEPS:
        parts = [_mask_of(moved[a], a, width) if j == i else nonzero[a] for j, a in enumerate(node.args)]
        return np.flatnonzero(_einsum(node, parts, i, width))

    def places(text: str, shape: tuple[int, ...]) -> Codes:
        """The place of each product in an array with these letters."""
        found = np.zeros(tuple(sizes.values()), np.int64)
        stride = 1
        for letter, size in zip(reversed(text), reversed(shape), strict=True):
            axes = [size if c == letter else 1 for c in sizes]
            found += stride * np.arange(size).reshape(axes)
            stride *= size
        return found.reshape(-1)

    outs, sources = places(node.out, node.shape), places(node.ins[i], arg.shape)
    kept = np.ones(total, dtype=bool)
    for j, (text, a) in enumerate(zip(node.ins, node.args, strict=True)):
        if j != i and not nonzero[a].all():
            kept &= nonzero[a].reshape(-1)[places(text, a.shape)]
    return _joined(outs[kept], sources[kept], moved[arg], arg.size, width)


def _mask_of(codes: Codes, node: Node, width: int) -> Mask:
    mask = np.zeros(node.size * width, dtype=bool)
    mask[codes] = True
    return mask.reshape(*node.shape, width)


def _moved(node: Node, nonzero: Mapping[Node, Mask], moved: Mapping[Node, Mask], width: int) -> Mask:
    """The dependence of a node that mixes everything."""
    result = np.zeros((*node.shape, width), dtype=bool)
    match node:
        case Reduce():
            return np.logical_or.accumulate(moved[node.args[0]], axis=-2)
        case Solve():
            factor, right = node.args
            if factor in moved:
                result |= moved[factor].any(axis=(0, 1))
            if right in moved:
                result |= moved[right].any(axis=0)
        case LogDet() | Cholesky():
            result |= moved[node.args[0]].any(axis=(0, 1))
        case _:
            return moved[node.args[0]]
    return result


def _einsum(node: Contract, parts: Sequence[Mask], moving: int, width: int) -> Mask:
    """The contraction of masks; the part `moving` has one more axis, of size `width`, kept last."""
    numbers = {c: k for k, c in enumerate(dict.fromkeys("".join(node.ins) + node.out))}
    last = len(numbers)
    operands: list[object] = []
    for j, (text, part) in enumerate(zip(node.ins, parts, strict=True)):
        operands += [part.astype(np.float32), [numbers[c] for c in text] + ([last] if j == moving else [])]
    present = set("".join(node.ins))
    kept = [numbers[c] for c in node.out if c in present] + ([last] if moving >= 0 else [])
    einsum: Any = np.einsum  # its stubs do not know index lists
    count: NDArray[np.float32] = np.asarray(einsum(*operands, kept, optimize=len(parts) > 2))
    extra = (width,) if moving >= 0 else ()
    shape = tuple(n if c in present else 1 for c, n in zip(node.out, node.shape, strict=True)) + extra
    return np.broadcast_to(count.reshape(shape) > 0.0, node.shape + extra)


def _moves(node: Node, mask: NDArray[Any]) -> NDArray[Any]:
    """What a move does to an array with one more axis, kept last; 0 where nothing is moved to."""
    width = mask.shape[-1]
    match node:
        case Pick():
            return mask[tuple(slice(p, q) for p, q in node.ranges)]
        case Place():
            result = np.zeros((*node.shape, width), dtype=mask.dtype)
            result[tuple(slice(p, q) for p, q in node.ranges)] = mask
            return result
        case Window():
            places = window_places(node.strides, node.offset, node.args[0].shape, node.shape)
            flat = np.concatenate([mask.reshape(-1, width), np.zeros((1, width), dtype=mask.dtype)])
            return flat[places]
        case Scatter():
            places = window_places(node.strides, node.offset, node.shape, node.args[0].shape)
            flat = np.zeros((node.size + 1, width), dtype=bool)
            np.logical_or.at(flat, places.reshape(-1), mask.reshape(-1, width))
            return flat[:-1].reshape(*node.shape, width)
        case _:
            return mask.reshape(*node.shape, width)
