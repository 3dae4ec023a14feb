"""What a boundary value problem is to its engine, in plain data: enough where the engines of its parts are at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from implicitdsl.backends.engine import Argument, Engine, Shape

PARTS = ("flow", "guess", "instants", "conditions", "linear_conditions", "reading")
"""The engines that multiple shooting is made of, by name."""
ONLY_SOLVED = frozenset({"guess", "linear_conditions"})
"""Those that nothing is differentiated of."""
PartEngine = Callable[[str], Engine]
"""The engine of a part, made at its first use."""


@dataclass(frozen=True)
class ShootingSpec:
    """Sizes (scalar states, places of conditions, reading times) and how the equations are solved: the numbers of
    segments that are tried in turn, and the most iterations. `has_times` tells that outputs have an axis of times."""

    layer_name: str
    dtype: str
    arguments: tuple[Argument, ...]
    outputs: tuple[Shape, ...]
    states: int
    places: int
    reads: int
    has_times: bool
    rtol: float
    atol: float
    levels: tuple[int, ...]
    iterations: int
