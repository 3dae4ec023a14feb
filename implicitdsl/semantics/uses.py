"""`use f = Layer[sizes]`: the layer that is named, and its sizes in terms of those of the user."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.diagnostics import Label
from implicitdsl.semantics.names import did_you_mean
from implicitdsl.semantics.scope import Block
from implicitdsl.semantics.sizes import NotASizeError, Size, SizeBudgetError, read_size
from implicitdsl.semantics.symbols import CheckedDefinition, UseSite
from implicitdsl.syntax import tree


def resolve_use(
    block: Block, statement: tree.Use, find_layer: Callable[[str | None, str], CheckedDefinition | None]
) -> UseSite | None:
    """The layer and its sizes; None after an error (E205 unknown layer, E307 wrong sizes)."""
    layer = find_layer(statement.module, statement.layer)
    if layer is None:
        _unknown(block, statement)
        for entry in statement.sizes:
            block.size(entry.value if isinstance(entry, tree.Named) else entry)
        return None
    names = [s.name for s in layer.tree.sizes]
    form = f"{layer.name}[{', '.join(names)}]" if names else layer.name
    bound: dict[str, Size] = {}
    wrong = False
    for place, entry in enumerate(statement.sizes):
        value = entry.value if isinstance(entry, tree.Named) else entry
        size = block.size(value)
        name = entry.name if isinstance(entry, tree.Named) else names[place] if place < len(names) else None
        if name is None or name not in names:
            text = (
                f"{layer.name} has {len(names) or 'no'} size{'' if len(names) == 1 else 's'}"
                if name is None
                else f"{layer.name} has no size `{name}`"
            )
            help_ = (did_you_mean(name, names) if name is not None else "") or f"its form: `{form}`"
            block.report.add("E307", text, entry.span, help=help_)
            wrong = True
        elif name in bound:
            block.report.add("E307", f"the size `{name}` is given twice", entry.span, help=f"its form: `{form}`")
            wrong = True
        elif size is None or _bad_value(block, size, value):
            wrong = True
        else:
            bound[name] = size
    return (
        None
        if wrong or not _defaults(block, statement, layer, bound, form)
        else UseSite(statement.name, statement, layer, bound)
    )


def _bad_value(block: Block, size: Size, value: tree.Expression) -> bool:
    if size.always_negative:
        block.report.add("E304", f"the size `{value.span.text}` is {size}", value.span, remark="a size is 0 or more")
        return True
    for name in sorted(size.names):
        symbol = block.symbols.get(name)
        if symbol is not None and symbol.role == "call size":
            labels = () if symbol.span is None else (Label(symbol.span, f"{name} is bound at each call"),)
            block.report.add(
                "E301",
                f"`{name}` cannot size a layer that is used",
                value.span,
                remark="it is known only when the layer is called",
                labels=labels,
                help=f"name it as a size: `{block.definition.name}[…, {name}]`",
            )
            return True
    return False


def _defaults(block: Block, statement: tree.Use, layer: CheckedDefinition, bound: dict[str, Size], form: str) -> bool:
    for size in layer.tree.sizes:
        if size.name in bound:
            continue
        if size.default is None:
            block.report.add(
                "E307",
                f"{layer.name} needs the size `{size.name}`",
                statement.span,
                help=f"its form: `{form}`; by name: `{size.name} = …`",
            )
            return False
        try:
            bound[size.name] = read_size(size.default, lambda name: _of(name, bound))
        except (NotASizeError, SizeBudgetError):
            return False  # reported where the layer is defined
    return True


def _of(name: tree.Name, bound: dict[str, Size]) -> Size:
    if name.id not in bound:
        raise NotASizeError(f"unknown size `{name.id}`", name)
    return bound[name.id]


def _unknown(block: Block, statement: tree.Use) -> None:
    full = statement.layer if statement.module is None else f"{statement.module}.{statement.layer}"
    known = block.known_layers
    if statement.module in block.around.broken:
        return  # its file is reported
    if statement.module is not None:
        module = block.around.modules.get(statement.module)
        if module is None:
            help_ = (
                did_you_mean(statement.module, block.around.modules)
                or f'import it: `import "….imp" as {statement.module}`'
            )
            block.report.add("E205", f"no file is imported as `{statement.module}`", statement.span, help=help_)
            return
        known = frozenset(module.definitions)
    if full in block.broken_layers:
        return  # it is there, and what is wrong with it is reported
    help_ = did_you_mean(statement.layer, known) or (f"layers: {', '.join(sorted(known)[:12])}" if known else "")
    block.report.add("E205", f"unknown layer `{full}`", statement.span, help=help_)
