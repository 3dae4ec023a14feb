"""What `inspect --after STAGE` prints of problems and derived functions."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.ir.operations import operations
from implicitdsl.ir.text import to_text
from implicitdsl.problems.argmin import ArgminProblem, is_quadratic
from implicitdsl.problems.bvp import BvpProblem
from implicitdsl.problems.derived import Derived, Group
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.semantics.convexity import condition_text
from implicitdsl.semantics.curvature import Condition


def problem_text(problem: Problem) -> str:
    """A problem as its parts, one line a node."""
    match problem:
        case NetProblem(outputs=outputs):
            parts: list[tuple[str, Sequence[Node]]] = [("outputs", outputs)]
        case OdeProblem():
            ends = [("t0", problem.t0), ("t1", problem.t1), ("at", problem.at)]
            parts = [("start", problem.start), ("rhs", problem.rhs), *((n, [e]) for n, e in ends if e is not None)]
            parts += [("outputs", problem.outputs)]
            if problem.delays is not None:
                parts += [("lags", problem.delays.lags), ("history", problem.delays.history)]
            if problem.events is not None:
                switches, blocks = problem.events.switches, problem.events.blocks
                parts += [("rhs with modes", problem.events.rhs), ("modes", switches.values)]
                parts += [("guards", [g.node for g in switches.guards])]
                for number, block in enumerate(blocks):
                    parts += [(f"condition {number}", [block.condition]), (f"reset {number}", block.states)]
        case BvpProblem():
            ends = [] if problem.horizon is None else [("from", problem.horizon)]
            at = [] if problem.at is None else [("at", [problem.at])]
            parts = [("guess", problem.guess), ("rhs", problem.rhs), ("places", problem.places), *ends, *at]
            parts += [("conditions", problem.conditions), ("outputs", problem.outputs)]
        case RootProblem():
            parts = [("start", problem.start), ("residual", problem.residual), ("outputs", problem.outputs)]
        case FixpointProblem():
            parts = [("start", problem.start), ("map", problem.map), ("outputs", problem.outputs)]
        case ArgminProblem():
            kind = "objective (quadratic program)" if is_quadratic(problem) else "objective"
            parts = [(kind, [problem.objective]), ("equalities", [c.node for c in problem.equalities])]
            parts += [("inequalities", [c.node for c in problem.inequalities]), ("outputs", problem.outputs)]
    texts = [f"arguments: {', '.join(_leaf(leaf) for leaf in problem.signature.arguments)}"]
    texts += [f"{name}:\n{_indented(to_text(nodes))}" for name, nodes in parts if nodes]
    if isinstance(problem, ArgminProblem):
        texts.append(f"convexity: {_convexity(problem)}")
    return "\n".join(texts)


def _convexity(problem: ArgminProblem) -> str:
    if not problem.conditions:
        return "proven, or not asked for by `solver local()`"
    texts = [condition_text(Condition(node, requirement)) for node, requirement in problem.conditions]
    return f"tested for each sample: {', '.join(texts)}"


def function_text(function: Derived) -> str:
    """A derived function: its groups, then one line a node."""
    outputs = ", ".join(g.name for g in function.outputs)
    head = (
        f"{function.name}({', '.join(map(_group, function.inputs))}) -> {outputs}{' (added)' if function.adds else ''}"
    )
    return f"{head}\n{_indented(to_text(function.nodes))}" if function.nodes else f"{head}\n  structurally zero"


def schedule_text(function: Derived) -> str:
    """How a function runs: statements, scalar operations by name, multiply-adds of its contractions."""
    statements = sum(1 for n in walk(function.nodes) if n.args)
    scalar, multiply_adds = operations(function.nodes)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(scalar.items()))
    return (
        f"{function.name}: {statements} statements; {counted or 'no scalar operations'}; {multiply_adds} multiply-adds"
    )


def _group(group: Group) -> str:
    return f"{group.name}[{group.size}]"


def _leaf(leaf: Leaf) -> str:
    return f"{leaf.name}{list(leaf.shape)}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
