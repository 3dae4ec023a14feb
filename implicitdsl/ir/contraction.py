"""Constants and Contracts: einsum with the folds that hold for every float.

A transposition or broadcast moves values without computing, so it melts into the Contract above it; a Kronecker delta
renames an index; a factor 1 is dropped. Sums are never merged, split or reordered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.node import Constant, Contract, Delta, Node, Shape

Operand = Node | float | int

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ShapeError(ValueError):
    """Shapes that do not fit together."""


def letters(n: int, start: int = 0) -> str:
    """n distinct index letters, beginning with the one numbered `start`."""
    if start + n <= len(_ALPHABET):
        return _ALPHABET[start : start + n]
    return "".join(_ALPHABET[k] if k < len(_ALPHABET) else chr(0x400 + k) for k in range(start, start + n))


def constant(value: object) -> Node:
    """A constant array; one whose scalars are all the same bits is a broadcast scalar (see `fill`)."""
    array: NDArray[np.float64] = np.asarray(value, dtype=np.float64)
    if array.shape == ():
        return Constant(array)
    flat = np.ascontiguousarray(array).reshape(-1).view(np.int64)
    if flat.size == 0:
        return fill(0.0, array.shape)
    if bool((flat == flat[0]).all()):
        return fill(float(array.reshape(-1)[0]), array.shape)
    return Constant(array)


def fill(value: float, shape: Sequence[int]) -> Node:
    """A constant array of one value, held as one scalar."""
    scalar = Constant(np.float64(value))
    target = tuple(shape)
    return scalar if target == () else Contract(("",), letters(len(target)), (scalar,), target)


def zeros(shape: Sequence[int]) -> Node:
    """Zeros of a shape."""
    return fill(0.0, shape)


def ones(shape: Sequence[int]) -> Node:
    """Ones of a shape."""
    return fill(1.0, shape)


def delta(n: int) -> Node:
    """The identity matrix of size n."""
    if n < 0:
        raise ShapeError(f"delta of size {n}")
    return ones((1, 1)) if n == 1 else Delta(n)


def lift(value: Operand) -> Node:
    """The node itself, or the constant."""
    return value if isinstance(value, Node) else Constant(np.float64(value))


def uniform(node: Node) -> float | None:
    """The value all scalars of a node are known to have, or None."""
    if isinstance(node, Contract) and is_layout(node):
        node = node.args[0]
    if isinstance(node, Constant) and node.shape == ():
        return float(node.value)
    return None


def is_layout(node: Node) -> bool:
    """Whether a node is a Contract that only permutes and broadcasts."""
    return isinstance(node, Contract) and len(node.args) == 1 and set(node.ins[0]) <= set(node.out)


def contract(spec: str, *operands: Operand, sizes: dict[str, int] | None = None) -> Node:
    """Einsum of the operands: `contract("ij,j->i", A, x)`.

    An output letter that no operand has is a broadcast axis and takes its size from `sizes`. Raises ShapeError where a
    string does not fit its operand, holds a letter twice, or a letter has two sizes.
    """
    left, arrow, out = spec.partition("->")
    if not arrow:
        raise ShapeError(f"`{spec}` lacks `->`")
    return contracted(left.split(","), out, [lift(o) for o in operands], sizes or {})


def contracted(ins: Sequence[str], out: str, args: Sequence[Node], sizes: dict[str, int]) -> Node:
    """`contract` with the strings apart."""
    known = _sizes(ins, out, args, sizes)
    shape = tuple(known[c] for c in out)
    terms = _absorb(list(zip(ins, args, strict=True)), out)
    terms = _melt_deltas(terms, out)
    terms = _drop_ones(terms, out)
    if not terms:
        return fill(1.0, shape)
    if len(terms) == 1:
        text, arg = terms[0]
        if text == out:
            return arg
        if set(text) <= set(out) and isinstance(arg, Constant) and len(text) == len(out):
            return constant(np.transpose(arg.value, [text.index(c) for c in out]))
    return _canonical(terms, out, shape)


def _sizes(ins: Sequence[str], out: str, args: Sequence[Node], sizes: dict[str, int]) -> dict[str, int]:
    if len(ins) != len(args):
        raise ShapeError(f"{len(ins)} index strings for {len(args)} arguments")
    known = dict(sizes)
    seen: set[str] = set()
    for text, arg in zip(ins, args, strict=True):
        if len(text) != len(arg.shape):
            raise ShapeError(f"index string `{text}` for a shape {list(arg.shape)}")
        for c, n in zip(text, arg.shape, strict=True):
            if known.setdefault(c, n) != n:
                raise ShapeError(f"sizes {known[c]} and {n} do not agree")
        seen.update(text)
    for text in (*ins, out):
        if len(set(text)) != len(text):
            raise ShapeError(f"index string `{text}` has a letter twice")
    for c in out:
        if c not in known:
            raise ShapeError(f"the size of the broadcast axis `{c}` is not given")
    return known


Terms = list[tuple[str, Node]]


def _absorb(terms: Terms, out: str) -> Terms:
    """Read through permuted and broadcast arguments, where no sum would lose its length by it."""
    changed = True
    while changed:
        changed = False
        for k, (text, arg) in enumerate(terms):
            if not (isinstance(arg, Contract) and is_layout(arg)):
                continue
            naming = dict(zip(arg.out, text, strict=True))
            inner = "".join(naming[c] for c in arg.ins[0])
            lost = set(text) - set(inner)
            others = set(out).union(*(t for j, (t, _) in enumerate(terms) if j != k))
            if lost <= others:
                terms[k] = (inner, arg.args[0])
                changed = True
    return terms


def _melt_deltas(terms: Terms, out: str) -> Terms:
    """Replace one index of a delta by the other, where the result still has no letter twice in a string."""
    k = 0
    while k < len(terms):
        text, arg = terms[k]
        if not isinstance(arg, Delta):
            k += 1
            continue
        others = [t for j, (t, _) in enumerate(terms) if j != k]
        for keep, drop in (text, text[::-1]):
            together = any(keep in t and drop in t for t in others)
            if drop not in out and not together and (keep in out or any(keep in t or drop in t for t in others)):
                terms = [(t.replace(drop, keep), a) for j, (t, a) in enumerate(terms) if j != k]
                k = 0
                break
        else:
            k += 1
    return terms


def _drop_ones(terms: Terms, out: str) -> Terms:
    return [(text, arg) for text, arg in terms if not (text == "" and uniform(arg) == 1.0)]
    # a Contract without arguments has no form; `fill` takes its place only where nothing is summed


def _canonical(terms: Terms, out: str, shape: Shape) -> Node:
    naming: dict[str, str] = {}
    for c in "".join(text for text, _ in terms) + out:
        if c not in naming:
            naming[c] = letters(1, len(naming))
    ins = tuple("".join(naming[c] for c in text) for text, _ in terms)
    return Contract(ins, "".join(naming[c] for c in out), tuple(arg for _, arg in terms), shape)


def transpose(a: Operand, axes: Sequence[int] | None = None) -> Node:
    """The axes reversed, or in the order `axes`; a vector or scalar is its own transpose."""
    node = lift(a)
    rank = len(node.shape)
    order = tuple(reversed(range(rank))) if axes is None else tuple(axes)
    if sorted(order) != list(range(rank)):
        raise ShapeError(f"axes {list(order)} are no permutation of those of {list(node.shape)}")
    text = letters(rank)
    return contracted((text,), "".join(text[k] for k in order), (node,), {})


def total(a: Operand) -> Node:
    """The sum of all scalars."""
    node = lift(a)
    return contracted((letters(len(node.shape)),), "", (node,), {})


def sum_axis(a: Operand, axis: int = -1) -> Node:
    """The sum along one axis, which vanishes."""
    node = lift(a)
    text = letters(len(node.shape))
    k = range(len(text))[axis]
    return contracted((text,), text[:k] + text[k + 1 :], (node,), {})


def outer(a: Operand, b: Operand) -> Node:
    """a[i] b[j], of shape a.shape + b.shape."""
    x, y = lift(a), lift(b)
    first, second = letters(len(x.shape)), letters(len(y.shape), len(x.shape))
    return contracted((first, second), first + second, (x, y), {})


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape; axes are aligned at the right, one may be missing or 1. Raises ShapeError."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[int] = []
    for k in range(rank, 0, -1):
        sizes = {s[-k] for s in shapes if len(s) >= k} - {1}
        if len(sizes) > 1:
            raise ShapeError("shapes " + " and ".join(str(list(s)) for s in shapes) + " do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def broadcast_axes(node: Node, kept: Sequence[int], shape: Sequence[int]) -> Node:
    """A node spread over `shape`; its axis j becomes axis `kept[j]`, all others are new."""
    out = letters(len(shape))
    sizes = dict(zip(out, shape, strict=True))
    return contracted(("".join(out[k] for k in kept),), out, (node,), sizes)


def as_array(value: Any) -> NDArray[np.float64]:
    """A float64 array with its own memory."""
    return np.array(value, dtype=np.float64)
