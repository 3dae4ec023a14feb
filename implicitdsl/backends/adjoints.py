"""Which adjoints of `ode` are continuous, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from implicitdsl.backends.auto import AUTO
from implicitdsl.ir.node import Leaf
from implicitdsl.problems.ode import OdeProblem, used_arguments
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.quadrature import gauss_rule, lobatto_rule, nodes_for
from implicitdsl.solvers.rosenbrock_tableau import RODAS5P, ROSENBROCK
from implicitdsl.solvers.tableau import TABLEAUS

STIFF = (*ROSENBROCK, *ESDIRK, BDF.name)
"""The methods whose costate is as stiff as their equation: it is integrated by `COSTATE_METHOD`."""
COSTATE_METHOD = RODAS5P

SECOND = (
    "second derivatives are exact with `adjoint discrete` and `adjoint forward`; `{name}` integrates the costate, "
    "which gives first derivatives, to tolerance"
)


@dataclass(frozen=True)
class Continuous:
    """An adjoint by the costate equation: `carried` = 1 where the solution runs backwards beside it, `gauss` where its
    integral is taken by Gauss's rule."""

    name: str
    carried: int
    gauss: bool

    def rule(self, solver: str, dtype: DTypeLike) -> NDArray[Any]:
        """The rule of the integral with that method, nodes before weights; empty where its own weights serve."""
        if self.gauss:
            order = TABLEAUS[solver].order if solver in TABLEAUS else COSTATE_METHOD.order
            return gauss_rule(nodes_for(order), dtype)
        return lobatto_rule(dtype) if solver in STIFF else np.zeros(0, dtype)


CONTINUOUS: dict[str, Continuous] = {
    c.name: c
    for c in (
        Continuous("backsolve", 1, gauss=False),
        Continuous("interpolated", 0, gauss=False),
        Continuous("gauss", 0, gauss=True),
    )
}


def refuse_adjoint(problem: OdeProblem, solver: str, adjoint: str) -> str | None:
    """Why an adjoint does not serve this problem, or None."""
    if adjoint not in CONTINUOUS:
        return None
    back = CONTINUOUS[adjoint].carried == 1
    if back and problem.events is not None:
        return (
            f"`adjoint {adjoint}` runs the solution backwards, and no equation brings back what a `when` has "
            "overwritten; `interpolated` and `gauss` keep the forward run"
        )
    if back and (problem.algebraic or solver in (*STIFF, AUTO)):
        return (
            f"`adjoint {adjoint}` runs the solution backwards, where what decays fast grows as fast, and `{solver}` "
            "is for equations that have that; `interpolated` and `gauss` keep the forward run"
        )
    if solver not in (*STIFF, *TABLEAUS, AUTO):
        return (
            f"`adjoint {adjoint}` integrates the costate with the method of the layer or with `{COSTATE_METHOD.name}`, "
            f"and `{solver}` has no steps for it; `discrete` and `forward` go with every solver"
        )
    return None


def save_times_argument(problem: OdeProblem) -> int | None:
    """The number of the argument that is the vector of save times and nothing else, or None."""
    if not isinstance(problem.at, Leaf) or problem.at in used_arguments(problem):
        return None
    arguments = problem.signature.arguments
    return arguments.index(problem.at) if problem.at in arguments else None


def no_second(adjoint: str) -> NotImplementedError:
    """The error of a second derivative by a continuous adjoint."""
    return NotImplementedError(SECOND.format(name=adjoint))
