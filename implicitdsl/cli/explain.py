"""`implicitdsl explain TOPIC`: a diagnostic's page, the statuses and notes, or a model in words with its derivative."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from implicitdsl.cli.data import UsageError, read_assignments, read_target
from implicitdsl.cli.output import Format, FormatOption, print_json, reporting
from implicitdsl.diagnostics import ImpError
from implicitdsl.solvers.status import NOTES, STATUSES
from implicitdsl.syntax import tree


def explain(
    topic: Annotated[str, typer.Argument(help="A code such as E302, `status`, `notes`, or FILE[:Layer].")],
    words: Annotated[list[str] | None, typer.Argument(help="Sizes and options of the layer, n=3.")] = None,
    format: FormatOption = Format.text,
) -> None:
    """Explain a diagnostic, the statuses of samples, or a model: in words, with the system derived from it."""
    with reporting(format):
        if re.fullmatch(r"[EW]\d{3}", topic):
            _code(topic, format)
        elif topic == "status":
            _statuses(format)
        elif topic == "notes":
            _notes(format)
        else:
            _model(topic, words or [], format)


def _code(code: str, format: Format) -> None:
    from implicitdsl.diagnostics.catalogue import CATALOGUE

    record = CATALOGUE.get(code)
    if record is None:
        near = ", ".join(c for c in CATALOGUE if c[:2] == code[:2]) or "none of this family"
        raise UsageError(f"there is no diagnostic {code} (there is {near})")
    if format is Format.json:
        page = {"code": record.code, "title": record.title, "explanation": record.explanation}
        print_json(page | {"wrong": record.bad, "right": record.good, "build": record.build})
        return
    typer.echo(f"{record.code}: {record.title}\n\n{record.explanation.strip()}")
    built = f", when it is made by {record.build}" if record.build else ""
    typer.echo(f"\nwrong{built}:\n\n{_indent(record.bad)}\n\nright:\n\n{_indent(record.good)}")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").splitlines())


def _statuses(format: Format) -> None:
    if format is Format.json:
        print_json(
            {
                "statuses": [
                    {"number": s.number, "name": s.name, "meaning": s.meaning, "advice": s.advice} for s in STATUSES
                ]
            }
        )
        return
    for status in STATUSES:
        typer.echo(f"{status.number:>3}  {status.name:<13} {status.meaning}")
        if status.advice:
            typer.echo(f"{'':19}try: {status.advice}")


def _notes(format: Format) -> None:
    if format is Format.json:
        print_json({"notes": [{"bit": bit, "name": name, "meaning": meaning} for bit, name, meaning in NOTES]})
        return
    for bit, name, meaning in NOTES:
        typer.echo(f"{bit:>3}  {name:<15} {meaning}")


def _model(topic: str, assignments: list[str], format: Format) -> None:
    from implicitdsl.cli.files import check_file, find_definition, raise_if_wrong
    from implicitdsl.semantics.words import words

    target = read_target(topic)
    checked = check_file(target.file)
    raise_if_wrong(checked)
    chosen = checked.definitions
    if target.layer is not None:
        chosen = (find_definition(chosen, target.layer, target.file),)
    given = read_assignments(assignments)
    pages = [
        {"layer": d.name, "words": words(d), "derived": _derived(target.file.as_posix(), d, given)} for d in chosen
    ]
    if format is Format.json:
        print_json({"layers": pages})
        return
    typer.echo("\n\n".join(f"{page['words']}\n\n{page['derived']}" for page in pages))


def _derived(file: str, definition: tree.Definition, given: dict[str, str]) -> str:
    """The derived system of a layer, or why there is none. Sizes that nobody named are small numbers."""
    from implicitdsl.cli.layers import keywords_of, open_models

    template = open_models(file)[definition.name]
    keywords = keywords_of(template, given)
    for number, size in enumerate(definition.sizes):
        if size.default is None:
            keywords.setdefault(size.name, 2 + number)
    from implicitdsl import compiler

    try:
        return compiler.explain_text(template.blueprint(**keywords))
    except ImpError as error:
        return "nothing is derived: " + "; ".join(d.message for d in error.diagnostics if d.severity == "error")
