"""`when` blocks and the jumps of a right-hand side, as events of the problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implicitdsl.diagnostics import Diagnostic, Span
from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.events import Block, Events
from implicitdsl.problems.switches import JUMPS, KINKS, REDUCTIONS, Switches, functions_of, jumping_parts, track
from implicitdsl.semantics.declarations import fit
from implicitdsl.semantics.elaborate import Body
from implicitdsl.semantics.expressions import Scope
from implicitdsl.semantics.program import Jump, Program
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree


@dataclass(frozen=True, eq=False)
class Happening:
    """A `when` in terms of nodes: its condition, the new values of the states that it resets and which elements of them
    it assigns, whether it stops."""

    condition: Node
    resets: dict[str, Node]
    assigned: dict[str, np.ndarray]
    stop: bool
    span: Span


def read_event(statement: tree.When, body: Body) -> None:
    """Put a `when` into the body; every `:=` reads the values before the block."""
    scope = body.scope
    condition = scope.value(statement.condition)
    resets: dict[str, Node] = {}
    assigned: dict[str, np.ndarray] = {}
    stop = False
    for action in statement.actions:
        match action:
            case tree.Stop():
                stop = True
            case tree.Reset(target=tree.Name(id=name)):
                shape = body.unknowns[name].leaf.shape
                resets[name], assigned[name] = fit(scope.value(action.value), shape, action), np.ones(shape)
            case tree.Reset(target=tree.Index(base=tree.Name(id=name)) as target):
                before = resets.get(name, body.unknowns[name].leaf)
                resets[name], mask = _partly(before, target, scope.value(action.value), scope)
                assigned[name] = np.maximum(mask, assigned.get(name, 0.0))
            case _:
                raise fail("E405", f"`{action.span.text}` resets no state", action.span)
    body.events.append(Happening(condition, resets, assigned, stop, statement.span))


def _partly(before: Node, target: tree.Index, value: Node, scope: Scope) -> tuple[Node, np.ndarray]:
    """The state with some of its elements replaced, and which."""
    ranges = scope.ranges(target, before.shape)
    kept = tuple(stop - start for start, stop, whole in ranges if whole)
    box = [(start, stop) for start, stop, _ in ranges]
    mask = np.zeros(before.shape)
    mask[tuple(slice(start, stop) for start, stop in box)] = 1.0
    shaped = build.reshape(fit(value, kept, target), tuple(stop - start for start, stop in box))
    return build.select(build.constant(mask), build.place(shaped, box, before.shape), before), mask


def events_of(body: Body, program: Program, rhs: Sequence[Node], time: Leaf) -> Events | None:
    """The events of an `ode`: its blocks, and what is tracked on its right-hand side by the option `kinks`. None where
    there is nothing."""
    states = [u.leaf for u in body.unknowns.values()]
    moving = frozenset[Node]({time, *states, *(r.leaf for r in program.reads)})
    jumps = _moving_jumps(rhs, moving, program)
    tracked = _on_the_right(jumps, program)
    conditions = [h.condition for h in body.events]
    for condition in conditions:
        reached = set(walk((condition,)))
        for root in (condition, *(j.node for j in program.jumps if j.node in reached)):
            tracked |= dict.fromkeys(jumping_parts(root), JUMPS)
    switches = Switches()
    everything = JUMPS | KINKS | REDUCTIONS
    every = program.kinks == "all"
    wanted = tracked if not every else {n: everything & functions_of(n) for n in walk(rhs)} | tracked
    track((*conditions, *rhs), lambda node: wanted.get(node, frozenset()), moving, switches)
    if not switches.modes:
        # A condition without time and states is true from the start on or never: it does not become true.
        return None
    blocks: list[Block] = []
    for happening, condition in zip(body.events, switches.smooth(conditions), strict=True):
        new = tuple(happening.resets.get(s.name, s) for s in states)
        assigned = tuple(happening.assigned.get(s.name, np.zeros(s.shape)) for s in states)
        blocks.append(Block(condition, new, happening.stop, assigned))
    return Events(switches.smooth(rhs), switches, tuple(blocks))


def _moving_jumps(rhs: Sequence[Node], moving: frozenset[Node], program: Program) -> list[Jump]:
    reached = set(walk(rhs))
    return [j for j in program.jumps if j.node in reached and moving & set(walk((j.node,)))]


def _on_the_right(jumps: Sequence[Jump], program: Program) -> dict[Node, frozenset[str]]:
    if program.kinks != "none":
        return {part: JUMPS for jump in jumps for part in jumping_parts(jump.node)}
    for jump in jumps:
        program.warnings.append(
            Diagnostic(
                "W601",
                f"the jump of `{jump.span.text}` is not located",
                jump.span,
                "values lose accuracy where it happens, and the gradient lacks its term",
            )
        )
    return {}
