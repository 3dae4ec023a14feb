"""The door from Python: `load` reads and checks a file and gives its definitions, each of which makes layers."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from implicitdsl.artifacts.construct import construct
from implicitdsl.artifacts.headings import Heading
from implicitdsl.artifacts.texts import Text, read_text
from implicitdsl.layers.blueprint import Blueprint
from implicitdsl.layers.module import Layer

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
        return self.heading.size_names

    def usual_sizes(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Which of these sizes have the values that they have where they are not given."""
        from implicitdsl.semantics.declarations import bind_sizes

        definition, library = self._text.unit.library.definitions[self.heading.name]
        open_ = {s.name: sizes[s.name] for s in definition.sizes if s.default is None}
        bound = bind_sizes(definition, open_, library)
        return frozenset(name for name in sizes if name not in open_ and bound[name] == sizes[name])

    def blueprint(self, **keywords: Any) -> Blueprint:
        """What `__call__` makes its layer from."""
        return self._blueprint(keywords)

    def __call__(self, *by_place: object, **keywords: Any) -> Layer:
        self.heading.refuse_places(by_place)
        return Layer(self._blueprint(keywords))

    def _blueprint(self, keywords: dict[str, Any]) -> Blueprint:
        sizes, options = self.heading.read(keywords)
        made = construct(self._text, self.heading.name, sizes, options)
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
        # Python asks objects for names of this form that they need not have.
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Template:
        found = self._templates.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self._templates, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise AttributeError(
                f"{self._text.name} defines no `{name}`{hint} (it defines {', '.join(self._templates) or 'no layer'})"
            )
        return found

    def __iter__(self) -> Iterator[Template]:
        return iter(self._templates.values())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._templates]

    def __repr__(self) -> str:
        return f"<models of {self._text.name}: {', '.join(self._templates)}>"


def load(source: str | os.PathLike[str]) -> Models:
    """The definitions of a `.imp` file; a text (a str with a newline or a brace in it) is read as `loads` does.

    Raises ImpError with every finding if the text is wrong for all sizes (E1xx-E5xx), OSError if there is no such file,
    ValueError if it is not text in UTF-8. Warnings are given through `warnings`."""
    text = os.fspath(source)
    if isinstance(source, str) and ("\n" in text or "{" in text):
        return _models(text, "<text>")
    try:
        read = Path(text).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        place = f"byte {error.object[error.start]:#04x} at offset {error.start}"
        raise ValueError(f"{text} is no text in UTF-8 ({place}): save it in UTF-8") from error
    except FileNotFoundError as error:
        if not text.endswith(".imp"):
            error.add_note("A text on one line is read by `implicitdsl.loads`.")
        raise
    return _models(read, text)


def loads(text: str) -> Models:
    """The definitions of a text; imports are relative to the working directory. Raises as `load`."""
    return _models(text, "<text>")


def _models(text: str, name: str) -> Models:
    found = read_text(text, name)
    for warning in found.warnings:
        warnings.warn(warning, stacklevel=3)
    return Models(found)
