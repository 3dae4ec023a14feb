"""Graphs as LaTeX that reads like the mathematics it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from implicitdsl.functions.scalar import SCALAR
from implicitdsl.ir.node import Constant, Contract, Leaf, Node, Solve
from implicitdsl.ir.notation import ATOM, PRODUCT, Formula, Notation, items_of, write
from implicitdsl.ir.text import number_text

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
CALLS = {"max": r"\max", "min": r"\min", "det": r"\det", "prod": r"\prod"}


def to_latex(outputs: Sequence[Node] | Node, names: Mapping[Node, str] | None = None) -> str:
    """Infix LaTeX, one line an output, joined by `\\\\`; what is long and used twice follows as a definition."""
    chosen = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
    given = {node: Formula(text) for node, text in (names or {}).items()}
    formulas, lines = write(chosen, LatexNotation(), given)
    texts = [f.text for f in formulas] + [rf"\text{{where }} {name.text} = {f.text}" for name, f in lines]
    return " \\\\\n".join(texts)


def name_latex(name: str) -> str:
    """A name: Greek letters by their names, `x1` and `x_1` with an index, words upright."""
    match = re.fullmatch(r"([A-Za-z]+?)_?(\d+)|([A-Za-z]+)_([A-Za-z0-9]+)", name)
    if match:
        stem, index = match.group(1) or match.group(3), match.group(2) or match.group(4)
        return f"{_word(stem)}_{{{index if index.isdigit() or len(index) == 1 else _word(index)}}}"
    return _word(name)


def _word(name: str) -> str:
    if name in GREEK:
        return "\\" + name
    escaped = name.replace("_", r"\_")
    return escaped if len(name) == 1 else rf"\mathrm{{{escaped}}}"


@final
class LatexNotation(Notation):
    """Mathematics as it is written."""

    def leaf(self, leaf: Leaf) -> Formula:
        match leaf.kind:
            case "tangent":
                return Formula(rf"\dot{{{name_latex(leaf.name.split('.', 1)[-1])}}}")
            case "cotangent":
                return Formula(rf"\bar{{{name_latex(leaf.name.replace('.', '_'))}}}")
            case _:
                return Formula(name_latex(leaf.name))

    def named(self, number: int) -> Formula:
        return Formula(f"v_{{{number}}}")

    def number(self, value: float) -> Formula:
        if value != value:
            return Formula(r"\mathrm{NaN}")
        if value in (float("inf"), float("-inf")):
            return Formula(r"\infty") if value > 0 else Formula(r"-\infty", 4)
        text = number_text(value)
        if "e" in text:
            mantissa, exponent = text.split("e")
            power = f"10^{{{int(exponent)}}}"
            if mantissa == "1":
                return Formula(power)
            return Formula(rf"{mantissa} \cdot {power}", 4 if value < 0 else PRODUCT)
        return Formula(text, 4 if value < 0 else ATOM)

    def array(self, node: Constant) -> Formula:
        if len(node.shape) > 2 or node.size > 16:
            sizes = r" \times ".join(map(str, node.shape))
            return Formula(rf"C_{{{sizes}}}")
        rows = np.atleast_2d(node.value.T).T
        body = r" \\ ".join(" & ".join(number_text(float(v)) for v in row) for row in rows)
        return Formula(rf"\begin{{bmatrix}} {body} \end{{bmatrix}}")

    def identity(self, n: int) -> Formula:
        return Formula(f"I_{{{n}}}")

    def function(self, name: str, args: Sequence[Formula]) -> Formula:
        record = SCALAR[name]
        # a fraction brackets what it holds by its bar
        levels = (0,) * len(args) if name == "div" else record.argument_levels or (0,) * len(args)
        texts = [bracketed(a, at_least) for a, at_least in zip(args, levels, strict=True)]
        return Formula(record.latex.format(*texts), record.level)

    def call(self, name: str, *args: Formula | str) -> Formula:
        inside = ", ".join(a if isinstance(a, str) else a.text for a in args)
        if name == "logdet":
            return Formula(rf"\log\left|\det\left({inside}\right)\right|")
        sign = CALLS.get(name, rf"\operatorname{{{name}}}")
        return Formula(rf"{sign}\left({inside}\right)")

    def transposed(self, a: Formula) -> Formula:
        return Formula(rf"{bracketed(a, ATOM)}^\top", 8)

    def product(self, a: Formula, b: Formula) -> Formula:
        return Formula(f"{bracketed(a, PRODUCT)} {bracketed(b, PRODUCT + 1)}", PRODUCT)

    def inner(self, a: Formula, b: Formula) -> Formula:
        return self.product(self.transposed(a), b)

    def outer(self, a: Formula, b: Formula) -> Formula:
        return self.product(a, self.transposed(b))

    def square(self, a: Formula) -> Formula:
        return Formula(rf"\left\lVert {a.text} \right\rVert^2", 6)

    def scaled(self, factors: Sequence[Formula], a: Formula) -> Formula:
        texts = [bracketed(f, PRODUCT) for f in factors]
        return Formula(" ".join([*texts, bracketed(a, PRODUCT)]), PRODUCT)

    def total(self, a: Formula) -> Formula:
        return Formula(rf"\sum {bracketed(a, PRODUCT)}", PRODUCT)

    def indexed_sum(self, node: Contract, terms: Sequence[tuple[str, Formula]]) -> Formula:
        naming = dict(zip(dict.fromkeys("".join(node.ins) + node.out), "ijklmnpqrstuvw", strict=False))

        def indices(text: str) -> str:
            return "".join(naming.get(c, c) for c in text)

        summed = "".join(dict.fromkeys(c for text, _ in terms for c in text if c not in node.out))
        factors = " ".join(f"{bracketed(a, ATOM)}_{{{indices(text)}}}" for text, a in terms)
        body = rf"\sum_{{{indices(summed)}}} {factors}" if summed else factors
        if not node.out:
            return Formula(body, PRODUCT)
        return Formula(rf"\left[{body}\right]_{{{indices(node.out)}}}")

    def part(self, a: Formula, ranges: Sequence[tuple[int, int]], whole: Sequence[int], *, drop: bool) -> Formula:
        items = items_of(ranges, whole, drop=drop)
        return Formula(f"{{{bracketed(a, ATOM)}}}_{{{','.join(items)}}}")

    def joined(self, parts: Sequence[Formula], axis: int) -> Formula:
        between = r" \\ " if axis == 0 else " & "
        return Formula(rf"\begin{{bmatrix}} {between.join(p.text for p in parts)} \end{{bmatrix}}")

    def reshaped(self, a: Formula, node: Node) -> Formula:
        if not node.shape or not node.args[0].shape:
            return a
        sizes = r" \times ".join(map(str, node.shape))
        return Formula(rf"\operatorname{{reshape}}_{{{sizes}}}\left({a.text}\right)")

    def inverse_times(self, matrix: Formula, b: Formula, node: Solve) -> Formula:
        mark = r"^{-\top}" if node.transposed else "^{-1}"
        inverse = Formula(bracketed(matrix, ATOM) + mark, 8)
        return inverse if b.text.startswith("I_{") else self.product(inverse, b)


def bracketed(a: Formula, at_least: int) -> str:
    """The text, in brackets that grow where it binds less tightly than wanted."""
    return a.text if a.level >= at_least else rf"\left({a.text}\right)"
