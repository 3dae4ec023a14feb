"""Derived functions: what a solver may call, as IR with named groups of inputs and outputs.

A group is flat at run time: its members one after the other, each in row-major order.

The tangent of a problem is a problem of the same kind: unknowns (z, ż), arguments (p, ṗ), outputs (o, ȯ), because
differentiating 0 = F(z, p), dz/dt = f(t, z, p) or o = g(z, p) along (ż, ṗ) gives a condition of the same form. So
second
derivatives need no second set of solvers: the pullback of the tangent problem with cotangent (0, g) is the pullback's
pullback (forward over reverse; Griewank & Walther, Evaluating Derivatives, 2nd ed., section 5.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from implicitdsl.ir import build, derive
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.simplify import simplify


@dataclass(frozen=True, eq=False)
class Group:
    """A flat vector made of leaves (of an input) or nodes (of an output; None is structurally zero)."""

    name: str
    members: tuple[Node | None, ...]
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The members that are not structurally zero."""
        return tuple(m for m in self.members if m is not None)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The members of an input group."""
        return tuple(m for m in self.members if isinstance(m, Leaf))


@dataclass(frozen=True, eq=False)
class Derived:
    """One function that a back end emits. `adds`: its outputs are added to, not overwritten."""

    name: str
    inputs: tuple[Group, ...]
    outputs: tuple[Group, ...]
    adds: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(m for g in self.outputs for m in g.nodes)


def group(name: str, members: Iterable[Node]) -> Group:
    """A group of nodes that are all there."""
    kept = tuple(members)
    return Group(name, kept, tuple(m.size for m in kept))


def tangent_leaf(leaf: Leaf) -> Leaf:
    """The leaf that stands for the tangent of a leaf."""
    return Leaf("tangent", f"{leaf.kind}.{leaf.name}", leaf.shape)


def tangent(function: Derived, along: Sequence[str]) -> Derived:
    """The directional derivative of a derived function along the input groups named: inputs are the function's, then a
    group `NAME_dot` for each; outputs are the tangents of its outputs, groups of the same names."""
    chosen = [g for g in function.inputs if g.name in along]
    given: dict[Node, Leaf] = {leaf: tangent_leaf(leaf) for g in chosen for leaf in g.leaves}
    dots = tuple(group(f"{g.name}_dot", (given[leaf] for leaf in g.leaves)) for g in chosen)
    outputs: list[Group] = []
    for g in function.outputs:
        found = derive.pushforward(g.nodes, dict(given))
        outputs.append(
            group(g.name, (build.zeros(n.shape) if d is None else d for n, d in zip(g.nodes, found, strict=True)))
        )
    return Derived(f"{function.name}_jvp", (*function.inputs, *dots), tuple(outputs))


def transpose(function: Derived, wrt: Sequence[str]) -> Derived:
    """The vector–Jacobian product of a derived function: inputs are the function's, then a group `NAME_cot` of
    cotangents
    for each output group; outputs are the groups `NAME_bar` of those named, and are added to."""
    bars: list[Group] = []
    for g in function.outputs:
        bars.append(
            group(f"{g.name}_cot", (Leaf("cotangent", f"{g.name}.{i}", n.shape) for i, n in enumerate(g.nodes)))
        )
    chosen = [g for g in function.inputs if g.name in wrt]
    leaves = [leaf for g in chosen for leaf in g.leaves]
    cotangents = [leaf for g in bars for leaf in g.leaves]
    found = iter(derive.pullback(function.nodes, cotangents, leaves))
    outputs = tuple(Group(f"{g.name}_bar", tuple(next(found) for _ in g.leaves), g.sizes) for g in chosen)
    return Derived(f"{function.name}_vjp", (*function.inputs, *bars), outputs, adds=True)


def simplified(function: Derived) -> Derived:
    """The same function with chains of elementwise operations made one."""
    nodes = iter(simplify(function.nodes))
    outputs = tuple(
        Group(g.name, tuple(None if m is None else next(nodes) for m in g.members), g.sizes) for g in function.outputs
    )
    return Derived(function.name, function.inputs, outputs, function.adds)
