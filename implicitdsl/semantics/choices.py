"""`solver name(options)` and `adjoint name(options)`, from the file and from Python texts."""

from __future__ import annotations

import re

from implicitdsl.diagnostics import Diagnostic, ImpError
from implicitdsl.semantics.declarations import constant_value
from implicitdsl.semantics.expressions import CONSTANTS, Scope
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree

Choice = tuple[str, dict[str, float | str]]
_TEXT = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_OPTION = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*([^,=]+?)\s*")


def file_choice(definition: tree.Definition, what: str, scope: Scope) -> Choice | None:
    """What the definition's own line says, or None. Option values are constants or bare names (`kinks = none`)."""
    found: Choice | None = None
    for statement in definition.body:
        if isinstance(statement, tree.Choice) and statement.what == what:
            found = (statement.name, option_values(statement.options, scope))
    return found


def option_values(options: tuple[tree.Named, ...], scope: Scope) -> dict[str, float | str]:
    """The values of options as floats or texts."""
    found: dict[str, float | str] = {}
    for option in options:
        match option.value:
            case tree.Name(id=name) if name not in scope.names and name not in CONSTANTS:
                found[option.name] = name
            case value:
                number = constant_value(value, scope)
                if number.shape != ():
                    raise fail("E610", f"`{option.span.text}` is no number", option.span)
                found[option.name] = float(number)
    return found


def parse_choice(text: str | None) -> Choice | None:
    """A choice written in Python as in the file, `"anderson(m = 5)"`; None stays None. Raises ImpError E610."""
    if text is None:
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise _unreadable(text)
    options: dict[str, float | str] = {}
    inside = match[2]
    if inside is not None and inside.strip():
        for part in inside.split(","):
            option = _OPTION.fullmatch(part)
            if option is None:
                raise _unreadable(text)
            try:
                options[option[1]] = float(option[2])
            except ValueError:
                options[option[1]] = option[2].strip("\"'")
    return match[1], options


def _unreadable(text: str) -> ImpError:
    return ImpError(
        [Diagnostic("E610", f"`{text}` names no method", help='write it as in the file: "tsit5(rtol = 1e-8)"')]
    )
