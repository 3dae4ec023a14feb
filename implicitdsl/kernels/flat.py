"""Derived functions as calls on flat arrays: the calling convention of the solvers, in NumPy.

`flat_function(f)` gives a callable with one argument for each input group and then one for each output group. Groups
`t`
and `t_dot` are scalars, all others 1-D arrays; outputs are overwritten, or added to where the function says so, and a
structurally zero output is left alone (or zeroed).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

from implicitdsl.ir import evaluate
from implicitdsl.ir.node import Leaf
from implicitdsl.kernels.groups import CACHED_GROUPS, SCALAR_GROUPS
from implicitdsl.kernels.on_floats import write_on_floats
from implicitdsl.problems.derived import Derived, Group

KEPT = 1024
_made: dict[tuple[object, ...], FlatFunction] = {}


class FlatFunction(Protocol):
    """A derived function as a call on flat arrays; `source` is its text, `on_floats()` the same on memoryviews of
    float64."""

    source: str
    on_floats: Callable[[], Callable[..., None]]

    def __call__(self, *arrays: Any) -> None: ...


def flat_function(function: Derived) -> FlatFunction:
    """The callable of a derived function; its text is in the attribute `source`. Functions of the same nodes share
    one."""
    key = (function.name, _content(function.inputs), _content(function.outputs), function.adds)
    found = _made.get(key)
    if found is None:
        found = _make(function)
        if len(_made) >= KEPT:
            _made.pop(next(iter(_made)))
        _made[key] = found
    return found


def _content(groups: tuple[Group, ...]) -> tuple[object, ...]:
    return tuple((g.name, g.members, g.sizes) for g in groups)


def _make(function: Derived) -> FlatFunction:
    lines: list[str] = []
    inputs: list[Leaf] = []
    names: list[str] = []
    cached: list[str] = []
    for number, group in enumerate(function.inputs):
        unpacked = _unpack(group, number)
        names += [name for name, _ in unpacked]
        inputs += group.leaves
        code = [f"{name} = {text}" for name, text in unpacked]
        if group.name in CACHED_GROUPS and code:
            cached += [name for name, _ in unpacked]
            held = ", ".join(name for name, _ in unpacked)
            lines += [f"if {group.name} is not kept[0]:"]
            lines += [f"    {line}" for line in code]
            lines += [f"    kept[1] = ({held},)", f"    kept[0] = {group.name}"]
            lines += [f"{held}, = kept[1]"]
        else:
            lines += code
    core = evaluate.function(inputs, function.nodes, name=function.name)
    lines.append(f"r = core({', '.join(names)})")
    position = 0
    for group in function.outputs:
        start = 0
        for member, size in zip(group.members, group.sizes, strict=True):
            place = f"{group.name}[{start}]" if size == 1 else f"{group.name}[{start}:{start + size}]"
            if member is not None:
                value = f"r[{position}]" if member.shape == () else f"r[{position}].reshape(-1)"
                value = f"r[{position}].item()" if size == 1 else value
                lines.append(f"{place} {'+=' if function.adds else '='} {value}")
                position += 1
            elif not function.adds:
                lines.append(f"{place} = 0.0")
            start += size
    arguments = ", ".join(g.name for g in (*function.inputs, *function.outputs))
    body = "\n    ".join(lines) or "pass"
    source = f"def {function.name}({arguments}):\n    {body}\n"
    text = source
    if function.outputs:
        # Functions that a solver on floats calls by way of an engine.
        first, name = function.outputs[0].name, function.name
        turn = f"if type({first}) is memoryview: return {name}.on_floats()({arguments})"
        text = f"def {name}({arguments}):\n    {turn}\n    {body}\n"
    # `kept` holds the last flat p with its unpacked values: a solver passes one array many times and never writes into
    # it.
    namespace: dict[str, Any] = {"core": core, "kept": [None, ()]}
    exec(compile(text, f"<flat {function.name}>", "exec"), namespace)
    made: FlatFunction = namespace[function.name]
    made.source = f"{source}\n{core.source}"
    made.on_floats = functools.cache(lambda: _floats(function))
    return made


def _floats(function: Derived) -> Callable[..., None]:
    source, names = write_on_floats(function)
    exec(compile(source, f"<{function.name} on floats>", "exec"), names)
    return names["on_floats"]


def _unpack(group: Group, number: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    start = 0
    for index, leaf in enumerate(group.leaves):
        name, size = f"v{number}_{index}", leaf.size
        if group.name in SCALAR_GROUPS:
            found.append((name, group.name))
        elif leaf.shape == ():
            found.append((name, f"{group.name}[{start}]"))
        elif len(leaf.shape) == 1:
            found.append((name, f"{group.name}[{start}:{start + size}]"))
        else:
            found.append((name, f"{group.name}[{start}:{start + size}].reshape({leaf.shape})"))
        start += size
    return found
