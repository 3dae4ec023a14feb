"""Positive semidefinite by structure: what the sets of the data and the shape of an expression say of a matrix.

Sums and nonnegative multiples of such matrices, A'A, A'MA, diagonals of nonnegative vectors; constants by eigenvalues.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.record import Sign, is_nonneg
from implicitdsl.ir.node import Constant, Contract, Delta, Leaf, Map, Node, Scatter
from implicitdsl.problems.signature import MemberSet

Sets = Mapping[Leaf, MemberSet]


def set_sign(set_: MemberSet | None) -> Sign:
    """The sign of every element of a set."""
    match set_:
        case MemberSet(name="positive" | "nonneg" | "simplex"):
            return "nonneg"
        case MemberSet(name="interval", args=(low, high)):
            return "nonneg" if low >= 0 else "nonpos" if high <= 0 else "unknown"
        case _:
            return "unknown"


def is_psd(node: Node, sets: Sets) -> bool:
    """Whether a square matrix of the data is positive semidefinite for all data in their sets."""
    match node:
        case Leaf():
            return node in sets and sets[node].name in ("psd", "spd")
        case Delta():
            return len(node.shape) == 2
        case Constant():
            value = node.value
            square = value.ndim == 2 and value.shape[0] == value.shape[1]
            return square and bool(
                np.linalg.eigvalsh((value + value.T) / 2)[0] >= -1e-12 * np.abs(value).max(initial=0)
            )
        case Contract(ins=(ab,), out=out) if len(ab) == 2 and out == ab[::-1]:
            return is_psd(node.args[0], sets)
        case Contract(ins=(_, _), out=out, args=(left, right)) if len(out) == 2:
            return _is_gram(node) or _is_congruence(node, left, right, sets)
        case Scatter() if len(node.shape) == 2 and len(node.args[0].shape) == 1:
            # Strides (1, 1) from (0, 0): the vector runs down the diagonal.
            on_diagonal = node.strides == ((1,), (1,)) and not any(node.offset)
            return on_diagonal and is_nonnegative(node.args[0], sets)
        case Map():
            return _sum_is_psd(node, node.expr, sets)
        case _:
            return False


def is_nonnegative(node: Node, sets: Sets) -> bool:
    """Whether every element of an expression of the data is >= 0, by the simplest rules."""
    match node:
        case Leaf():
            return is_nonneg(set_sign(sets.get(node)))
        case Constant():
            return bool((node.value >= 0).all())
        case Map(expr=Apply(function="pow", args=(Arg(), Const(value=p)))):
            return p.is_integer() and int(p) % 2 == 0
        case Map(expr=Apply(function="exp" | "abs" | "softplus" | "sigmoid")):
            return True
        case Map(expr=Apply(function="mul" | "div" | "add", args=(Arg(index=a), Arg(index=b))), args=args):
            return is_nonnegative(args[a], sets) and is_nonnegative(args[b], sets)
        case Map(expr=Apply(function="mul", args=(Const(value=c), Arg()))) if c >= 0:
            return is_nonnegative(node.args[0], sets)
        case Map(expr=Apply(function="mul" | "div", args=(Arg(), Const(value=c)))) if c >= 0:
            return is_nonnegative(node.args[0], sets)
        case _:
            return False


def _is_gram(node: Contract) -> bool:
    """A'A or A A'."""
    (a, b), out = node.ins, node.out
    if node.args[0] is not node.args[1] or len(a) != 2 or len(b) != 2:
        return False
    return any(a[s] == b[s] and {a[1 - s], b[1 - s]} == set(out) and a[1 - s] != b[1 - s] for s in (0, 1))


def _is_congruence(node: Contract, left: Node, right: Node, sets: Sets) -> bool:
    """A'MA for M positive semidefinite, the two products nested either way."""
    for outer, inner, p, q in ((left, right, 0, 1), (right, left, 1, 0)):
        if not isinstance(inner, Contract) or len(inner.args) != 2 or len(node.ins[p]) != 2 or len(node.ins[q]) != 2:
            continue
        for place in (0, 1):
            matrix = inner.args[1 - place]
            if inner.args[place] is not outer or not is_psd(matrix, sets):
                continue
            a, m = inner.ins[place], inner.ins[1 - place]
            shared = set(a) & set(m)
            if len(a) != 2 or len(shared) != 1 or set(inner.out) != set(a) ^ set(m):
                continue
            inside = a.index(shared.pop())
            free = next(letter for letter in m if letter not in a)
            joint = node.ins[q][inner.out.index(free)]
            kept = node.ins[q][1 - inner.out.index(free)]
            if node.ins[p][inside] == joint and {node.ins[p][1 - inside], kept} == set(node.out):
                return True
    return False


def _scalar(node: Node) -> Node | None:
    """The one number that an array holds in every place, or None."""
    match node:
        case Contract(ins=("",), args=(inner,)):
            return inner
        case _:
            return node if node.shape == () else None


def _sum_is_psd(node: Map, expr: Expr, sets: Sets) -> bool:
    """Inside one Map: sums of matrices, and multiples by what is >= 0 and no matrix."""

    def factor(part: Expr) -> bool:
        match part:
            case Const(value=value):
                return value >= 0
            case Arg(index=index):
                scalar = _scalar(node.args[index])
                return scalar is not None and is_nonnegative(scalar, sets)
            case Apply(function="mul" | "div" | "add", args=(a, b)):
                return factor(a) and factor(b)
            case _:
                return False

    match expr:
        case Arg(index=index):
            return node.args[index].shape == node.shape and is_psd(node.args[index], sets)
        case Apply(function="add", args=(a, b)):
            return _sum_is_psd(node, a, sets) and _sum_is_psd(node, b, sets)
        case Apply(function="mul", args=(a, b)):
            return (factor(a) and _sum_is_psd(node, b, sets)) or (factor(b) and _sum_is_psd(node, a, sets))
        case Apply(function="div", args=(a, b)):
            return factor(b) and _sum_is_psd(node, a, sets)
        case _:
            return False
