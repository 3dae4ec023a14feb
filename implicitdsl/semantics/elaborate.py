"""A definition with its sizes to a problem in the IR.

One pass over the statements in text order gives every name its node; what the kind wants (states, unknowns, equations,
constraints) is gathered on the way and put together by `assemble.py`. Used nets are inlined, their params become
arguments
with qualified names; an implicit layer called inside a `net` is recorded as a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from implicitdsl.diagnostics import ImpError, Span
from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node
from implicitdsl.problems.argmin import Constraint
from implicitdsl.problems.kinds import Problem
from implicitdsl.problems.signature import Given, MemberSet
from implicitdsl.semantics import declarations
from implicitdsl.semantics.expressions import Scope, Used
from implicitdsl.semantics.library import Library
from implicitdsl.semantics.names import with_article
from implicitdsl.semantics.program import Program, UsedLayer
from implicitdsl.semantics.size_scope import fail
from implicitdsl.semantics.standins import differentiated, expressions_of, put_back, stand_ins
from implicitdsl.syntax import tree

if TYPE_CHECKING:
    from implicitdsl.semantics.events import Happening

EXECUTABLE = ("net", "ode", "dae", "bvp", "root", "fixpoint", "argmin")


@dataclass(frozen=True, eq=False)
class Unknown:
    """A `state` or `var`: its leaf, start and set."""

    leaf: Leaf
    start: Node
    set: MemberSet | None
    span: Span


@dataclass
class Body:
    """What the statements of one definition say, in terms of nodes."""

    scope: Scope
    unknowns: dict[str, Unknown] = field(default_factory=dict[str, Unknown])
    derivatives: dict[str, Node] = field(default_factory=dict[str, Node])
    equations: list[tuple[tree.Equation, Node, Node]] = field(default_factory=list[tuple[tree.Equation, Node, Node]])
    objective: Node | None = None
    objective_statement: tree.Objective | None = None
    equalities: list[Constraint] = field(default_factory=list[Constraint])
    inequalities: list[Constraint] = field(default_factory=list[Constraint])
    constraint_spans: dict[Leaf, Span] = field(default_factory=dict[Leaf, Span])
    events: list[Happening] = field(default_factory=list["Happening"])
    places: list[tuple[Node, tuple[Leaf, ...]]] = field(default_factory=list[tuple[Node, tuple[Leaf, ...]]])
    """Of a `bvp`: where its conditions read the states, and the leaves that stand for them there."""
    horizon: tuple[Node, Node] | None = None
    histories: dict[str, Node] = field(default_factory=dict[str, Node])
    at: Node | None = None
    outputs: tuple[Node, ...] = ()
    return_statement: tree.Return | None = None

    def state_at(self, state: Leaf, place: Node) -> Node:
        """The leaf of a state at a place of a `bvp`; one place has one leaf for each state."""
        states = [u.leaf for u in self.unknowns.values()]
        values = next((values for known, values in self.places if known is place), None)
        if values is None:
            values = tuple(Leaf("result", f"{s.name}({len(self.places)})", s.shape) for s in states)
            self.places.append((place, values))
        return values[states.index(state)]


@dataclass(frozen=True, eq=False)
class Elaborated:
    """A problem with what was met on the way."""

    definition: tree.Definition
    sizes: dict[str, int]
    problem: Problem
    program: Program
    body: Body


def elaborate(
    definition: tree.Definition, library: Library, sizes: dict[str, int], *, local: bool = False, kinks: str = ""
) -> Elaborated:
    """The problem of a definition whose sizes are all bound, those of the call included. `local` accepts an `argmin`
    that
    is not convex. Raises ImpError."""
    from implicitdsl.semantics.assemble import assemble  # needs the types above
    from implicitdsl.semantics.convexity import convexity

    body, program = gather(definition, library, sizes)
    program.kinks = kinks
    findings, conditions = convexity(body, program, local=local)
    if any(f.severity == "error" for f in findings):
        raise ImpError(findings)
    problem = assemble(definition, body, program, conditions, local=local)
    return Elaborated(definition, sizes, problem, program, body)


def gather(definition: tree.Definition, library: Library, sizes: dict[str, int]) -> tuple[Body, Program]:
    """What the statements of a definition say, before the kind puts it together."""
    if definition.kind not in EXECUTABLE:
        raise fail(
            "E601",
            f"`{definition.kind}` layers are not executable yet",
            definition.span,
            remark=f"{definition.name} is read, checked and formatted, but no solver for its kind is built in",
            help=f"executable kinds: {', '.join(EXECUTABLE)}",
        )
    program = Program(definition.name)
    scope = Scope(library, sizes)
    scope.program = program
    for item in definition.inputs:
        leaf = Leaf("input", item.name, scope.shape(item.shape))
        program.inputs.append(Given(leaf, declarations.read_set(item.set, scope)))
        scope.names[item.name] = leaf
    body = Body(scope)
    if definition.kind in ("ode", "dae", "bvp"):
        scope.names["t"] = Leaf("time", "t")
    if definition.kind == "bvp":
        scope.read_at = body.state_at
    run(definition, body, program, "")
    check_outputs(definition, body)
    return body, program


def run(definition: tree.Definition, body: Body, program: Program, prefix: str) -> None:
    """Go through the statements; everything they say lands in the body and the program."""
    from implicitdsl.semantics.conditions import condition

    scope = body.scope
    for statement in definition.body:
        match statement:
            case tree.Declare(role="param" | "const"):
                declarations.register(program, declarations.declare(statement, scope, prefix))
            case tree.Declare(role="state" | "var"):
                _unknowns(statement, body)
            case tree.Let(name=name, value=value):
                scope.names[name] = scope.value(value)
            case tree.Use(name=name):
                used = declarations.read_use(statement, scope, prefix)
                program.uses[used.path] = used
                scope.names[name] = Used(_caller(definition, used, program))
                if used.is_net:
                    register_net(used, program)
            case tree.Return(values=values, at=at):
                if at is not None:
                    body.at = scope.value(at)
                body.outputs = tuple(node for value in values for node in scope.values(value))
                body.return_statement = statement
            case tree.Choice():
                pass
            case _:
                condition(statement, body)


def _unknowns(statement: tree.Declare, body: Body) -> None:
    scope = body.scope
    set_ = declarations.read_set(statement.set, scope)
    for item in statement.names:
        shape = scope.shape(item.shape)
        leaf = Leaf("state" if statement.role == "state" else "unknown", item.name, shape)
        declarations.refuse_empty(set_, shape, item.span)
        if item.start is not None:
            start = declarations.fit(scope.value(item.start), shape, item.start)
        else:
            start = build.constant(declarations.centre(set_, shape))
        body.unknowns[item.name] = Unknown(leaf, start, set_, item.span)
    # Names enter after all starts of the line are read: a start never sees the unknown itself.
    for item in statement.names:
        scope.names[item.name] = body.unknowns[item.name].leaf


def _caller(definition: tree.Definition, used: UsedLayer, program: Program):
    def call(arguments: Sequence[Node], where: Span) -> tuple[Node, ...]:
        if used.is_net:
            return inline(used, arguments, program, where)
        if definition.kind != "net":
            raise fail(
                "E607",
                f"`{used.path}` is {with_article(used.definition.kind)} layer inside a condition",
                where,
                remark="an implicit layer nested in the condition of another is not executable yet",
                help=f"call it in a `net` and pass the result to {definition.name} as an input, or write its "
                f"unknowns and "
                "equations into this definition",
            )
        sizes = declarations.bind_shapes(used.definition, used.sizes, [a.shape for a in arguments], used.library, where)
        shapes = [Scope(used.library, sizes).shape(o.shape) for o in used.definition.outputs]
        return program.call(used.path, arguments, shapes)

    return call


def register_net(used: UsedLayer, program: Program) -> None:
    """Enter the params of a used net, and those of the nets that it uses, whether or not it is called."""
    scope = Scope(used.library, used.sizes)
    for statement in used.definition.body:
        match statement:
            case tree.Declare(role="param" | "const"):
                declarations.register(program, declarations.declare(statement, scope, used.path + "."))
            case tree.Use():
                inner = declarations.read_use(statement, scope, used.path + ".")
                program.uses[inner.path] = inner
                if inner.is_net:
                    register_net(inner, program)
            case _:
                pass


def inline(used: UsedLayer, arguments: Sequence[Node], program: Program, where: Span) -> tuple[Node, ...]:
    """The outputs of a used net for the given argument nodes."""
    sizes = declarations.bind_shapes(used.definition, used.sizes, [a.shape for a in arguments], used.library, where)
    scope = Scope(used.library, sizes)
    given = {item.name: node for item, node in zip(used.definition.inputs, arguments, strict=True)}
    leaves = stand_ins(given, differentiated(expressions_of(used.definition)))
    scope.names.update({**given, **leaves})
    body = Body(scope)
    calls, jumps = len(program.calls), len(program.jumps)
    run(used.definition, body, program, used.path + ".")
    check_outputs(used.definition, body)
    if leaves:
        program.calls[calls:] = [
            replace(c, arguments=put_back(c.arguments, leaves, given)) for c in program.calls[calls:]
        ]
        program.jumps[jumps:] = [replace(j, node=put_back((j.node,), leaves, given)[0]) for j in program.jumps[jumps:]]
    return put_back(body.outputs, leaves, given)


def check_outputs(definition: tree.Definition, body: Body) -> None:
    """The returned shapes are the declared ones (without the axis of `at`, which runs over the times)."""
    statement = body.return_statement
    if statement is None:
        raise fail("E412", f"{definition.name} returns nothing", definition.span)
    if len(body.outputs) != len(definition.outputs):
        raise fail(
            "E412",
            f"{definition.name} declares {len(definition.outputs)} outputs and returns {len(body.outputs)}",
            statement.span,
        )
    for declared, node in zip(definition.outputs, body.outputs, strict=True):
        wanted = body.scope.shape(declared.shape)
        found = node.shape if body.at is None else (*body.at.shape, *node.shape)
        if wanted != found:
            raise fail(
                "E308",
                f"{definition.name} declares {list(wanted)} and returns {list(found)}",
                statement.span,
                remark="the first axis runs over the `at` times" if body.at is not None else "",
            )


def flat_bounds(unknowns: Sequence[Unknown]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The elementwise bounds of all unknowns in one vector each."""
    pairs = [declarations.bounds(u.set, u.leaf.shape) for u in unknowns]
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])
