"""`implicitdsl gradcheck FILE[:Layer]`: the layer's derivatives against finite differences, a row for each argument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from implicitdsl.cli.arguments import DataOption, SeedOption, StateOption, TargetArgument, WordsArgument
from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, print_json, reporting
from implicitdsl.cli.progress import working

if TYPE_CHECKING:
    from implicitdsl.cli.differences import Comparison, Row

#: Tolerances of the kinds that integrate, below what finite differences see.
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def gradcheck(
    target: TargetArgument,
    words: WordsArgument = None,
    data: DataOption = None,
    state: StateOption = None,
    seed: SeedOption = 0,
    tolerance: Annotated[
        float, typer.Option(help="Largest error allowed, relative to an argument's largest entry.")
    ] = 1e-4,
    format: FormatOption = Format.text,
) -> None:
    """Compare first and second derivatives of a layer with finite differences, in float64."""
    with reporting(format), working("differentiating", format):
        rows, layer = _rows(target, words or [], data, state, seed, format)
    ok = all(row.worst <= tolerance for row in rows)
    if format is Format.json:
        print_json({"ok": ok, "layer": layer, "tolerance": tolerance, "arguments": [row.as_dict() for row in rows]})
    else:
        _show(layer, rows, tolerance)
    if not ok:
        raise typer.Exit(WRONG_MODEL)


def _rows(
    target: str, words: list[str], data: Path | None, state: Path | None, seed: int, format: Format
) -> tuple[list[Row], str]:
    import torch

    from implicitdsl.cli.calls import failing, make_call
    from implicitdsl.cli.differences import compare

    call = make_call(target, words, data=data, state=state, seed=seed, of_time=TIGHT)
    if call.dtype is not torch.float64:
        raise UsageError("gradcheck computes in float64: finite differences see nothing in float32")
    with failing(format):
        return compare(call.layer, call.inputs, seed=seed), call.name


def _show(layer: str, rows: list[Row], tolerance: float) -> None:
    from implicitdsl.cli.tables import print_table, shape_text

    lines = [
        (
            row.name,
            shape_text(row.shape),
            *_texts(row.first),
            *_texts(row.second),
            "ok" if row.worst <= tolerance else "WRONG",
        )
        for row in rows
    ]
    numbers = ("adjoint", "difference", "abs", "rel", "second")
    print_table(
        f"{layer}: derivatives against finite differences",
        ("argument", "shape", "adjoint", "difference", "abs", "rel", "second", "difference", "abs", "rel", ""),
        lines,
        numbers=numbers,
        note="of each argument the entry with the largest error",
    )


def _texts(found: Comparison) -> tuple[str, ...]:
    return f"{found.exact:.7g}", f"{found.difference:.7g}", f"{found.absolute:.1e}", f"{found.relative:.1e}"
