"""`net`: an explicit layer, o = g(p).

There is no condition to solve. The pullback is the chain rule, and the tangent problem is (g, g' ṗ).
"""

from __future__ import annotations

from dataclasses import dataclass

from implicitdsl.ir.node import Node
from implicitdsl.problems.derived import Derived, group, tangent, transpose
from implicitdsl.problems.signature import Signature


@dataclass(frozen=True, eq=False)
class NetProblem:
    """An explicit function of its arguments."""

    signature: Signature
    outputs: tuple[Node, ...]


def derive(problem: NetProblem) -> dict[str, Derived]:
    """`output`: (p) → outputs, with its vjp, jvp and the vjp of its jvp."""
    output = Derived("output", (group("p", problem.signature.arguments),), (group("out", problem.outputs),))
    output_jvp = tangent(output, ("p",))
    functions = (output, transpose(output, ("p",)), output_jvp, transpose(output_jvp, ("p", "p_dot")))
    return {f.name: f for f in functions}
