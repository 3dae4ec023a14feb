"""The tables in docs/benchmarks.md and docs/how-it-is-fast.md: written from the results, between markers.

`<!-- figures NAME -->` … `<!-- end figures -->` holds what `FIGURES[NAME]` says of a run. A test finds the pages as
this writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.cuda import page as cuda
from benchmarks.precision import diagram
from benchmarks.row import Results

DOCS = Path(__file__).parents[1] / "docs"
PAGE, LADDER_PAGE = DOCS / "benchmarks.md", DOCS / "how-it-is-fast.md"
LADDER = Path(__file__).parent / "ladder.json"
LINKING = Path(__file__).parent / "linking.json"
MARKED = re.compile(r"(<!-- figures (\w+) -->\n).*?(<!-- end figures -->)", re.S)

FIGURES: dict[str, Callable[[Results], str]] = {
    "machine": lambda results: tables.machine_line(results.machine),
    "summary": lambda results: tables.summary(results, diagram.goals(results)),
    "anatomy": tables.anatomy,
    "growth": tables.growth,
    "waiting": tables.waiting,
    "precision": diagram.table,
    "left_out": diagram.left_out,
    **{
        name: lambda results, name=name: tables.contenders(results, name)
        for name in (
            "lv",
            "node",
            "deq",
            "qp10",
            "qp50",
            "single",
            "ball",
            "robertson",
            "brusselator100",
            "brusselator",
            "brusselator2000",
            "delay",
            "cold",
            "warm",
            "training_memory",
        )
    },
}


def refresh(text: str, figures: dict[str, Callable[[Any], str]], results: Any) -> str:
    """The page with every table as the results have it."""
    return MARKED.sub(lambda found: f"{found[1]}{figures[found[2]](results)}\n{found[3]}", text)


def write(results: Results) -> None:
    """Writes the page of the benchmarks and its pictures."""
    from benchmarks.pictures import draw_all

    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(refresh(text, FIGURES, results), encoding="utf-8")
    draw_all(results)


RUNG = ("forward", "forward_cpu", "gradient", "gradient_cpu")


def ladder_table(found: dict[str, Any]) -> str:
    """The rungs of the ladder."""
    lines = [[rung["what"], *(tables.number(rung[name]) for name in RUNG), rung["about"]] for rung in found["rungs"]]
    head = ("rung", "forward, ms:", "processor:", "gradient, ms:", "processor:", "what changed")
    return tables.markdown(head, lines)


def linking_table(found: dict[str, Any]) -> str:
    """What making the machine code costs, by stage."""
    return tables.markdown(("stage", "processor, s:", "when"), [
        [line["what"], tables.number(line["seconds"]), line["when"]] for line in found["making"]
    ])  # fmt: skip


def kernels_table(found: dict[str, Any]) -> str:
    """What LLVM takes for every kernel."""
    names = ("once", "seconds", "machine_code", "edited")
    lines = [
        [line["work"], line["kernel"], *(tables.number(line[name]) for name in names)] for line in found["kernels"]
    ]
    head = (
        "work",
        "kernel",
        "once for its sizes, s:",
        "new model, s:",
        "machine code in both, s:",
        "after an edit, s:",
    )
    return tables.markdown(head, lines)


LADDER_FIGURES: dict[str, Callable[[Any], str]] = {
    "ladder": ladder_table,
    "making": linking_table,
    "kernels": kernels_table,
    "machine": lambda found: tables.machine_line(found["machine"]),
    "gpu": lambda _: cuda.table(),
    "gpu_device": lambda _: cuda.device_line(),
}


def ladder_results() -> dict[str, Any]:
    """What the page on how it is fast is written from."""
    kernels = json.loads(LINKING.read_text(encoding="utf-8"))["kernels"]
    return json.loads(LADDER.read_text(encoding="utf-8")) | {"kernels": kernels}


def write_ladder() -> None:
    """Writes the tables of the page on how it is fast."""
    found = ladder_results()
    text = LADDER_PAGE.read_text(encoding="utf-8")
    LADDER_PAGE.write_text(refresh(text, LADDER_FIGURES, found), encoding="utf-8")
