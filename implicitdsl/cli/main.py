"""The program `implicitdsl`: its commands, and how a wrong use of it ends."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from implicitdsl.cli.bench import bench
from implicitdsl.cli.cache import cache
from implicitdsl.cli.check import check
from implicitdsl.cli.compile import compile
from implicitdsl.cli.doctor import doctor
from implicitdsl.cli.explain import explain
from implicitdsl.cli.fmt import fmt
from implicitdsl.cli.gradcheck import gradcheck
from implicitdsl.cli.init import init
from implicitdsl.cli.inspect import inspect
from implicitdsl.cli.lsp import lsp
from implicitdsl.cli.plot import plot
from implicitdsl.cli.run import run as run_layer

app = typer.Typer(
    name="implicitdsl",
    help="Layers declared as the conditions that their outputs satisfy. "
    "Exit codes: 0 ok, 1 the model is wrong, 2 the command is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (check, fmt, compile, explain, inspect, gradcheck, run_layer, plot, bench, init, doctor, cache, lsp):
    app.command(command.__name__)(command)


def run() -> None:
    """The entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of few characters, and names of files that are no text, show a mark for what they lack.
            stream.reconfigure(errors="replace")
    app()
