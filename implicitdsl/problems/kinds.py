"""The executable kinds together."""

from __future__ import annotations

from implicitdsl.problems import argmin, bvp, fixpoint, net, ode, root
from implicitdsl.problems.argmin import ArgminProblem
from implicitdsl.problems.bvp import BvpProblem
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem

Problem = NetProblem | OdeProblem | BvpProblem | RootProblem | FixpointProblem | ArgminProblem


def derive(problem: Problem) -> dict[str, Derived]:
    """Everything that the solvers and adjoints of a problem may call, by name."""
    match problem:
        case NetProblem():
            return net.derive(problem)
        case OdeProblem():
            return ode.derive(problem)
        case BvpProblem():
            return bvp.derive(problem)
        case RootProblem():
            return root.derive(problem)
        case FixpointProblem():
            return fixpoint.derive(problem)
        case ArgminProblem():
            return argmin.derive(problem)
