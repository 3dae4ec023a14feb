"""The statements that state a condition: equations, objective, constraints, horizon."""

from __future__ import annotations

from implicitdsl.diagnostics import Span
from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.argmin import Constraint
from implicitdsl.problems.signature import MemberSet
from implicitdsl.semantics.declarations import fit, read_set
from implicitdsl.semantics.elaborate import Body
from implicitdsl.semantics.events import read_event
from implicitdsl.semantics.expressions import Scope, placed
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree


def condition(statement: tree.Statement, body: Body) -> None:
    """Put what the statement says into the body; a kind of condition that cannot be executed yet is E6xx."""
    match statement:
        case tree.Equation(left=left, right=right):
            _equation(statement, left, right, body)
        case tree.Horizon(start=start, stop=stop):
            ends = (body.scope.value(start), body.scope.value(stop))
            for node, expression in zip(ends, (start, stop), strict=True):
                if node.shape != ():
                    raise fail("E309", f"`{expression.span.text}` is no scalar time", expression.span)
            body.horizon = ends
        case tree.Objective(sense=sense, value=value):
            node = body.scope.value(value)
            if node.shape != ():
                raise fail("E309", f"the objective is {list(node.shape)}, not a scalar", value.span, help="sum it")
            body.objective = node if sense == "minimize" else build.neg(node)
            body.objective_statement = statement
        case tree.Subject(relations=relations):
            for relation in relations:
                _relation(relation, body, body.scope)
        case tree.When():
            read_event(statement, body)
        case tree.History(name=name, value=value):
            body.histories[name] = fit(body.scope.value(value), body.unknowns[name].leaf.shape, statement)
        case _:
            raise fail("E601", f"`{statement.span.text}` is not executable yet", statement.span)


def differential(left: tree.Expression) -> str | None:
    """The state whose time derivative stands on the left (`dx/dt`), or None."""
    match left:
        case tree.Binary(operator="/", left=tree.Name(id=above), right=tree.Name(id="dt")) if above.startswith("d"):
            return above[1:]
        case _:
            return None


def _equation(statement: tree.Equation, left: tree.Expression, right: tree.Expression, body: Body) -> None:
    state = differential(left)
    if state is not None and state in body.unknowns:
        unknown = body.unknowns[state]
        body.derivatives[state] = fit(body.scope.value(right), unknown.leaf.shape, statement)
        return
    a, b = body.scope.value(left), body.scope.value(right)
    if isinstance(left, tree.Name) and left.id in body.unknowns:
        b = fit(b, a.shape, statement)
    body.equations.append((statement, a, b))


def _relation(relation: tree.Relation, body: Body, scope: Scope) -> None:
    match relation:
        case tree.ForAll(index=index, range=bounds, body=inner):
            for k in scope.range(bounds):
                loop = scope.with_index(index, k)
                for item in inner:
                    _relation(item, body, loop)
        case tree.Equation(left=left, right=right, label=label):
            a, b = scope.value(left), scope.value(right)
            with placed(relation):
                _add(body, build.sub(a, b), relation.span, label, equality=True)
        case tree.Inequality(label=label):
            _inequality(relation, relation.condition, label, body, scope)


def _inequality(
    relation: tree.Inequality, condition: tree.Compare | tree.Contains, label: str | None, body: Body, scope: Scope
) -> None:
    match condition:
        case tree.Compare(operators=operators, operands=operands):
            values = [scope.value(o) for o in operands]
            with placed(relation):
                for operator, a, b in zip(operators, values, values[1:], strict=False):
                    difference = build.sub(a, b) if operator in ("<", "<=") else build.sub(b, a)
                    _add(body, difference, relation.span, label, equality=False)
        case tree.Contains(item=item, set=set_):
            node = scope.value(item)
            found = read_set(set_, scope)
            assert found is not None
            constrain(body, node, found, relation.span, label)


def _add(body: Body, node: Node, span: Span, label: str | None, *, equality: bool) -> None:
    group = body.equalities if equality else body.inequalities
    name = f"{label or ('eq' if equality else 'ineq')}.{len(group)}"
    dual = Leaf("dual", name, node.shape)
    group.append(Constraint(node, dual, label))
    body.constraint_spans[dual] = span
    if label is not None:
        body.scope.labels.setdefault(label, []).append(dual)


def constrain(body: Body, node: Node, set_: MemberSet, span: Span, label: str | None) -> None:
    """A closed set as constraints on a node; cones that are no half-spaces are E604."""
    with placed(_At(span=span)):
        match set_:
            case MemberSet(name="positive" | "nonneg"):
                _add(body, build.neg(node), span, label, equality=False)
            case MemberSet(name="interval", args=(low, high)):
                _add(body, build.sub(low, node), span, label, equality=False)
                _add(body, build.sub(node, high), span, label, equality=False)
            case MemberSet(name="simplex"):
                _add(body, build.neg(node), span, None, equality=False)
                _add(body, build.sub(build.total(node), 1.0), span, label, equality=True)
            case MemberSet(name="ordered"):
                n = node.shape[0]
                _add(
                    body,
                    build.sub(build.pick(node, [(0, n - 1)]), build.pick(node, [(1, n)])),
                    span,
                    label,
                    equality=False,
                )
            case _:
                raise fail(
                    "E604",
                    f"the cone `{set_}` is not executable yet",
                    span,
                    remark="the interior point method solves linear and quadratic programs",
                    help="use linear constraints, or a polyhedral approximation of the cone",
                )


class _At(tree.Node):
    """A bare place."""
