"""One line of results, and the goals that a line is held against."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "wrong", "missing", "failed"]


@dataclass(frozen=True)
class Goal:
    """At least `factor` times as fast as `against` ("best": the fastest peer with right values), or, without
    `against`, at most `limit` of `unit`."""

    factor: float = 0.0
    against: str = ""
    limit: float = 0.0
    unit: str = "ms"

    def text(self) -> str:
        """`6× heyoka`, `≤ 0.5 ms`."""
        return f"{self.factor:g}× {self.against}" if self.against else f"≤ {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Row:
    """What one contender did on one work in one mode. Times are milliseconds of one call.

    `cpu` is the least processor time of a call. `rounds` holds the median of each round: rounds of different contenders
    stand side by side in time. `error` and `bound` are those of `Comparison`. `floor` is the time that the operations
    and bytes of the work need at the machine's measured peak."""

    work: str
    mode: str
    contender: str
    threads: int
    status: Status = "ok"
    best: float | None = None
    median: float | None = None
    cpu: float | None = None
    rounds: tuple[float, ...] = ()
    runs: int = 0
    first: float | None = None
    error: float | None = None
    bound: float | None = None
    floor: float | None = None
    about: str = ""
    note: str = ""
    goals: tuple[Goal, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


def write_row(row: Row) -> str:
    """The row as one line of JSON."""
    return json.dumps(asdict(row))


def read_row(found: dict[str, Any]) -> Row:
    """The row of a line."""
    goals = tuple(Goal(**goal) for goal in found["goals"])
    return Row(**{**found, "goals": goals, "rounds": tuple(found["rounds"])})


@dataclass(frozen=True)
class Results:
    """A whole run: facts of the machine, rows in order."""

    machine: dict[str, Any]
    rows: tuple[Row, ...]


def read_results(path: Path) -> Results:
    """The results in a file of JSON lines: the first line is the machine, every further one a row."""
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    return Results(json.loads(first), tuple(read_row(json.loads(line)) for line in rest))


def write_results(path: Path, machine: dict[str, Any], rows: Iterable[Row]) -> None:
    """Writes a file that `read_results` reads."""
    lines = [json.dumps(machine), *(write_row(row) for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
