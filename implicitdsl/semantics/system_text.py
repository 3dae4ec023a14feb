"""The derived system of a problem in formulas: its adjoint or KKT conditions, for `explain FILE`."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.ir.text import equation_text
from implicitdsl.problems.argmin import ArgminProblem, is_quadratic, stationarity
from implicitdsl.problems.bvp import BvpProblem
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.problems.signature import Signature
from implicitdsl.problems.sums_of_norms import SumOfNorms
from implicitdsl.semantics.delay_text import delay_lines
from implicitdsl.semantics.event_text import event_lines


def system_text(problem: Problem) -> str:
    """What is solved for the value, and what for the gradient, with every derivative written out."""
    match problem:
        case NetProblem():
            return _net(problem)
        case OdeProblem():
            return _ode(problem)
        case BvpProblem():
            return _bvp(problem)
        case SumOfNorms():
            return _implicit("the minimum", "F", problem.unknowns, problem.residual, problem.signature)
        case RootProblem():
            return _implicit("the root", "F", problem.unknowns, problem.residual, problem.signature)
        case FixpointProblem():
            return _implicit("the fixed point", "F = f - z", problem.unknowns, problem.residual, problem.signature)
        case ArgminProblem():
            return _argmin(problem)


def _lines(heads: Sequence[str], nodes: Sequence[Node | None]) -> list[str]:
    found: list[str] = []
    for head, node in zip(heads, nodes, strict=True):
        text = "0" if node is None else equation_text(node)
        first, *rest = text.split("\n")
        found.append(f"  {head} = {first}")
        found += [f"    {line}" for line in rest]
    return found


def _multipliers(names: Sequence[str], nodes: Sequence[Node]) -> tuple[Leaf, ...]:
    return tuple(Leaf("dual", name, node.shape) for name, node in zip(names, nodes, strict=True))


def _gradient(nodes: Sequence[Node], multipliers: Sequence[Leaf], signature: Signature) -> list[str]:
    leaves = [*(g.leaf for g in signature.inputs), *(p.leaf for p in signature.params)]
    found = calculus.pullback(nodes, multipliers, leaves)
    kept = [(f"{leaf.name}_bar", node) for leaf, node in zip(leaves, found, strict=True) if node is not None]
    return _lines([head for head, _ in kept], [node for _, node in kept])


def _net(problem: NetProblem) -> str:
    bars = _multipliers([f"out{i}_bar" for i in range(len(problem.outputs))], problem.outputs)
    lines = ["the value:", *_lines([f"out{i}" for i in range(len(problem.outputs))], problem.outputs)]
    lines += ["its pullback:", *_gradient(problem.outputs, bars, problem.signature)]
    return "\n".join(lines)


def _ode(problem: OdeProblem) -> str:
    # Equations and multipliers of the algebraic unknowns of a dae have no time derivative.
    moving = [s.name for s in problem.states if s.kind == "state"]
    shared = [f"g{i}" for i in range(len(problem.rhs) - len(moving))]
    lam = _multipliers([f"lambda_{n}" for n in (*moving, *shared)], problem.rhs)
    adjoint = calculus.pullback(problem.rhs, lam, problem.states)
    negative = [None if a is None else build.neg(a) for a in adjoint]
    heads = [*(f"d{n}/dt" for n in moving), *("0" for _ in shared)]
    bars = [f"dlambda_{s.name}/dt" if s.kind == "state" else "0" for s in problem.states]
    lines = ["the equations:", *_lines(heads, problem.rhs)]
    lines += [
        "the adjoint, from the end to the start, with a jump by the cotangent at each save time",
        "(the discrete adjoint transposes the computed steps; this is what they approximate):",
        *_lines(bars, negative),
        "and what each instant adds to the gradient:",
        *_gradient(problem.rhs, lam, problem.signature),
        *event_lines(problem),
        *delay_lines(problem),
    ]
    return "\n".join(lines)


def _bvp(problem: BvpProblem) -> str:
    heads = [f"0 [{i}]" if len(problem.conditions) > 1 else "0" for i in range(len(problem.conditions))]
    lam = _multipliers([f"lambda_{s.name}" for s in problem.states], problem.rhs)
    nu = _multipliers([f"nu{i}" if len(heads) > 1 else "nu" for i in range(len(heads))], problem.conditions)
    adjoint = calculus.pullback(problem.rhs, lam, problem.states)
    negative = [None if a is None else build.neg(a) for a in adjoint]
    places = _lines([f"place {k}" for k in range(len(problem.places))], problem.places)
    jumps = [
        (f"jump of lambda_{leaf.name.split('(')[0]} at place {k}", node)
        for k, leaves in enumerate(problem.values)
        for leaf, node in zip(leaves, calculus.pullback(problem.conditions, nu, leaves), strict=True)
        if node is not None
    ]
    lines = ["the equations:", *_lines([f"d{s.name}/dt" for s in problem.states], problem.rhs)]
    lines += ["the conditions, u(k) being u at place k:", *places, *_lines(heads, problem.conditions)]
    lines += [
        "the adjoint, a boundary value problem that is linear in lambda and nu, with a jump by the cotangent where a",
        "value is read (the transposed shooting system is this, discretised):",
        *_lines([f"dlambda_{s.name}/dt" for s in problem.states], negative),
        *_lines([head for head, _ in jumps], [node for _, node in jumps]),
        "what each instant adds to the gradient:",
        *_gradient(problem.rhs, lam, problem.signature),
        "and the conditions:",
        *_gradient(problem.conditions, nu, problem.signature),
    ]
    return "\n".join(lines)


def _implicit(what: str, name: str, unknowns: Sequence[Leaf], residual: Sequence[Node], signature: Signature) -> str:
    heads = [f"0 [{i}]" if len(residual) > 1 else "0" for i in range(len(residual))]
    lam = _multipliers([f"lambda{i}" if len(residual) > 1 else "lambda" for i in range(len(residual))], residual)
    transposed = calculus.pullback(residual, lam, unknowns)
    lines = [f"{what}, 0 = {name}:", *_lines(heads, residual)]
    lines += [
        "its adjoint, linear in lambda, solved at the answer with the residual checked:",
        *_lines([f"-{u.name}_bar" for u in unknowns], transposed),
        "and the gradient:",
        *_gradient(residual, lam, signature),
    ]
    return "\n".join(lines)


def _argmin(problem: ArgminProblem) -> str:
    kind = "a linear or quadratic program" if is_quadratic(problem) else "smooth, without constraints"
    lines = [f"the objective ({kind}):", *_lines(["f"], [problem.objective])]
    lines += ["stationarity of L = f + lambda'h + mu'g:", *_lines(["0"] * len(problem.unknowns), stationarity(problem))]
    if problem.equalities:
        lines += ["equalities h, with their multipliers:"]
        lines += _lines([f"0   [{c.dual.name}]" for c in problem.equalities], [c.node for c in problem.equalities])
    if problem.inequalities:
        lines += ["inequalities g <= 0 with mu >= 0 and mu*g = 0:"]
        lines += [
            line.replace(" = ", ": g = ", 1)
            for line in _lines(
                [f"[{c.dual.name}]" for c in problem.inequalities], [c.node for c in problem.inequalities]
            )
        ]
    lines += [
        "the gradient differentiates these conditions with the active constraints held (g = 0 where active, mu = 0 "
        "elsewhere)"
    ]
    return "\n".join(lines)
