"""The methods of `ode` on lanes: their numbers, and which sources and functions of the model they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.problems.derived import Derived
from implicitdsl.problems.ode import OdeProblem, derive
from implicitdsl.problems.stiff import linearisation
from implicitdsl.solvers.events import STATISTICS as EVENT_STATISTICS
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK, RosenbrockTableau
from implicitdsl.solvers.tableau import TABLEAUS, Tableau

Tables = dict[str, NDArray[Any]]

_READING = ("dense_output", "dense_output_adjoint", "dense_output_tangent", "step_control", "stepping", "explicit_rk")
_EXPLICIT = (*_READING, "explicit_rk_adjoint", "explicit_rk_tangent", "explicit_rk_thinned")
_STIFF = (
    *_READING,
    "pivoted_lu",
    "step_matrix",
    "consistent_start",
    "rosenbrock",
    "rosenbrock_adjoint",
    "rosenbrock_tangent",
    "rosenbrock_thinned",
)
_EVENTS = (
    "event_location", "event_landing", "events", "events_adjoint", "events_tangent", "events_tangent_adjoint",
)  # fmt: skip
_ROLES = {"": ((), ()), "watched": (("stiffness",), ("watched_blocks",)), "resumed": ((), ("resumed_blocks",))}
"""Solvers and blocks that a method has beside its own in a part of `auto`: first, with an eye on stiffness, and then
from where the first was left."""
SOURCES = tuple(
    f"solvers/{name}.py"
    for name in dict.fromkeys(
        (*_EXPLICIT, *_STIFF, *_EVENTS, "stiffness", "status", "tableau", "rosenbrock_tableau", "vocabulary")
    )
)
"""All solver files that a method may be made of."""


@dataclass(frozen=True)
class OdeMethod:
    """One method. `stages` counts the evaluations of a step; `places` are the globals of the sources that name its
    numbers; `role` is a key of _ROLES."""

    name: str
    stages: int
    places: Mapping[str, int | float]
    tableau: Tableau | RosenbrockTableau
    events: bool = False
    """Whether the model has events."""
    role: str = ""

    @property
    def is_stiff(self) -> bool:
        """Whether a step solves with the Jacobian."""
        return isinstance(self.tableau, RosenbrockTableau)

    def tables(self, dtype: DTypeLike) -> Tables:
        """The tables of the method by the names that the sources have for them."""
        if isinstance(self.tableau, RosenbrockTableau):
            return self.tableau.tables(dtype)
        return dict(zip(("a", "c", "error", "dense"), self.tableau.arrays(dtype), strict=True))

    def known(self, dtype: DTypeLike) -> dict[str, Any]:
        """The values of the parameters of solver functions that this method settles."""
        tables = {name: tuple(float(x) for x in np.ravel(t)) for name, t in self.tables(dtype).items()}
        return {"s": self.tableau.stages, "degree": self.tableau.degree, **tables}

    def modules(self) -> list[ModuleType]:
        """The sources; where two define one name, the later counts."""
        more_solvers, more_blocks = _ROLES[self.role]
        solvers = (*(_STIFF if self.is_stiff else _EXPLICIT), *(_EVENTS if self.events else ()), *more_solvers)
        found = [import_module(f"implicitdsl.solvers.{name}") for name in solvers]
        blocks = ["ode_blocks", "ode_tangent_blocks", "thinned_blocks", *(["stiff_blocks"] if self.is_stiff else [])]
        blocks += ["events_blocks", "events_tangent_blocks"] if self.events else []
        blocks += more_blocks
        return found + [import_module(f"implicitdsl.backends.lanes.{name}") for name in blocks]

    def functions(self, problem: OdeProblem) -> dict[str, Derived]:
        """The functions of the model, by name."""
        return derive(problem) | (linearisation(problem) if self.is_stiff else {})

    def block_bytes(self, states: int, width_bytes: int) -> int:
        """Bytes of the processor's stack that a block takes in its largest part, the transposed tangent."""
        if not self.is_stiff:
            return 8 * (self.tableau.stages + 1) * states * width_bytes
        return (8 * (self.tableau.stages + 2) * states + 6 * states * states) * width_bytes


def ode_method(name: str, *, events: bool = False) -> OdeMethod:
    """The method of that name, which a role may follow (`tsit5 watched`), for a model with or without events."""
    facts = {"FACTS": 1 + EVENT_STATISTICS} if events else {}
    plain, _, role = name.partition(" ")
    if plain in ROSENBROCK:
        rosenbrock = ROSENBROCK[plain]
        places = {"S": rosenbrock.stages, "DEGREE": rosenbrock.degree, "GAMMA": rosenbrock.gamma}
        return OdeMethod(name, rosenbrock.stages + 1, places | facts, rosenbrock, events, role)
    explicit = TABLEAUS[plain].eager
    places = {"S": explicit.stages, "DEGREE": explicit.degree}
    return OdeMethod(name, explicit.stages, places | facts, explicit, events, role)
