"""Constructors of the IR, in one place: `from implicitdsl.ir import build`.

Every constructor checks shapes (ShapeError), takes numbers where a node may stand, and folds only what holds for every
float: constants, 1*a, a+0, and moves of values that compute nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir.algebra import (
    cholesky,
    conv,
    cumsum,
    det,
    diag,
    dot,
    factor,
    inv,
    log_det,
    logsumexp,
    matmul,
    max_over,
    mean,
    min_over,
    norm_sq,
    prod_over,
    product_tree,
    reduce,
    softmax,
    solve,
    symmetrised,
    trace,
)
from implicitdsl.ir.contraction import (
    Operand,
    ShapeError,
    broadcast_shapes,
    constant,
    contract,
    delta,
    fill,
    lift,
    ones,
    outer,
    sum_axis,
    total,
    transpose,
    uniform,
    zeros,
)
from implicitdsl.ir.elementwise import add, apply, div, mapped, mul, neg, power, select, sub
from implicitdsl.ir.layout import (
    broadcast,
    concat,
    diagonal,
    diagonal_matrix,
    flip,
    index,
    pick,
    place,
    reshape,
    scatter,
    stack,
    sum_of,
    window,
)
from implicitdsl.ir.node import Leaf, LeafKind


def leaf(kind: LeafKind, name: str, shape: Sequence[int] = ()) -> Leaf:
    """A value from outside; two of one kind, name and shape are one."""
    if any(n < 0 for n in shape):
        raise ShapeError(f"`{name}` has a shape {list(shape)}")
    return Leaf(kind, name, shape)


__all__ = [
    "Operand", "ShapeError", "add", "apply", "broadcast", "broadcast_shapes", "cholesky", "concat", "constant",
    "contract", "conv", "cumsum", "delta", "det", "diag", "diagonal", "diagonal_matrix", "div", "dot", "factor",
    "fill", "flip", "index", "inv", "leaf", "lift", "log_det", "logsumexp", "mapped", "matmul", "max_over", "mean",
    "min_over", "mul", "neg", "norm_sq", "ones", "outer", "pick", "place", "power", "prod_over", "product_tree",
    "reduce", "reshape", "scatter", "select", "softmax", "solve", "stack", "sub", "sum_axis", "sum_of",
    "symmetrised", "total", "trace", "transpose", "uniform", "window", "zeros",
]  # fmt: skip
