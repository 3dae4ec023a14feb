"""Which derivatives can be anything but 0, by form alone.

Tight for Maps, Contracts and moves, knowing the zeros of constants, deltas and padding; a solve, a determinant or a
factorisation counts as dense.
"""

from __future__ import annotations

import functools
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


def pattern(output: Node, wrt: Node) -> Mask:
    """A bool array (output.size, wrt.size), False where d output/d wrt is 0 for all values of the leaves."""
    nonzero: dict[Node, Mask] = {}
    moved: dict[Node, Mask] = {}
    for node in walk((output,)):
        nonzero[node] = _nonzero(node, nonzero)
        if node is wrt:
            moved[node] = np.eye(node.size, dtype=bool).reshape(*node.shape, node.size)
        elif any(a in moved for a in node.args):
            moved[node] = _moved(node, nonzero, moved, wrt.size)
    if output not in moved:
        return np.zeros((output.size, wrt.size), dtype=bool)
    return moved[output].reshape(output.size, wrt.size)


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


def _moved(node: Node, nonzero: Mapping[Node, Mask], moved: Mapping[Node, Mask], width: int) -> Mask:
    result = np.zeros((*node.shape, width), dtype=bool)
    match node:
        case Map():
            values = [nonzero[a] for a in node.args]
            for i, arg in enumerate(node.args):
                slope = derivative(node.expr, i) if arg in moved else None
                if slope is not None:
                    result |= moved[arg] & _nonzero_expr(slope, values)[..., None]
        case Contract():
            for i, arg in enumerate(node.args):
                if arg in moved:
                    parts = [moved[a] if j == i else nonzero[a] for j, a in enumerate(node.args)]
                    result |= _einsum(node, parts, i, width)
        case Pick() | Place() | Reshape() | Window() | Scatter():
            return _moves(node, moved[node.args[0]])
        case Reduce(kind="cumsum"):
            return np.logical_or.accumulate(moved[node.args[0]], axis=-2)
        case Reduce():
            return np.asarray(moved[node.args[0]].any(axis=-2))
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


def _moves(node: Node, mask: Mask) -> Mask:
    """What a move does to a mask with one more axis, kept last."""
    width = mask.shape[-1]
    match node:
        case Pick():
            return mask[tuple(slice(p, q) for p, q in node.ranges)]
        case Place():
            result = np.zeros((*node.shape, width), dtype=bool)
            result[tuple(slice(p, q) for p, q in node.ranges)] = mask
            return result
        case Window():
            places = window_places(node.strides, node.offset, node.args[0].shape, node.shape)
            flat = np.concatenate([mask.reshape(-1, width), np.zeros((1, width), dtype=bool)])
            return flat[places]
        case Scatter():
            places = window_places(node.strides, node.offset, node.shape, node.args[0].shape)
            flat = np.zeros((node.size + 1, width), dtype=bool)
            np.logical_or.at(flat, places.reshape(-1), mask.reshape(-1, width))
            return flat[:-1].reshape(*node.shape, width)
        case _:
            return mask.reshape(*node.shape, width)
