"""The equations of a definition: which unknown each is about, and whether every unknown has what its kind wants."""

from __future__ import annotations

from implicitdsl.diagnostics import Label
from implicitdsl.semantics import notations
from implicitdsl.semantics.algebra import fits
from implicitdsl.semantics.body import Body
from implicitdsl.semantics.constraints import together
from implicitdsl.semantics.differentials import Equations, check_delays, check_differentials, has_differential
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.kinds import advice, homes
from implicitdsl.semantics.names import did_you_mean, with_article
from implicitdsl.semantics.places import check_places
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.structure import balanced, dae_structure, solvable
from implicitdsl.semantics.symbols import Structure, Symbol
from implicitdsl.semantics.values import OUTSIDE, brief
from implicitdsl.semantics.walk import calls_of
from implicitdsl.syntax import tree


def check_equations(inference: Inference, body: Body) -> Structure:
    """Check the equations by the rules of the kind, and what the kind must contain."""
    block, rules = inference.block, body.rules
    found = Equations()
    for equation in body.equations:
        match rules.form:
            case "nothing" | "objective":
                _refused(inference, body, equation)
            case "derivative" | "differential":
                _timed(inference, body, equation, found)
            case "assignment":
                _assignment(inference, equation, found)
            case "residual":
                _residual(inference, equation, found)
    check_differentials(inference, body, found)
    check_delays(inference, body)
    if rules.kind == "bvp":
        check_places(inference, body, found)
    states = [s for s in block.symbols.values() if s.role == "state"]
    unknowns = [s for s in block.symbols.values() if s.role == "var"]
    definition, report = block.definition, block.report
    if (
        rules.interval
        and "from" not in body.once
        and (body.result is None or body.result.at is None)
        and body.result is not None
    ):
        report.add(
            "E410",
            f"{definition.name} has no interval",
            body.result.span,
            remark="the values at which time?",
            help="`from t = 0 to 1`, or `return … at ts` with the times as an input `ts[T]`",
        )
    if rules.form in ("derivative", "differential", "assignment"):
        _complete(inference, states if rules.form != "assignment" else unknowns, found, rules.form)
    if rules.form in ("derivative", "differential") and not states and not unknowns and found.whole:
        report.add("E403", f"{definition.name} has no `state`", definition.name_span, help="state x[n] = x0")
    if rules.form in ("assignment", "residual", "objective") and not unknowns and not states:
        report.add("E403", f"{definition.name} has no `var`", definition.name_span, help="var z[n] = 0")
    if rules.form == "objective" and not body.objectives:
        report.add("E411", f"{definition.name} has no objective", definition.name_span, help="minimize …")
    if not found.whole or block.report.errors:
        return Structure()
    match rules.kind:
        case "root":
            if balanced(block, found.shared, unknowns):
                solvable(block, found.shared, unknowns)
        case "dae":
            if balanced(block, found.shared, unknowns, "algebraic equations"):
                return dae_structure(block, states, unknowns, found.own, found.shared)
        case "bvp":
            balanced(block, found.shared, states, "boundary conditions")
        case _:
            pass
    return Structure()


def _derivative(left: tree.Expression) -> str | None:
    """The x of `dx/dt`."""
    match left:
        case tree.Binary(operator="/", left=tree.Name(id=above), right=tree.Name(id="dt")) if (
            len(above) > 1 and above[0] == "d"
        ):
            return above[1:]
        case _:
            return None


def _symbol(inference: Inference, expression: tree.Expression) -> Symbol | None:
    return inference.block.symbols.get(expression.id) if isinstance(expression, tree.Name) else None


def _right(inference: Inference, equation: tree.Equation) -> Shape | None:
    return inference.shape(equation.right)


def _no_unknown(inference: Inference, equation: tree.Equation, name: str, unknowns: list[str]) -> None:
    """E405: a bare name on the left that is nothing to be found."""
    known = inference.block.symbols.get(name)
    if known is not None and (known.role in ("state", "var") or name in inference.block.twice):
        return  # its declaration is refused
    help_ = did_you_mean(name, unknowns) or f"did you mean `let {name}`?"
    if name in ("method", "solver", "algorithm", "options"):
        help_ = "a method is chosen by `solver name(options)`"
    remark = "only unknowns stand alone on the left"
    if known is not None:
        remark = f"it is {with_article(known.role)}"
        turned = f"an equation about it is written the other way round: `{brief(equation.right)} = {name}`"
        bare = isinstance(equation.right, tree.Name) and equation.right.id not in unknowns
        help_ = f"an equation about it is written `{name} - {brief(equation.right)} = 0`" if bare else turned
        if inference.block.definition.kind not in ("root", "dae"):
            help_ = f"give the new value another name: `let {name}_ = …`"
    inference.report.add("E405", f"`{name}` is not an unknown", equation.left.span, remark=remark, help=help_)


def _refused(inference: Inference, body: Body, equation: tree.Equation) -> None:
    kind = body.rules.kind
    inference.shape(equation.right)
    if isinstance(equation.left, tree.Name):
        unknowns = [s.name for s in inference.block.symbols.values() if s.role == "var"]
        if equation.left.id not in unknowns:
            _no_unknown(inference, equation, equation.left.id, unknowns)
            return
    inference.report.add(
        "E401",
        f"an equation does not belong in {'an' if kind[0] in 'aeiou' else 'a'} `{kind}`",
        equation.span,
        remark=f"{kind}: {body.rules.condition}; equations are known to {homes('equation')}",
        help=advice("equation", kind),
    )


# ---------------------------------------------------------------- kinds in time


def _timed(inference: Inference, body: Body, equation: tree.Equation, found: Equations) -> None:
    block, kind, form = inference.block, body.rules.kind, body.rules.form
    states = [s.name for s in block.symbols.values() if s.role == "state"]
    left = _symbol(inference, equation.left)
    about, written = _derivative(equation.left), "derivative"
    if about is None and left is not None and left.role == "differential" and left.of != "t":
        about, written = left.of, "differential"
    if about is not None:
        shape = _right(inference, equation)
        if about in block.twice:
            found.whole = False  # its declaration is refused
        elif about not in states:
            known = block.symbols.get(about)
            is_second = known is not None and known.role == "differential"
            help_ = notations.SECOND_ORDER if is_second else did_you_mean(about, states)
            help_ = help_ or (
                f"`{about}` is {with_article(known.role)}" if known is not None else f"declare it: `state {about} = …`"
            )
            block.report.add("E405", f"`{about}` is not a state", equation.left.span, help=help_)
            found.whole = False
        elif written != form:
            right = brief(equation.right)
            mended = f"d{about} = ({right})*dt" if form == "differential" else f"d{about}/dt = …"
            block.report.add(
                "E409",
                f"`{brief(equation.left)} = …` is not how an equation of `{kind}` is written",
                equation.left.span,
                help=f"write `{mended}`",
            )
            found.whole = False
        else:
            _own(inference, equation, about, shape, found)
        return
    if told := notations.meant(equation.left, frozenset(states), form) if kind != "bvp" or left is not None else "":
        inference.shape(equation.right)
        block.report.add(
            "E409",
            f"`{brief(equation.left)}` is no left side of an equation of `{kind}`",
            equation.left.span,
            help=told,
        )
        found.whole = False
        return
    if kind == "bvp" and any(True for _ in calls_of((equation.left, equation.right), frozenset(states))):
        _shared(inference, equation, found)
    elif has_differential(inference, equation.left):
        block.report.add(
            "E409",
            f"`{brief(equation.left)}` mixes a differential with other things",
            equation.left.span,
            remark="on the left `dx/dt` or `dx` stands alone",
            help="solve the equation for it, or name the derivative: `dx/dt = v`",
        )
        found.whole = False
    elif isinstance(equation.left, tree.Name) and (left is None or left.role not in ("state", "var")):
        inference.shape(equation.right)
        _no_unknown(inference, equation, equation.left.id, [f"d{s}" for s in states])
        found.whole = False
    elif kind == "dae":
        _shared(inference, equation, found)
    elif left is not None and left.role == "var":
        inference.shape(equation.right)
        found.whole = False  # its declaration is refused
    else:
        name = left.name if left is not None else states[0] if states else "x"
        inference.shape(equation.left)
        inference.shape(equation.right)
        mended = f"d{name}/dt = …" if form == "derivative" else f"d{name} = …*dt"
        extra = (
            "; conditions at the ends are written `x(0) = …`"
            if kind == "bvp"
            else "; algebraic equations belong in a `dae`"
        )
        block.report.add(
            "E409", f"`{brief(equation)}` is no differential equation", equation.span, help=f"write `{mended}`{extra}"
        )
        found.whole = False


def _own(inference: Inference, equation: tree.Equation, name: str, shape: Shape | None, found: Equations) -> None:
    """The equation of one unknown: the only one, of a shape that stretches to the unknown's."""
    symbol = inference.block.symbols[name]
    if name in found.own:
        labels = (Label(found.own[name].span, "the first"),)
        inference.report.add(
            "E404",
            f"`{name}` has two equations",
            equation.span,
            labels=labels,
            help="keep one of them, or add the right-hand sides",
        )
        return
    found.own[name] = equation
    if shape is not None and symbol.shape is not None and not fits(shape, symbol.shape):
        labels = () if symbol.span is None else (Label(symbol.span, f"{name} is {show(symbol.shape)}"),)
        inference.report.add(
            "E302",
            f"sizes do not agree in `{brief(equation)}`",
            equation.right.span,
            remark=f"{name} is {show(symbol.shape)}, {brief(equation.right)} is {show(shape)}",
            labels=labels,
        )


def _shared(inference: Inference, equation: tree.Equation, found: Equations) -> None:
    shape = together(inference, equation, OUTSIDE)
    if shape is None:
        found.whole = False
    else:
        found.shared.append((equation, shape))


# ---------------------------------------------------------------- equilibria


def _assignment(inference: Inference, equation: tree.Equation, found: Equations) -> None:
    unknowns = [s.name for s in inference.block.symbols.values() if s.role == "var"]
    shape = _right(inference, equation)
    if not isinstance(equation.left, tree.Name):
        inference.report.add(
            "E409",
            f"`{brief(equation.left)}` does not stand alone",
            equation.left.span,
            remark="a fixpoint gives every `var` as a function of all: `z = f(z)`",
            help="write it as a `root` for equations of any form",
        )
        found.whole = False
    elif equation.left.id not in unknowns:
        _no_unknown(inference, equation, equation.left.id, unknowns)
        found.whole = False
    else:
        _own(inference, equation, equation.left.id, shape, found)


def _residual(inference: Inference, equation: tree.Equation, found: Equations) -> None:
    symbols = inference.block.symbols
    unknowns = [s.name for s in symbols.values() if s.role == "var"]
    if isinstance(equation.left, tree.Name) and equation.left.id not in unknowns:
        inference.shape(equation.right)
        _no_unknown(inference, equation, equation.left.id, unknowns)
        found.whole = False
    elif _derivative(equation.left) is not None:
        inference.report.add("E401", "a `root` has no time", equation.left.span, help="write it as an `ode` or a `dae`")
        found.whole = False
    else:
        _shared(inference, equation, found)


def _complete(inference: Inference, unknowns: list[Symbol], found: Equations, form: str) -> None:
    if not found.whole:
        return
    for symbol in unknowns:
        if symbol.name not in found.own:
            written = {"derivative": f"d{symbol.name}/dt = …", "differential": f"d{symbol.name} = …*dt"}.get(
                form, f"{symbol.name} = …"
            )
            inference.report.add(
                "E403", f"the {symbol.role} `{symbol.name}` has no equation", symbol.span, help=f"add `{written}`"
            )
