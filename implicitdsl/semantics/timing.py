"""Statements about time: `history`, `from t = a to b`, `when`."""

from __future__ import annotations

from implicitdsl.semantics.algebra import fits
from implicitdsl.semantics.body import GIVEN, GIVEN_AT_TIME, Body, belongs, only_once
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.names import did_you_mean
from implicitdsl.semantics.sets import require
from implicitdsl.semantics.sizes import show
from implicitdsl.semantics.values import brief
from implicitdsl.syntax import tree


def check_history(inference: Inference, body: Body, statement: tree.History) -> None:
    if not belongs(inference, body, "history", statement):
        return
    block = inference.block
    symbol = block.symbols.get(statement.name)
    shape = inference.shape(statement.value)
    if symbol is None or symbol.role != "state":
        states = [s.name for s in block.symbols.values() if s.role == "state"]
        help_ = did_you_mean(statement.name, states) or "declare the state above its history"
        inference.report.add("E415", f"`{statement.name}` is not a state", statement.span, help=help_)
        return
    if only_once(inference, body, f"history {statement.name}", statement):
        body.histories[statement.name] = statement
    require(inference, statement.value, GIVEN_AT_TIME, "a history")
    if shape is not None and symbol.shape is not None and not fits(shape, symbol.shape):
        inference.report.add(
            "E302",
            f"sizes do not agree in `{brief(statement)}`",
            statement.value.span,
            remark=f"{symbol.name} is {show(symbol.shape)}, its history {show(shape)}",
        )


def check_horizon(inference: Inference, body: Body, statement: tree.Horizon) -> None:
    if not belongs(inference, body, "from", statement):
        return
    only_once(inference, body, "from", statement)
    if statement.variable != "t":
        inference.report.add(
            "E410",
            f"the interval is that of `t`, not of `{statement.variable}`",
            statement.span,
            help="from t = … to …",
        )
    for end in (statement.start, statement.stop):
        shape = inference.shape(end)
        if shape is not None and shape != ():
            inference.report.add("E309", f"a time is a scalar, `{brief(end)}` is {show(shape)}", end.span)
        require(inference, end, GIVEN, "the interval")


def check_event(inference: Inference, body: Body, statement: tree.When) -> None:
    block = inference.block
    body.events.append(statement)
    shape = inference.condition(statement.condition)
    if shape is not None and shape != ():
        inference.report.add(
            "E309",
            f"an event has one condition, `{brief(statement.condition)}` is {show(shape)}",
            statement.condition.span,
            help=_one_condition(statement.condition, inference),
        )
    no_differentials(inference, statement.condition, "a condition")
    seen: set[str] = set()
    for action in statement.actions:
        if isinstance(action, tree.Stop):
            continue
        found = inference.shape(action.value)
        no_differentials(inference, action.value, "a reset")
        target = action.target.base if isinstance(action.target, tree.Index) else action.target
        symbol = block.symbols.get(target.id) if isinstance(target, tree.Name) else None
        if isinstance(target, tree.Name) and target.id in block.later:
            block.too_early(target.span, target.id)
            continue
        if symbol is None or symbol.role != "state":
            states = [s.name for s in block.symbols.values() if s.role == "state"]
            help_ = did_you_mean(target.id, states) if isinstance(target, tree.Name) else ""
            inference.report.add(
                "E405",
                f"`{brief(action.target)}` is no state",
                action.target.span,
                help=help_ or "an event resets states: `x := …`",
            )
            continue
        if action.target is target:
            if symbol.name in seen:
                inference.report.add(
                    "E404", f"`{symbol.name}` is reset twice in one event", action.span, help="keep one of them"
                )
            seen.add(symbol.name)
        wanted = inference.shape(action.target)
        if found is not None and wanted is not None and not fits(found, wanted):
            remark = f"{brief(action.target)} is {show(wanted)}, {brief(action.value)} is {show(found)}"
            inference.report.add("E302", f"sizes do not agree in `{brief(action)}`", action.span, remark=remark)


def _one_condition(condition: tree.Expression, inference: Inference) -> str:
    """The help for an event whose condition is a vector: any element, all elements, or one of them."""
    match condition:
        case tree.Compare(operators=[sign], operands=[left, right]):
            pass
        case _:
            return "an event looks at one number: `x[0]`, `min(x)` or `max(x)` of a vector"
    shapes = [inference.shape(operand) for operand in (left, right)]
    if shapes[1] == ():
        vector, limit = brief(left), f" {sign} {brief(right)}"
    else:
        vector, limit = f"{brief(left)} - {brief(right)}", f" {sign} 0"
    if shapes[0] == ():
        vector, limit = brief(right), f" {'>' if '<' in sign else '<'}{'=' if '=' in sign else ''} {brief(left)}"
    first, every = ("min", "max") if "<" in limit else ("max", "min")
    one = f", for one `{vector}[0]{limit}`" if vector.isidentifier() else ""
    return f"for any element `{first}({vector}){limit}`, for all `{every}({vector}){limit}`{one}"


def no_differentials(inference: Inference, expression: tree.Expression, what: str) -> None:
    block = inference.block
    for name in sorted(block.base_names(expression)):
        if block.symbols[name].role == "differential":
            inference.report.add(
                "E408", f"`{name}` is a differential: {what} has none", expression.span, help="use the value itself"
            )
            return
