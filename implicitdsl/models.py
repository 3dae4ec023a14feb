"""The door from Python: `load` reads and checks a file and gives its definitions, each of which makes layers."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from implicitdsl import compiler
from implicitdsl.diagnostics import render
from implicitdsl.layers.blueprint import Blueprint
from implicitdsl.layers.module import Layer
from implicitdsl.layers.options import OPTION_NAMES, read_options
from implicitdsl.semantics.unit import Unit, read_unit
from implicitdsl.syntax import tree


class Template:
    """A definition that makes layers: call it with its sizes and options by keyword.

    Returns a `torch.nn.Module`. Raises ImpError for sizes that do not fit (E3xx) and for what is not executable (E6xx),
    TypeError and ValueError for options of a wrong name or value."""

    def __init__(self, unit: Unit, definition: tree.Definition) -> None:
        self._unit = unit
        self.definition = definition
        self.__name__ = definition.name
        self.__doc__ = definition.doc or None

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the sizes, in order."""
        return tuple(size.name for size in self.definition.sizes)

    def blueprint(self, **keywords: Any) -> Blueprint:
        """What `__call__` makes its layer from."""
        options = {name: value for name, value in keywords.items() if name in OPTION_NAMES and name not in self.sizes}
        rest = {name: value for name, value in keywords.items() if name not in options}
        for name in rest:
            if name not in self.sizes:
                near = difflib.get_close_matches(name, (*self.sizes, *OPTION_NAMES), 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise TypeError(
                    f"{self.definition.name} has neither a size nor an option `{name}`{hint} "
                    f"(sizes: {', '.join(self.sizes) or 'none'}; options: {', '.join(OPTION_NAMES)})"
                )
        sizes = {name: _whole(name, value) for name, value in rest.items()}
        return compiler.construct(self._unit, self.definition.name, sizes, read_options(**options))

    def __call__(self, **keywords: Any) -> Layer:
        return Layer(self.blueprint(**keywords))

    def __repr__(self) -> str:
        sizes = f"[{', '.join(self.sizes)}]" if self.sizes else ""
        inputs = ", ".join(item.span.text for item in self.definition.inputs)
        return f"<{self.definition.kind} {self.definition.name}{sizes}({inputs})>"


class Models:
    """The definitions of a text by name, as attributes."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._templates = {n: Template(unit, d) for n, (d, _) in unit.library.definitions.items()}

    def __getattr__(self, name: str) -> Template:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._templates.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self._templates, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise AttributeError(
                f"{self._unit.name} defines no `{name}`{hint} (it defines {', '.join(self._templates)})"
            )
        return found

    def __getitem__(self, name: str) -> Template:
        return getattr(self, name)

    def __iter__(self) -> Iterator[Template]:
        return iter(self._templates.values())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._templates]

    def __repr__(self) -> str:
        return f"<models of {self._unit.name}: {', '.join(self._templates)}>"


def load(source: str | os.PathLike[str]) -> Models:
    """The definitions of a `.imp` file; a text (anything with a newline or a brace in it) is read as `loads` does.

    Raises ImpError with every finding if the text is wrong for all sizes (E1xx-E5xx), OSError if there is no such file.
    Warnings are given through `warnings`."""
    text = os.fspath(source)
    if "\n" in text or "{" in text:
        return _models(text, "<text>")
    return _models(Path(text).read_text(encoding="utf-8"), text)


def loads(text: str) -> Models:
    """The definitions of a text; imports are relative to the working directory. Raises as `load`."""
    return _models(text, "<text>")


def _models(text: str, name: str) -> Models:
    unit = read_unit(text, name)
    for warning in unit.warnings:
        warnings.warn(render(warning), stacklevel=3)
    return Models(unit)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"the size `{name}` is a whole number, not {value!r}")
    return value.__index__()  # type: ignore[attr-defined, no-any-return]  # hasattr above
