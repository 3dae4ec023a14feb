"""Which definition a name means: a file with what it imports."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from implicitdsl.syntax import tree

Importer = Callable[[str], tree.File]


@dataclass(frozen=True, eq=False)
class Library:
    """The definitions and functions that a file sees. A name imported without alias is one of the file's own names."""

    file: tree.File
    definitions: dict[str, tuple[tree.Definition, Library]] = field(
        default_factory=dict[str, "tuple[tree.Definition, Library]"]
    )
    functions: dict[str, tuple[tree.Function, Library]] = field(
        default_factory=dict[str, "tuple[tree.Function, Library]"]
    )
    modules: dict[str, Library] = field(default_factory=dict[str, "Library"])

    def find(self, module: str | None, name: str) -> tuple[tree.Definition, Library] | None:
        """The definition and the library whose names it sees."""
        where = self.modules.get(module) if module is not None else self
        return None if where is None else where.definitions.get(name)


def build_library(
    file: tree.File, importer: Importer, *, path: str | None = None, known: dict[str, Library] | None = None
) -> Library:
    """The library of a checked file (no import cycles). `importer` reads the file of a path relative to the folder of
    the
    first file; `path` is this file's own, by which the paths that it imports are taken."""
    seen = {} if known is None else known
    here = posixpath.basename(file.source.name) if path is None else path
    library = Library(file)
    for item in file.items:
        match item:
            case tree.Import(path=wanted, alias=alias):
                target = posixpath.normpath(posixpath.join(posixpath.dirname(here), wanted))
                other = seen.get(target)
                if other is None:
                    other = seen[target] = build_library(importer(target), importer, path=target, known=seen)
                if alias is None:
                    library.definitions.update(other.definitions)
                    library.functions.update(other.functions)
                else:
                    library.modules[alias] = other
            case tree.Function(name=name):
                library.functions[name] = (item, library)
            case tree.Definition(name=name):
                library.definitions[name] = (item, library)
    return library
