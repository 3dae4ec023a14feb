"""The record that every diagnostic code has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """What a code means, with a text that earns it and the same text mended.

    `bad` is a whole `.imp` text that yields the code (others may appear beside it), `good` one that yields no finding.
    `build` is a Python expression over the loaded file, such as `Ball(solver="x")`, for codes that only construction
    raises. One that opens with `$` is a command line, for codes that only a command gives.
    """

    code: str
    title: str
    explanation: str
    bad: str
    good: str
    build: str | None = None
