"""Derived functions on Python's floats: groups of float64 as memoryviews, `t` as a float.

The values, bit for bit, of `flat_function` on arrays, without what a call of it costs on a handful of numbers: an
element of a memoryview is a float, and what a graph makes of floats by sums and products alone is made on floats.
Where there is more than that to a graph (a division by 0 raises on floats, an exponential is NumPy's) they are NumPy's
scalars, and vectors are arrays that share the memory.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from implicitdsl.ir import evaluate
from implicitdsl.ir.node import Leaf, Map, Node
from implicitdsl.kernels.groups import CACHED_GROUPS, SCALAR_GROUPS
from implicitdsl.problems.derived import Derived, Group

FLOAT64 = np.dtype(np.float64)
PLAIN = re.compile(r"\w+ = (?!.*(\w\(|\*\*))[\w .*+()-]*")
"""A statement of sums, differences and products: no call, no power."""


def write_on_floats(function: Derived) -> tuple[str, dict[str, Any]]:
    """The text of the function on memoryviews, of the name `on_floats`, and what it refers to."""
    leaves = [leaf for group in function.inputs for leaf in group.leaves]
    names = [f"x{i}_{j}" for i, group in enumerate(function.inputs) for j, _ in enumerate(group.leaves)]
    text = evaluate.text(leaves, names, function.nodes, function.name)
    plain = all(PLAIN.fullmatch(line) for line in text.lines if not line.startswith("del "))
    plain = plain and all(leaf.shape == () for leaf in text.used)
    named = dict(zip(leaves, names, strict=True))
    lines: list[str] = []
    for group in function.inputs:
        lines += _unpacked(group, {leaf: named[leaf] for leaf in group.leaves if leaf in text.used}, plain=plain)
    lines += text.lines
    results = iter(text.outputs)
    for group in function.outputs:
        lines += _packed(group, results, adds=function.adds)
    arguments = ", ".join(g.name for g in (*function.inputs, *function.outputs))
    body = "\n    ".join(lines) or "pass"
    source = f"def on_floats({arguments}):\n    {body}\n"
    # `kept` holds the last flat p with its unpacked values, as in `flat_function`.
    names_of = evaluate.scope(text.namespace, FLOAT64)
    return source, names_of | {"real": np.float64, "asarray": np.asarray, "kept": [None, ()]}


def _unpacked(group: Group, named: dict[Leaf, str], *, plain: bool) -> list[str]:
    lines: list[str] = []
    start = 0
    for leaf in group.leaves:
        end = start + leaf.size
        if leaf in named:
            place = group.name if group.name in SCALAR_GROUPS else f"{group.name}[{start}]"
            if leaf.shape == ():
                value = place if plain else f"real({place})"
            else:
                value = f"asarray({group.name}[{start}:{end}])"
                value += f".reshape({leaf.shape})" if len(leaf.shape) > 1 else ""
            lines.append(f"{named[leaf]} = {value}")
        start = end
    if group.name not in CACHED_GROUPS or not lines:
        return lines
    held = ", ".join(name for leaf, name in named.items())
    inner = [f"    {line}" for line in lines]
    return [
        f"if {group.name} is not kept[0]:", *inner, f"    kept[1] = ({held},)", f"    kept[0] = {group.name}",
        f"{held}, = kept[1]",
    ]  # fmt: skip


def _packed(group: Group, results: Any, *, adds: bool) -> list[str]:
    lines: list[str] = []
    start = 0
    for member, size in zip(group.members, group.sizes, strict=True):
        end = start + size
        if member is None:
            if size and not adds:
                place = f"{group.name}[{start}]"
                lines.append(f"{place} = 0.0" if size == 1 else f"asarray({place[:-1]}:{end}]).fill(0.0)")
        else:
            value = next(results)
            if size == 1:
                value = value if member.shape == () else f"{value}.item()"
                lines.append(f"{group.name}[{start}] {'+=' if adds else '='} {value}")
            elif size:
                lines += _stored(f"{group.name}[{start}:{end}]", value, member, adds=adds)
        start = end
    return lines


def _stored(place: str, value: str, member: Node, *, adds: bool) -> list[str]:
    value = value if len(member.shape) == 1 else f"{value}.reshape(-1)"
    if adds:
        return [f"part = asarray({place})", f"part += {value}"]
    # What is no result of arithmetic may be a view of an input.
    return [f"asarray({place})[:] = {value}" if isinstance(member, Map) else f"asarray({place})[:] = {value}.copy()"]
