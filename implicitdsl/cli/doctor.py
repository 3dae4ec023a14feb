"""`implicitdsl doctor`: what this machine has, and whether layers come out right on it."""

from __future__ import annotations

from typing import Any

import typer

from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, print_json, reporting
from implicitdsl.cli.progress import working


def doctor(format: FormatOption = Format.text) -> None:
    """Look at versions, processor and cache, and try small layers of every kind on every back end."""
    with reporting(format):
        from implicitdsl.cli.examination import examine
        from implicitdsl.cli.trials import try_layers

        findings = examine()
        with working("trying layers", format) as tell:
            trials = try_layers(tell)
    advice = [*findings.advice, *(f"{t.name} on {t.backend}: {t.trouble}" for t in trials if t.trouble)]
    if format is Format.json:
        report: dict[str, Any] = {"ok": not advice, **findings.facts, "advice": advice}
        print_json(report | {"trials": [t.as_dict() for t in trials]})
    else:
        for heading, lines in findings.sections():
            typer.echo(typer.style(heading, bold=True))
            for name, value in lines:
                typer.echo(f"  {name:<16}{value}")
        _show_trials(trials)
        for sentence in advice:
            typer.echo(typer.style("wrong: ", fg=typer.colors.RED, bold=True) + sentence)
        if not advice:
            typer.echo("everything is as it should be")
    if advice:
        raise typer.Exit(WRONG_MODEL)


def _show_trials(trials: list[Any]) -> None:
    from implicitdsl.cli.tables import print_table

    backends = list(dict.fromkeys(t.backend for t in trials))
    rows = [
        (name, *(next(t.text() for t in trials if (t.name, t.backend) == (name, b)) for b in backends))
        for name in dict.fromkeys(t.name for t in trials)
    ]
    print_table("", ("trial", *(f"back end {b}" for b in backends)), rows, note="value and gradient in closed form")
