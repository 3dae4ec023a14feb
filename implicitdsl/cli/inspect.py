"""`implicitdsl inspect FILE[:Layer] --after STAGE`: what a stage of the compiler hands to the next."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from implicitdsl.cli.data import UsageError, read_assignments, read_target
from implicitdsl.cli.output import Format, FormatOption, print_json, reporting


def inspect(
    target: Annotated[str, typer.Argument(metavar="FILE[:Layer]", help="The layer to follow.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Sizes, call sizes and options.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="The stage to print (read, elaborate, …); all if none is named.")
    ] = None,
    function: Annotated[
        str | None, typer.Option(help="Of the stages that list derived functions, this one only (residual_vjp, …).")
    ] = None,
    format: FormatOption = Format.text,
) -> None:
    """Print the value of a stage of the compiler for one layer."""
    with reporting(format):
        from implicitdsl import compiler
        from implicitdsl.cli.inputs import call_sizes
        from implicitdsl.cli.layers import find_template, keywords_of, make_blueprint, open_models, refuse_leftovers
        from implicitdsl.layers.options import OPTION_NAMES

        named = read_target(target)
        template = find_template(open_models(named.file), named)
        given = read_assignments(words or [])
        blueprint = make_blueprint(template, keywords_of(template, given))
        refuse_leftovers(given, {*OPTION_NAMES, *template.sizes, *blueprint.call_sizes}, template)
        stages = compiler.stages(blueprint, call_sizes(blueprint, {}, given))
        if after is not None and after not in stages:
            raise UsageError(f"there is no stage {after} (there is {', '.join(stages)})")
        chosen = {name: text for name, text in stages.items() if after in (None, name)}
        if function is not None:
            chosen = {name: _only(function, name, text) for name, text in chosen.items()}
    if format is Format.json:
        print_json({"layer": blueprint.name, "sizes": dict(blueprint.sizes), "stages": chosen})
    elif after is not None:
        typer.echo(chosen[after])
    else:
        for name, text in chosen.items():
            typer.echo(f"===== after {name}\n{text}\n")


#: How the part of one function opens in a stage's text: a name before a bracket, a colon, or behind a mark.
_OPENINGS = {"derive": r"(\w+)\(", "simplify": r"(\w+)\(", "schedule": r"(\w+):", "emit": r"# (\w+)$"}


def _only(function: str, stage: str, text: str) -> str:
    """The part of a stage's text that belongs to one function; the text of other stages is left whole."""
    if stage not in _OPENINGS:
        return text
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if (opening := re.match(_OPENINGS[stage], line)) is not None:
            lines = parts.setdefault(opening[1], [])
        lines.append(line)
    if function not in parts:
        raise UsageError(f"no function {function} is derived (there is {', '.join(parts)})")
    return "\n".join(parts[function]).rstrip()
