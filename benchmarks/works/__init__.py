"""The works, by name, in the order of the report."""

from __future__ import annotations

import importlib

from benchmarks.work import Work

MODULES: dict[str, str] = {
    "lv": "lv",
    "node": "node",
    "deq": "deq",
    "qp10": "qp",
    "qp50": "qp",
    "single": "single",
    "ball": "ball",
    "delay": "delay",
    "robertson": "robertson",
    "brusselator100": "brusselator",
    "brusselator": "brusselator",
    "brusselator2000": "brusselator",
    "cold": "processes",
    "warm": "processes",
    "precision": "precision",
    "growth": "growth",
    "waiting": "waiting",
    "training_memory": "training_memory",
}


def work(name: str) -> Work:
    """The work of that name. Raises KeyError for an unknown one."""
    found = importlib.import_module(f"benchmarks.works.{MODULES[name]}")
    return found.WORKS[name]
