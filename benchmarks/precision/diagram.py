"""What the points say: the time that a contender needs for an accuracy, who is ahead where, and the picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Results, Row
from benchmarks.tables import NOT_RUN, markdown, number
from benchmarks.verdict import time_of
from benchmarks.work import OURS

ACCURACIES = tuple(10.0**-n for n in range(4, 11))
SURE = 3.0
"""An accuracy is told of where the two references differ by less than it over this."""

Curves = dict[str, list[tuple[float, float]]]
Best = tuple[str, float] | None
"""A contender and its milliseconds."""


def curves(rows: Iterable[Row]) -> dict[str, Curves]:
    """(error, milliseconds) of every contender by problem."""
    found: dict[str, Curves] = {}
    for row in rows:
        if row.work == "precision" and row.best is not None and row.error is not None:
            problem = row.mode.rsplit(", ", 1)[0]
            found.setdefault(problem, {}).setdefault(row.contender, []).append((row.error, time_of(row)))
    return found


def time_at(accuracy: float, points: list[tuple[float, float]]) -> float | None:
    """Milliseconds for an error of at most `accuracy`: between two points by the logarithms of both, and the cheapest
    point where all are more accurate; None where no point reaches it."""
    front = _front(points)
    errors, times = np.log([error for error, _ in front]), np.log([time for _, time in front])
    wanted = float(np.log(accuracy))
    if wanted < errors[-1]:
        return None
    return float(np.exp(np.interp(-wanted, -errors, times)))


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other beats in both, from the largest error to the least."""
    kept: list[tuple[float, float]] = []
    for error, time in sorted(points, key=lambda point: (point[1], point[0])):
        if not kept or error < kept[-1][0]:
            kept.append((max(error, 1e-16), time))
    return kept


def best_at(accuracy: float, found: Curves, *, ours: bool) -> Best:
    """The fastest of ours, or of the peers, at an accuracy."""
    times = {name: time_at(accuracy, points) for name, points in found.items() if name.startswith(OURS) is ours}
    reached = [(name, time) for name, time in times.items() if time is not None]
    return min(reached, key=lambda each: each[1], default=None)


def compared(results: Results) -> dict[str, list[tuple[Best, Best] | None]]:
    """By problem the best of ours and of the peers at each accuracy, None where nothing can be said."""
    doubts = doubts_of(results)
    found: dict[str, list[tuple[Best, Best] | None]] = {}
    for problem, lines in curves(results.rows).items():
        found[problem] = []
        for accuracy in ACCURACIES:
            ours, peer = (best_at(accuracy, lines, ours=own) for own in (True, False))
            sure = doubts[problem] <= accuracy / SURE and (ours is not None or peer is not None)
            found[problem].append((ours, peer) if sure else None)
    return found


def doubts_of(results: Results) -> dict[str, float]:
    """By problem the difference of its two references."""
    return {row.mode.rsplit(", ", 1)[0]: row.facts["doubt"] for row in results.rows if row.work == "precision"}


def counted(results: Results) -> tuple[int, int]:
    """The accuracies, of all problems, at which we are ahead of the best peer, and of how many."""
    pairs = [pair for cells in compared(results).values() for pair in cells if pair is not None]
    # Where no peer was asked tightly enough there is nobody to be ahead of.
    against = [(ours, peer) for ours, peer in pairs if peer is not None]
    return sum(ours is not None and ours[1] < peer[1] for ours, peer in against), len(against)


def goals(results: Results) -> list[tuple[str, str, int, str]]:
    """What was asked of the diagrams, as a line of the summary."""
    ahead, of = counted(results)
    if not of:
        return []
    said = "met" if 2 * ahead > of else "missed"
    threads = next(row.threads for row in results.rows if row.work == "precision")
    return [("precision", "forward", threads, f"ahead at most accuracies: {said} at {ahead} of {of}")]


def table(results: Results) -> str:
    """A line for every problem: our best over the peers' best at each accuracy, then the count."""
    doubts = doubts_of(results)
    lines = [
        [problem, *("–" if pair is None else _cell(*pair) for pair in cells), number(doubts[problem], 2)]
        for problem, cells in compared(results).items()
    ]
    if not lines:
        return NOT_RUN
    head = ("problem", *(f"error {accuracy:.0e}" for accuracy in ACCURACIES), "the two references differ by:")
    ahead, of = counted(results)
    count = f"Ahead of the best peer at {ahead} of {of} accuracies."
    return f"![Error against time](pictures/work_precision.png)\n\n{count}\n\n{markdown(head, lines)}"


def _cell(ours: Best, peer: Best) -> str:
    name, best = (each[0] if each else "" for each in (ours, peer))
    name = name.removeprefix(OURS).strip()
    if ours is None:
        return f"only {best}"
    if peer is None:
        return f"{name} {number(ours[1])} ms, no peer at these tolerances"
    return f"{number(peer[1] / ours[1])}×: {name} {number(ours[1])} ms, {best} {number(peer[1])}"


def left_out(results: Results) -> str:
    """The points that have no time, with the reason."""
    lines = [
        [row.mode, row.contender, row.status, row.note.replace("|", "/")]
        for row in results.rows
        if row.work == "precision" and row.status != "ok"
    ]
    return markdown(("problem and tolerance", "contender", "status", "note"), lines) if lines else "None."


def draw(results: Results, path: Path) -> Path | None:
    """One panel a problem, a line a contender, ours in colour."""
    import matplotlib.pyplot as plt

    found = curves(results.rows)
    if not found:
        return None
    figure, axes = plt.subplots(-(-len(found) // 2), 2, figsize=(11, 3.6 * -(-len(found) // 2)), layout="constrained")
    for place, (problem, lines) in zip(axes.flat, found.items(), strict=False):
        ours = sorted(name for name in lines if name.startswith(OURS))
        peers = sorted(name for name in lines if not name.startswith(OURS))
        for number_of, name in enumerate([*ours, *peers]):
            _line(place, name, lines[name], number_of if name in ours else number_of - len(ours))
        place.set(xscale="log", yscale="log", xlabel="error", ylabel="milliseconds a call")
        place.set_title(problem, loc="left", fontsize=10)
        place.invert_xaxis()
        place.grid(alpha=0.3)
        place.legend(fontsize=6.5, ncols=2)
    for place in list(axes.flat)[len(found) :]:
        place.set_visible(False)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _line(place: Any, name: str, points: list[tuple[float, float]], turn: int) -> None:
    errors, times = zip(*points, strict=True)
    own = name.startswith(OURS)
    colour = ("#1f6f8b", "#c8553d", "#588157")[turn % 3] if own else "#8d99a6"
    style = "-" if own else ("--", ":", "-.")[turn % 3]
    marker = "o" if own else "sv^Dx*+"[turn % 7]
    place.plot(errors, times, style, marker=marker, color=colour, markersize=4, linewidth=1.6 if own else 1, label=name)
