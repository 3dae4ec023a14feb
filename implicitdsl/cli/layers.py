"""Layers made from what the command line names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from implicitdsl.cli.data import Target, UsageError, Value, read_value
from implicitdsl.layers.options import OPTION_NAMES
from implicitdsl.models import Models, Template, load


def open_models(file: str | Path) -> Models:
    """The definitions of a file; its warnings are left to `check`, which shows them in full."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(Path(file))


def find_template(models: Models, target: Target) -> Template:
    """The layer named, or the only one of the file."""
    templates = list(models)
    names = ", ".join(t.heading.name for t in templates) or "nothing"
    if target.layer is not None:
        for template in templates:
            if template.heading.name == target.layer:
                return template
        raise UsageError(f"{target.file} defines {names}, no {target.layer}")
    if len(templates) != 1:
        raise UsageError(f"{target.file} defines {names}: name one as {target.file}:Layer")
    return templates[0]


def keywords_of(template: Template, given: Mapping[str, str]) -> dict[str, Any]:
    """The sizes and options among the words of a command."""
    return {n: read_value(text) for n, text in given.items() if n in template.sizes or n in OPTION_NAMES}


def make_blueprint(template: Template, keywords: Mapping[str, Value]) -> Any:
    """The blueprint of a layer; an option of a wrong name or value, and a size that is not named, is a usage error."""
    missing = [name for name, default in template.heading.sizes if default is None and name not in keywords]
    if missing:
        raise UsageError(f"name the sizes of {template.heading.name}: {' '.join(f'{m}=…' for m in missing)}")
    try:
        return template.blueprint(**keywords)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def refuse_leftovers(given: Mapping[str, str], known: set[str], template: Template) -> None:
    """A usage error for words that name neither size, option, input nor call size."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"{template.heading.name} has no {unknown[0]} (it has {', '.join(sorted(known - set(OPTION_NAMES)))})"
        )
