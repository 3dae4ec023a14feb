"""A `net` that calls implicit layers, cut at each call into explicit pieces.

Slots are the inputs of the layer and what pieces give; the arguments of a call that are no slots yet are computed by an
explicit piece before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.signature import Given, Signature
from implicitdsl.semantics.program import Program


@dataclass(frozen=True, eq=False)
class ExplicitCut:
    """An explicit function whose outputs go to slots."""

    problem: NetProblem
    slots: tuple[str, ...]


@dataclass(frozen=True)
class CallCut:
    """A call of a used layer: slots of its inputs and of its results."""

    path: str
    inputs: tuple[str, ...]
    slots: tuple[str, ...]


def cut(problem: NetProblem, program: Program) -> tuple[tuple[ExplicitCut | CallCut, ...], tuple[str, ...]]:
    """The pieces in order, and the slots of the layer's outputs."""
    pieces: list[ExplicitCut | CallCut] = []
    for number, call in enumerate(program.calls):
        inputs: list[str] = []
        computed: list[tuple[str, Node]] = []
        for position, node in enumerate(call.arguments):
            if isinstance(node, Leaf) and node.kind in ("input", "result"):
                inputs.append(node.name)
            else:
                inputs.append(f"{call.path}#{number}.in{position}")
                computed.append((inputs[-1], node))
        if computed:
            nodes = tuple(node for _, node in computed)
            pieces.append(ExplicitCut(_restrict(problem.signature, nodes), tuple(name for name, _ in computed)))
        pieces.append(CallCut(call.path, tuple(inputs), tuple(r.name for r in call.results)))
    slots = tuple(f"result.{i}" for i in range(len(problem.outputs)))
    pieces.append(ExplicitCut(_restrict(problem.signature, problem.outputs), slots))
    return tuple(pieces), slots


def _restrict(signature: Signature, outputs: Sequence[Node]) -> NetProblem:
    """The explicit function of the arguments and results that the outputs depend on."""
    found = set(walk(outputs))
    results = sorted((n for n in found if isinstance(n, Leaf) and n.kind == "result"), key=lambda leaf: leaf.number)
    inputs = (*(g for g in signature.inputs if g.leaf in found), *(Given(leaf) for leaf in results))
    params = tuple(p for p in signature.params if p.leaf in found)
    consts = tuple(p for p in signature.consts if p.leaf in found)
    return NetProblem(Signature(signature.layer, inputs, params, consts), tuple(outputs))
