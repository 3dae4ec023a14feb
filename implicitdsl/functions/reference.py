"""The page of the manual that lists the functions, made from the table."""

from __future__ import annotations

from implicitdsl.functions.function import Function
from implicitdsl.functions.shapes import Shape
from implicitdsl.functions.table import CONSTANTS, FUNCTIONS

_HEAD = """# Functions

Every function of the language, one row each. The page is made from the table of functions that the compiler reads
(`implicitdsl/functions/table.py`), so it is never out of date.

Elementwise functions take any shapes that broadcast: an axis fits its equal, a missing leading axis, or a literal 1.
Inside the language a call has no batch. At a kink the derivative is torch's: `relu'(0) = abs'(0) = 0`, a tie of `max`
gives half to each. *Curve* tells the curvature where there is one (`convex`, `concave`, `affine`), then how the value
moves with each argument: `↑` rises, `↓` falls, `∨` falls below 0 and rises above, `·` neither.
"""

_TITLES: dict[str, str] = {
    "elementwise": "Elementwise",
    "reduction": "Reductions",
    "along the last axis": "Along the last axis",
    "linear algebra": "Linear algebra and convolutions",
    "making and joining": "Making and joining tensors",
    "calculus": "Calculus",
}

_COLUMNS = "| call | value | sizes | curve | LaTeX | example |"

_ARROWS = {"increasing": "↑", "decreasing": "↓", "by_sign": "∨", None: "·"}


def function_table_markdown() -> str:
    """The page `docs/functions.md`: one table a family, the constants, ending in a newline."""
    parts = [_HEAD]
    for family, title in _TITLES.items():
        rows = [_row(record) for record in FUNCTIONS.values() if record.family == family]
        parts.append("\n".join([f"## {title}", "", _COLUMNS, "|---|---|---|---|---|---|", *rows]))
    constants = ", ".join(f"`{name}` = {value!r}" for name, value in CONSTANTS.items())
    parts.append(f"## Constants\n\n{constants}. A model may give these names another meaning, with a warning.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _row(record: Function) -> str:
    calls = ", ".join(f"`{call}`" for call in _calls(record.signature))
    cells = (calls, record.doc, _sizes(record), _curve(record), f"${_latex(record)}$", f"`{record.example}`")
    return "| " + " | ".join(cells) + " |"


def _calls(signature: str) -> list[str]:
    """The forms of a signature: `max(x), max(a, b)` is two."""
    return [form if form.endswith(")") else form + ")" for form in signature.split("), ")]


def _sizes(record: Function) -> str:
    if record.elementwise and record.arity == (1, 1):
        return "that of `x`"
    if not record.fits:
        return "as the sizes say"
    return "; ".join(f"{', '.join(map(_show, arguments))} → {_show(result)}" for arguments, result in record.fits)


def _show(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "scalar"


def _curve(record: Function) -> str:
    arrows = "".join(_ARROWS[m] for m in record.monotonicity).strip("·")
    moves = "".join(_ARROWS[m] for m in record.monotonicity) if arrows else ""
    return " ".join(word for word in (record.curvature or "", moves, "kink" if record.kink else "") if word)


def _latex(record: Function) -> str:
    form = _calls(record.signature)[0 if record.arity[1] is None else -1]
    names = [name for name in form.removeprefix(record.name).strip("()").split(", ") if name.isidentifier()]
    if record.arity[1] is None or len(names) < record.arity[0]:
        names.append(r"\ldots")
    # a bar would end the cell
    return record.write_latex(*names).replace(r"\|", r"\Vert ").replace("|", r"\vert ")
