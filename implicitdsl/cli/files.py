"""Files read and checked without the torch side, so that `check` and `fmt` answer at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from implicitdsl.cli.data import UsageError
from implicitdsl.diagnostics import Diagnostic, ImpError
from implicitdsl.semantics.unit import check_text
from implicitdsl.syntax import tree


@dataclass(frozen=True)
class Checked:
    """A text with everything that is to be said of it; `file` is None where it does not parse."""

    name: str
    file: tree.File | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def wrong(self) -> bool:
        return any(d.severity == "error" for d in self.diagnostics)

    @property
    def definitions(self) -> tuple[tree.Definition, ...]:
        items = () if self.file is None else self.file.items
        return tuple(item for item in items if isinstance(item, tree.Definition))


def read_text(path: Path) -> str:
    """The text of a file; a missing or unreadable one is a usage error."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def check_file(path: Path) -> Checked:
    """Read and check a file for all sizes."""
    file, report, _ = check_text(read_text(path), str(path))
    return Checked(str(path), file, report.in_text_order())


def find_definition(definitions: tuple[tree.Definition, ...], layer: str | None, file: Path) -> tree.Definition:
    """The definition named, or the only one of the file."""
    names = ", ".join(d.name for d in definitions) or "nothing"
    if layer is None:
        if len(definitions) != 1:
            raise UsageError(
                f"{file} defines {names}: name one as {file}:{definitions[0].name if definitions else 'Layer'}"
            )
        return definitions[0]
    for definition in definitions:
        if definition.name == layer:
            return definition
    raise UsageError(f"{file} defines {names}, no {layer}")


def raise_if_wrong(checked: Checked) -> None:
    """ImpError with every finding if one of them is an error."""
    if checked.wrong:
        raise ImpError(checked.diagnostics)
