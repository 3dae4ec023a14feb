"""`implicitdsl run FILE[:Layer] …`: solve a layer and print what it returns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from implicitdsl.cli.arguments import DataOption, SeedOption, StateOption, TargetArgument, WordsArgument
from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, count, print_json, reporting
from implicitdsl.cli.progress import working

if TYPE_CHECKING:
    from implicitdsl.cli.answers import Answer, Output
    from implicitdsl.cli.calls import Call


def run(
    target: TargetArgument,
    words: WordsArgument = None,
    data: DataOption = None,
    state: StateOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the outputs in full to a file, .npz or .csv.")
    ] = None,
    grad: Annotated[bool, typer.Option("--grad", help="Print the gradient of the sum of all outputs too.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="How many samples or times to print.")] = 10,
    format: FormatOption = Format.text,
) -> None:
    """Solve a layer once and print its outputs, with the status and steps of every sample."""
    with reporting(format):
        if output is not None and output.suffix not in (".npz", ".csv"):
            raise UsageError(f"{output}: outputs are written to a file .npz or .csv")
        from implicitdsl.cli.answers import solve
        from implicitdsl.cli.calls import failing, make_call

        with working("solving", format), failing(format):
            call = make_call(target, words or [], data=data, state=state, seed=seed, defaults={"on_fail": "warn"})
            answer = solve(call, gradients=grad)
        if output is not None:
            from implicitdsl.cli.archives import write_csv, write_npz

            (write_csv if output.suffix == ".csv" else write_npz)(output, answer)
        if format is Format.json:
            print_json(_as_dict(call, answer))
        else:
            _show(call, answer, rows, seed)
            if output is not None:
                typer.echo(f"written to {output}")
        for failure in (answer.failure, answer.gradient_failure):
            if failure and format is Format.text:
                typer.echo(f"{call.name}: {failure}", err=True)
        if answer.failure or answer.gradient_failure:
            raise typer.Exit(WRONG_MODEL)


def _show(call: Call, answer: Answer, rows: int, seed: int) -> None:
    from implicitdsl.cli.tables import duration

    blueprint = call.layer.blueprint
    sizes = "".join(f", {name}={size}" for name, size in blueprint.sizes.items())
    typer.echo(
        f"{call.name}: {blueprint.kind}{sizes}, {count(answer.samples, 'sample')} "
        f"in {duration(answer.seconds)} (made ready in {duration(answer.preparing)})"
    )
    if call.drawn:
        typer.echo(f"drawn from seed {seed}, because not given: {', '.join(call.drawn)}")
    if answer.batch:
        _show_samples(answer, rows)
    else:
        _show_sample(answer, rows)
    if answer.gradients is not None:
        _show_gradients(answer)


def _show_sample(answer: Answer, rows: int) -> None:
    from implicitdsl.cli.tables import digits, head, print_table, shape_text

    timed = [output for output in answer.outputs if output.timed]
    if timed:
        _show_times(answer, timed, rows)
    rest = [output for output in answer.outputs if not output.timed]
    if rest:
        print_table(
            "",
            ("output", "shape", "value"),
            [(o.title, shape_text(o.shape), head(o.value)) for o in rest],
        )
    status, notes = answer.status_names()[0], answer.note_texts()[0]
    steps = count(int(answer.steps), "step")
    facts = "".join(f", {name} {digits(float(fact))}" for name, fact in answer.extras.items())
    typer.echo(f"status {status}, {steps}{facts}{f', notes: {notes}' if notes else ''}")


#: Columns of entries that a terminal has room for.
MOST_ENTRIES = 8


def _show_times(answer: Answer, timed: list[Output], rows: int) -> None:
    from implicitdsl.cli.tables import digits, print_table, shortened

    titles = [entry for output in timed for entry in output.entries]
    shown = titles[:MOST_ENTRIES]
    table = [[v for output in timed for v in output.rows()[0][k]][:MOST_ENTRIES] for k in range(timed[0].shape[0])]
    if answer.times is None:
        label, times = "number", [str(k) for k in range(len(table))]
    else:
        label, times = "t", [digits(float(t)) for t in answer.times]
    texts = [[t, *(digits(float(v)) for v in values)] for t, values in zip(times, table, strict=True)]
    lines = shortened(texts, rows)
    if len(texts) > rows:
        lines.insert(-1, ["…"] * (1 + len(shown)))
    more = f"{len(titles) - len(shown)} more entries" if len(titles) > len(shown) else ""
    print_table("", (label, *shown), lines, numbers=(label, *shown), note=more)


def _show_samples(answer: Answer, rows: int) -> None:
    from implicitdsl.cli.tables import digits, print_table, shortened

    columns = [(name, [digits(float(f)) for f in fact.reshape(-1)]) for name, fact in answer.extras.items()]
    columns += [column for output in answer.outputs for column in _columns(output)]
    noted = any(answer.note_texts())
    lines = [
        [
            ", ".join(map(str, place)),
            status,
            str(int(steps)),
            *([notes] if noted else []),
            *(texts[number] for _, texts in columns[:MOST_ENTRIES]),
        ]
        for number, (place, status, steps, notes) in enumerate(
            zip(answer.places(), answer.status_names(), answer.steps.reshape(-1), answer.note_texts(), strict=True)
        )
    ]
    chosen = shortened(lines, rows)
    if len(lines) > rows:
        chosen.insert(-1, ["…"] + [""] * (len(lines[0]) - 1))
    headings = ["sample", "status", "steps", *(["notes"] if noted else []), *(t for t, _ in columns[:MOST_ENTRIES])]
    more = f"{len(columns) - MOST_ENTRIES} more entries" if len(columns) > MOST_ENTRIES else ""
    print_table("", headings, chosen, numbers=("steps",), note=more)


def _columns(output: Output) -> list[tuple[str, list[str]]]:
    """The headings of an output in a table of samples, with a text a sample: a heading an entry where there are
    times."""
    from implicitdsl.cli.tables import head, shape_text

    if output.timed:
        rows = output.rows()
        title = f"at {output.shape[0]} times"
        return [(f"{entry} {title}", [head(v, 4) for v in rows[:, :, k]]) for k, entry in enumerate(output.entries)]
    values = output.value.reshape(math.prod(output.batch), *output.shape)
    return [(f"{output.title} {shape_text(output.shape)}".rstrip(), [head(v) for v in values])]


def _show_gradients(answer: Answer) -> None:
    from implicitdsl.cli.tables import duration, head, print_table, shape_text

    assert answer.gradients is not None
    print_table(
        "",
        ("argument", "shape", "gradient of the sum of all outputs"),
        [(name, shape_text(g.shape), head(g)) for name, g in answer.gradients.items()],
    )
    typer.echo(f"solved and differentiated in {duration(answer.gradient_seconds)}")


def _as_dict(call: Call, answer: Answer) -> dict[str, Any]:
    from implicitdsl.cli.tables import plain

    found: dict[str, Any] = {
        "ok": not (answer.failure or answer.gradient_failure),
        "layer": call.name,
        "kind": call.layer.blueprint.kind,
        "sizes": dict(call.layer.blueprint.sizes),
        "batch": list(answer.batch),
        "inputs": {name: plain(value) for name, value in call.inputs.items()},
        "drawn": list(call.drawn),
        "outputs": {o.name: {"text": o.title, "shape": list(o.shape), "value": plain(o.value)} for o in answer.outputs},
        "status": plain(answer.status),
        "notes": plain(answer.notes),
        "steps": plain(answer.steps),
        "extras": {name: plain(fact) for name, fact in answer.extras.items()},
        "seconds": {"ready": answer.preparing, "solve": answer.seconds},
        "failure": answer.failure,
    }
    if answer.gradients is not None:
        found["gradients"] = {name: plain(value) for name, value in answer.gradients.items()}
        found["seconds"]["gradient"] = answer.gradient_seconds
        found["gradient_failure"] = answer.gradient_failure
    return found
