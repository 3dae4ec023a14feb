"""The working room that an `ode` problem takes on lanes."""

from __future__ import annotations

from implicitdsl.backends.auto import AUTO, PLAIN
from implicitdsl.backends.lanes.ode_methods import ode_method
from implicitdsl.backends.settings import Settings, matrix_choice
from implicitdsl.problems.ode import OdeProblem, used_arguments

LARGEST = 1 << 32
"""Bytes of working room that a block of samples may take."""


def too_large(problem: OdeProblem, settings: Settings) -> str | None:
    """Why the back end cannot hold this problem, or None."""
    n = seen_by_rhs(problem)
    method = ode_method(PLAIN if settings.solver == AUTO else settings.solver)
    needed = method.working_bytes(n, method.pattern(problem, matrix_choice(settings)), 64)
    needed += 0 if problem.events is None else event_bytes(problem, 64)
    if needed <= LARGEST:
        return None
    return f"a vector of samples of {n} states would work in {needed / 1e9:.0f} GB on the back end `lanes`"


def seen_by_rhs(problem: OdeProblem) -> int:
    """The values of states, past ones included, that a right-hand side reads."""
    past = () if problem.delays is None else problem.delays.leaves
    return sum(leaf.size for leaf in (*problem.states, *past))


def event_bytes(problem: OdeProblem, width_bytes: int) -> int:
    """Bytes of working room for what events add: arguments with modes, their tangents and gradients, and guards."""
    assert problem.events is not None
    sizes = sum(leaf.size for leaf in (*used_arguments(problem), *problem.events.modes))
    return (8 * sizes + 8 * sum(g.node.size for g in problem.events.switches.guards)) * width_bytes
