"""What `plot` draws: which outputs, against what, with which labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.cli.answers import Answer, Output
from implicitdsl.cli.calls import Call
from implicitdsl.cli.data import Array, UsageError
from implicitdsl.cli.inputs import times_input
from implicitdsl.cli.output import count
from implicitdsl.cli.tables import digits, head


@dataclass(frozen=True, eq=False)
class Curve:
    """One line: its points and what it is called in the legend."""

    x: Array
    y: Array
    label: str


@dataclass(frozen=True, eq=False)
class Panel:
    """The curves that share an axis."""

    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """Panels one above the other; `axis` names what runs to the right, which is `discrete` where it is an index."""

    heading: str
    axis: str
    panels: tuple[Panel, ...]
    discrete: bool = False

    @property
    def summary(self) -> str:
        lines = sum(len(panel.curves) for panel in self.panels)
        return f"{count(lines, 'line')} against {self.axis}"


#: A picture with more panels or lines is not read.
MOST_PANELS, MOST_LINES = 6, 200


def picture(call: Call, answer: Answer) -> Picture:
    """What to draw of an answer. Raises UsageError where nothing runs along an axis."""
    if not answer.samples:
        raise UsageError("there is no sample to draw")
    if any(output.timed for output in answer.outputs):
        return _over_times(call, answer)
    if answer.batch:
        return _over_input(call, answer)
    return _over_entries(call, answer)


def _over_times(call: Call, answer: Answer) -> Picture:
    """Without a batch one panel holds all entries; with one, an entry is a panel and a sample a line."""
    steps = next(o.shape[0] for o in answer.outputs if o.timed)
    times = np.arange(steps, dtype=np.float64) if answer.times is None else answer.times
    x = np.broadcast_to(times, (*answer.batch, steps)).reshape(answer.samples, steps)
    entries = [(e, o.rows()[:, :, k]) for o in answer.outputs for k, e in enumerate(o.entries)]
    axis = "number of the time" if answer.times is None else "t"
    if answer.samples == 1:
        curves = [Curve(x[0], y[0], entry) for entry, y in entries[:MOST_LINES]]
        title = entries[0][0] if len(entries) == 1 else ", ".join(o.title for o in answer.outputs)
        return Picture(_heading(call), axis, (Panel(title, tuple(curves)),))
    labels = sample_labels(call, answer)
    panels = [
        Panel(entry, tuple(Curve(x[i], y[i], labels[i]) for i in range(min(answer.samples, MOST_LINES))))
        for entry, y in entries[:MOST_PANELS]
    ]
    return Picture(_heading(call), axis, tuple(panels))


def _over_input(call: Call, answer: Answer) -> Picture:
    """The last axis of the batch runs to the right, along the number that changes with it; the others are lines."""
    swept = _swept(call)
    length = answer.batch[-1]
    lines = answer.samples // max(length, 1)
    axis, x = "sample", np.broadcast_to(np.arange(length, dtype=np.float64), answer.batch)
    if swept is not None:
        axis, x = swept[0], np.broadcast_to(swept[1], answer.batch)
    x = x.reshape(lines, length)
    labels = sample_labels(call, answer, but=axis)[:: max(length, 1)]
    panels: list[Panel] = []
    for output in answer.outputs:
        y = output.rows()[:, 0, :].reshape(lines, length, -1)
        curves = [
            Curve(x[i], y[i, :, k], ", ".join(t for t in (entry if len(output.entries) > 1 else "", labels[i]) if t))
            for i in range(lines)
            for k, entry in enumerate(output.entries)
        ]
        panels.append(Panel(output.title, tuple(curves[:MOST_LINES])))
    return Picture(_heading(call), axis, tuple(panels[:MOST_PANELS]))


def _swept(call: Call) -> tuple[str, Array] | None:
    """The one number among the inputs that changes along the last axis of the batch, with its values [*batch]; None
    where there are none or several."""
    found: list[tuple[str, Array]] = []
    for spec in call.layer.blueprint.inputs:
        value = call.inputs[spec.name]
        own = len(spec.shape)
        lead = value.shape[: value.ndim - own]
        if not lead or lead[-1] == 1:
            continue
        flat = value.reshape(*lead, -1)
        for k, place in enumerate(np.ndindex(value.shape[value.ndim - own :])):
            entry = flat[..., k]
            if np.ptp(entry, axis=-1).any():
                found.append((f"{spec.name}{list(place) if place else ''}", entry))
    if len(found) > 1:
        plain = [(name, entry) for name, entry in found if "[" not in name]
        found = plain if len(plain) == 1 else found
    return found[0] if len(found) == 1 else None


def _over_entries(call: Call, answer: Answer) -> Picture:
    vectors = [output for output in answer.outputs if len(output.shape) == 1 and output.shape[0] > 1]
    if not vectors:
        example = next((s.name for s in call.layer.blueprint.inputs if not s.shape), None)
        hint = f": {example}=linspace(0, 1, 50)" if example else ""
        raise UsageError(f"there is nothing to draw {call.name} against; give an input several values{hint}")
    panels = tuple(Panel(o.title, (Curve(_index(o), o.value, o.title),)) for o in vectors[:MOST_PANELS])
    return Picture(_heading(call), "entry", panels, discrete=True)


def _index(output: Output) -> Array:
    return np.arange(output.shape[0], dtype=np.float64)


def _heading(call: Call) -> str:
    doc = call.template.definition.doc.splitlines()
    return f"{call.name}: {doc[0]}" if doc and len(doc[0]) < 70 else call.name


def sample_labels(call: Call, answer: Answer, but: str = "") -> list[str]:
    """What tells a sample from the others: the values of the inputs that differ, but for the one named."""
    rank, times = len(answer.batch), times_input(call.template.definition)
    differing: list[tuple[str, NDArray[np.float64]]] = []
    for spec in call.layer.blueprint.inputs:
        value, own = call.inputs[spec.name], len(spec.shape)
        lead = value.shape[: value.ndim - own]
        if spec.name == but or np.prod(lead, dtype=int) <= 1 or own > 1 or spec.name == times:
            continue
        if but and (len(lead) < 2 or max(lead[:-1]) == 1):
            continue
        full = value.reshape((1,) * (rank - len(lead)) + value.shape)
        differing.append((spec.name, np.broadcast_to(full, (*answer.batch, *value.shape[len(lead) :]))))
    if not differing:
        return ["" if but else f"sample {_place(place)}" for place in answer.places()]
    return [
        ", ".join(f"{name} = {head(values[place], 4)}" for name, values in differing) or f"sample {_place(place)}"
        for place in answer.places()
    ]


def _place(place: Sequence[int]) -> str:
    return ", ".join(digits(p) for p in place)
