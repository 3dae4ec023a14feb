"""Single-line text of expressions and statements, with no more parentheses than the grammar needs."""

from __future__ import annotations

from collections.abc import Iterable

from implicitdsl.syntax import tree

IF, OR, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, POWER, POSTFIX = range(10)

BINARY: dict[str, tuple[int, int, int, str]] = {
    # operator: its own level, that of its left and of its right side, and how it is spaced
    "+": (SUM, SUM, PRODUCT, " + "),
    "-": (SUM, SUM, PRODUCT, " - "),
    "*": (PRODUCT, PRODUCT, UNARY, "*"),
    "/": (PRODUCT, PRODUCT, UNARY, "/"),
    "@": (PRODUCT, PRODUCT, UNARY, " @ "),
    "^": (POWER, POSTFIX, UNARY, "^"),
}


def expression(node: tree.Expression, level: int = IF) -> str:
    """The text of an expression where the grammar wants one that binds at least as tightly as `level`."""
    match node:
        case tree.Number(text=text):
            return text
        case tree.Name(id=name):
            return name
        case tree.Negate(operand=operand):
            own, text = UNARY, f"-{expression(operand, UNARY)}"
        case tree.Binary(operator=operator, left=left, right=right):
            own, left_level, right_level, sign = BINARY[operator]
            text = expression(left, left_level) + sign + expression(right, right_level)
        case tree.Compare(operators=operators, operands=operands):
            own, text = COMPARISON, expression(operands[0], SUM)
            for operator, operand in zip(operators, operands[1:], strict=True):
                text += f" {operator} {expression(operand, SUM)}"
        case tree.Contains(item=item, set=members):
            own, text = COMPARISON, f"{expression(item, SUM)} in {expression(members, SUM)}"
        case tree.Logical(operator=operator, left=left, right=right):
            own = OR if operator == "or" else AND
            text = f"{expression(left, own)} {operator} {expression(right, own + 1)}"
        case tree.Not(operand=operand):
            own, text = NOT, f"not {expression(operand, NOT)}"
        case tree.IfElse():
            own, text = IF, _if_else(node, expression(node.no, IF))
        case tree.Index(base=base, items=items):
            return f"{expression(base, POSTFIX)}[{', '.join(_place(item) for item in items)}]"
        case tree.Transpose(operand=operand):
            return f"{_dotted(operand)}.T"
        case tree.Attribute(base=base, name=name):
            return f"{_dotted(base)}.{name}"
        case tree.Call(function=function, arguments=arguments):
            return f"{expression(function, POSTFIX)}({', '.join(_argument(argument) for argument in arguments)})"
        case tree.Bracket(items=items):
            return f"[{', '.join(expression(item) for item in items)}]"
    return text if own >= level else f"({text})"


def side(node: tree.Expression) -> str:
    """The text of an expression behind the `=` of an equation or declaration, where a comparison needs parentheses."""
    return _if_else(node, side(node.no)) if isinstance(node, tree.IfElse) else expression(node, SUM)


def _if_else(node: tree.IfElse, no: str) -> str:
    return f"if {expression(node.condition)} then {expression(node.yes)} else {no}"


def _dotted(base: tree.Expression) -> str:
    text = expression(base, POSTFIX)
    # `2.T` would read as the number `2.`
    return f"({text})" if isinstance(base, tree.Number) else text


def _place(item: tree.Expression | tree.Slice) -> str:
    if isinstance(item, tree.Slice):
        return ":".join("" if end is None else expression(end, SUM) for end in (item.start, item.stop))
    return expression(item, SUM)


def _argument(argument: tree.Expression | tree.Named | tree.Family) -> str:
    match argument:
        case tree.Named(name=name, value=value):
            return f"{name} = {expression(value)}"
        case tree.Family(body=body, index=index, range=bounds):
            return f"{expression(body)} for {index} in {_range(bounds)}"
        case _:
            return expression(argument)


def _range(bounds: tree.Range) -> str:
    return f"{expression(bounds.start, SUM)}:{expression(bounds.stop, SUM)}"


def _shape(shape: tuple[tree.Expression, ...]) -> str:
    return f"[{', '.join(expression(size, SUM) for size in shape)}]" if shape else ""


def _options(options: Iterable[tree.Named]) -> str:
    return f"({', '.join(_argument(option) for option in options)})"


def _member(members: tree.Expression | None) -> str:
    return f" in {expression(members, SUM)}" if members is not None else ""


def head(node: tree.Definition | tree.When | tree.Subject | tree.ForAll) -> str:
    """What stands in front of the braces of a block."""
    match node:
        case tree.When(condition=condition):
            return f"when {expression(condition)}"
        case tree.Subject():
            return "subject to"
        case tree.ForAll(index=index, range=bounds):
            return f"for {index} in {_range(bounds)}"
        case tree.Definition():
            sizes = ", ".join(_size(size) for size in node.sizes)
            inputs = ", ".join(_input(given) for given in node.inputs)
            outputs = ", ".join((output.name or "") + _shape(output.shape) for output in node.outputs)
            outputs = f"({outputs})" if len(node.outputs) > 1 else outputs
            return f"{node.kind} {node.name}{f'[{sizes}]' if sizes else ''}({inputs}) -> {outputs}"


def _size(size: tree.SizeName) -> str:
    return size.name if size.default is None else f"{size.name} = {expression(size.default, SUM)}"


def _input(given: tree.Input) -> str:
    by = f" by {given.by}" if given.by else ""
    return ("path " if given.path else "") + given.name + _shape(given.shape) + by + _member(given.set)


def line(node: tree.Statement | tree.Relation | tree.Reset | tree.Stop | tree.Function | tree.Import) -> str:
    """The text of a statement that is no block."""
    match node:
        case tree.Declare():
            return _declare(node)
        case tree.History(name=name, value=value):
            return f"history {name} = {expression(value)}"
        case tree.Use(name=name, module=module, layer=layer, sizes=sizes, options=options):
            picked = ", ".join(
                _argument(size) if isinstance(size, tree.Named) else expression(size, SUM) for size in sizes
            )
            text = f"use {name} = {f'{module}.' if module else ''}{layer}{f'[{picked}]' if picked else ''}"
            return text + (_options(options) if options else "")
        case tree.Let(name=name, value=value):
            return f"let {name} = {expression(value)}"
        case tree.Horizon(variable=variable, start=start, stop=stop):
            return f"from {variable} = {expression(start, SUM)} to {expression(stop, SUM)}"
        case tree.Reset(target=target, value=value):
            return f"{expression(target, POSTFIX)} := {expression(value)}"
        case tree.Stop():
            return "stop"
        case tree.Objective(sense=sense, value=value):
            return f"{sense} {expression(value)}"
        case tree.Equation(left=left, right=right, label=label):
            return f"{f'{label}: ' if label else ''}{expression(left, SUM)} = {side(right)}"
        case tree.Inequality(condition=condition, label=label):
            return f"{f'{label}: ' if label else ''}{expression(condition)}"
        case tree.Choice(what=what, name=name, options=options):
            return f"{what} {name}" + (_options(options) if options else "")
        case tree.Return(values=values, at=at):
            end = f" at {expression(at)}" if at is not None else ""
            return f"return {', '.join(expression(value) for value in values)}{end}"
        case tree.Function(name=name, arguments=arguments, value=value):
            return f"fn {name}({', '.join(arguments)}) = {expression(value)}"
        case tree.Import(path=path, alias=alias):
            return f'import "{path}"' + (f" as {alias}" if alias else "")
        case tree.When() | tree.Subject() | tree.ForAll():
            raise TypeError("a block has a head and statements, not a line")


def _declare(node: tree.Declare) -> str:
    names = ", ".join(
        declared.name + _shape(declared.shape) + ("" if declared.start is None else f" = {side(declared.start)}")
        for declared in node.names
    )
    draw = f" ~ {expression(node.draw)}" if node.draw is not None else ""
    return f"{node.role} {names}{draw}{_member(node.set)}" + (" stratonovich" if node.stratonovich else "")
