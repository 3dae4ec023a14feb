"""What the compiler says about the convexity of an `argmin`: findings with places, and conditions to test per
sample."""

from __future__ import annotations

from collections.abc import Iterator

from implicitdsl.diagnostics import Diagnostic, ImpError, Report, Span
from implicitdsl.ir import build
from implicitdsl.ir.degree import degree
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.text import equation_text
from implicitdsl.problems.signature import MemberSet
from implicitdsl.semantics.curvature import Condition
from implicitdsl.semantics.declarations import call_size_names
from implicitdsl.semantics.elaborate import Body, gather
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.program import Program
from implicitdsl.semantics.verdict import Verdict, verdict
from implicitdsl.syntax import tree

LOCAL_HELP = "`solver local()` accepts a local solution from the start of the unknowns"


def known_sets(program: Program) -> dict[Leaf, MemberSet]:
    """The sets that inputs, params and consts are declared in."""
    return {
        item.leaf: item.set for group in (program.inputs, program.params, program.consts) for item in group if item.set
    }


_OPPOSITE = {"convex": "concave", "concave": "convex"}


def convexity(body: Body, program: Program, *, local: bool) -> tuple[list[Diagnostic], tuple[Condition, ...]]:
    """The findings (E501 unknown, E502 refuted, E503 a curved equality, W501 conditional) and all conditions; with
    `local`
    nothing needs to be convex, and neither is returned."""
    if local or body.objective is None or body.objective_statement is None:
        return [], ()
    unknowns = [u.leaf for u in body.unknowns.values()]
    sets = known_sets(program)
    findings: list[Diagnostic] = []
    conditions: list[Condition] = []
    whole = verdict(body.objective, unknowns, sets)
    wanted = "concave" if body.objective_statement.sense == "maximize" else "convex"
    if whole.outcome == "proven":
        terms: list[tuple[Span, Node, str]] = []
    elif whole.outcome == "conditional":
        terms = [(body.objective_statement.value.span, body.objective, wanted)]
    else:
        terms = list(_terms(body.objective_statement.value, body, wanted))
    judged = [(span, node, shape, verdict(node, unknowns, sets)) for span, node, shape in terms]
    if whole.outcome in ("unknown", "refuted") and degree(body.objective, set(unknowns)) == 2:
        # The terms that are refuted alone are to blame; without one it is their sum.
        culprits = [found for found in judged if found[3].outcome == "refuted"]
        judged = culprits or [(body.objective_statement.value.span, body.objective, wanted, whole)]
    for span, node, shape, found in judged:
        _say(findings, conditions, span, found, "the objective", shape, node)
    for constraint in body.equalities:
        if degree(constraint.node, set(unknowns)) not in (0, 1):
            span = body.constraint_spans[constraint.dual]
            findings.append(
                Diagnostic(
                    "E503",
                    f"the equality `{span.text}` is not affine",
                    span,
                    "its solutions form no convex set",
                    (),
                    LOCAL_HELP,
                )
            )
    for constraint in body.inequalities:
        span = body.constraint_spans[constraint.dual]
        found = verdict(constraint.node, unknowns, sets)
        _say(findings, conditions, span, found, "the constraint", "convex", constraint.node)
    return findings, tuple(conditions)


def _terms(expression: tree.Expression, body: Body, wanted: str) -> Iterator[tuple[Span, Node, str]]:
    """The summands of an objective with their signs, and what each must be: convex, or concave where it is subtracted
    or maximised."""
    match expression:
        case tree.Binary(operator="+", left=left, right=right):
            yield from _terms(left, body, wanted)
            yield from _terms(right, body, wanted)
        case tree.Binary(operator="-", left=left, right=right):
            yield from _terms(left, body, wanted)
            yield from _terms(right, body, _OPPOSITE[wanted])
        case tree.Negate(operand=operand):
            yield from _terms(operand, body, _OPPOSITE[wanted])
        case _:
            node = body.scope.value(expression)
            yield expression.span, build.neg(node) if wanted == "concave" else node, wanted


def _say(
    findings: list[Diagnostic],
    conditions: list[Condition],
    span: Span,
    found: Verdict,
    what: str,
    wanted: str,
    node: Node,
) -> None:
    bent = "negative" if wanted == "convex" else "positive"
    match found.outcome:
        case "proven":
            pass
        case "conditional":
            conditions += found.conditions
            texts = ", ".join(condition_text(c) for c in found.conditions)
            findings.append(
                Diagnostic(
                    "W501",
                    f"{what} is {wanted} only if {texts}",
                    span,
                    "tested for each sample at each call (status nonconvex)",
                    (),
                    "a set in the signature (`in nonneg`, `in psd(n)`) makes it proven",
                )
            )
        case "unknown":
            findings.append(
                Diagnostic(
                    "E501",
                    f"`{span.text}` is not known to be {wanted}",
                    span,
                    "no rule proves it",
                    (),
                    LOCAL_HELP,
                )
            )
        case "refuted":
            findings.append(
                Diagnostic(
                    "E502",
                    f"`{span.text}` is not {wanted}",
                    span,
                    f"it has a direction of {bent} curvature{found.direction and f': {found.direction}'}",
                    (),
                    LOCAL_HELP,
                )
            )


def condition_text(condition: Condition) -> str:
    """A condition in words of mathematics."""
    text = equation_text(condition.node)
    match condition.requirement:
        case "nonneg":
            return f"{text} >= 0"
        case "nonpos":
            return f"{text} <= 0"
        case "psd":
            return (
                f"{text} is positive semidefinite"
                if isinstance(condition.node, Leaf)
                else "its Hessian is positive semidefinite"
            )


def check_convexity(library: Library, report: Report) -> None:
    """Judge every `argmin` of a checked file with small sizes in place of its own. What small sizes cannot bind, and
    what
    is not executable, is left to construction, which judges again with the real ones."""
    for definition in (
        item for item in library.file.items if isinstance(item, tree.Definition) and item.kind == "argmin"
    ):
        if any(isinstance(s, tree.Choice) and s.what == "solver" and s.name == "local" for s in definition.body):
            continue
        names = (*(size.name for size in definition.sizes), *call_size_names(definition))
        try:
            body, program = gather(definition, library, {name: 2 + i for i, name in enumerate(names)})
            findings, _ = convexity(body, program, local=False)
        except ImpError:
            continue
        for finding in findings:
            report.add(finding.code, finding.message, finding.span, remark=finding.remark, help=finding.help)
