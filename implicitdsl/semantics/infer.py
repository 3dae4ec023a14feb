"""The shape of every expression, for all sizes.

The rules are generators that yield the parts they need, driven by a loop (`Inference.value`): a sum of ten thousand
terms, which is a tree ten thousand deep, needs no Python stack. What does not fit is reported once, at the innermost
expression; its shape is unknown (None) from there on, and nothing else is said about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from implicitdsl.diagnostics import Label, Report
from implicitdsl.functions import shapes as rules
from implicitdsl.functions.table import FUNCTIONS, SizeMismatch
from implicitdsl.semantics import budget
from implicitdsl.semantics.algebra import ClashError, broadcast, matmul, transpose
from implicitdsl.semantics.calls import call
from implicitdsl.semantics.indexing import check_index, slice_size
from implicitdsl.semantics.scope import Block
from implicitdsl.semantics.sizes import Shape, Size, SizeBudgetError, lift, show
from implicitdsl.semantics.symbols import Symbol
from implicitdsl.semantics.values import OUTSIDE, UNKNOWN, Frame, Step, Value, brief, drive
from implicitdsl.syntax import tree


class Inference:
    """Shapes of the expressions of one block."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.report: Report = block.report
        self.expansions: dict[tuple[object, ...], Value] = {}

    # ------------------------------------------------------------ the ways in

    def value(self, expression: tree.Expression, frame: Frame = OUTSIDE) -> Value:
        """What an expression is."""
        return drive(self.visit(expression, frame))

    def shape(self, expression: tree.Expression, frame: Frame = OUTSIDE) -> Shape | None:
        """The shape of an expression that is a number or tensor; a condition is E414."""
        return self.number(expression, self.value(expression, frame))

    def condition(self, expression: tree.Expression, frame: Frame = OUTSIDE) -> Shape | None:
        """The shape of an expression that is true or false; a number is E414."""
        return self.truth(expression, self.value(expression, frame))

    def number(self, expression: tree.Expression, value: Value) -> Shape | None:
        """The shape of a value that must be a number."""
        if value.condition:
            self.report.add(
                "E414",
                f"`{brief(expression)}` is true or false, not a number",
                expression.span,
                help="`if … then 1 else 0`",
            )
            return None
        return value.shape

    def truth(self, expression: tree.Expression, value: Value) -> Shape | None:
        """The shape of a value that must be a condition."""
        if not value.condition and value.shape is not None:
            self.report.add(
                "E414",
                f"`{brief(expression)}` is a number, not a condition",
                expression.span,
                help="compare it: `… > 0`",
            )
            return None
        return value.shape

    # ------------------------------------------------------------ the rules

    def visit(self, node: tree.Expression, frame: Frame) -> Step:
        """The generator that finds what an expression is."""
        match node:
            case tree.Number():
                return Value(())
            case tree.Name():
                return self.name(node, frame)
            case tree.Negate(operand=operand):
                return Value(self.number(operand, (yield self.visit(operand, frame))))
            case tree.Binary():
                left = self.number(node.left, (yield self.visit(node.left, frame)))
                right = self.number(node.right, (yield self.visit(node.right, frame)))
                return Value(self.combine(node, node.operator, node.left, left, node.right, right, frame))
            case tree.Compare(operands=operands):
                shape: Shape | None = ()
                previous: tree.Expression = operands[0]
                for operand in operands:
                    found = self.number(operand, (yield self.visit(operand, frame)))
                    shape = self.combine(node, "<", previous, shape, operand, found, frame)
                    previous = operand
                return Value(shape, condition=True)
            case tree.Logical(left=left_, right=right_):
                a = self.truth(left_, (yield self.visit(left_, frame)))
                b = self.truth(right_, (yield self.visit(right_, frame)))
                return Value(self.combine(node, node.operator, left_, a, right_, b, frame), condition=True)
            case tree.Not(operand=operand):
                return Value(self.truth(operand, (yield self.visit(operand, frame))), condition=True)
            case tree.IfElse(condition=test, yes=yes, no=no):
                gate = self.truth(test, (yield self.visit(test, frame)))
                a = self.number(yes, (yield self.visit(yes, frame)))
                b = self.number(no, (yield self.visit(no, frame)))
                both = self.combine(node, "else", yes, a, no, b, frame)
                return Value(self.combine(node, "if", test, gate, node, both, frame))
            case tree.Transpose(operand=operand):
                inner = self.number(operand, (yield self.visit(operand, frame)))
                return Value(self.guard(node, frame, lambda: None if inner is None else transpose(inner)))
            case tree.Index(base=base, items=items):
                inner = self.number(base, (yield self.visit(base, frame)))
                return Value(self.index(node, inner, items, frame))
            case tree.Bracket(items=items):
                parts: list[Shape | None] = []
                for item in items:
                    parts.append(self.number(item, (yield self.visit(item, frame))))
                return Value(self.bracket(node, parts, frame))
            case tree.Call():
                return (yield call(self, node, frame))
            case tree.Contains():
                self.report.add(
                    "E402",
                    "`in` belongs to declarations and to `subject to`",
                    node.span,
                    help="compare instead: `0 <= x`",
                )
                return UNKNOWN
            case tree.Attribute():
                self.report.add(
                    "E402",
                    f"`{brief(node)}` is no value",
                    node.span,
                    remark="only imported files have parts with a dot",
                    help=self._instead_of_attribute(node),
                )
                return UNKNOWN

    @staticmethod
    def _instead_of_attribute(node: tree.Attribute) -> str:
        if node.name in FUNCTIONS:
            return f"functions stand in front: `{node.name}({brief(node.base)})`"
        if node.name in ("t", "mT", "H"):
            return f"a transpose is written `{brief(node.base)}.T`"
        return "sizes are names: `n` of `x[n]` is also a number" if node.name in ("shape", "size") else ""

    def name(self, node: tree.Name, frame: Frame) -> Value:
        """What a name stands for as a value."""
        local = frame.locals.get(node.id)
        if local is not None:
            return Value(local.shape, local.condition)
        if frame.function is not None:
            return Value(() if node.id in ("pi", "inf") else None)
        symbol = self.block.look_up(node)
        match symbol:
            case None:
                return UNKNOWN
            case Symbol(role="use"):
                self.report.add("E402", f"`{node.id}` is a layer", node.span, help=f"call it: `{node.id}(…)`")
                return UNKNOWN
            case Symbol(role="path"):
                at = "t" if self.block.timed else "0"
                self.report.add(
                    "E402", f"`{node.id}` is a path", node.span, help=f"read it at a time: `{node.id}({at})`"
                )
                return UNKNOWN
            case Symbol(role="noise"):
                help_ = f"use its differential `d{node.id}`; a state shows its value: `state w = 0`, `dw = d{node.id}`"
                self.report.add("E402", f"`{node.id}` is a noise", node.span, help=help_)
                return UNKNOWN
            case _:
                return Value(symbol.shape, symbol.condition)

    def combine(
        self,
        node: tree.Expression,
        operator: str,
        left: tree.Expression,
        a: Shape | None,
        right: tree.Expression,
        b: Shape | None,
        frame: Frame,
    ) -> Shape | None:
        """The shape of two operands together; E302 where they do not fit."""
        if a is None or b is None:
            return None
        try:
            return self.within_budget(node, matmul(a, b) if operator == "@" else broadcast(a, b))
        except ClashError as clash:
            remark = f"{self.told(left, a)}, {self.told(right, b)}"
            labels, help_ = self.blame(left, a, right, b, clash)
            self.disagree(node, remark, clash.help or help_, labels, frame)
            return None

    @staticmethod
    def told(node: tree.Expression, shape: Shape) -> str:
        """`x is [n]`, as sentences of an error say it; a vector of one name too."""
        return f"{brief(node)} is {show(shape)}"

    def blame(
        self, left: tree.Expression, a: Shape, right: tree.Expression, b: Shape, clash: ClashError
    ) -> tuple[tuple[Label, ...], str]:
        """Where the shapes of two operands come from, and which of them was probably meant to be another."""
        sides = [(left, a, b, 0), (right, b, a, 1)]
        labels: list[Label] = []
        if clash.axes is not None:
            for side, shape, other, which in sides:
                symbol = self.block.symbols.get(side.id) if isinstance(side, tree.Name) else None
                if symbol is None or symbol.shape != shape or symbol.span is None:
                    continue
                size, wanted = shape[clash.axes[which]], other[clash.axes[1 - which]]
                if any(str(size) == s.name and s.role == "call size" for s in self.block.symbols.values()):
                    axes = [wanted if i == clash.axes[which] else s for i, s in enumerate(shape)]
                    return (
                        Label(symbol.span, f"{symbol.name} has size {size}"),
                    ), f"did you mean {symbol.name}{show(tuple(axes))}?"
        for side, shape, _, _ in sides:
            symbol = self.block.symbols.get(side.id) if isinstance(side, tree.Name) else None
            if symbol is not None and symbol.span is not None and symbol.shape == shape:
                labels.append(Label(symbol.span, f"{symbol.name} is {show(shape)}"))
        return tuple(labels), ""

    def disagree(self, node: tree.Node, remark: str, help_: str, labels: Sequence[Label], frame: Frame) -> None:
        """Report E302 at an expression; inside a function the call is shown too."""
        if frame.called is not None:
            labels = (*labels, Label(frame.called, "in this call"))
        self.report.add(
            "E302", f"sizes do not agree in `{brief(node)}`", node.span, remark=remark, help=help_, labels=labels
        )

    def guard(
        self, node: tree.Expression, frame: Frame, rule: Callable[[], Sequence[Size | int] | None]
    ) -> Shape | None:
        """The shape that a rule gives; what it refuses is E302, what is too large E305."""
        try:
            found = rule()
            return None if found is None else self.within_budget(node, tuple(lift(s) for s in found))
        except ClashError as clash:
            self.disagree(node, clash.reason, clash.help, (), frame)
        except SizeMismatch as error:
            if not isinstance(error, rules.SizeUndecided):
                self.disagree(node, str(error), error.help, (), frame)
        except SizeBudgetError:
            self.report.add("E305", f"the shape of `{brief(node)}` is too large a polynomial", node.span)
        return None

    def within_budget(self, node: tree.Node, shape: Shape) -> Shape | None:
        """The shape itself, or None and E305."""
        reason = budget.too_large(shape)
        if reason:
            self.report.add("E305", f"`{brief(node)}` is too large", node.span, remark=reason)
            return None
        return shape

    def size(self, expression: tree.Expression, frame: Frame) -> Size | None:
        """The polynomial of a size expression, loop names included; None where it is none, which is reported."""
        return self.block.size(expression, {loop.name for loop in frame.loops}, in_function=frame.function is not None)

    # ------------------------------------------------------------ indices and brackets

    def index(
        self, node: tree.Index, base: Shape | None, items: Sequence[tree.Expression | tree.Slice], frame: Frame
    ) -> Shape | None:
        """The shape of `x[i, a:b]`."""
        if isinstance(node.base, tree.Number):
            help_ = f"units are told in a comment: `# {', '.join(brief(item) for item in items)}`"
            self.report.add("E306", f"`{brief(node.base)}` is a number and has no axes", node.span, help=help_)
            return None
        ends: list[tuple[Size | None, Size | None]] = []
        for item in items:
            if isinstance(item, tree.Slice):
                start = Size.of(0) if item.start is None else self.size(item.start, frame)
                ends.append((start, None if item.stop is None else self.size(item.stop, frame)))
            else:
                ends.append((self.size(item, frame), None))
        if base is None:
            return None
        if len(items) > len(base):
            are = "is" if len(items) == 1 else "are"
            self.report.add(
                "E306",
                f"`{brief(node.base)}` is {show(base)}, and {len(items)} of its axes {are} indexed",
                node.span,
            )
            return None
        kept: list[Size] = []
        for item, (start, stop), extent in zip(items, ends, base, strict=False):
            if start is None or (isinstance(item, tree.Slice) and item.stop is not None and stop is None):
                return None
            try:
                if isinstance(item, tree.Slice):
                    size, reason = slice_size(start, extent if stop is None else stop, extent, frame.loops)
                    kept.append(size)
                else:
                    reason = check_index(start, extent, frame.loops)
            except SizeBudgetError:
                reason = "the index is too large a polynomial"
            if reason:
                self.report.add("E306", f"`{brief(item)}` is outside `{brief(node.base)}`", item.span, remark=reason)
                return None
        return (*kept, *base[len(items) :])

    def bracket(self, node: tree.Bracket, parts: Sequence[Shape | None], frame: Frame) -> Shape | None:
        """Rows of a matrix, or a concatenation; a mixture is E303."""
        rows = [isinstance(item, tree.Bracket) for item in node.items]
        if any(rows) and not all(rows):
            self.report.add(
                "E303",
                "a bracket mixes rows and values",
                node.span,
                remark="brackets inside a bracket are the rows of a matrix",
                help="`stack(…)` puts parts under a new first axis, `concat(…)` one behind the other",
            )
            return None
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return self.guard(node, frame, lambda: rules.stack(*known) if all(rows) else rules.concat(*known))
