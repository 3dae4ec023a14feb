"""The door from Python: `load` reads and checks a file and gives its definitions, each of which makes layers."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from implicitdsl.artifacts.construct import construct
from implicitdsl.artifacts.texts import Heading, Text, read_text
from implicitdsl.layers.blueprint import Blueprint
from implicitdsl.layers.module import Layer
from implicitdsl.layers.options import OPTION_NAMES, read_options

if TYPE_CHECKING:
    from implicitdsl.syntax import tree


class Template:
    """A definition that makes layers: call it with its sizes and options by keyword.

    Returns a `torch.nn.Module`. Raises ImpError for sizes that do not fit (E3xx) and for what is not executable (E6xx),
    TypeError and ValueError for options of a wrong name or value."""

    def __init__(self, text: Text, heading: Heading) -> None:
        self._text = text
        self.heading = heading
        self.__name__ = heading.name
        self.__doc__ = heading.doc or None

    @property
    def definition(self) -> tree.Definition:
        """The tree of the definition."""
        return self._text.unit.library.definitions[self.heading.name][0]

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the sizes, in order."""
        return tuple(name for name, _ in self.heading.sizes)

    def blueprint(self, **keywords: Any) -> Blueprint:
        """What `__call__` makes its layer from."""
        return self._blueprint(keywords)

    def __call__(self, **keywords: Any) -> Layer:
        return Layer(self._blueprint(keywords))

    def _blueprint(self, keywords: dict[str, Any]) -> Blueprint:
        name = self.heading.name
        options = {key: value for key, value in keywords.items() if key in OPTION_NAMES and key not in self.sizes}
        rest = {key: value for key, value in keywords.items() if key not in options}
        for key in rest:
            if key not in self.sizes:
                near = difflib.get_close_matches(key, (*self.sizes, *OPTION_NAMES), 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise TypeError(
                    f"{name} has neither a size nor an option `{key}`{hint} "
                    f"(sizes: {', '.join(self.sizes) or 'none'}; options: {', '.join(OPTION_NAMES)})"
                )
        sizes = {key: _whole(key, value) for key, value in rest.items()}
        made = construct(self._text, name, sizes, read_options(**options))
        for warning in made.every_warning():
            warnings.warn(warning, stacklevel=3)
        return made

    def __repr__(self) -> str:
        sizes = f"[{', '.join(self.sizes)}]" if self.sizes else ""
        return f"<{self.heading.kind} {self.heading.name}{sizes}({', '.join(self.heading.inputs)})>"


class Models:
    """The definitions of a text by name, as attributes."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._templates = {heading.name: Template(text, heading) for heading in text.headings}

    def __getattr__(self, name: str) -> Template:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._templates.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self._templates, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise AttributeError(
                f"{self._text.name} defines no `{name}`{hint} (it defines {', '.join(self._templates)})"
            )
        return found

    def __getitem__(self, name: str) -> Template:
        return getattr(self, name)

    def __iter__(self) -> Iterator[Template]:
        return iter(self._templates.values())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._templates]

    def __repr__(self) -> str:
        return f"<models of {self._text.name}: {', '.join(self._templates)}>"


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
    found = read_text(text, name)
    for warning in found.warnings:
        warnings.warn(warning, stacklevel=3)
    return Models(found)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"the size `{name}` is a whole number, not {value!r}")
    return value.__index__()  # type: ignore[attr-defined, no-any-return]  # hasattr above
