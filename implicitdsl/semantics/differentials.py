"""Differentials and delayed states on the right-hand sides of equations in time."""

from __future__ import annotations

from dataclasses import dataclass, field

from implicitdsl.semantics.body import Body
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.linearity import Linearity
from implicitdsl.semantics.sizes import Shape
from implicitdsl.semantics.values import brief
from implicitdsl.semantics.walk import calls_of, free_names
from implicitdsl.syntax import tree


@dataclass
class Equations:
    """Equations by what they are about: one a state or var, and those about several unknowns with their shapes."""

    own: dict[str, tree.Equation] = field(default_factory=dict[str, tree.Equation])
    shared: list[tuple[tree.Equation, Shape]] = field(default_factory=list[tuple[tree.Equation, Shape]])
    whole: bool = True  # False where an equation was refused: what is missing is then not asked for


def has_differential(inference: Inference, expression: tree.Expression) -> bool:
    symbols = inference.block.symbols
    return any(name.id in symbols and symbols[name.id].role == "differential" for name in free_names(expression))


def check_differentials(inference: Inference, body: Body, found: Equations) -> None:
    """Right-hand sides are linear in the differentials that the kind knows, and have none where it knows none."""
    block = inference.block
    if not block.timed:
        return
    linear = body.rules.form == "differential"
    linearity = Linearity(block.report, block.symbols, block.around.functions)
    for statement in block.definition.body:
        if linear and isinstance(statement, tree.Let) and statement.name in block.symbols:
            linearity.lets[statement.name] = linearity.degree(statement.value)
    driving = {"sde": ("noise", "time"), "cde": ("path", "time")}.get(body.rules.kind, ())
    for name, equation in found.own.items():
        degree = linearity.degree(equation.right) if linear else None
        present = [
            block.symbols[n]
            for n in sorted(block.base_names(equation.right))
            if block.symbols[n].role == "differential"
        ]
        roles = {"dt": "time"}
        for symbol in present:
            role = roles.get(symbol.name) or (block.symbols[symbol.of].role if symbol.of in block.symbols else "")
            if role not in driving:
                reason = (
                    f"d{symbol.of} is the differential of a {role}"
                    if role != "time"
                    else "the equation is divided by `dt` already"
                )
                help_ = (
                    "name what it is equal to with `let`, and use that"
                    if role == "state"
                    else "write the value without it"
                )
                block.report.add(
                    "E408",
                    f"`{symbol.name}` cannot stand in the equation of `{name}`",
                    equation.right.span,
                    remark=reason,
                    help=help_,
                )
                break
        else:
            missing = any(
                n.id not in block.symbols and n.id[0] == "d" and n.id[1:] in block.symbols
                for n in free_names(equation.right)
            )
            if degree == 0 and not missing:
                block.report.add(
                    "E408",
                    f"the right-hand side of `d{name}` has no differential",
                    equation.right.span,
                    help=f"did you mean `({brief(equation.right)})*dt`?",
                )
    for equation, _ in found.shared:
        if any(block.symbols[n].role == "differential" for n in block.base_names(equation.right)):
            block.report.add(
                "E408",
                "an algebraic equation has a differential",
                equation.right.span,
                help="name the derivative: `dx/dt = v`",
            )


def check_delays(inference: Inference, body: Body) -> None:
    """`x(t - tau)` needs `history x`; in a bvp `x(a)` is a condition at an end."""
    block = inference.block
    states = frozenset(s.name for s in block.symbols.values() if s.role == "state")
    lets = [s.value for s in block.definition.body if isinstance(s, tree.Let)]
    rights = [e.right for e in body.equations]
    if body.rules.kind == "bvp":
        return
    for call in calls_of((*lets, *rights), states):
        name = call.function.id if isinstance(call.function, tree.Name) else ""
        if name not in body.histories:
            block.report.add(
                "E415",
                f"`{brief(call)}` reads `{name}` at another time, and it has no history",
                call.span,
                help=f"`history {name} = …` gives its values before the start; `{name}` alone is its value now",
            )
            return
