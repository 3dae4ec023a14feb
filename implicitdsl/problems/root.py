"""`root`: z with F(z, p) = 0.

Derivatives by the implicit function theorem (`implicit.py`); they exist where ∂F/∂z is regular at the root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, group
from implicitdsl.problems.implicit import derive_implicit
from implicitdsl.problems.signature import Signature


@dataclass(frozen=True, eq=False)
class RootProblem:
    """Unknowns, their start (a function of the arguments), as many scalar residuals as unknowns, bounds on the
    iterates."""

    signature: Signature
    unknowns: tuple[Leaf, ...]
    start: tuple[Node, ...]
    residual: tuple[Node, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    outputs: tuple[Node, ...]


def derive(problem: RootProblem) -> dict[str, Derived]:
    """What the root solvers may call: `start` and the functions of `derive_implicit`."""
    arguments = problem.signature.arguments
    start = Derived("start", (group("p", arguments),), (group("z", problem.start),))
    implicit = derive_implicit(
        unknowns=problem.unknowns, residual=problem.residual, outputs=problem.outputs, arguments=arguments
    )
    return {"start": start, **implicit}
