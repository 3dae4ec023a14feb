"""Graphs as text: one line a node, or infix formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from implicitdsl.functions.scalar import SCALAR
from implicitdsl.ir.node import Constant, Contract, Leaf, Node, Solve, walk
from implicitdsl.ir.notation import ATOM, PRODUCT, Formula, Notation, formula_of, items_of, write


def to_text(outputs: Sequence[Node], names: Mapping[Node, str] | None = None) -> str:
    """One line a node, arguments before users: name, shape, formula over names. Leaves, numbers and named nodes
    stand for themselves; outputs are marked with `>`."""
    notation = TextNotation()
    given = {node: Formula(text) for node, text in (names or {}).items()}
    chosen = set(outputs)
    written: dict[Node, Formula] = {}
    lines: list[tuple[str, str, str]] = []
    for node in walk(outputs):
        formula = formula_of(node, notation, written)
        if node in given or (not node.args and node not in chosen):
            written[node] = given.get(node, formula)
            if node.args:
                mark = "> " if node in chosen else ""
                lines.append((mark + given[node].text, str(list(node.shape)), formula.text))
            continue
        written[node] = Formula(f"v{len(lines)}")
        mark = "> " if node in chosen else ""
        lines.append((mark + written[node].text, str(list(node.shape)), formula.text))
    width = max((len(name) for name, _, _ in lines), default=0)
    middle = max((len(shape) for _, shape, _ in lines), default=0)
    return "\n".join(f"{name:>{width}} {shape:<{middle}} = {text}" for name, shape, text in lines)


def equation_text(outputs: Sequence[Node] | Node, names: Mapping[Node, str] | None = None) -> str:
    """Infix formulas, one line an output; what is long and used twice follows as `where NAME = …`."""
    chosen = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
    given = {node: Formula(text) for node, text in (names or {}).items()}
    formulas, lines = write(chosen, TextNotation(), given)
    return "\n".join([f.text for f in formulas] + [f"where {name.text} = {f.text}" for name, f in lines])


def number_text(value: float) -> str:
    """The shortest text that reads back as the number, without a needless `.0`."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value) if value == value else "nan"


@final
class TextNotation(Notation):
    """The notation of the language itself, as far as it goes."""

    def leaf(self, leaf: Leaf) -> Formula:
        match leaf.kind:
            case "tangent":
                return Formula(leaf.name.split(".", 1)[-1] + "_dot")
            case "cotangent":
                return Formula(leaf.name + "_bar")
            case _:
                return Formula(leaf.name)

    def named(self, number: int) -> Formula:
        return Formula(f"v{number}")

    def number(self, value: float) -> Formula:
        if value != value or value in (float("inf"), float("-inf")):
            return Formula(repr(value), 4 if value < 0 else ATOM)
        return Formula(number_text(value), 4 if value < 0 else ATOM)

    def array(self, node: Constant) -> Formula:
        if node.size > 6 or len(node.shape) != 1:
            return Formula(f"constant{list(node.shape)}")
        return Formula("[" + ", ".join(number_text(float(v)) for v in node.value) + "]")

    def identity(self, n: int) -> Formula:
        return Formula(f"eye({n})")

    def function(self, name: str, args: Sequence[Formula]) -> Formula:
        record = SCALAR[name]
        template = record.text or f"{name}({', '.join(f'{{{k}}}' for k in range(len(args)))})"
        levels = record.argument_levels if record.text else (0,) * len(args)
        texts = [bracketed(a, at_least) for a, at_least in zip(args, levels, strict=True)]
        return Formula(template.format(*texts), record.level if record.text else ATOM)

    def call(self, name: str, *args: Formula | str) -> Formula:
        return Formula(f"{name}({', '.join(a if isinstance(a, str) else a.text for a in args)})")

    def transposed(self, a: Formula) -> Formula:
        return Formula(a.text[:-2]) if a.level == 8 else Formula(f"{bracketed(a, ATOM)}.T", 8)

    def product(self, a: Formula, b: Formula) -> Formula:
        return Formula(f"{bracketed(a, PRODUCT)} @ {bracketed(b, PRODUCT + 1)}", PRODUCT)

    def inner(self, a: Formula, b: Formula) -> Formula:
        return self.product(a, b)

    def outer(self, a: Formula, b: Formula) -> Formula:
        return self.call("outer", a, b)

    def square(self, a: Formula) -> Formula:
        return self.call("normsq", a)

    def scaled(self, factors: Sequence[Formula], a: Formula) -> Formula:
        texts = [bracketed(f, PRODUCT + (k > 0)) for k, f in enumerate(factors)]
        return Formula("*".join([*texts, bracketed(a, PRODUCT + 1)]), PRODUCT)

    def total(self, a: Formula) -> Formula:
        return self.call("sum", a)

    def indexed_sum(self, node: Contract, terms: Sequence[tuple[str, Formula]]) -> Formula:
        spec = ",".join(text for text, _ in terms) + "->" + node.out
        return self.call("einsum", f'"{spec}"', *(a for _, a in terms))

    def part(self, a: Formula, ranges: Sequence[tuple[int, int]], whole: Sequence[int], *, drop: bool) -> Formula:
        items = items_of(ranges, whole, drop=drop)
        while len(items) > 1 and items[-1] == ":":
            items.pop()
        return Formula(f"{bracketed(a, 8)}[{', '.join(items)}]")

    def joined(self, parts: Sequence[Formula], axis: int) -> Formula:
        inside = ", ".join(p.text for p in parts)
        return Formula(f"[{inside}]") if axis == 0 else Formula(f"concat({inside}, axis={axis})")

    def reshaped(self, a: Formula, node: Node) -> Formula:
        return self.call("reshape", a, str(list(node.shape)))

    def inverse_times(self, matrix: Formula, b: Formula, node: Solve) -> Formula:
        return self.call("solve", self.transposed(matrix) if node.transposed else matrix, b)


def bracketed(a: Formula, at_least: int) -> str:
    """The text, in brackets where it binds less tightly than wanted."""
    return a.text if a.level >= at_least else f"({a.text})"
