"""The statements of a definition in the order of the text."""

from __future__ import annotations

from collections.abc import Callable

from implicitdsl.semantics.body import Body, belongs, only_once
from implicitdsl.semantics.constraints import check_objective, check_relation
from implicitdsl.semantics.declare import declare, declare_let
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.kinds import KINDS
from implicitdsl.semantics.outputs import check_return
from implicitdsl.semantics.symbols import CheckedDefinition, Symbol
from implicitdsl.semantics.timing import check_event, check_history, check_horizon
from implicitdsl.semantics.uses import resolve_use
from implicitdsl.semantics.values import OUTSIDE
from implicitdsl.syntax import tree

FindLayer = Callable[[str | None, str], "CheckedDefinition | None"]


def run(inference: Inference, find_layer: FindLayer) -> Body:
    """Go through the statements of the block's definition. Equations are gathered, to be checked by their kind."""
    block = inference.block
    body = Body(KINDS[block.definition.kind])
    for statement in block.definition.body:
        match statement:
            case tree.Declare():
                declare(inference, body, statement)
            case tree.Let():
                declare_let(inference, statement)
            case tree.Use():
                site = resolve_use(block, statement, find_layer)
                block.declare(Symbol(statement.name, "use", None, statement.span), where=statement.span)
                if site is not None:
                    block.uses[statement.name] = site
            case tree.Equation(left=left, right=right):
                body.equations.append(statement)
                if "equation" in body.rules.may:
                    block.refuse_later(left, right)
                if isinstance(left, tree.Name) and left.id not in block.symbols and left.id not in block.later:
                    block.mistaken.add(left.id)
            case tree.History():
                check_history(inference, body, statement)
            case tree.Horizon():
                check_horizon(inference, body, statement)
            case tree.When():
                if belongs(inference, body, "when", statement):
                    check_event(inference, body, statement)
            case tree.Objective():
                if belongs(inference, body, "minimize", statement):
                    check_objective(inference, body, statement)
            case tree.Subject(relations=relations):
                if belongs(inference, body, "subject to", statement):
                    for relation in relations:
                        check_relation(inference, relation, OUTSIDE)
            case tree.Choice(what=what):
                if belongs(inference, body, "solver", statement):
                    only_once(inference, body, what, statement)
            case tree.Return():
                check_return(inference, body, statement)
    return body
