"""The command line of the benchmarks: each work in a process of its own, then the results and what is made of them."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine
from benchmarks.row import Results, Row, read_results, read_row, write_results
from benchmarks.tables import machine_line, summary
from benchmarks.works import MODULES

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"


def main() -> None:
    """Runs the works named, all without names, and writes results, tables and pictures."""
    parser = _parser()
    given = parser.parse_args()
    unknown = [name for name in given.works if name not in MODULES]
    if unknown:
        parser.error(f"no work `{unknown[0]}`; there are {', '.join(MODULES)}")
    if not given.page:
        _run(given)
    if given.results == RESULTS:
        from benchmarks.page import write

        write(read_results(RESULTS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(MODULES)}; none: all")
    both = sorted({1, len(machine.processors())})
    parser.add_argument(
        "--threads", default=",".join(map(str, both)), help="for every library alike (default %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of timing a contender and mode (default %(default)s)"
    )
    parser.add_argument("--backend", default="", help="of our layers; their default if nothing is said")
    parser.add_argument(
        "--peers", help="those whose names begin so, separated by commas; '' for ours alone (default: all)"
    )
    parser.add_argument(
        "--only", help="the problems of `precision` whose names begin so; the rows of the others stay as they were"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="file of JSON lines to write (default: %(default)s)"
    )
    parser.add_argument(
        "--page", action="store_true", help="run nothing, write page and pictures from the results there are"
    )
    return parser


def _run(given: argparse.Namespace) -> None:
    facts = machine.describe()
    chosen = given.works or list(MODULES)
    found: list[Row] = []
    # What is not run keeps the rows that it had.
    there = read_results(given.results) if given.works and given.results.exists() else Results({}, ())
    kept = [row for row in there.rows if row.work not in chosen or is_left(row, given.only)]
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    facts["commands"] = behind([*there.machine.get("commands", []), command]) if kept else [command]
    for threads in (int(part) for part in given.threads.split(",")):
        for name in chosen:
            print(f"{name}, {threads} thread{'s' * (threads > 1)} …", file=sys.stderr, flush=True)
            options = ["--threads", str(threads), "--seconds", str(given.seconds)]
            options += ["--backend", given.backend] if given.backend else []
            options += ["--peers", given.peers] if given.peers is not None else []
            options += ["--only", given.only] if given.only is not None else []
            found += list(rows_of(name, options))
            # After each work, so that a run which is stopped leaves what it has.
            write_results(given.results, facts, sorted([*kept, *found], key=lambda row: list(MODULES).index(row.work)))
    print(machine_line(facts), "", summary(Results(facts, tuple(found))), sep="\n")


def behind(commands: Sequence[str]) -> list[str]:
    """Those of some commands, run in this order, of which a row is left: each takes the place of the rows of its works,
    or of those problems of `precision` that it names."""
    found: list[str] = []
    covered: set[tuple[str, str | None]] = set()
    for command in reversed(commands):
        given = _parser().parse_args(shlex.split(command)[3:])
        problems = [None] if given.only is None else [name for name in given.only.split(",") if name]
        made = {(work, problem) for work in given.works or MODULES for problem in problems}
        if not all(part in covered or (part[0], None) in covered for part in made):
            found.insert(0, command)
        covered |= made
    return found


def is_left(row: Row, only: str | None) -> bool:
    """Whether a row of a work that is run is of a part which is not."""
    return only is not None and not any(row.mode.startswith(name) for name in only.split(",") if name)


def rows_of(name: str, options: list[str]) -> Iterator[Row]:
    """The rows of one work from a process of its own. A process that dies leaves a row that says so."""
    command = [sys.executable, "-m", "benchmarks.one", name, *options]
    last = Row(name, "forward", "implicitdsl", int(options[1]))
    with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                last = read_row(json.loads(line))
                yield last
    if process.returncode:
        yield replace(last, contender="the process", status="failed", best=None, note=f"exit code {process.returncode}")
