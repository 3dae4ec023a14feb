"""The table of a run on a GPU, for docs/how-it-is-fast.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown, number

RESULTS = Path(__file__).parent / "results.jsonl"
HEAD = (
    "work", "samples:", "GPU, ms:", "one thread, ms:", "times:", "at the thread's best:", "registers:", "local, bytes:",
    "bits of lanes",
)  # fmt: skip


def lines() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the run that is kept was made on, and its facts, case by case."""
    first, *rest = (json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines())
    return first["about"], rest


def table() -> str:
    """Every work with the most samples that it was run for."""
    _, facts = lines()
    largest: dict[str, dict[str, Any]] = {}
    best: dict[str, float] = {}
    for f in facts:
        if f["lanes_ms"] is None or "." in f["case"]:
            continue
        name = f["case"]
        best[name] = min(best.get(name, float("inf")), f["lanes_ms"] / f["samples"])
        if name not in largest or f["samples"] > largest[name]["samples"]:
            largest[name] = f
    return markdown(HEAD, (_row(f, best[name]) for name, f in sorted(largest.items())))


def device_line() -> str:
    """The devices of the run."""
    about, _ = lines()
    device = about["device"]
    driver = f"{device['driver'] // 1000}.{device['driver'] % 1000 // 10}"
    return (
        f"{device['name']}, driver for CUDA {driver}; the thread is one of an {about['processor']} that others use too."
    )


def _row(f: dict[str, Any], best: float) -> list[str]:
    samples = f["samples"]
    return [
        f"`{f['case']}`", str(samples), number(f["ms"]), number(f["lanes_ms"]), number(f["lanes_ms"] / f["ms"]),
        number(best * samples / f["ms"]), str(f["registers"]), str(f["local"]), _bits(f["outputs"]),
    ]  # fmt: skip


def _bits(outputs: dict[str, dict[str, Any]]) -> str:
    """In which outputs all bits are equal, and where some are not."""
    said = []
    for name, o in outputs.items():
        equal = o["equal_chunks"] == o["chunks"]
        text = name if equal else f"{name} of {o['equal_chunks']} in {o['chunks']} chunks"
        said.append(text + (f" ({o['unread']} samples are not read)" if o.get("unread") else ""))
    return ", ".join(said)
