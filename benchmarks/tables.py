"""Tables of a run in Markdown: a summary against the goals, and every contender of a work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.row import Results, Row
from benchmarks.verdict import Held, Verdict, groups, judge, time_of
from benchmarks.work import OURS

NOT_RUN = "Not in this run."


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every column but the first is set to the right where its head ends in a colon."""
    names = [name.rstrip(":") for name in head]
    rule = ["---:" if name.endswith(":") else "---" for name in head]
    lines = [names, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, "–" for nothing."""
    if value is None:
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{digits}g}"
    return f"{float(text):g}" if "e" in text else text


def machine_line(machine: dict[str, Any]) -> str:
    """The machine in one paragraph."""
    versions = ", ".join(f"{name} {v}" if v else f"{name} not installed" for name, v in machine["versions"].items())
    taken = ", then ".join(f"`{command}`" for command in machine.get("commands", []))
    command = f" Taken by {taken}." if taken else ""
    if machine["load"] > machine["cores"]:
        command += " Other programs ran at the same time: read processor time, and no single figure of the clock."
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, "
        f"load {machine['load']} at the start.{command} {versions}."
    )


def summary(results: Results, more: Sequence[tuple[str, str, int, str]] = ()) -> str:
    """One line for every (work, mode, threads) that we ran: us, the best peer, the ratio, the goals, the floor. `more`:
    (work, mode, threads, what became of the goal) of works whose goal is one of many rows together."""
    lines = []
    for (work, mode, threads), rows in groups(results.rows).items():
        verdict = judge(rows) if work != "growth" else None
        if verdict is not None and (verdict.ours.best is not None or verdict.goals or verdict.ours.note):
            lines.append([work, mode, str(threads), *_cells(verdict)])
    none = "–"
    lines += [[work, mode, str(threads), *(none,) * 9, said, none] for work, mode, threads, said in more]
    head = (
        "work", "mode", "threads:", "ours, ms:", "processor:", "back end", "best peer", "its ms:", "processor:",
        "ratio:", "of rounds:", "of cpu:", "asked for", "above the floor:",
    )  # fmt: skip
    return markdown(head, lines)


def _cells(verdict: Verdict) -> list[str]:
    ours, best = verdict.ours, verdict.best
    return [
        _why(ours) if ours.best is None and ours.status != "ok" else number(ours.best),
        number(ours.cpu),
        str(ours.facts.get("backend", "–")),
        best.contender if best is not None else "–",
        number(best.best if best is not None else None),
        number(best.cpu if best is not None else None),
        number(verdict.ratio),
        number(verdict.ratio_of_rounds),
        number(verdict.ratio_of_cpu),
        "; ".join(_goal(held) for held in verdict.goals) or "–",
        number(verdict.above_floor),
    ]


def _goal(held: Held) -> str:
    said = {True: "met", False: "missed", None: "not measured"}[held.met]
    in_a_column = not held.goal.against and held.goal.unit == "ms"
    reached = "" if held.measured is None or in_a_column else f" at {number(held.measured)}"
    return f"{held.goal.text()}: {said}{reached}"


def _why(row: Row) -> str:
    return f"{row.status}: {row.note}" if row.note else row.status


def contenders(results: Results, work: str) -> str:
    """Every contender of a work."""
    lines = []
    for (name, mode, threads), rows in groups(results.rows).items():
        if name != work:
            continue
        for row in sorted(rows, key=lambda row: (row.best is None, time_of(row))):
            times = [number(row.best), number(row.median), number(row.cpu), str(row.runs or "–")]
            said = "; ".join(filter(None, [row.about, *_extra(row)])) if row.status == "ok" else _why(row)
            lines.append([mode, str(threads), row.contender, *times, number(row.first), number(row.error, 2), said])
    if not lines:
        return NOT_RUN
    head = (
        "mode", "threads:", "contender", "best, ms:", "median, ms:", "processor, ms:", "calls:",
        "first call, ms:", "error:", "settings"
    )  # fmt: skip
    return markdown(head, lines)


def _extra(row: Row) -> list[str]:
    """Facts of a study that stand in no column."""
    return [f"{name} {value:g}" for name, value in row.facts.items() if name.startswith("MiB")]


def anatomy(results: Results) -> str:
    """Where the time of our calls goes, by part."""
    lines = []
    for row in results.rows:
        found = row.facts.get("parts")
        if found:
            shares = [number(found[part]) for part in ("total", "code", "engine", "other")]
            lines.append([row.work, row.mode, str(row.threads), *shares])
    head = ("work", "mode", "threads:", "call, ms:", "machine code:", "rest of the engine:", "torch side:")
    return markdown(head, lines)


def growth(results: Results) -> str:
    """The picture of the study of growth, and every point."""
    lines = []
    for row in results.rows:
        if row.work == "growth":
            memory = [number(row.facts.get(name)) for name in ("resident MiB", "data MiB")]
            time = number(row.best) if row.best is not None else _why(row)
            lines.append([row.mode, str(row.threads), str(row.facts["size"]), time, number(row.cpu), *memory])
    if not lines:
        return NOT_RUN
    head = (
        "over",
        "threads:",
        "size:",
        "best, ms:",
        "processor, ms:",
        "memory grown, MiB:",
        "inputs and results, MiB:",
    )
    return f"![Time over batch and states](pictures/growth.png)\n\n{markdown(head, lines)}"


def waiting(results: Results) -> str:
    """What lanes wait, beside a batch that keeps step."""
    lines = []
    for (work, mode, _), rows in groups(results.rows).items():
        if work == "waiting":
            each = "lane steps an own step"
            ours, locked = (next(row.facts for row in rows if (row.contender == OURS) is own) for own in (True, False))
            about = next(row.about for row in rows if row.contender == OURS)
            counts = [str(ours["own steps"]), str(ours["lane steps"]), number(ours[each])]
            lines.append([mode, about, *counts, number(ours[f"{each}, first call"]), number(locked[each])])
    if not lines:
        return NOT_RUN
    head = ("batch", "method", "own steps:", "lane steps:", "an own step:", "in the first call:", "all in lock-step:")
    return markdown(head, lines)
