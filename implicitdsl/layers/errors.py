"""Failures of samples at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.solvers.status import BAD_INPUT, STATUSES, status_name

SHOWN = 5


class SolveError(RuntimeError):
    """Samples that could not be solved, or not differentiated.

    `status` is the array of statuses in the batch's shape, `samples` the indices of the failed samples (tuples of ints
    into the batch's shape), `layer` the name of the layer, `stage` is "forward", "backward" or "second backward", `why`
    are lines that say which inputs are bad."""

    def __init__(
        self, layer: str, status: NDArray[np.int32], *, stage: str = "forward", why: tuple[str, ...] = ()
    ) -> None:
        self.layer = layer
        self.status = np.asarray(status, np.int32)
        self.stage = stage
        self.why = why
        self.samples: tuple[tuple[int, ...], ...] = tuple(
            tuple(int(i) for i in place) for place in np.argwhere(self.status != 0)
        )
        super().__init__(describe(layer, self.status, self.samples, stage, why))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remake, (self.layer, self.status, self.stage, self.why))


def _remake(layer: str, status: NDArray[np.int32], stage: str, why: tuple[str, ...] = ()) -> SolveError:
    return SolveError(layer, status, stage=stage, why=why)


def describe(
    layer: str,
    status: NDArray[np.int32],
    samples: Sequence[tuple[int, ...]],
    stage: str,
    why: tuple[str, ...] = (),
) -> str:
    """The failure in words: how many samples, which, why, and what to try. `why` are lines on bad inputs."""
    what = {"forward": "could not be solved", "backward": "could not be differentiated"}.get(
        stage, "could not be differentiated twice"
    )
    if status.ndim:
        lines = [f"{layer}: {len(samples)} of {status.size} samples {what}"]
    else:
        lines = [f"{layer}: the sample {what}"]
    for number in sorted({int(status[place]) for place in samples}):
        record = STATUSES[number]
        places = [place for place in samples if status[place] == number]
        lines.append(f"  {record.name} [{record.code}]{where(places)}: {record.meaning}")
        if number == BAD_INPUT:
            lines += [f"    {line}" for line in why]
        if record.advice:
            lines.append(f"    try: {record.advice}")
    if stage == "forward":
        lines.append('  (on_fail="nan" gives NaN for these samples instead of this error, "warn" their best iterates)')
    return "\n".join(lines)


def where(places: Sequence[tuple[int, ...]]) -> str:
    """The first samples by their indices, ` at 1, 4 and 3 more`; nothing for a sample without a batch."""
    if places and not places[0]:
        return ""
    shown = ", ".join(str(p[0]) if len(p) == 1 else str(p) for p in places[:SHOWN])
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f" at {shown}{more}"


def message(layer: str, number: int) -> str:
    """One sample's status in words."""
    record = STATUSES[number]
    advice = f"; {record.advice}" if record.advice else ""
    code = f" [{record.code}]" if number else ""
    return f"{layer}: {status_name(number)}{code}: {record.meaning}{advice}"
