"""The engine of a problem on the back end `python`."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.adjoints import CONTINUOUS, refuse_adjoint, save_times_argument
from implicitdsl.backends.auto import AUTO, in_use
from implicitdsl.backends.engine import Engine
from implicitdsl.backends.forward_adjoint import by_tangents
from implicitdsl.backends.python.auto_engine import AutoEngine
from implicitdsl.backends.python.bdf_engine import BdfEngine
from implicitdsl.backends.python.costate_engine import by_costate
from implicitdsl.backends.python.delay_engine import DelayEngine
from implicitdsl.backends.python.esdirk_engine import EsdirkEngine
from implicitdsl.backends.python.events_costate_engine import by_costate_with_events
from implicitdsl.backends.python.events_engine import EventsEngine
from implicitdsl.backends.python.implicit_engine import RootEngine
from implicitdsl.backends.python.minimum_engine import MinimumEngine
from implicitdsl.backends.python.net_engine import NetEngine
from implicitdsl.backends.python.ode_engine import OdeEngine
from implicitdsl.backends.python.stiff_engine import StiffEngine
from implicitdsl.backends.settings import Settings, segment_settings
from implicitdsl.backends.shooting.build import build_shooting
from implicitdsl.problems.argmin import ArgminProblem, is_quadratic
from implicitdsl.problems.bvp import BvpProblem, flow
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.problems.separable import parts
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.esdirk_tableau import ESDIRK
from implicitdsl.solvers.rosenbrock_tableau import ROSENBROCK
from implicitdsl.solvers.tableau import SPLIT, TABLEAUS


def build(problem: Problem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None) -> Engine:
    """The engine that solves and differentiates the problem in the given dtype, on one thread whatever is asked for."""
    match problem:
        case NetProblem():
            return NetEngine(problem, dtype)
        case OdeProblem():
            settings, _ = in_use(problem, settings)
            if problem.delays is not None:
                return DelayEngine(problem, settings, dtype)
            if settings.adjoint in CONTINUOUS:
                make = by_costate if problem.events is None else by_costate_with_events
                return make(settings.solver)(problem, settings, dtype)
            engine = _ode_engine(settings.solver) if problem.events is None else EventsEngine
            engine = AutoEngine if settings.solver == AUTO else engine
            if settings.adjoint == "forward":
                return by_tangents(engine(problem, settings, dtype), save_times_argument(problem))
            return engine(problem, settings, dtype)
        case BvpProblem():
            inner = segment_settings(settings)
            return build_shooting(problem, settings, dtype, lambda part: build(part, inner, dtype))
        case RootProblem() | FixpointProblem():
            return RootEngine(problem, settings, dtype)
        case ArgminProblem():
            return MinimumEngine(problem, settings, dtype)


def _ode_engine(solver: str) -> type[OdeEngine]:
    if solver == BDF.name:
        return BdfEngine
    if solver in ESDIRK:
        return EsdirkEngine
    return StiffEngine if solver in ROSENBROCK else OdeEngine


def refuse(problem: Problem, settings: Settings) -> str | None:
    """Why the method named cannot solve this problem, or None."""
    if isinstance(problem, BvpProblem):
        return refuse(flow(problem), segment_settings(settings))
    if isinstance(problem, OdeProblem) and not any(state.size for state in problem.states):
        return "the states have size 0: there is nothing to integrate"
    if isinstance(problem, OdeProblem) and problem.delays is not None and settings.solver not in (*TABLEAUS, AUTO):
        return f"`{settings.solver}` does not read a past yet; the explicit methods do: `tsit5`"
    if isinstance(problem, OdeProblem) and problem.delays is not None and settings.adjoint not in ("discrete", "auto"):
        return f"the adjoint `{settings.adjoint}` does not know delays; `discrete` does"
    if isinstance(problem, OdeProblem) and (reason := refuse_adjoint(problem, settings.solver, settings.adjoint)):
        return reason
    if isinstance(problem, OdeProblem) and settings.solver in SPLIT:
        found = parts(problem)
        if isinstance(found, str):
            return f"`{settings.solver}` moves positions by velocities and velocities by positions: {found}"
    if isinstance(problem, ArgminProblem):
        constrained = bool(problem.equalities or problem.inequalities)
        if settings.solver in ("newton", "local") and constrained:
            return f"`{settings.solver}` minimises without constraints; this problem has some"
        if settings.solver == "interior_point" and not is_quadratic(problem) and constrained:
            return "`interior_point` solves linear and quadratic programs; this one is neither"
    return None
