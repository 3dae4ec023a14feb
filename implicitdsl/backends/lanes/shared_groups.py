"""Derived functions with the shared members of their groups last, as `layout.Packing` lays them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from implicitdsl.ir.node import Leaf
from implicitdsl.problems.derived import Derived, Group, tangent_leaf


def arranged(functions: Iterable[Derived], shared: Collection[Leaf]) -> tuple[list[Derived], set[Leaf]]:
    """The functions, every flat group in the order of its packing: own members, then shared ones, then modes (a group
    of values and directions in one has that twice); and all leaves that are read as shared arrays, directions included.
    """
    common = {*shared, *(tangent_leaf(leaf) for leaf in shared)}
    return [_arranged(f, common) for f in functions], common


def _arranged(function: Derived, common: set[Leaf]) -> Derived:
    inputs = tuple(
        Group(g.name, tuple(g.members[k] for k in _order(g, common)), _sizes(g, common)) for g in function.inputs
    )
    return Derived(function.name, inputs, function.outputs, function.adds)


def _order(group: Group, common: set[Leaf]) -> list[int]:
    """The numbers of the members: own ones, shared ones, modes, what is kept; values before directions."""

    def key(k: int) -> tuple[bool, bool, bool, bool, int]:
        leaf = group.members[k]
        assert isinstance(leaf, Leaf)
        of_mode = leaf.kind == "mode" or (leaf.kind == "tangent" and leaf.name.startswith("mode."))
        is_tangent = leaf.kind == "tangent" and group.name.endswith("2")
        return (is_tangent, leaf.kind == "kept", of_mode, leaf in common, k)

    return sorted(range(len(group.members)), key=key)


def _sizes(group: Group, common: set[Leaf]) -> tuple[int, ...]:
    return tuple(group.sizes[k] for k in _order(group, common))


def bars_arranged(function: Derived, like: Derived) -> Derived:
    """The function with its gradients of arguments in the order that `arranged` gave the arguments of `like`."""
    before = {g.name: g.members for g in like.inputs}
    after = {g.name: g.members for g in function.inputs}
    outputs: list[Group] = []
    for g in function.outputs:
        name = g.name.removesuffix("_bar")
        order = (
            [k for k in map(before[name].index, after[name]) if k < len(g.members)]
            if name in after
            else list(range(len(g.members)))
        )
        outputs.append(Group(g.name, tuple(g.members[k] for k in order), tuple(g.sizes[k] for k in order)))
    return Derived(function.name, function.inputs, tuple(outputs), function.adds)
