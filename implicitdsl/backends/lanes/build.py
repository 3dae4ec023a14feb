"""The engine of a problem on the back end `lanes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.engine import Engine
from implicitdsl.backends.lanes.minimum_build import build_minimum, is_program, too_general
from implicitdsl.backends.lanes.net_engine import build_net
from implicitdsl.backends.lanes.ode_build import build_ode
from implicitdsl.backends.lanes.ode_room import too_large
from implicitdsl.backends.lanes.root_build import build_root
from implicitdsl.backends.lanes.smooth_build import build_smooth
from implicitdsl.backends.settings import Settings, segment_settings
from implicitdsl.backends.shooting.build import build_shooting
from implicitdsl.diagnostics import Diagnostic, ImpError
from implicitdsl.problems.argmin import ArgminProblem
from implicitdsl.problems.bvp import BvpProblem, flow
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem


def build(problem: Problem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None) -> Engine:
    """The engine that solves and differentiates the problem in the given dtype, on so many threads (None: torch's
    number). Raises ImpError E611 for a kind that does not run here."""
    match problem:
        case OdeProblem():
            return build_ode(problem, settings, dtype, threads)
        case BvpProblem():
            inner = segment_settings(settings)
            return build_shooting(problem, settings, dtype, lambda part: build(part, inner, dtype, threads))
        case NetProblem():
            return build_net(problem, dtype, threads)
        case RootProblem() | FixpointProblem():
            return build_root(problem, settings, dtype, threads)
        case ArgminProblem():
            make = build_minimum if is_program(problem, settings) else build_smooth
            return make(problem, settings, dtype, threads)
        case _:
            raise ImpError([Diagnostic("E611", refusal(problem), help=HELP)])


HELP = 'leave `backend` out, or give backend="python"'


def refusal(problem: Problem) -> str:
    """The sentence for a kind that does not run here."""
    kind = type(problem).__name__.removesuffix("Problem").lower()
    return f"`{kind}` is not executable on the back end `lanes` yet"


def refuse(problem: Problem, settings: Settings) -> str | None:
    """Why this back end does not run the problem, or None."""
    match problem:
        case OdeProblem():
            return too_large(problem, settings)
        case BvpProblem():
            return refuse(flow(problem), segment_settings(settings))
        case ArgminProblem():
            return too_general(problem, settings)
        case NetProblem():
            return None
        case RootProblem() | FixpointProblem():
            return None if problem.unknowns else "there is nothing to solve for"
        case _:
            return refusal(problem)
