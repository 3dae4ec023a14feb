"""Declarations: `param const state var noise let`. Names enter with their shapes; starts and sets are checked."""

from __future__ import annotations

from implicitdsl.diagnostics import Label, Span
from implicitdsl.semantics.algebra import fits
from implicitdsl.semantics.body import FIXED, GIVEN, GIVEN_AT_TIME, Body, belongs
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.sets import check_draw, check_set, require
from implicitdsl.semantics.signature import read_shape
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.symbols import Role, Symbol
from implicitdsl.semantics.values import brief
from implicitdsl.syntax import tree


def declare(inference: Inference, body: Body, statement: tree.Declare) -> None:
    block, role = inference.block, statement.role
    known = role in ("param", "const") or belongs(inference, body, role, statement)
    if statement.draw is not None and role != "param":
        inference.report.add(
            "E401",
            f"`~` draws the start of a `param`, not of a `{role}`",
            statement.draw.span,
            help="give it a value: `= 0`",
        )
    if statement.set is not None and role not in ("param", "var"):
        inference.report.add(
            "E401",
            f"`in` holds for a `param`, a `var` or an input, not for a `{role}`",
            statement.set.span,
            help="take the set away",
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
        inference.report.add(
            "E401",
            "a noise starts at 0",
            item.start.span,
            help=f"to shift it, add to it where it is used: `d{item.name}`",
        )
        return
    if role in ("param", "const"):
        require(inference, item.start, FIXED, f"the start of a {role}")
    elif body.rules.kind == "bvp":
        require(inference, item.start, GIVEN_AT_TIME, "a guess")
    else:
        require(inference, item.start, GIVEN, "a start" if role == "state" else "a guess")
    fit_start(inference, item.name, shape, found, item)


def fit_start(
    inference: Inference, name: str, shape: Shape | None, found: Shape | None, where: tree.DeclaredName
) -> None:
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


def declare_let(inference: Inference, statement: tree.Let) -> None:
    block = inference.block
    value = inference.value(statement.value)
    needs = block.base_names(statement.value)
    symbol = Symbol(statement.name, "let", value.shape, statement.span, condition=value.condition, needs=needs)
    block.declare(symbol, where=statement.span)
