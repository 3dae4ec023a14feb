"""Scalar expressions as people read them: text of the language, LaTeX, sympy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from implicitdsl.functions.expression import Apply, Arg, Const, Expr
from implicitdsl.functions.record import Scalar
from implicitdsl.functions.scalar import SCALAR, walk

WHOLE = 400
"""Up to so many functions and arguments an expression is written as one; beyond, what occurs twice gets a name."""

_ATOM = 9
# A fraction and an exponent are brackets of their own in LaTeX.
_LATEX_LEVELS: dict[str, tuple[int, ...]] = {"div": (0, 0), "pow": (7, 0)}

_Written = tuple[str, int]


def to_text(expr: Expr, names: Sequence[str]) -> str:
    """The expression in the language's own notation; `names[i]` stands for argument i.

    Helper functions of derivatives (`logistic`, `bell` …) appear under their names of the scalar table.
    """
    return _write(expr, names, _text_of, _text_number, "; where ")


def to_latex(expr: Expr, names: Sequence[str]) -> str:
    """The expression in LaTeX; `names[i]`, LaTeX itself, stands for argument i."""
    return _write(expr, names, _latex_of, _latex_number, r",\quad ")


def to_sympy(expr: Expr, symbols: Sequence[Any], *, sympy: Any) -> Any:
    """The expression as sympy has it, which may rearrange it: to prove and to present, never to evaluate.

    `sympy` is the module, handed in because this floor stands without it.
    """
    value: dict[Expr, Any] = {}
    for e in walk(expr):
        match e:
            case Arg():
                value[e] = symbols[e.index]
            case Const():
                value[e] = sympy.Integer(int(e.value)) if e.value.is_integer() else sympy.Float(e.value)
            case Apply():
                value[e] = SCALAR[e.function].sympy(sympy, *(value[a] for a in e.args))
    return value[expr]


def _write(
    expr: Expr,
    names: Sequence[str],
    write: Callable[[Scalar, Sequence[_Written]], str],
    number: Callable[[float], _Written],
    separator: str,
) -> str:
    named = _shared(expr) if _tree_size(expr) > WHOLE else frozenset[Expr]()
    written: dict[Expr, _Written] = {}
    definitions: list[str] = []
    for e in walk(expr):
        match e:
            case Arg():
                written[e] = (names[e.index], _ATOM)
            case Const():
                written[e] = number(e.value)
            case Apply():
                record = SCALAR[e.function]
                text = write(record, [written[a] for a in e.args])
                if e in named:
                    name = f"s_{len(definitions)}"
                    definitions.append(f"{name} = {text}")
                    written[e] = (name, _ATOM)
                else:
                    written[e] = (text, record.level)
    return separator.join([written[expr][0], ", ".join(definitions)] if definitions else [written[expr][0]])


def _tree_size(expr: Expr) -> int:
    size: dict[Expr, int] = {}
    for e in walk(expr):
        size[e] = 1 + sum(size[a] for a in e.args) if isinstance(e, Apply) else 1
    return size[expr]


def _shared(expr: Expr) -> frozenset[Expr]:
    users: dict[Expr, int] = {}
    for e in walk(expr):
        for a in e.args if isinstance(e, Apply) else ():
            users[a] = users.get(a, 0) + 1
    return frozenset(e for e, count in users.items() if count > 1 and isinstance(e, Apply))


def _bracketed(written: _Written, level: int, left: str, right: str) -> str:
    text, own = written
    return f"{left}{text}{right}" if own < level else text


def _text_of(record: Scalar, args: Sequence[_Written]) -> str:
    levels = record.argument_levels if record.text else ()
    texts = [_bracketed(a, level, "(", ")") for a, level in zip(args, levels or (0,) * len(args), strict=True)]
    return record.text.format(*texts) if record.text else f"{record.name}({', '.join(texts)})"


def _latex_of(record: Scalar, args: Sequence[_Written]) -> str:
    levels = _LATEX_LEVELS.get(record.name, record.argument_levels) or (0,) * len(args)
    texts = [_bracketed(a, level, r"\left(", r"\right)") for a, level in zip(args, levels, strict=True)]
    return record.latex.format(*texts)


def _digits(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def _text_number(value: float) -> _Written:
    return _digits(value), _ATOM if value >= 0.0 or math.isnan(value) else SCALAR["neg"].level


def _latex_number(value: float) -> _Written:
    if math.isnan(value):
        return r"\mathrm{NaN}", _ATOM
    level = _ATOM if value >= 0.0 else SCALAR["neg"].level
    if math.isinf(value):
        return (r"\infty" if value > 0.0 else r"-\infty"), level
    mantissa, _, exponent = _digits(value).partition("e")
    if not exponent:
        return mantissa, level
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}", min(level, SCALAR["mul"].level)
