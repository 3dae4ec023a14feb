"""`implicitdsl bench FILE[:Layer] --batch 1,1000`: how long a layer takes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from implicitdsl.cli.arguments import DataOption, SeedOption, StateOption, TargetArgument, WordsArgument
from implicitdsl.cli.data import UsageError
from implicitdsl.cli.output import WRONG_MODEL, Format, FormatOption, count, print_json, reporting
from implicitdsl.cli.progress import working

if TYPE_CHECKING:
    from implicitdsl.cli.calls import Call
    from implicitdsl.cli.timings import Spread, Timing


def bench(
    target: TargetArgument,
    words: WordsArgument = None,
    batch: Annotated[
        str | None, typer.Option(help="Batch sizes, 1,1000; without it the inputs as they are given.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each measurement is repeated.")] = 0.5,
    data: DataOption = None,
    state: StateOption = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.text,
) -> None:
    """Time a layer: construction, first calls, forward and gradient, as median and quartiles of repeated calls."""
    with reporting(format):
        sizes = _batch_sizes(batch)
        from implicitdsl.cli.calls import make_call
        from implicitdsl.cli.timings import batched, make_layer, measure

        with working("measuring", format) as tell:
            call = make_call(target, words or [], data=data, state=state, seed=seed, defaults={"on_fail": "nan"})
            layer, made = make_layer(call)
            timings: list[Timing] = []
            for size in sizes or [None]:
                tell(f"measuring {call.name}" + (f", batch {size}" if size else ""))
                inputs = call.inputs if size is None else batched(call, size, seed)
                timings.append(measure(call, layer, inputs, seconds))
        failed = sum(t.failed for t in timings)
        if format is Format.json:
            report: dict[str, Any] = {"ok": failed == 0, "layer": call.name, **_circumstances(call)}
            print_json(report | {"construction": made, "timings": [t.as_dict() for t in timings]})
        else:
            _show(call, made, timings)
            if failed:
                typer.echo(f"{call.name}: {count(failed, 'sample')} failed (see `implicitdsl run`)", err=True)
        if failed:
            raise typer.Exit(WRONG_MODEL)


def _batch_sizes(text: str | None) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise UsageError(f"--batch {text}: batch sizes are whole numbers, 1,1000") from None
    if any(size < 1 for size in sizes):
        raise UsageError(f"--batch {text}: a batch has one sample at least")
    return sizes


def _circumstances(call: Call) -> dict[str, Any]:
    import platform

    import torch

    options = call.layer.blueprint.options
    return {
        "sizes": dict(call.layer.blueprint.sizes),
        "dtype": str(call.dtype).removeprefix("torch."),
        "backend": _back_ends(call),
        "threads": options.threads or torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def _back_ends(call: Call) -> str:
    """The back ends that the pieces of the layer run on."""
    from implicitdsl.layers import batching
    from implicitdsl.layers.blueprint import EnginePiece

    blueprint = call.layer.blueprint
    sizes = batching.bind_sizes(call.name, blueprint.inputs, [value.shape for value in call.inputs.values()])
    pieces = [number for number, piece in enumerate(blueprint.program) if isinstance(piece, EnginePiece)]
    kinds = [type(blueprint.engine(number, call.dtype, sizes)) for number in pieces]
    found = {"lanes" if ".lanes." in kind.__module__ else "python" for kind in kinds}
    return " and ".join(sorted(found)) or "of its parts"


def _show(call: Call, made: float, timings: list[Timing]) -> None:
    from implicitdsl.cli.tables import duration, print_table

    facts = _circumstances(call)
    sizes = "".join(f", {name}={size}" for name, size in facts["sizes"].items())
    typer.echo(
        f"{call.name}: {call.layer.blueprint.kind}{sizes}, {facts['dtype']}, back end {facts['backend']}, "
        f"{count(facts['threads'], 'thread')}"
    )
    first = timings[0]
    typer.echo(
        f"constructed in {duration(made)}, first call {duration(first.first_forward)}, "
        f"first gradient {duration(first.first_gradient)}"
    )
    headings = ("batch", "forward", "quartiles", "a sample", "with gradient", "quartiles", "a sample")
    rows = [
        (
            str(t.batch),
            *_texts(t.forward, t.batch),
            *_texts(t.gradient, t.batch),
        )
        for t in timings
    ]
    print_table("", headings, rows, numbers=headings, note="median of repeated calls")


def _texts(spread: Spread, batch: int) -> tuple[str, str, str]:
    from implicitdsl.cli.tables import duration

    between = f"{duration(spread.low)} – {duration(spread.high)}"
    return duration(spread.median), between, duration(spread.median / max(batch, 1))
