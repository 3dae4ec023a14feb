"""Functions of whole tensors as IR. Arguments are nodes; shapes that do not fit raise SizeMismatch.

What is one node of the IR, or a fixed product of such, is in `ir/build.py`; here are the functions as the language has
them: their axes, their conventions where a derivative does not exist, and their names.
"""

from __future__ import annotations

import math

from implicitdsl.functions import shapes
from implicitdsl.functions.shapes import SizeMismatch
from implicitdsl.ir import build, derive
from implicitdsl.ir.node import Node


def norm(x: Node) -> Node:
    """The Euclidean norm of all scalars; its derivatives at 0 are 0."""
    return build.apply("norm_root", build.norm_sq(x))


def largest(*nodes: Node) -> Node:
    """The largest scalar of one tensor, or the larger of two, elementwise."""
    if len(nodes) == 1:
        _not_empty("max", nodes[0])
        return build.max_over(nodes[0])
    return build.apply("maximum", *nodes)


def smallest(*nodes: Node) -> Node:
    """The smallest scalar of one tensor, or the smaller of two, elementwise."""
    if len(nodes) == 1:
        _not_empty("min", nodes[0])
        return build.min_over(nodes[0])
    return build.apply("minimum", *nodes)


def _not_empty(name: str, x: Node) -> None:
    if x.size == 0:
        raise SizeMismatch(f"{name} of nothing: the argument is {shapes.show(x.shape)}")


def dot(a: Node, b: Node) -> Node:
    """The scalar product of two vectors."""
    shapes.dot(a.shape, b.shape)
    return build.dot(a, b)


def outer(a: Node, b: Node) -> Node:
    """The matrix a[i]*b[j] of two vectors."""
    shapes.outer(a.shape, b.shape)
    return build.outer(a, b)


def heaviside(x: Node, at_zero: Node | float = 0.0) -> Node:
    """The unit step; without a second argument 0 at 0, as the derivative of relu is."""
    return build.apply("heaviside", x, at_zero)


def softmax(x: Node) -> Node:
    """exp(x)/sum(exp(x)) along the last axis."""
    shapes.last_axis_kept(x.shape)
    return build.softmax(x)


def logdet(a: Node) -> Node:
    """The logarithm of the determinant; NaN where that is negative, as in torch."""
    shared = build.factor("lu", a)
    return build.select(build.apply("lt", build.det(shared), 0.0), math.nan, build.log_det(shared))


def solve(a: Node, b: Node) -> Node:
    """The x with a @ x = b."""
    shapes.solve(a.shape, b.shape)
    return build.solve(a, b)


def convolve1(x: Node, kernel: Node, *, stride: int = 1, padding: int = 0) -> Node:
    """x [c, n] with kernel [out, c, k], as torch's conv1d."""
    shapes.convolution(1, x.shape, kernel.shape, stride=stride, padding=padding)
    return build.conv(x, kernel, stride=stride, padding=padding)


def convolve2(x: Node, kernel: Node, *, stride: int = 1, padding: int = 0) -> Node:
    """x [c, n, m] with kernel [out, c, k, l], as torch's conv2d."""
    shapes.convolution(2, x.shape, kernel.shape, stride=stride, padding=padding)
    return build.conv(x, kernel, stride=stride, padding=padding)


def concat(*parts: Node) -> Node:
    """The parts along the first axis; a scalar counts as one entry."""
    shapes.concat(*(p.shape for p in parts))
    return build.concat([p if p.shape else build.reshape(p, (1,)) for p in parts])


def stack(*parts: Node) -> Node:
    """The parts, of one shape, under a new first axis."""
    shapes.stack(*(p.shape for p in parts))
    return build.stack(parts)


def eye(n: int) -> Node:
    """The identity matrix."""
    return build.delta(n)


def zeros(*sizes: int) -> Node:
    """Zeros of the shape told."""
    return build.zeros(sizes)


def ones(*sizes: int) -> Node:
    """Ones of the shape told."""
    return build.ones(sizes)


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """The same scalars, row by row, under another shape."""
    shapes.reshape(x.shape, shape)
    return build.reshape(x, shape)


def gradient(value: Node, by: Node) -> Node:
    """The gradient of a scalar by a node it is made of; zeros where it does not depend on it."""
    shapes.gradient(value.shape, by.shape)
    found = derive.pullback((value,), (build.constant(1.0),), (by,))[0]
    return build.zeros(by.shape) if found is None else found


def divergence(field: Node, by: Node) -> Node:
    """The sum of d field[i]/d by[i]."""
    shapes.divergence(field.shape, by.shape)
    n = field.size
    return build.trace(build.reshape(derive.jacobian(field, by), (n, n)))


def estimated_divergence(field: Node, by: Node, probes: Node) -> Node:
    """The mean of eᵀ (d field/d by) e over the rows e of `probes` [k, *by.shape], whose entries are random signs: its
    expectation is the divergence (M. F. Hutchinson, Commun. Stat. Simul. 19 (1990) 433–450)."""
    shapes.divergence(field.shape, by.shape, probes=probes.shape[0])
    count = probes.shape[0]
    rows = derive.pullback((field,), (probes,), (by,), extra=count)[0]
    if rows is None:
        return build.constant(0.0)
    return build.mul(build.dot(build.reshape(rows, (rows.size,)), build.reshape(probes, (rows.size,))), 1.0 / count)


def jacobian(value: Node, by: Node) -> Node:
    """All derivatives, of shape value.shape + by.shape."""
    return derive.jacobian(value, by)
