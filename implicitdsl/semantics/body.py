"""The statements of a definition in the order of the text: names enter the block, shapes and roles are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from implicitdsl.diagnostics import Label, Span
from implicitdsl.semantics.calls import enter_loop
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.algebra import Clash, broadcast, fits
from implicitdsl.semantics.kinds import KINDS, KindRules, Phrase, advice, homes
from implicitdsl.semantics.layercall import layer_outputs
from implicitdsl.semantics.names import did_you_mean
from implicitdsl.semantics.sets import check_draw, check_set, require
from implicitdsl.semantics.signature import read_shape
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.symbols import CheckedDefinition, Role, Symbol
from implicitdsl.semantics.uses import resolve_use
from implicitdsl.semantics.values import OUTSIDE, Frame, brief
from implicitdsl.syntax import tree

FindLayer = Callable[[str | None, str], "CheckedDefinition | None"]
FIXED: frozenset[Role] = frozenset({"size", "const", "param"})  # what a param or const may start from
GIVEN: frozenset[Role] = frozenset({"size", "call size", "input", "path", "param", "const", "use", "loop"})


@dataclass
class Body:
    """What the statements gave, for the rules of the kind."""

    rules: KindRules
    equations: list[tree.Equation] = field(default_factory=list[tree.Equation])
    objectives: list[tree.Objective] = field(default_factory=list[tree.Objective])
    events: list[tree.When] = field(default_factory=list[tree.When])
    histories: dict[str, tree.History] = field(default_factory=dict[str, tree.History])
    once: dict[str, Span] = field(default_factory=dict[str, Span])
    result: tree.Return | None = None
    returned: tuple[Shape | None, ...] | None = None


def run(inference: Inference, find_layer: FindLayer) -> Body:
    """Go through the statements of the block's definition. Equations are gathered, and checked by their kind afterwards."""
    block = inference.block
    body = Body(KINDS[block.definition.kind])
    for statement in block.definition.body:
        match statement:
            case tree.Declare():
                _declare(inference, body, statement)
            case tree.Let():
                _let(inference, statement)
            case tree.Use():
                site = resolve_use(block, statement, find_layer)
                block.declare(Symbol(statement.name, "use", None, statement.span), where=statement.span)
                if site is not None:
                    block.uses[statement.name] = site
            case tree.Equation():
                body.equations.append(statement)
            case tree.History():
                _history(inference, body, statement)
            case tree.Horizon():
                _horizon(inference, body, statement)
            case tree.When():
                if _belongs(inference, body, "when", statement):
                    _when(inference, body, statement)
            case tree.Objective():
                if _belongs(inference, body, "minimize", statement):
                    _objective(inference, body, statement)
            case tree.Subject(relations=relations):
                if _belongs(inference, body, "subject to", statement):
                    for relation in relations:
                        _relation(inference, relation, OUTSIDE)
            case tree.Choice(what=what):
                if _belongs(inference, body, "solver", statement):
                    _only_once(inference, body, what, statement)
            case tree.Return():
                _return(inference, body, statement)
    return body


def _belongs(inference: Inference, body: Body, phrase: Phrase, where: tree.Node) -> bool:
    """Whether the kind knows such a statement; E401 otherwise."""
    if phrase in body.rules.may:
        return True
    kind = body.rules.kind
    inference.report.add(
        "E401",
        f"`{phrase}` does not belong in {'an' if kind[0] in 'aeiou' else 'a'} `{kind}`",
        where.span,
        remark=f"{kind}: {body.rules.condition}; `{phrase}` is known to {homes(phrase)}",
        help=advice(phrase, kind),
    )
    return False


def _only_once(inference: Inference, body: Body, what: str, statement: tree.Node) -> bool:
    """E417 for the second of statements of which there is one."""
    if what in body.once:
        labels = (Label(body.once[what], "first said here"),)
        inference.report.add("E417", f"`{what}` is said twice", statement.span, labels=labels, help="keep one of them")
        return False
    body.once[what] = statement.span
    return True


# ---------------------------------------------------------------- declarations


def _declare(inference: Inference, body: Body, statement: tree.Declare) -> None:
    block, role = inference.block, statement.role
    known = role in ("param", "const") or _belongs(inference, body, role, statement)
    if statement.draw is not None and role != "param":
        inference.report.add("E401", f"`~` draws the start of a `param`, not of a `{role}`", statement.draw.span, help="give it a value: `= 0`")
    if statement.set is not None and role not in ("param", "var"):
        inference.report.add(
            "E401", f"`in` holds for a `param`, a `var` or an input, not for a `{role}`", statement.set.span, help="take the set away"
        )
    entering: list[tuple[Symbol, Span]] = []
    for item in statement.names:
        shape = read_shape(block, item.shape, f"`{item.name}`", item)
        if shape is not None and role in ("param", "const"):
            _fixed_at_construction(inference, item, shape, role)
        if item.start is not None:
            _start(inference, body, item, shape, role)
        if statement.draw is not None and role == "param":
            check_draw(inference, statement.draw, item, shape)
        if statement.set is not None and role in ("param", "var"):
            allowed = GIVEN if role == "var" else frozenset[Role]({"size"})
            check_set(inference, statement.set, item.name, shape, allowed)
        entering.append((Symbol(item.name, role, shape, item.span), item.span))
    # Names enter behind all starts of the line: a start never sees the unknown itself.
    for symbol, where in entering:
        block.declare(symbol if known else Symbol(symbol.name, role, None, symbol.span), where=where)


def _fixed_at_construction(inference: Inference, item: tree.DeclaredName, shape: Shape, role: str) -> None:
    block = inference.block
    for name in sorted({name for size in shape for name in size.names}):
        symbol = block.symbols.get(name)
        if symbol is not None and symbol.role == "call size":
            labels = () if symbol.span is None else (Label(symbol.span, f"{name} is bound at each call"),)
            inference.report.add(
                "E301",
                f"`{name}` cannot size the {role} `{item.name}`",
                item.span,
                remark="it is known only when the layer is called",
                labels=labels,
                help=f"name it as a size: `{block.definition.name}[…, {name}]`",
            )
            return


def _start(inference: Inference, body: Body, item: tree.DeclaredName, shape: Shape | None, role: Role) -> None:
    assert item.start is not None
    found = inference.shape(item.start)
    if role == "noise":
        inference.report.add("E401", "a noise starts at 0", item.start.span, help=f"to shift it, add to it where it is used: `d{item.name}`")
        return
    if role in ("param", "const"):
        require(inference, item.start, FIXED, f"the start of a {role}")
    elif body.rules.kind == "bvp":
        require(inference, item.start, GIVEN | {"time"}, "a guess")
    else:
        require(inference, item.start, GIVEN, "a start" if role == "state" else "a guess")
    fit_start(inference, item.name, shape, found, item)


def fit_start(inference: Inference, name: str, shape: Shape | None, found: Shape | None, where: tree.DeclaredName) -> None:
    """E302 where a value does not stretch to the declared shape."""
    if shape is not None and found is not None and not fits(found, shape) and where.start is not None:
        help_ = f"did you mean `{name}{show(found)}`?" if found and not shape else ""
        inference.report.add(
            "E302",
            f"sizes do not agree in `{brief(where)}`",
            where.start.span,
            remark=f"{name} is {show(shape)}, {brief(where.start)} is {show(found)}",
            help=help_,
        )


def _let(inference: Inference, statement: tree.Let) -> None:
    block = inference.block
    value = inference.value(statement.value)
    needs = block.base_names(statement.value)
    symbol = Symbol(statement.name, "let", value.shape, statement.span, condition=value.condition, needs=needs)
    block.declare(symbol, where=statement.span)


# ---------------------------------------------------------------- time


def _history(inference: Inference, body: Body, statement: tree.History) -> None:
    if not _belongs(inference, body, "history", statement):
        return
    block = inference.block
    symbol = block.symbols.get(statement.name)
    shape = inference.shape(statement.value)
    if symbol is None or symbol.role != "state":
        states = [s.name for s in block.symbols.values() if s.role == "state"]
        help_ = did_you_mean(statement.name, states) or "declare the state above its history"
        inference.report.add("E415", f"`{statement.name}` is not a state", statement.span, help=help_)
        return
    if _only_once(inference, body, f"history {statement.name}", statement):
        body.histories[statement.name] = statement
    require(inference, statement.value, GIVEN | {"time"}, "a history")
    if shape is not None and symbol.shape is not None and not fits(shape, symbol.shape):
        inference.report.add(
            "E302",
            f"sizes do not agree in `{brief(statement)}`",
            statement.value.span,
            remark=f"{symbol.name} is {show(symbol.shape)}, its history {show(shape)}",
        )


def _horizon(inference: Inference, body: Body, statement: tree.Horizon) -> None:
    if not _belongs(inference, body, "from", statement):
        return
    _only_once(inference, body, "from", statement)
    if statement.variable != "t":
        inference.report.add("E410", f"the interval is that of `t`, not of `{statement.variable}`", statement.span, help="from t = … to …")
    for end in (statement.start, statement.stop):
        shape = inference.shape(end)
        if shape is not None and shape != ():
            inference.report.add("E309", f"a time is a scalar, `{brief(end)}` is {show(shape)}", end.span)
        require(inference, end, GIVEN, "the interval")


def _when(inference: Inference, body: Body, statement: tree.When) -> None:
    block = inference.block
    body.events.append(statement)
    shape = inference.condition(statement.condition)
    if shape is not None and shape != ():
        inference.report.add(
            "E309", f"an event has one condition, `{brief(statement.condition)}` is {show(shape)}", statement.condition.span, help="min(x) < 0"
        )
    _no_differentials(inference, statement.condition, "a condition")
    seen: set[str] = set()
    for action in statement.actions:
        if isinstance(action, tree.Stop):
            continue
        found = inference.shape(action.value)
        _no_differentials(inference, action.value, "a reset")
        target = action.target.base if isinstance(action.target, tree.Index) else action.target
        symbol = block.symbols.get(target.id) if isinstance(target, tree.Name) else None
        if symbol is None or symbol.role != "state":
            states = [s.name for s in block.symbols.values() if s.role == "state"]
            help_ = did_you_mean(target.id, states) if isinstance(target, tree.Name) else ""
            inference.report.add(
                "E405", f"`{brief(action.target)}` is no state", action.target.span, help=help_ or "an event resets states: `x := …`"
            )
            continue
        if action.target is target:
            if symbol.name in seen:
                inference.report.add("E404", f"`{symbol.name}` is reset twice in one event", action.span, help="keep one of them")
            seen.add(symbol.name)
        wanted = inference.shape(action.target)
        if found is not None and wanted is not None and not fits(found, wanted):
            remark = f"{brief(action.target)} is {show(wanted)}, {brief(action.value)} is {show(found)}"
            inference.report.add("E302", f"sizes do not agree in `{brief(action)}`", action.span, remark=remark)


def _no_differentials(inference: Inference, expression: tree.Expression, what: str) -> None:
    block = inference.block
    for name in sorted(block.base_names(expression)):
        if block.symbols[name].role == "differential":
            inference.report.add("E408", f"`{name}` is a differential: {what} has none", expression.span, help="use the value itself")
            return


# ---------------------------------------------------------------- optimisation


def _objective(inference: Inference, body: Body, statement: tree.Objective) -> None:
    if body.objectives:
        labels = (Label(body.objectives[0].span, "the first"),)
        inference.report.add("E411", "there are two objectives", statement.span, labels=labels, help="weigh and add them in one")
    body.objectives.append(statement)
    shape = inference.shape(statement.value)
    if shape is not None and shape != ():
        inference.report.add(
            "E309", f"an objective is a scalar, this is {show(shape)}", statement.value.span, help="sum(…) or normsq(…)"
        )


def _relation(inference: Inference, relation: tree.Relation, frame: Frame) -> None:
    block = inference.block
    shape: Shape | None = None
    match relation:
        case tree.ForAll():
            inner = enter_loop(inference, relation.index, relation.range, frame)
            if inner is not None:
                for item in relation.body:
                    _relation(inference, item, inner)
            return
        case tree.Equation(left=left, right=right):
            shape = together(inference, relation, frame)
            _has_unknown(inference, relation, left, right)
        case tree.Inequality(condition=tree.Compare() as condition):
            shape = inference.condition(condition, frame)
            _has_unknown(inference, relation, *condition.operands)
        case tree.Inequality(condition=tree.Contains(item=item, set=set_)):
            shape = inference.shape(item, frame)
            check_set(inference, set_, brief(item), shape, GIVEN | {"var"}, frame)
            _has_unknown(inference, relation, item)
    if relation.label is not None:
        if relation.label in block.labels:
            inference.report.add("E202", f"the label `{relation.label}` is there twice", relation.span, help="give it another name")
        block.labels[relation.label] = shape if not frame.loops else None


def _has_unknown(inference: Inference, relation: tree.Node, *sides: tree.Expression) -> None:
    block = inference.block
    names = block.base_names(*sides)
    if not any(block.symbols[name].role in ("var", "use") for name in names):
        inference.report.add(
            "E405", f"no `var` stands in the constraint `{brief(relation)}`", relation.span, remark="it constrains nothing", help="use a `var`, or take it away"
        )


def together(inference: Inference, equation: tree.Equation, frame: Frame) -> Shape | None:
    """The shape that both sides of an equation stretch to; E302 where they do not fit."""
    a, b = inference.shape(equation.left, frame), inference.shape(equation.right, frame)
    if a is None or b is None:
        return None
    try:
        return broadcast(a, b)
    except Clash as clash:
        labels, help_ = inference.blame(equation.left, a, equation.right, b, clash)
        remark = f"{brief(equation.left)} is {show(a)}, {brief(equation.right)} is {show(b)}"
        inference.disagree(equation, remark, help_, labels, frame)
        return None


# ---------------------------------------------------------------- what comes back


def _return(inference: Inference, body: Body, statement: tree.Return) -> None:
    if not _only_once(inference, body, "return", statement):
        return
    body.result = statement
    times: Shape = ()
    known = True
    if statement.at is not None:
        found = inference.shape(statement.at)
        known = _belongs(inference, body, "at", statement) and found is not None
        require(inference, statement.at, GIVEN, "the times")
        if found is not None and len(found) != 1:
            inference.report.add("E309", f"times are a vector, `{brief(statement.at)}` is {show(found)}", statement.at.span, help="ts[T]")
            known = False
        times = found or ()
    shapes: list[Shape | None] = []
    for value in statement.values:
        outputs = _all_outputs(inference, value) if len(statement.values) == 1 else None
        shapes += outputs if outputs is not None else (inference.shape(value),)
        _no_differentials(inference, value, "a result")
    body.returned = tuple(None if s is None or not known else (*times, *s) for s in shapes)


def _all_outputs(inference: Inference, value: tree.Expression) -> tuple[Shape | None, ...] | None:
    """`return f(x)` of a layer with several outputs returns all of them."""
    block = inference.block
    if not (isinstance(value, tree.Call) and isinstance(value.function, tree.Name) and value.function.id in block.uses):
        return None
    if len(block.uses[value.function.id].layer.outputs) < 2:
        return None
    symbol = block.look_up(value.function)
    plain = [a for a in value.arguments if not isinstance(a, tree.Named | tree.Family)]
    shapes = [block.symbols[a.id].shape if isinstance(a, tree.Name) and a.id in block.symbols and block.symbols[a.id].role == "path" else inference.shape(a) for a in plain]
    if symbol is None or len(plain) < len(value.arguments):
        return None
    return layer_outputs(inference, symbol, value, shapes) or (None,) * len(block.uses[value.function.id].layer.outputs)


def check_outputs(inference: Inference, body: Body, declared: tuple[Shape | None, ...]) -> None:
    """E412 where nothing or too much is returned, E308 where a shape is not the declared one."""
    definition, report = inference.block.definition, inference.report
    if body.result is None:
        report.add("E412", f"{definition.name} returns nothing", definition.name_span, help="end it with `return …`")
        return
    assert body.returned is not None
    if len(body.returned) != len(declared):
        report.add(
            "E412",
            f"{definition.name} declares {len(declared)} {'output' if len(declared) == 1 else 'outputs'} and returns {len(body.returned)}",
            body.result.span,
            labels=(Label(definition.outputs[0].span.to(definition.outputs[-1].span), "declared here"),),
            help="a vector of several values is written in brackets: `return [x, y]`" if len(declared) == 1 else "",
        )
        return
    for output, want, found in zip(definition.outputs, declared, body.returned, strict=True):
        if want is not None and found is not None and want != found:
            report.add(
                "E308",
                f"{definition.name} declares {show(want)} and returns {show(found)}",
                body.result.span,
                remark="the first axis of every output runs over the `at` times" if body.result.at is not None else "",
                labels=(Label(output.span, "declared here"),),
            )

