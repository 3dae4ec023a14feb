"""Differentials enter a right-hand side linearly: `dz = f*dt + g @ dW`, but not `dz = dW*dW` or `dz = 1 + dW`.

The degree of an expression in the differentials is 0 (none), 1 (linear and homogeneous), or anything for a literal 0.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal

from implicitdsl.diagnostics import Report
from implicitdsl.semantics.symbols import CheckedFunction, Symbol
from implicitdsl.semantics.values import brief, drive
from implicitdsl.syntax import tree

Degree = Literal[0, 1, "zero"] | None  # None: not linear, which is reported
Rule = Generator[Any, Any, Degree]

#: Functions that are linear in their first argument, and those that are linear in each of two.
LINEAR = frozenset({"sum", "mean", "reshape", "concat", "stack", "diag", "trace", "cumsum"})
BILINEAR = frozenset({"dot", "outer", "conv1d", "conv2d"})


class Linearity:
    """The degrees of the expressions of one block. `lets` holds the degree of every `let`, in the order of the text."""

    def __init__(self, report: Report, symbols: Mapping[str, Symbol], functions: Mapping[str, CheckedFunction]) -> None:
        self.report = report
        self.symbols = symbols
        self.functions = functions
        self.lets: dict[str, Degree] = {}
        self._expanded: dict[tuple[object, ...], Degree] = {}

    def degree(self, expression: tree.Expression) -> Degree:
        """The degree of an expression; what is not linear is E408, at the innermost place."""
        return drive(self._visit(expression, {}))

    def _refuse(self, node: tree.Node, reason: str, help_: str) -> None:
        self.report.add(
            "E408", f"`{brief(node)}` is not linear in the differentials", node.span, remark=reason, help=help_
        )

    def _visit(self, node: tree.Expression | tree.Slice, names: Mapping[str, Degree]) -> Rule:
        match node:
            case tree.Number(value=value):
                return "zero" if value == 0 else 0
            case tree.Name(id=name):
                if name in names:
                    return names[name]
                if name in self.lets:
                    return self.lets[name]
                symbol = self.symbols.get(name)
                return 1 if symbol is not None and symbol.role == "differential" else 0
            case tree.Negate(operand=operand) | tree.Transpose(operand=operand):
                return (yield self._visit(operand, names))
            case tree.Binary(operator=operator, left=left, right=right):
                a: Degree = yield self._visit(left, names)
                b: Degree = yield self._visit(right, names)
                return self._binary(node, operator, a, b)
            case tree.IfElse(condition=condition, yes=yes, no=no):
                if not (yield from self._free(condition, names, node, "a condition")):
                    return None
                a = yield self._visit(yes, names)
                b = yield self._visit(no, names)
                return self._alike(node, (a, b))
            case tree.Index(base=base):
                return (yield self._visit(base, names))
            case tree.Bracket(items=items):
                found: list[Degree] = []
                for item in items:
                    found.append((yield self._visit(item, names)))
                return self._alike(node, found)
            case tree.Call():
                return (yield self._call(node, names))
            case tree.Compare() | tree.Logical() | tree.Not() | tree.Contains():
                return 0 if (yield from self._free(node, names, node, "a condition")) else None
            case tree.Attribute() | tree.Slice():
                return 0

    def _binary(self, node: tree.Binary, operator: str, a: Degree, b: Degree) -> Degree:
        if a is None or b is None:
            return None
        if operator in ("+", "-"):
            return self._alike(node, (a, b))
        if "zero" in (a, b) and operator in ("*", "@"):
            return "zero"
        if operator in ("*", "@"):
            if a == 1 and b == 1:
                self._refuse(node, "it is a product of two differentials", "to first order dW*dW is dt, and dt*dW is 0")
                return None
            return 1 if 1 in (a, b) else 0
        if b == 1 or (operator == "^" and a == 1):
            reason = "a differential is raised to a power" if operator == "^" else "it divides by a differential"
            self._refuse(node, reason, "differentials are only added, and multiplied by values")
            return None
        return a

    def _alike(self, node: tree.Node, degrees: Sequence[Degree]) -> Degree:
        """Terms of a sum and items of a bracket: all with a differential or all without."""
        if None in degrees:
            return None
        kinds: list[Degree] = []
        for degree in degrees:
            if degree != "zero" and degree not in kinds:
                kinds.append(degree)
        if len(kinds) > 1:
            self._refuse(node, "one part has a differential, another has none", "multiply the part without one by `dt`")
            return None
        return kinds[0] if kinds else "zero"

    def _free(
        self, node: tree.Expression, names: Mapping[str, Degree], where: tree.Node, what: str
    ) -> Generator[Any, Any, bool]:
        """Whether there is no differential in it at all."""
        parts: Sequence[tree.Expression]
        match node:
            case tree.Compare(operands=operands):
                parts = operands
            case tree.Logical(left=left, right=right):
                parts = (left, right)
            case tree.Not(operand=operand):
                parts = (operand,)
            case _:
                degree: Degree = yield self._visit(node, names)
                if degree == 1:
                    self._refuse(
                        where,
                        f"a differential stands in {what}",
                        "differentials are only added, and multiplied by values",
                    )
                return degree is not None and degree != 1
        for part in parts:
            degree = yield self._visit(part, names)
            if degree == 1:
                self._refuse(
                    where, f"a differential stands in {what}", "differentials are only added, and multiplied by values"
                )
            if degree is None or degree == 1:
                return False
        return True

    def _call(self, node: tree.Call, names: Mapping[str, Degree]) -> Rule:
        name = node.function.id if isinstance(node.function, tree.Name) else ""
        inner: Mapping[str, Degree] = names
        arguments: list[tree.Expression] = []
        for argument in node.arguments:
            if isinstance(argument, tree.Family):
                inner = {**names, argument.index: 0}
                arguments.append(argument.body)
            elif not isinstance(argument, tree.Named):
                arguments.append(argument)
        sized = name in ("reshape", "eye", "zeros", "ones")
        degrees: list[Degree] = []
        for argument in arguments[:1] if sized else arguments:
            degrees.append((yield self._visit(argument, inner)))
        if None in degrees:
            return None
        if 1 not in degrees:
            return 0
        if name not in self.symbols:
            if name in self.functions:
                return (yield self._expand(self.functions[name], degrees))
            if name in LINEAR:
                return self._alike(node, degrees)
            if (name in BILINEAR and degrees.count(1) == 1) or (name == "solve" and degrees[0] != 1):
                return 1
        self._refuse(
            node,
            f"a differential is an argument of `{brief(node.function)}`",
            "differentials are only added, and multiplied by values",
        )
        return None

    def _expand(self, function: CheckedFunction, degrees: Sequence[Degree]) -> Rule:
        """The degree of a function for arguments of these degrees: looked at once, however often it is called."""
        key = (id(function), *degrees)
        if key not in self._expanded:
            self._expanded[key] = None  # a function that calls itself is reported where it is defined
            bound = dict(zip(function.tree.arguments, degrees, strict=False))
            self._expanded[key] = yield self._visit(function.tree.value, bound)
        return self._expanded[key]
