"""Calls of used layers: the shapes of the arguments bind the layer's own names of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from implicitdsl.diagnostics import Label
from implicitdsl.semantics.sizes import Shape, Size, show
from implicitdsl.semantics.symbols import CheckedDefinition, Symbol
from implicitdsl.semantics.values import OUTSIDE
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.infer import Inference


def layer_outputs(
    inference: Inference, symbol: Symbol, node: tree.Call, shapes: Sequence[Shape | None]
) -> tuple[Shape | None, ...] | None:
    """The shapes that a layer gives for arguments of these shapes; None after an error."""
    site = inference.block.uses.get(symbol.name)
    if site is None:
        return None
    layer = site.layer
    inputs = layer.tree.inputs
    name = f"`{symbol.name}`"
    if len(shapes) != len(inputs):
        form = ", ".join(i.name for i in inputs)
        inference.report.add(
            "E208",
            f"{name} takes {len(inputs)} {'input' if len(inputs) == 1 else 'inputs'}, {len(shapes)} given",
            node.span,
            help=f"its form: `{symbol.name}({form})`",
        )
        return None
    bound: dict[str, Size] = dict(site.sizes)
    bound |= {n: Size.named(f"{symbol.name}.{n}") for n in layer.sizes if n not in bound}
    wanted = [layer.symbols[i.name].shape if i.name in layer.symbols else None for i in inputs]
    pairs = list(zip(inputs, shapes, wanted, strict=True))
    for _, shape, want in pairs:
        if shape is not None and want is not None and len(shape) == len(want):
            for given, axis in zip(shape, want, strict=True):
                free = _alone(axis, layer)
                if free is not None:
                    bound.setdefault(free, given)
    for (item, shape, want), argument in zip(pairs, node.arguments, strict=True):
        if shape is None or want is None:
            continue
        if item.path and not _is_path(inference, argument):
            if len(shape) != 2 or shape[1:] != tuple(s.put(bound) for s in want):
                inference.disagree(
                    node,
                    f"{name} takes a path: knots along the first axis, channels along the second",
                    f"it is {show(shape)}",
                    (),
                    OUTSIDE,
                )
                return None
            continue
        expected = tuple(s.put(bound) for s in want)
        if expected != shape:
            labels = (Label(site.statement.span, f"{symbol.name} is {layer.name}{_sizes(layer, bound)}"),)
            inference.disagree(
                node,
                f"`{item.name}` of {name} is {show(expected)}, `{argument.span.text}` is {show(shape)}",
                "",
                labels,
                OUTSIDE,
            )
            return None
    missing = [n for n in layer.call_sizes if n not in bound]  # where an argument's shape is unknown after an error
    return tuple(
        None if o is None or any(n in s.names for n in missing for s in o) else tuple(s.put(bound) for s in o)
        for o in layer.outputs
    )


def _alone(axis: Size, layer: CheckedDefinition) -> str | None:
    return next((n for n in layer.call_sizes if axis == Size.named(n)), None)


def _is_path(inference: Inference, argument: tree.Node) -> bool:
    symbol = inference.block.symbols.get(argument.id) if isinstance(argument, tree.Name) else None
    return symbol is not None and symbol.role == "path"


def _sizes(layer: CheckedDefinition, bound: dict[str, Size]) -> str:
    shown = ", ".join(f"{n} = {bound[n]}" for n in layer.sizes if n in bound)
    return f"[{shown}]" if shown else ""
