"""Answers written to files: `.npz` for NumPy, `.csv` for everything else."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from implicitdsl.cli.answers import Answer


def write_npz(path: Path, answer: Answer) -> None:
    """The outputs by name, each [*batch, *shape], with `t` where there are times, `status`, `notes` and `steps`, and
    the gradients as `grad_NAME`. A name that is taken gets an underscore."""
    held: dict[str, Any] = {"status": answer.status, "notes": answer.notes, "steps": answer.steps}
    if answer.times is not None:
        held["t"] = answer.times
    for output in answer.outputs:
        held[f"{output.name}_" if output.name in held else output.name] = output.value
    for name, value in (answer.gradients or {}).items():
        held[f"grad_{name.removesuffix(' (free)')}"] = value
    with path.open("wb") as file:
        np.savez(file, **held)


def write_csv(path: Path, answer: Answer) -> None:
    """One line a sample, or a sample and time: the index of the sample, `t`, every entry of every output, the status.
    Numbers are written with all their digits."""
    timed = any(output.timed for output in answer.outputs)
    steps = next((output.shape[0] for output in answer.outputs if output.timed), 1)
    index = ["sample"] if len(answer.batch) == 1 else [f"sample.{k}" for k in range(len(answer.batch))]
    entries = [entry for output in answer.outputs for entry in output.entries]
    rows = [output.rows() for output in answer.outputs]
    times = None
    if answer.times is not None:
        times = np.broadcast_to(answer.times, (*answer.batch, steps)).reshape(answer.samples, steps)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*index, *(["t"] if timed else []), *entries, "status"])
        for number, (place, status) in enumerate(zip(answer.places(), answer.status_names(), strict=True)):
            for k in range(steps):
                time = [] if not timed else [k if times is None else float(times[number, k])]
                values = [float(v) for row in rows for v in row[number, k]]
                writer.writerow([*place, *time, *values, status])
