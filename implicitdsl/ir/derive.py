"""Derivatives of graphs as graphs: pullback, pushforward, Jacobian, Hessian product; and substitution.

What comes back is made of the same nodes, so it is differentiated, printed and compiled like anything else. All
sweeps are loops over a topological order (Griewank & Walther, Evaluating Derivatives, 2nd ed., chapters 3 and 6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from implicitdsl.ir.contraction import Operand, ShapeError, lift, zeros
from implicitdsl.ir.cotangents import reverse
from implicitdsl.ir.jacobian import jacobian
from implicitdsl.ir.layout import broadcast
from implicitdsl.ir.node import Node
from implicitdsl.ir.rebuild import rebuilt
from implicitdsl.ir.tangents import forward


def pullback(
    outputs: Sequence[Node], cotangents: Sequence[Operand | None], wrt: Sequence[Node], extra: int | None = None
) -> tuple[Node | None, ...]:
    """The vector–Jacobian product: for each node of `wrt` the sum over outputs of (d output/d node) transposed
    times its cotangent, None where that is structurally zero. Each node of `wrt` gets its total derivative, also
    where it depends on another. Cotangents have the shapes of their outputs (a leading axis `extra` before them),
    None stands for 0. Raises ShapeError."""
    lead = () if extra is None else (extra,)
    seeds = [None if g is None else _fitting(g, lead + o.shape) for o, g in zip(outputs, cotangents, strict=True)]
    return reverse(outputs, seeds, wrt, lead)


def pushforward(
    outputs: Sequence[Node], tangents: Mapping[Node, Operand | None], extra: int | None = None
) -> tuple[Node | None, ...]:
    """The Jacobian–vector product: the tangent of each output where the nodes of `tangents` move as told, None
    where it is structurally zero. With `extra=k` every tangent, given or returned, has a leading axis of size k.
    Raises ShapeError."""
    lead = () if extra is None else (extra,)
    given = {node: _fitting(t, lead + node.shape) for node, t in tangents.items() if t is not None}
    return forward(outputs, given, lead)


def _fitting(value: Operand, shape: tuple[int, ...]) -> Node:
    node = lift(value)
    if isinstance(value, Node) and node.shape != shape:
        raise ShapeError(f"a tangent or cotangent of shape {list(node.shape)} where {list(shape)} is wanted")
    return broadcast(node, shape)


def hessian_product(output: Node, wrt: Node, direction: Operand) -> Node:
    """The Hessian of a scalar times a direction of the shape of `wrt`, forward over reverse. Raises ShapeError."""
    if output.shape != ():
        raise ShapeError(f"the Hessian of a shape {list(output.shape)}")
    gradient = pullback((output,), (1.0,), (wrt,))[0]
    found = None if gradient is None else pushforward((gradient,), {wrt: direction})[0]
    return zeros(wrt.shape) if found is None else found


def substitute(outputs: Sequence[Node], replacements: Mapping[Node, Operand]) -> tuple[Node, ...]:
    """The outputs with nodes replaced by others of the same shape; what comes in is not looked into. Raises
    ShapeError."""
    chosen = {node: lift(new) for node, new in replacements.items()}
    for node, new in chosen.items():
        if node.shape != new.shape:
            raise ShapeError(f"a shape {list(new.shape)} in place of {list(node.shape)}")
    return rebuilt(outputs, lambda node: chosen.get(node))


__all__ = ["hessian_product", "jacobian", "pullback", "pushforward", "substitute"]
