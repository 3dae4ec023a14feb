"""`fixpoint`: z with z = f(z, p).

The same derivatives as the root of F(z, p) = f(z, p) - z; the iteration z ← f(z, p) converges where the spectral radius
of ∂f/∂z is below 1, the gradient exists wherever I - ∂f/∂z is regular.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.derived import Derived, group
from implicitdsl.problems.implicit import derive_implicit
from implicitdsl.problems.signature import Signature


@dataclass(frozen=True, eq=False)
class FixpointProblem:
    """Unknowns, their start, and the map that they are fixed by."""

    signature: Signature
    unknowns: tuple[Leaf, ...]
    start: tuple[Node, ...]
    map: tuple[Node, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    outputs: tuple[Node, ...]

    @property
    def residual(self) -> tuple[Node, ...]:
        """f(z, p) - z."""
        return tuple(build.sub(f, z) for f, z in zip(self.map, self.unknowns, strict=True))


def derive(problem: FixpointProblem) -> dict[str, Derived]:
    """What the fixed-point solvers may call: `start`, `map` and the functions of `derive_implicit`."""
    arguments = problem.signature.arguments
    start = Derived("start", (group("p", arguments),), (group("z", problem.start),))
    given = (group("z", problem.unknowns), group("p", arguments))
    step = Derived("map", given, (group("out", problem.map),))
    implicit = derive_implicit(
        unknowns=problem.unknowns, residual=problem.residual, outputs=problem.outputs, arguments=arguments
    )
    return {"start": start, "map": step, **implicit}
