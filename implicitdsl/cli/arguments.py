"""The arguments that every command takes which calls a layer: `FILE[:Layer] [NAME=VALUE]… --data --state --seed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TargetArgument = Annotated[str, typer.Argument(metavar="FILE[:Layer]", help="The layer.")]
WordsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Sizes, options, inputs and params.")
]
DataOption = Annotated[Path | None, typer.Option(help="Inputs and params by name from an .npz archive.")]
StateOption = Annotated[Path | None, typer.Option(help="Params from a state_dict that torch.save wrote.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of what is drawn: params and inputs that are not named.")]
