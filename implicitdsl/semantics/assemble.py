"""Problems from what the statements said, one function a kind."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.argmin import ArgminProblem, is_quadratic
from implicitdsl.problems.bvp import BvpProblem
from implicitdsl.problems.dae import undetermined
from implicitdsl.problems.epigraph import without_bends
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.problems.signature import Signature
from implicitdsl.problems.sums_of_norms import SumOfNorms, as_root
from implicitdsl.semantics.conditions import constrain
from implicitdsl.semantics.curvature import Condition
from implicitdsl.semantics.delays import delays_of, refuse_events
from implicitdsl.semantics.elaborate import Body, Unknown, flat_bounds
from implicitdsl.semantics.events import events_of
from implicitdsl.semantics.program import Program
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree

ELEMENTWISE = ("positive", "nonneg", "interval")


def assemble(
    definition: tree.Definition,
    body: Body,
    program: Program,
    conditions: tuple[Condition, ...] = (),
    *,
    local: bool = False,
) -> Problem:
    """The problem of the definition's kind; `conditions` are what the convexity of an `argmin` hangs on. With `local`
    it need not be convex."""
    inputs = (*program.inputs, *program.probes)
    signature = Signature(definition.name, inputs, tuple(program.params), tuple(program.consts))
    match definition.kind:
        case "net":
            return NetProblem(signature, body.outputs)
        case "ode" | "dae":
            return _ode(definition, body, program, signature)
        case "bvp":
            return _bvp(definition, body, program, signature)
        case "root":
            return _root(definition, body, signature)
        case "fixpoint":
            return _fixpoint(definition, body, signature)
        case _:
            return _argmin(definition, body, signature, conditions, local=local)


def _ode(definition: tree.Definition, body: Body, program: Program, signature: Signature) -> OdeProblem:
    """An `ode`, or a `dae`, whose algebraic unknowns and equations follow the states and theirs."""
    states = _states(body)
    unknowns = [u for u in body.unknowns.values() if u.leaf.kind != "state"]
    rhs = (*(body.derivatives[s.leaf.name] for s in states), *_algebraic(definition, body, unknowns))
    found = [*states, *unknowns]
    time = Leaf("time", "t")
    start = tuple(u.start for u in found)
    if any(time in set(walk((node,))) for node in start):
        raise fail(
            "E407",
            "a start depends on `t`",
            definition.span,
            help="name the start time: `from t = a to b`, and write a",
        )
    t0, t1 = (None, None) if body.horizon is None else body.horizon
    _check_times(body)
    leaves = tuple(u.leaf for u in found)
    delays, delayed = delays_of(definition, body, program, rhs, time)
    events = events_of(body, program, rhs, time)
    if delays is not None and (events is not None or body.events):
        refuse_events(body, program)
    algebraic = sum(u.leaf.size for u in unknowns)
    return OdeProblem(signature, time, leaves, start, delayed, t0, t1, body.at, body.outputs, events, algebraic, delays)


def _states(body: Body) -> list[Unknown]:
    """The states, each of which has an equation."""
    states = [u for u in body.unknowns.values() if u.leaf.kind == "state"]
    for state in states:
        name = state.leaf.name
        if name not in body.derivatives:
            raise fail("E403", f"the state `{name}` has no equation", state.span, help=f"d{name}/dt = …")
    return states


def _check_times(body: Body) -> None:
    if body.at is not None and len(body.at.shape) != 1:
        assert body.return_statement is not None
        raise fail("E309", f"`at` takes a vector of times; this is {list(body.at.shape)}", body.return_statement.span)


def _bvp(definition: tree.Definition, body: Body, program: Program, signature: Signature) -> BvpProblem:
    states = _states(body)
    residual = tuple(build.sub(a, b) for _, a, b in body.equations)
    wanted, given = sum(s.leaf.size for s in states), sum(r.size for r in residual)
    if wanted != given or not body.places:
        raise fail("E406", f"{given} scalar boundary conditions for {wanted} states", definition.span)
    _check_times(body)
    rhs = tuple(body.derivatives[s.leaf.name] for s in states)
    time = Leaf("time", "t")
    return BvpProblem(
        signature,
        time,
        tuple(s.leaf for s in states),
        tuple(s.start for s in states),
        rhs,
        tuple(place for place, _ in body.places),
        tuple(values for _, values in body.places),
        residual,
        body.horizon,
        body.at,
        body.outputs,
        events_of(body, program, rhs, time),
    )


def _algebraic(definition: tree.Definition, body: Body, unknowns: Sequence[Unknown]) -> tuple[Node, ...]:
    """What is 0 in a `dae` of index 1."""
    residual = tuple(build.sub(a, b) for _, a, b in body.equations)
    wanted, given = sum(u.leaf.size for u in unknowns), sum(r.size for r in residual)
    if wanted != given:
        raise fail("E406", f"{given} scalar equations for {wanted} algebraic unknowns", definition.span)
    apart = undetermined(residual, tuple(u.leaf for u in unknowns)) if wanted else None
    if apart is not None:
        statement, unknown = body.equations[apart[0]][0], unknowns[apart[1]]
        raise fail(
            "E616",
            f"`{unknown.leaf.name}` has no algebraic equation of its own: the index is above 1",
            unknown.span,
            remark=f"`{statement.span.text}` cannot determine it where it stands",
            help="differentiate this equation by hand and write what follows in its place",
        )
    return residual


def _root(definition: tree.Definition, body: Body, signature: Signature) -> RootProblem:
    unknowns = list(body.unknowns.values())
    residual = tuple(build.sub(a, b) for _, a, b in body.equations)
    wanted, found = sum(u.leaf.size for u in unknowns), sum(r.size for r in residual)
    if wanted != found:
        raise fail("E406", f"{found} scalar equations for {wanted} unknowns", definition.span)
    _only_elementwise(body)
    lower, upper = flat_bounds(unknowns)
    return RootProblem(
        signature,
        tuple(u.leaf for u in unknowns),
        tuple(u.start for u in unknowns),
        residual,
        lower,
        upper,
        body.outputs,
    )


def _fixpoint(definition: tree.Definition, body: Body, signature: Signature) -> FixpointProblem:
    unknowns = list(body.unknowns.values())
    given: dict[str, Node] = {}
    for statement, _, right in body.equations:
        if isinstance(statement.left, tree.Name):
            given[statement.left.id] = right
    for name, unknown in body.unknowns.items():
        if name not in given:
            raise fail("E403", f"`{name}` has no equation", unknown.span, help=f"{name} = …")
    _only_elementwise(body)
    lower, upper = flat_bounds(unknowns)
    step = tuple(given[u.leaf.name] for u in unknowns)
    return FixpointProblem(
        signature, tuple(u.leaf for u in unknowns), tuple(u.start for u in unknowns), step, lower, upper, body.outputs
    )


def _only_elementwise(body: Body) -> None:
    for unknown in body.unknowns.values():
        if unknown.set is not None and unknown.set.name not in ELEMENTWISE:
            raise fail(
                "E605",
                f"an unknown in `{unknown.set}` is not executable yet",
                unknown.span,
                remark="iterates of a root or fixpoint are kept inside elementwise bounds only",
                help=f"use {', '.join(ELEMENTWISE)}, or change variables so that the set holds by itself",
            )


def _argmin(
    definition: tree.Definition,
    body: Body,
    signature: Signature,
    conditions: tuple[Condition, ...],
    *,
    local: bool,
) -> ArgminProblem | SumOfNorms:
    unknowns = list(body.unknowns.values())
    for unknown in unknowns:
        if unknown.set is not None:
            constrain(body, unknown.leaf, unknown.set, unknown.span, None)
    if body.objective is None:
        raise fail("E411", f"{definition.name} has no objective", definition.span, help="minimize …")
    problem = ArgminProblem(
        signature,
        tuple(u.leaf for u in unknowns),
        tuple(u.start for u in unknowns),
        body.objective,
        tuple(body.equalities),
        tuple(body.inequalities),
        body.outputs,
        tuple((c.node, c.requirement) for c in conditions),
    )
    if is_quadratic(problem):
        return problem
    program = None if local else without_bends(problem)
    if program is not None:
        return program
    _refuse_constraints(definition, problem, body)
    return (None if local else as_root(problem)) or problem


def _refuse_constraints(definition: tree.Definition, problem: ArgminProblem, body: Body) -> None:
    for constraint in (*problem.equalities, *problem.inequalities):
        raise fail(
            "E606",
            f"{definition.name} is no linear or quadratic program, and it has constraints",
            body.constraint_spans[constraint.dual],
            remark="constrained problems run when the objective has degree <= 2 in the unknowns and every constraint "
            "is affine, up to `abs`, `max`, `min` and `relu`",
            help="put a penalty or barrier into the objective, or eliminate the constraint by a change of variables",
        )
