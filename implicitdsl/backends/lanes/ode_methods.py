"""The methods of `ode` on lanes: their numbers, and which sources and functions of the model they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.problems.costate import costate_functions, costate_rate
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.ode import OdeProblem, derive
from implicitdsl.problems.step_pattern import StepPattern
from implicitdsl.problems.stiff import linearisation, pattern_of
from implicitdsl.solvers.bdf import BDF, LAST, Bdf
from implicitdsl.solvers.bdf_history import PAST
from implicitdsl.solvers.esdirk_tableau import ESDIRK, EsdirkTableau
from implicitdsl.solvers.events import STATISTICS as EVENT_STATISTICS
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK, RosenbrockTableau
from implicitdsl.solvers.tableau import EXPLICIT, Tableau

Tables = dict[str, NDArray[Any]]

_READING = (
    "dense_output",
    "dense_output_adjoint",
    "dense_output_tangent",
    "step_control",
    "stepping",
    "sweeps",
    "split_stages",
    "reading_stages",
    "explicit_rk",
)
_EXPLICIT = (*_READING, "explicit_rk_adjoint", "explicit_rk_tangent", "explicit_rk_thinned")
_IMPLICIT = (*_READING, "pivoted_lu", "sparse_lu", "step_matrix", "consistent_start")
_STIFF = (*_IMPLICIT, "rosenbrock", "rosenbrock_adjoint", "rosenbrock_tangent", "rosenbrock_thinned")
_ESDIRK = (*_IMPLICIT, "esdirk", "esdirk_adjoint", "esdirk_tangent", "esdirk_thinned")
_BDF = (*_IMPLICIT, "esdirk", "bdf_history", "bdf", "bdf_adjoint", "bdf_tangent", "bdf_tangent_adjoint")
_EVENTS = (
    "pivoted_lu", "sparse_lu", "step_matrix", "consistent_start", "event_rows", "event_location", "event_modes",
    "event_landing", "event_one_step", "event_steps", "events", "events_adjoint", "events_tangent",
    "events_tangent_adjoint",
)  # fmt: skip
_STIFF_EVENTS = ("event_mending", "event_stiff_steps")
_ESDIRK_EVENTS = ("event_mending", "event_esdirk_steps")
_BDF_EVENTS = ("event_mending", "event_bdf_history", "event_bdf_steps")
_DELAYS = (
    "delay_breaks", "delay_reads", "delays", "delays_adjoint", "delays_tangent", "delays_tangent_adjoint",
)  # fmt: skip
_ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "watched": (("stiffness",), ("watched_blocks",)),
    "costate": (("event_rows", "costate", "continuous_adjoint"), ("costate_blocks",)),
    "delayed": (_DELAYS, ("delay_blocks", "delay_tangent_blocks")),
    "keeping": ((), ("keeping_blocks",)),
}
"""Solvers and blocks that a method has beside its own as the first of `auto`, with an eye on stiffness, where its
gradient is that of the costate equation, where it reads its own past, or where its tape holds what stages kept."""
_COSTATE = (
    "costate", "costate_stiff", "continuous_adjoint", "events_costate", "explicit_rk_row", "rosenbrock_row",
    "esdirk_row", "bdf_row",
)  # fmt: skip
_STIFF_COSTATE = (("costate_stiff", "rosenbrock_row"), ("stiff_costate_blocks",))
_TABLEAUS = ("tableau", "rosenbrock_tableau", "esdirk_tableau")
SOURCES = tuple(
    f"solvers/{name}.py"
    for name in dict.fromkeys(
        (
            *_EXPLICIT,
            *_STIFF,
            *_ESDIRK,
            *_BDF,
            *_EVENTS,
            *_STIFF_EVENTS,
            *_ESDIRK_EVENTS,
            *_BDF_EVENTS,
            *_DELAYS,
            *_TABLEAUS,
            *_COSTATE,
            "stiffness",
            "status",
            "vocabulary",
        )
    )
)
"""All solver files that a method may be made of."""


COSTATE = "costate"
"""The role of a method whose gradient is that of the costate equation; it is named last."""
DELAYED = "delayed"
"""The role of a method that reads its own past."""
KEEPS = "keeping"
"""The role of an explicit method whose tape holds what its stages kept."""
EXPLICIT_NAME = next(iter(EXPLICIT))
"""The name under which solvers are kept that all explicit methods have in common."""


@dataclass(frozen=True)
class OdeMethod:
    """One method. `stages` counts the evaluations of a step; `numbers` are what the sources ask for as if it were the
    model's, `places` the globals of the sources in whose place a number of the method is compiled; `roles` are keys of
    _ROLES."""

    name: str
    stages: int
    numbers: Mapping[str, int]
    places: Mapping[str, int | float]
    tableau: Tableau | RosenbrockTableau | EsdirkTableau | Bdf
    events: bool = False
    """Whether the model has events."""
    roles: tuple[str, ...] = ()

    @property
    def is_stiff(self) -> bool:
        """Whether a step solves with the Jacobian."""
        return isinstance(self.tableau, RosenbrockTableau | EsdirkTableau | Bdf)

    @property
    def is_straight(self) -> bool:
        """Whether nothing worth the search could be moved out of the loops within a step. It can of the iterations of
        ESDIRK stages, and where an event of a stiff method is located."""
        return not isinstance(self.tableau, EsdirkTableau) and not (self.is_stiff and self.events)

    @property
    def iterates(self) -> bool:
        """Whether Newton's method finds what a step or a stage gives, in a loop."""
        return isinstance(self.tableau, Bdf | EsdirkTableau)

    @property
    def thins(self) -> bool:
        """Whether a row of the tape can be made again from its own state alone."""
        return not isinstance(self.tableau, Bdf) and DELAYED not in self.roles

    @property
    def keeps_stages(self) -> bool:
        """Whether a tape may hold what stages kept: each stage is one of the step itself, and moves all states."""
        return isinstance(self.tableau, Tableau) and not any(self.tableau.kinds) and not self.roles and not self.events

    def tables(self, dtype: DTypeLike) -> Tables:
        """The tables of the method by the names that the sources have for them."""
        if isinstance(self.tableau, EsdirkTableau | Bdf) and self.events:
            return self.tableau.event_tables(dtype)
        if isinstance(self.tableau, EsdirkTableau | Bdf):
            return self.tableau.tables(dtype)
        if isinstance(self.tableau, RosenbrockTableau):
            found = self.tableau.tables(dtype)
            # With events the error is judged by `paired_error`, for which this method has no second estimate.
            more = np.zeros(self.tableau.stages + 2, dtype)
            return found | {"error": np.concatenate([found["error"], more])} if self.events else found
        return dict(zip(("a", "c", "error", "dense"), self.tableau.arrays(dtype), strict=True))

    def known(self, dtype: DTypeLike) -> dict[str, Any]:
        """The values of the parameters of solver functions that this method settles."""
        tables = {name: tuple(float(x) for x in np.ravel(t)) for name, t in self.tables(dtype).items()}
        return {"s": self.numbers["stages"], "degree": self.tableau.degree, **tables}

    def modules(self) -> list[ModuleType]:
        """The sources; where two define one name, the later counts."""
        more_solvers, more_blocks = self._role_sources()
        match self.tableau:
            case EsdirkTableau():
                solvers, own = _ESDIRK, ["stiff_blocks", "esdirk_blocks"]
                at_events = _ESDIRK_EVENTS
            case Bdf():
                solvers, own = _BDF, ["stiff_blocks", "bdf_blocks"]
                at_events = _BDF_EVENTS
            case RosenbrockTableau():
                solvers, own = _STIFF, ["stiff_blocks"]
                at_events = _STIFF_EVENTS
            case _:
                solvers, own, at_events = _EXPLICIT, [], ()
        solvers = (*solvers, *(_EVENTS if self.events else ()), *more_solvers, *(at_events if self.events else ()))
        found = [import_module(f"implicitdsl.solvers.{name}") for name in dict.fromkeys(solvers)]
        blocks = ["ode_blocks", "ode_tangent_blocks", "thinned_blocks", *own]
        blocks += ["events_blocks", "events_tangent_blocks"] if self.events else []
        blocks += more_blocks
        return found + [import_module(f"implicitdsl.backends.lanes.{name}") for name in blocks]

    def _role_sources(self) -> tuple[list[str], list[str]]:
        """Solvers and blocks beside those of the method itself."""
        found = [_ROLES[role] for role in self.roles]
        if COSTATE in self.roles:
            # How a row of the tape is read, and which method runs back.
            match self.tableau:
                case EsdirkTableau():
                    found += [_STIFF_COSTATE, (("esdirk_row",), ("esdirk_costate_blocks",))]
                case Bdf():
                    found += [_STIFF_COSTATE, (("bdf_row",), ("bdf_costate_blocks",))]
                case RosenbrockTableau():
                    found += [_STIFF_COSTATE]
                case _:
                    found += [(("explicit_rk_row",), ())]
            if self.events:
                found += [(("events_costate",), ("events_costate_blocks",))]
        return [name for part, _ in found for name in part], [name for _, part in found for name in part]

    def pattern(self, problem: OdeProblem, matrix: str) -> StepPattern | None:
        """How the matrix of a step is held, `matrix` being the choice that settings make; None where there is none."""
        return pattern_of(problem, matrix) if self.is_stiff else None

    def functions(self, problem: OdeProblem, pattern: StepPattern | None) -> dict[str, Derived]:
        """The functions of the model, by name."""
        found = derive(problem)
        if COSTATE in self.roles:
            rate = {} if pattern is None else {"rhs_costate_rate": costate_rate(found["rhs"])}
            found = found | costate_functions(found["rhs"]) | rate
            if not problem.algebraic:
                # Algebraic unknowns alone are transposed as a whole.
                del found["rhs_vjp"]
        if pattern is None:
            return found
        linear = linearisation(problem, pattern)
        if isinstance(self.tableau, EsdirkTableau | Bdf):
            # f_y alone, and its tangent where a start is made consistent.
            kept = ("linearise", "linearise_tangent") if problem.algebraic else ("linearise",)
            linear = {name: linear[name] for name in kept}
        return found | linear

    def working_bytes(self, states: int, pattern: StepPattern | None, width_bytes: int) -> int:
        """Bytes that a block works in, in its largest part, the transposed tangent; `width_bytes` are those of an
        element."""
        if pattern is None:
            return 8 * (self.stages + 1) * states * width_bytes
        held = 4 * pattern.storage + 2 * pattern.factor_size
        return (10 * (self.stages + 2) * states + held) * width_bytes


def ode_method(name: str, *, events: bool = False) -> OdeMethod:
    """The method of that name, which roles may follow (`tsit5 watched`), for a model with or without events."""
    plain, *words = name.split()
    roles = tuple(words)
    more: dict[str, int | float] = {"FACTS": 1 + EVENT_STATISTICS} if events else {}
    if plain in ROSENBROCK:
        rosenbrock = ROSENBROCK[plain]
        numbers = _numbers(rosenbrock.stages, rosenbrock.degree, last_row=rosenbrock.stages + 1)
        places = {"GAMMA": rosenbrock.gamma}
        return OdeMethod(name, rosenbrock.stages + 1, numbers, places | more, rosenbrock, events, roles)
    if plain in ESDIRK:
        esdirk = ESDIRK[plain]
        numbers = _numbers(esdirk.readers + events, esdirk.degree, last_row=esdirk.last)
        places = {"GAMMA": esdirk.gamma, "LAST_STAGE": esdirk.last}
        return OdeMethod(name, esdirk.rows, numbers, places | more, esdirk, events, roles)
    more |= {"GAMMA": 0.0} if events else {}
    if plain == BDF.name:
        numbers = _numbers(BDF.degree - 1, BDF.degree, last_row=1)
        places = {} if events else {"FINAL_FLAG": LAST + 1.0}
        # A step has one stage, but its sweeps hold as many rows of states as two pasts have.
        return OdeMethod(name, 2 * PAST, numbers, places | more, BDF, events, roles)
    explicit = EXPLICIT[plain].eager
    numbers = _numbers(explicit.stages, explicit.degree, last_row=explicit.stages)
    return OdeMethod(name, explicit.stages, numbers, more, explicit, events, roles)


def _numbers(stages: int, degree: int, *, last_row: int) -> dict[str, int]:
    return {"stages": stages, "degree": degree, "last_row": last_row}


def named_in_bitcode(name: str) -> str:
    """The method whose solvers are those of the one named, where loops over stages are not written out: explicit ones
    differ in numbers alone."""
    plain, *words = name.split()
    return " ".join((EXPLICIT_NAME if plain in EXPLICIT else plain, *words))
