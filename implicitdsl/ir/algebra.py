"""Products, reductions and linear algebra as nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from implicitdsl.ir.contraction import (
    Operand,
    ShapeError,
    contracted,
    delta,
    fill,
    letters,
    lift,
    sum_axis,
    total,
    transpose,
)
from implicitdsl.ir.elementwise import add, apply, mul, sub
from implicitdsl.ir.layout import concat, diagonal, diagonal_matrix, index, pick, reshape, window
from implicitdsl.ir.node import (
    Cholesky,
    Delta,
    Factor,
    FactorKind,
    Leaf,
    LogDet,
    Node,
    Reduce,
    ReduceKind,
    Shape,
    Solve,
)


def matmul(a: Operand, b: Operand) -> Node:
    """a @ b for vectors and matrices: matrix, vector, or scalar for two vectors. Raises ShapeError."""
    x, y = lift(a), lift(b)
    if not 1 <= len(x.shape) <= 2 or not 1 <= len(y.shape) <= 2:
        raise ShapeError(f"`@` takes vectors and matrices, not {list(x.shape)} and {list(y.shape)}")
    if x.shape[-1] != y.shape[0]:
        sizes = f"the inner sizes {x.shape[-1]} and {y.shape[0]} do not agree"
        raise ShapeError(f"{list(x.shape)} @ {list(y.shape)}: {sizes}")
    left, right = ("ij" if len(x.shape) == 2 else "j"), ("jk" if len(y.shape) == 2 else "j")
    return contracted((left, right), left.replace("j", "") + right.replace("j", ""), (x, y), {})


def dot(a: Operand, b: Operand) -> Node:
    """The sum of a * b over all scalars of two nodes of one shape."""
    x, y = lift(a), lift(b)
    if x.shape != y.shape:
        raise ShapeError(f"the dot product of shapes {list(x.shape)} and {list(y.shape)}")
    text = letters(len(x.shape))
    return contracted((text, text), "", (x, y), {})


def norm_sq(a: Operand) -> Node:
    """The sum of squares of all scalars."""
    return dot(a, a)


def trace(a: Operand) -> Node:
    """The sum of the diagonal of a square matrix."""
    return total(diagonal(a))


def diag(a: Operand) -> Node:
    """The matrix with a vector on its diagonal, or the diagonal of a square matrix."""
    node = lift(a)
    return diagonal_matrix(node) if len(node.shape) == 1 else diagonal(node)


def reduce(kind: ReduceKind, a: Operand) -> Node:
    """`max`, `min`, `prod`, `logsumexp` over the last axis, which vanishes, or `cumsum` along it, which stays. Raises
    ShapeError for a scalar, and for max and min over nothing."""
    node = lift(a)
    if not node.shape:
        raise ShapeError(f"{kind} over the last axis of a scalar")
    n = node.shape[-1]
    if n == 0:
        if kind in ("max", "min"):
            raise ShapeError(f"{kind} over nothing")
        empty = {"prod": 1.0, "logsumexp": -math.inf}.get(kind)
        return node if empty is None else fill(empty, node.shape[:-1])
    if n == 1:  # one scalar is its own reduction, whatever it is
        return node if kind == "cumsum" else reshape(node, node.shape[:-1])
    return Reduce(kind, node)


def cumsum(a: Operand) -> Node:
    """Running sums along the last axis."""
    return reduce("cumsum", a)


def product_tree(a: Operand) -> Node:
    """The product over the last axis as a balanced tree of elementwise products: the same number as `reduce("prod")` up
    to rounding, made of nodes whose derivatives of any order are right where factors are 0."""
    node = lift(a)
    while (n := node.shape[-1]) > 1:
        half = n // 2
        lead = [(0, m) for m in node.shape[:-1]]
        pairs = mul(pick(node, (*lead, (0, half))), pick(node, (*lead, (half, 2 * half))))
        if n % 2:
            head = pick(pairs, (*lead, (0, 1)))
            last = mul(head, pick(node, (*lead, (n - 1, n))))
            if half > 1:
                last = concat([last, pick(pairs, (*lead, (1, half)))], axis=len(lead))
            pairs = last
        node = pairs
    return reshape(node, node.shape[:-1])


def factors(shape: tuple[int, ...]) -> Leaf:
    """The leaf that stands for the factors of a product while it is differentiated."""
    return Leaf("input", "the factors of a product", shape)


def _square(node: Node, what: str) -> int:
    if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
        raise ShapeError(f"{what} needs a square matrix, not {list(node.shape)}")
    return node.shape[0]


def symmetrised(a: Operand) -> Node:
    """(A + A.T)/2: A itself, to the bit, where it is symmetric."""
    node = lift(a)
    if isinstance(node, Delta):
        return node
    return mul(0.5, add(node, transpose(node)))


def factor(kind: FactorKind, a: Operand) -> Factor:
    """A factorisation to share between solves and determinants; `cholesky` factors the symmetric part."""
    node = lift(a)
    _square(node, "a factorisation")
    return Factor(kind, symmetrised(node) if kind == "cholesky" else node)


def solve(a: Operand, b: Operand, *, transposed: bool = False) -> Node:
    """A^-1 b (or A^-T b) for a matrix or its Factor and b of shape (n,) or (n, k); NaN where A is singular."""
    node, right = lift(a), lift(b)
    shared = node if isinstance(node, Factor) else factor("lu", node)
    n = shared.shape[0]
    if not 1 <= len(right.shape) <= 2 or right.shape[0] != n:
        raise ShapeError(f"a system of size {n} with a right-hand side of shape {list(right.shape)}")
    if isinstance(shared.args[0], Delta):
        return right
    return Solve(shared, right, transposed=transposed)


def inv(a: Operand) -> Node:
    """The inverse of a square matrix."""
    node = lift(a)
    return solve(node, delta(_square(node, "inv")))


def log_det(a: Operand) -> Node:
    """log |det A| of a square matrix or its Factor."""
    return _determinant(lift(a), "logabs")


def det(a: Operand) -> Node:
    """det A of a square matrix or its Factor. Up to 3 by 3 it is the polynomial itself, whose derivatives hold for a
    singular matrix too; beyond, the derivatives go through the inverse and are NaN there."""
    node = lift(a)
    if not isinstance(node, Factor):
        n = _square(node, "det")
        if n <= 3:
            return _small_det(node, n)
    return _determinant(node, "det")


def _determinant(node: Node, what: str) -> Node:
    shared = node if isinstance(node, Factor) else factor("lu", node)
    if shared.shape[0] == 0 or isinstance(shared.args[0], Delta):
        return fill(0.0 if what == "logabs" else 1.0, ())
    return LogDet("logabs" if what == "logabs" else "det", shared)


def _small_det(node: Node, n: int) -> Node:
    if n == 0:
        return fill(1.0, ())
    a = [[index(node, (i, j)) for j in range(n)] for i in range(n)]
    if n == 1:
        return a[0][0]

    def minor(rows: tuple[int, int], columns: tuple[int, int]) -> Node:
        (i, k), (j, m) = rows, columns
        return sub(mul(a[i][j], a[k][m]), mul(a[i][m], a[k][j]))

    if n == 2:
        return minor((0, 1), (0, 1))
    first = mul(a[0][0], minor((1, 2), (1, 2)))
    second = mul(a[0][1], minor((1, 2), (0, 2)))
    third = mul(a[0][2], minor((1, 2), (0, 1)))
    return add(sub(first, second), third)


def cholesky(a: Operand) -> Node:
    """The lower triangular L with L L.T = (A + A.T)/2; NaN where that is not positive definite."""
    node = lift(a)
    _square(node, "cholesky")
    return node if isinstance(node, Delta) else Cholesky(symmetrised(node))


def logsumexp(a: Operand) -> Node:
    """log sum exp along the last axis, shifted by the largest."""
    return reduce("logsumexp", a)


def softmax(a: Operand) -> Node:
    """exp(x - logsumexp(x)) along the last axis."""
    node = lift(a)
    return apply("exp", sub(node, reshape(logsumexp(node), node.shape[:-1] + (1,))))


def mean(a: Operand) -> Node:
    """The mean of all scalars."""
    node = lift(a)
    return mul(total(node), 1.0 / node.size) if node.size else fill(math.nan, ())


def conv(a: Operand, w: Operand, *, stride: Sequence[int] | int = 1, padding: Sequence[int] | int = 0) -> Node:
    """Cross-correlation as torch's conv1d, conv2d, …: a is [c, *sizes], w is [m, c, *kernel], the result [m, *places].
    Raises ShapeError."""
    x, kernel = lift(a), lift(w)
    rank = len(x.shape) - 1
    if rank < 1 or len(kernel.shape) != rank + 2 or kernel.shape[1] != x.shape[0]:
        raise ShapeError(f"a convolution of {list(x.shape)} with {list(kernel.shape)}")
    steps = [stride] * rank if isinstance(stride, int) else list(stride)
    pads = [padding] * rank if isinstance(padding, int) else list(padding)
    if len(steps) != rank or len(pads) != rank or min(steps) < 1 or min(pads) < 0:
        raise ShapeError(f"stride {steps} and padding {pads} for {rank} axes")
    extents = kernel.shape[2:]
    places = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[1:], pads, extents, steps, strict=True))
    if min(places) < 1:
        raise ShapeError(f"a kernel {list(extents)} is larger than its padded input {list(x.shape[1:])}")
    unit = [tuple(int(i == j) for i in range(rank + 1)) for j in range(rank + 1)]
    moves = [tuple(steps[j - 1] * int(i == j) for i in range(rank + 1)) for j in range(1, rank + 1)]
    shape = cast(Shape, (x.shape[0], *places, *extents))
    seen = window(x, [unit[0], *moves, *unit[1:]], [0, *(-p for p in pads)], shape)
    c, m, where, inside = "a", "b", letters(rank, 2), letters(rank, 2 + rank)
    return contracted((m + c + inside, c + where + inside), m + where, (kernel, seen), {})


def max_over(a: Operand) -> Node:
    """The largest of all scalars; ties share the derivative."""
    node = lift(a)
    return reduce("max", reshape(node, (node.size,)))


def min_over(a: Operand) -> Node:
    """The smallest of all scalars; ties share the derivative."""
    node = lift(a)
    return reduce("min", reshape(node, (node.size,)))


def prod_over(a: Operand) -> Node:
    """The product of all scalars."""
    node = lift(a)
    return reduce("prod", reshape(node, (node.size,)))


__all__ = [
    "cholesky", "conv", "cumsum", "det", "diag", "dot", "factor", "inv", "log_det", "logsumexp", "matmul", "max_over",
    "mean", "min_over", "norm_sq", "prod_over", "product_tree", "reduce", "softmax", "solve", "sum_axis", "symmetrised",
    "trace",
]  # fmt: skip
