"""`implicitdsl inspect FILE[:Layer] --after STAGE`: what a stage of the compiler hands to the next."""

from __future__ import annotations

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
        missing = [s.name for s in template.definition.sizes if s.default is None and s.name not in given]
        if missing:
            raise UsageError(f"name the sizes of {template.definition.name}: {' '.join(f'{m}=…' for m in missing)}")
        blueprint = make_blueprint(template, keywords_of(template, given))
        refuse_leftovers(given, {*OPTION_NAMES, *template.sizes, *blueprint.call_sizes}, template)
        stages = compiler.stages(blueprint, call_sizes(blueprint, {}, given))
        if after is not None and after not in stages:
            raise UsageError(f"there is no stage {after} (there is {', '.join(stages)})")
    chosen = {name: text for name, text in stages.items() if after in (None, name)}
    if format is Format.json:
        print_json({"layer": blueprint.name, "sizes": dict(blueprint.sizes), "stages": chosen})
    elif after is not None:
        typer.echo(chosen[after])
    else:
        for name, text in chosen.items():
            typer.echo(f"===== after {name}\n{text}\n")
