"""`implicitdsl plot FILE[:Layer] … -o picture.png`: outputs against time, or against an input that is swept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from implicitdsl.cli.arguments import DataOption, SeedOption, StateOption, TargetArgument, WordsArgument
from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, print_json, reporting
from implicitdsl.cli.progress import working

if TYPE_CHECKING:
    from implicitdsl.cli.curves import Picture


def plot(
    target: TargetArgument,
    words: WordsArgument = None,
    data: DataOption = None,
    state: StateOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The picture: .png, .svg or .pdf (default: LAYER.png).")
    ] = None,
    format: FormatOption = Format.text,
) -> None:
    """Draw the outputs of a layer over its `at` times, else over an input given as a list: `M=linspace(0, 6, 50)`."""
    with reporting(format):
        pyplot = _pyplot()
        if output is not None and output.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise UsageError(f"{output}: a picture is a file .png, .svg or .pdf")
        from implicitdsl.cli.answers import solve
        from implicitdsl.cli.calls import failing, make_call
        from implicitdsl.cli.curves import picture

        with working("solving", format), failing(format):
            call = make_call(target, words or [], data=data, state=state, seed=seed, defaults={"on_fail": "warn"})
            answer = solve(call)
        drawn = picture(call, answer)
        path = output or Path(f"{call.name}.png")
        _draw(pyplot, drawn, path)
        if format is Format.json:
            report: dict[str, Any] = {"ok": not answer.failure, "picture": str(path), "failure": answer.failure}
            report["panels"] = [
                {"title": p.title, "lines": [c.label for c in p.curves], "against": drawn.axis} for p in drawn.panels
            ]
            print_json(report)
        else:
            typer.echo(f"{drawn.summary}: {path}")
            if answer.failure:
                typer.echo(f"{call.name}: {answer.failure}", err=True)
        if answer.failure:
            raise typer.Exit(WRONG_MODEL)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise UsageError("pictures need matplotlib: pip install 'implicitdsl[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


#: A legend of more lines than this explains nothing.
MOST_LABELS = 10


def _draw(pyplot: Any, drawn: Picture, path: Path) -> None:
    many = len(drawn.panels)
    figure, axes = pyplot.subplots(
        many, 1, figsize=(7, 1.2 + 2.8 * min(many, 6)), sharex=True, squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes[:, 0], drawn.panels, strict=True):
        for curve in panel.curves:
            if drawn.discrete:
                axis.plot(curve.x, curve.y, "o", label=curve.label)
                axis.vlines(curve.x, 0, curve.y, linewidth=1, alpha=0.5)
                axis.xaxis.get_major_locator().set_params(integer=True)
            else:
                axis.plot(curve.x, curve.y, ".-" if len(curve.x) <= 20 else "-", label=curve.label)
        axis.set_ylabel(panel.title)
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    _explain(figure, axes[:, 0], drawn)
    axes[-1, 0].set_xlabel(drawn.axis)
    axes[0, 0].set_title(drawn.heading, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _explain(figure: Any, axes: Any, drawn: Picture) -> None:
    """One legend where all panels have the same lines, else one a panel; none where a title says it all."""
    labels = [[curve.label for curve in panel.curves] for panel in drawn.panels]
    if all(len(names) == 1 or len(names) > MOST_LABELS for names in labels):
        return
    if all(names == labels[0] for names in labels):
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
        return
    for axis, names in zip(axes, labels, strict=True):
        if 1 < len(names) <= MOST_LABELS:
            axis.legend(frameon=False)
