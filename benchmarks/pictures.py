"""Pictures of a run: our calls beside the best peers, and how time grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.precision.diagram import draw as work_precision
from benchmarks.row import Results
from benchmarks.verdict import groups, judge, time_of
from benchmarks.work import OURS

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
OUR_COLOUR, PEER_COLOUR = "#1f6f8b", "#b0b7bd"


def draw_all(results: Results, folder: Path = FOLDER) -> list[Path]:
    """Writes every picture that the results have rows for; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    made = [compared(results, folder / "benchmarks.png"), growth(results, folder / "growth.png")]
    made.append(work_precision(results, folder / "work_precision.png"))
    return [path for path in made if path is not None]


def compared(results: Results, path: Path) -> Path | None:
    """One panel a work and mode with the fewest threads measured: a point for us and for every peer with right values,
    in milliseconds on a logarithmic axis; with one thread, of the processor, else of the clock."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    fewest = min((row.threads for row in results.rows), default=1)
    panels = []
    for (work, mode, threads), rows in groups(results.rows).items():
        verdict = judge(rows)
        if threads == fewest and verdict is not None and verdict.ours.best is not None and verdict.best is not None:
            points = [(row.contender, time_of(row)) for row in rows if row.best is not None]
            panels.append((f"{work}, {mode}", sorted(points, key=lambda point: -point[1])))
    if not panels:
        return None
    columns = 2
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(10, 1.7 * lines), squeeze=False, layout="constrained")
    for place, (title, points) in zip(axes.flat, panels, strict=False):
        names, values = [name for name, _ in points], [value for _, value in points]
        colours = [OUR_COLOUR if name == OURS else PEER_COLOUR for name in names]
        place.scatter(values, names, c=colours, s=45, zorder=2)
        place.grid(axis="y", alpha=0.3)
        place.set(xscale="log")
        place.set_title(title, loc="left", fontsize=10)
        place.xaxis.set_minor_formatter(NullFormatter())
        place.tick_params(labelsize=8)
        for side in ("top", "right", "left"):
            place.spines[side].set_visible(False)
        for number, value in enumerate(values):
            place.annotate(f"{value:.3g}", (value, number), xytext=(6, 3), textcoords="offset points", fontsize=7)
        place.set_xlim(min(values) / 2, max(values) * 3)
        place.set_ylim(-0.6, len(values) - 0.2)
    for place in list(axes.flat)[len(panels) :]:
        place.set_visible(False)
    kind = "processor time, 1 thread" if fewest == 1 else f"{fewest} threads"
    figure.supxlabel(f"milliseconds a call, best, {kind}", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def growth(results: Results, path: Path) -> Path | None:
    """Time over batch and over states, a line for each mode and number of threads, with slopes for the eye."""
    import matplotlib.pyplot as plt

    rows = [row for row in results.rows if row.work == "growth" and row.best is not None]
    if not rows:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for place, what, slope, about in ((axes[0], "batch", 1, "linear"), (axes[1], "states", 2, "quadratic")):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row.mode.startswith(what):
                name = f"{row.mode.split(', ')[1]}, {row.threads} thread{'s' * (row.threads > 1)}"
                lines.setdefault(name, []).append((row.facts["size"], time_of(row)))
        for name, points in lines.items():
            place.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        _guide(place, lines, slope, about)
        place.set(xscale="log", yscale="log", xlabel=what, ylabel="milliseconds a call")
        place.legend(fontsize=8)
        place.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _guide(place: Any, lines: dict[str, list[tuple[float, float]]], slope: int, about: str) -> None:
    """A dashed line of that slope through the largest point of the first line."""
    if not lines:
        return
    points = next(iter(lines.values()))
    x1, y1 = points[-1]
    x0 = points[len(points) // 2][0]
    place.plot([x0, x1], [y1 * (x0 / x1) ** slope, y1], "k--", linewidth=0.8, label=about)
