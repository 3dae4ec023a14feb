"""Objectives, and the relations of `subject to`."""

from __future__ import annotations

from implicitdsl.diagnostics import Label
from implicitdsl.semantics.algebra import ClashError, broadcast
from implicitdsl.semantics.body import GIVEN_OR_FOUND, Body
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.loops import enter_loop
from implicitdsl.semantics.sets import check_set
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.values import Frame, brief
from implicitdsl.syntax import tree


def check_objective(inference: Inference, body: Body, statement: tree.Objective) -> None:
    if body.objectives:
        labels = (Label(body.objectives[0].span, "the first"),)
        inference.report.add(
            "E411", "there are two objectives", statement.span, labels=labels, help="weigh and add them in one"
        )
    body.objectives.append(statement)
    shape = inference.shape(statement.value)
    if shape is not None and shape != ():
        text = f"an objective is a scalar, this is {show(shape)}"
        inference.report.add("E309", text, statement.value.span, help=_as_scalar(statement))


def _as_scalar(statement: tree.Objective) -> str:
    """The help for an objective that is a vector: what it is most likely meant to be, in its own words."""
    added = f"`{statement.sense} sum({brief(statement.value)})`"
    match statement.value:
        case tree.Binary(operator="^", left=base, right=tree.Number(text="2")):
            bare = brief(base).removeprefix("(").removesuffix(")") if brief(base).count("(") == 1 else brief(base)
            return f"write `{statement.sense} normsq({bare})`, or {added}"
        case _:
            return f"write {added}, or `normsq(…)` for a sum of squares"


def check_relation(inference: Inference, relation: tree.Relation, frame: Frame) -> None:
    block = inference.block
    shape: Shape | None = None
    match relation:
        case tree.ForAll():
            inner = enter_loop(inference, relation.index, relation.range, frame)
            if inner is not None:
                for item in relation.body:
                    check_relation(inference, item, inner)
            return
        case tree.Equation(left=left, right=right):
            shape = together(inference, relation, frame)
            _has_unknown(inference, relation, left, right)
        case tree.Inequality(condition=condition):
            if isinstance(condition, tree.Compare):
                shape = inference.condition(condition, frame)
                _has_unknown(inference, relation, *condition.operands)
            else:
                shape = inference.shape(condition.item, frame)
                check_set(inference, condition.set, brief(condition.item), shape, GIVEN_OR_FOUND, frame)
                _has_unknown(inference, relation, condition.item)
    if relation.label is not None:
        if relation.label in block.labels:
            inference.report.add(
                "E202", f"the label `{relation.label}` is there twice", relation.span, help="give it another name"
            )
        block.labels[relation.label] = shape if not frame.loops else None


def _has_unknown(inference: Inference, relation: tree.Node, *sides: tree.Expression) -> None:
    block = inference.block
    names = block.base_names(*sides)
    if not any(block.symbols[name].role in ("var", "use") for name in names):
        inference.report.add(
            "E405",
            f"no `var` stands in the constraint `{brief(relation)}`",
            relation.span,
            remark="it constrains nothing",
            help="use a `var`, or take it away",
        )


def together(inference: Inference, equation: tree.Equation, frame: Frame) -> Shape | None:
    """The shape that both sides of an equation stretch to; E302 where they do not fit."""
    a, b = inference.shape(equation.left, frame), inference.shape(equation.right, frame)
    if a is None or b is None:
        return None
    try:
        return broadcast(a, b)
    except ClashError as clash:
        labels, help_ = inference.blame(equation.left, a, equation.right, b, clash)
        remark = f"{brief(equation.left)} is {show(a)}, {brief(equation.right)} is {show(b)}"
        inference.disagree(equation, remark, help_, labels, frame)
        return None
