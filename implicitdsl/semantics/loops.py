"""`for k in a:b`: the frame inside a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from implicitdsl.diagnostics import Label
from implicitdsl.semantics import budget
from implicitdsl.semantics.indexing import Loop
from implicitdsl.semantics.names import with_article
from implicitdsl.semantics.values import Frame, brief
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.infer import Inference


def enter_loop(inference: Inference, index: str, bounds: tree.Range, frame: Frame) -> Frame | None:
    """The frame inside `for index in a:b`; None where the loop is wrong or beyond the budget."""
    block = inference.block
    start, stop = inference.size(bounds.start, frame), inference.size(bounds.stop, frame)
    taken = block.symbols.get(index) if frame.function is None else None
    if index in frame.locals or taken is not None:
        labels = (
            ()
            if taken is None or taken.span is None
            else (Label(taken.span, f"first defined here, as {with_article(taken.role)}"),)
        )
        block.report.add(
            "E202", f"`{index}` is defined twice", bounds.span, labels=labels, help="give the loop another name"
        )
        return None
    if start is None or stop is None:
        return None
    if (start - stop - 1).never_negative:
        block.report.add("E306", f"the loop `{index} in {brief(bounds)}` ends before it starts", bounds.span)
        return None
    rounds = frame.rounds * budget.rounds(start, stop)
    if rounds > budget.ROUNDS:
        block.report.add(
            "E305",
            f"the loop over `{index}` is too long",
            bounds.span,
            remark=f"{rounds} rounds are beyond the budget of {budget.ROUNDS}",
            help="write it with products of matrices and elementwise functions",
        )
        return None
    return frame.inside(Loop(index, start, stop), bounds.span, rounds)
