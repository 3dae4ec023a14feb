"""The signature of a definition: its sizes, the shapes of its inputs and outputs, and which sizes a call binds."""

from __future__ import annotations

from implicitdsl.diagnostics import Label
from implicitdsl.functions.table import FUNCTIONS
from implicitdsl.semantics import budget
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.names import OPTIONS, did_you_mean
from implicitdsl.semantics.scope import Block
from implicitdsl.semantics.sets import check_set
from implicitdsl.semantics.sizes import Shape, Size
from implicitdsl.semantics.symbols import Symbol
from implicitdsl.syntax import tree


def read_signature(inference: Inference) -> None:
    """Enter the sizes and inputs of the definition into its block."""
    block = inference.block
    for size in block.definition.sizes:
        _size(block, size)
    _call_sizes(block)
    if block.timed:
        block.symbols["t"] = Symbol("t", "time", ())
        block.symbols["dt"] = Symbol("dt", "differential", (), of="t")
    for item in block.definition.inputs:
        shape = read_shape(block, item.shape, f"the input `{item.name}`", item)
        role = "path" if item.path else "input"
        if item.path and len(item.shape) != 1:
            block.report.add(
                "E302",
                f"the path `{item.name}` has {len(item.shape)} axes",
                item.span,
                remark="a path has one: its channels",
                help=f"path {item.name}[c]",
            )
            shape = None
        if item.by is not None and item.by not in ("linear", "rectilinear", "hermite", "cubic"):
            known = ("linear", "rectilinear", "hermite", "cubic")
            help_ = did_you_mean(item.by, known) or f"one of {', '.join(known)}"
            block.report.add("E213", f"unknown interpolation `{item.by}`", item.span, help=help_)
        block.declare(Symbol(item.name, role, shape, item.span), where=item.span)
        if item.set is not None:
            check_set(inference, item.set, item.name, shape, frozenset({"size"}))


def read_outputs(block: Block) -> tuple[Shape | None, ...]:
    """The declared shapes of the outputs, the axis of the times included."""
    seen: dict[str, tree.Output] = {}
    for output in block.definition.outputs:
        if output.name is not None:
            if output.name in seen:
                where = Label(seen[output.name].span, "first here")
                block.report.add("E202", f"the output `{output.name}` is defined twice", output.span, labels=(where,))
            seen[output.name] = output
    return tuple(
        read_shape(block, o.shape, f"the output `{o.name}`" if o.name else "the output", o)
        for o in block.definition.outputs
    )


def _size(block: Block, size: tree.SizeName) -> None:
    if size.name in OPTIONS:
        block.report.add(
            "E204",
            f"a size cannot be named `{size.name}`",
            size.span,
            remark=f"`{block.definition.name}({size.name}=…)` is an option of every layer",
            help="give it another name",
        )
    if size.default is not None:
        default = block.size(size.default)
        if default is not None and default.constant is not None:
            if default.constant < 0:
                block.report.add(
                    "E304", f"the size `{size.name}` is {default}", size.span, remark="a size is 0 or more"
                )
            elif default.constant > budget.SCALARS:
                remark = f"{default} is beyond the budget of {budget.SCALARS}"
                block.report.add("E305", f"the size `{size.name}` is too large", size.span, remark=remark)
    if block.timed and size.name in ("t", "dt"):
        block.report.add("E204", f"`{size.name}` is the time here", size.span, help="give the size another name")
        return
    block.declare(Symbol(size.name, "size", (), size.span), where=size.span)


def _call_sizes(block: Block) -> None:
    """Names that stand alone in an input's shape and are no sizes are bound by the call."""
    inputs = {item.name for item in block.definition.inputs}
    for item in block.definition.inputs:
        for axis in item.shape:
            if isinstance(axis, tree.Name) and axis.id not in block.symbols and axis.id not in inputs:
                if block.timed and axis.id in ("t", "dt"):
                    block.report.add(
                        "E204", f"`{axis.id}` is the time here", axis.span, help="give the size another name"
                    )
                    continue
                if axis.id in FUNCTIONS:
                    block.warn_of_shadow(axis.id, axis.span)
                block.symbols[axis.id] = Symbol(axis.id, "call size", (), item.span)


def read_shape(block: Block, axes: tuple[tree.Expression, ...], what: str, where: tree.Node) -> Shape | None:
    """The shape of a declaration; None after an error."""
    sizes: list[Size] = []
    for axis in axes:
        size = block.size(axis)
        if size is None:
            return None
        if size.always_negative:
            block.report.add("E304", f"the size `{axis.span.text}` is {size}", axis.span, remark="a size is 0 or more")
            return None
        sizes.append(size)
    reason = budget.too_large(tuple(sizes))
    if reason:
        block.report.add("E305", f"{what} is too large", where.span, remark=reason)
        return None
    return tuple(sizes)
