"""What a definition returns, against what it declares."""

from __future__ import annotations

from implicitdsl.diagnostics import Label
from implicitdsl.semantics.body import GIVEN, Body, belongs, only_once
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.layercall import layer_outputs
from implicitdsl.semantics.sets import require
from implicitdsl.semantics.sizes import Shape, show
from implicitdsl.semantics.timing import no_differentials
from implicitdsl.semantics.values import brief
from implicitdsl.syntax import tree


def check_return(inference: Inference, body: Body, statement: tree.Return) -> None:
    if not only_once(inference, body, "return", statement):
        return
    body.result = statement
    times: Shape = ()
    known = True
    if statement.at is not None:
        found = inference.shape(statement.at)
        known = belongs(inference, body, "at", statement) and found is not None
        require(inference, statement.at, GIVEN, "the times")
        if found is not None and len(found) != 1:
            inference.report.add(
                "E309", f"times are a vector, `{brief(statement.at)}` is {show(found)}", statement.at.span, help="ts[T]"
            )
            known = False
        times = found or ()
    shapes: list[Shape | None] = []
    for value in statement.values:
        outputs = _all_outputs(inference, value) if len(statement.values) == 1 else None
        shapes += outputs if outputs is not None else (inference.shape(value),)
        no_differentials(inference, value, "a result")
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
    shapes = [
        block.symbols[a.id].shape
        if isinstance(a, tree.Name) and a.id in block.symbols and block.symbols[a.id].role == "path"
        else inference.shape(a)
        for a in plain
    ]
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
            f"{definition.name} returns {len(body.returned)} of {len(declared)} declared outputs",
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
                help=_product(body.result),
            )


def _product(result: tree.Return) -> str:
    match result.values:
        case [tree.Binary(operator="*")]:
            return "`*` is elementwise, `@` the product of matrices"
        case _:
            return ""
