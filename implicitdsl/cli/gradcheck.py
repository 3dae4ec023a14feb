"""`implicitdsl gradcheck FILE[:Layer]`: the layer's derivatives against finite differences, a row for each argument."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from implicitdsl.cli.data import UsageError, read_archive, read_assignments, read_target
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, print_json, reporting


def gradcheck(
    target: Annotated[str, typer.Argument(metavar="FILE[:Layer]", help="The layer to check.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Sizes, options and inputs.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Inputs by name from an .npz archive.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn: params, inputs, directions.")] = 0,
    tolerance: Annotated[
        float, typer.Option(help="Largest error allowed, relative to an argument's largest entry.")
    ] = 1e-4,
    format: FormatOption = Format.text,
) -> None:
    """Compare first and second derivatives of a layer with finite differences, in float64."""
    with reporting(format):
        rows, layer = _rows(target, words or [], data, seed)
    ok = all(row.worst <= tolerance for row in rows)
    if format is Format.json:
        print_json({"ok": ok, "layer": layer, "tolerance": tolerance, "arguments": [row.as_dict() for row in rows]})
    else:
        _show(layer, rows, tolerance)
    if not ok:
        raise typer.Exit(WRONG_MODEL)


def _rows(target: str, words: list[str], data: Path | None, seed: int) -> tuple[list[Any], str]:
    import torch

    from implicitdsl.cli.differences import compare
    from implicitdsl.cli.inputs import read_inputs
    from implicitdsl.cli.layers import find_template, keywords_of, make_blueprint, open_models, refuse_leftovers
    from implicitdsl.layers.errors import SolveError
    from implicitdsl.layers.module import Layer
    from implicitdsl.layers.options import OPTION_NAMES

    named = read_target(target)
    template = find_template(open_models(named.file), named)
    given = read_assignments(words)
    archive = {} if data is None else read_archive(data)
    tight = {"rtol": 1e-10, "atol": 1e-12} if template.definition.kind == "ode" else {}
    keywords = {**tight, **keywords_of(template, given)}
    if keywords.setdefault("dtype", "float64") != "float64":
        raise UsageError("gradcheck computes in float64: finite differences see nothing in float32")
    torch.manual_seed(seed)
    blueprint = make_blueprint(template, keywords)
    known = {*OPTION_NAMES, *template.sizes, *blueprint.call_sizes, *(spec.name for spec in blueprint.inputs)}
    refuse_leftovers(given, known, template)
    inputs = read_inputs(blueprint, template.definition, given, archive, seed)
    try:
        return compare(Layer(blueprint), inputs, seed=seed), template.definition.name
    except SolveError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_MODEL) from error


def _show(layer: str, rows: list[Any], tolerance: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{layer}: derivatives against finite differences",
        caption="entry with the largest error of each argument",
    )
    table.add_column("argument")
    table.add_column("shape")
    for heading in ("adjoint", "difference", "abs", "rel", "second", "difference", "abs", "rel"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        numbers = [
            f"{row.first.exact:.7g}",
            f"{row.first.difference:.7g}",
            f"{row.first.absolute:.1e}",
            f"{row.first.relative:.1e}",
        ]
        numbers += [f"{row.second.exact:.7g}", f"{row.second.difference:.7g}"]
        numbers += [f"{row.second.absolute:.1e}", f"{row.second.relative:.1e}"]
        table.add_row(row.name, str(list(row.shape)), *numbers, "ok" if row.worst <= tolerance else "WRONG")
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(table)
