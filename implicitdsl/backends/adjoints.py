"""Which adjoints of `ode` are continuous, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass

from implicitdsl.ir.node import Leaf
from implicitdsl.problems.ode import OdeProblem, used_arguments
from implicitdsl.solvers.quadrature import nodes_for
from implicitdsl.solvers.tableau import TABLEAUS

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

    def nodes(self, solver: str) -> int:
        """The nodes of Gauss's rule with that method, 0 where its own weights serve."""
        return nodes_for(TABLEAUS[solver].order) if self.gauss else 0


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
    if problem.events is not None:
        return f"`adjoint {adjoint}` does not pass events and located jumps; `discrete` and `forward` do"
    if solver not in TABLEAUS:
        return (
            f"`adjoint {adjoint}` integrates the costate with the explicit Runge-Kutta method of the layer, and "
            f"`{solver}` is none; `discrete` and `forward` go with every solver"
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
