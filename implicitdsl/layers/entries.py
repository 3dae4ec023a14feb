"""From a blueprint to registry entries: the engine of a piece with the tests of its inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from implicitdsl.backends.engine import Argument, Engine
from implicitdsl.layers.blueprint import Blueprint
from implicitdsl.layers.guard import Guard
from implicitdsl.layers.registry import Check, Entry

GUARD = -1  # the number of the piece that tests the inputs of a cut net


def guarded(blueprint: Blueprint) -> tuple[str, ...]:
    """The inputs that a cut net tests before its first piece."""
    if len(blueprint.program) < 2:
        return ()
    return tuple(spec.name for spec in blueprint.inputs if spec.set is not None)


class BlueprintEntries:
    """Makes the entries of one blueprint."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint

    def entry(self, key: str, piece: int, dtype: torch.dtype, sizes: Mapping[str, int]) -> Entry:
        """A new entry. An input without a set is tested for NaN, unless it is a path; those of a `net` without a set
        are not tested at all, because an explicit layer has no condition that could fail."""
        blueprint = self._blueprint
        engine = self._guard(dtype, sizes) if piece == GUARD else blueprint.engine(piece, dtype, sizes)
        specs = {spec.name: spec for spec in blueprint.inputs}
        checks: list[Check] = []
        for index, argument in enumerate(engine.arguments):
            spec = specs.get(argument.name)
            if spec is None or argument.role != "input" or spec.path:
                continue
            if spec.set is not None or blueprint.kind != "net":
                checks.append(Check(index, spec.set))
        return Entry(key, engine, tuple(checks), blueprint.name)

    def _guard(self, dtype: torch.dtype, sizes: Mapping[str, int]) -> Engine:
        names = guarded(self._blueprint)
        arguments = tuple(
            Argument(spec.name, tuple(sizes[d] if isinstance(d, str) else d for d in spec.shape), "input")
            for spec in self._blueprint.inputs
            if spec.name in names
        )
        return Guard(self._blueprint.name, arguments, np.dtype(str(dtype).removeprefix("torch.")))
