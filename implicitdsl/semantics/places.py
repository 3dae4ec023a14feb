"""States at a place, `u(0)`: the conditions of a `bvp` are made of them, and nothing else may read one."""

from __future__ import annotations

from implicitdsl.semantics.body import GIVEN, Body
from implicitdsl.semantics.differentials import Equations
from implicitdsl.semantics.infer import Inference
from implicitdsl.semantics.sets import require
from implicitdsl.semantics.values import brief
from implicitdsl.semantics.walk import Part, calls_of, children
from implicitdsl.syntax import tree


def check_places(inference: Inference, body: Body, found: Equations) -> None:
    """E407 for a place that is not given, E418 for a state without a place in a condition, and for one with a place
    elsewhere."""
    block = inference.block
    states = frozenset(s.name for s in block.symbols.values() if s.role == "state")
    conditions = [e for e, _ in found.shared]
    for equation in conditions:
        for call in calls_of((equation.left, equation.right), states):
            for place in call.arguments:
                if not isinstance(place, tree.Named | tree.Family):
                    require(inference, place, GIVEN, "a place")
        for name in _without_place((equation.left, equation.right), states):
            moving = sorted(n for n in block.base_names(name) if n in states or n == "t")
            if moving:
                what = "time" if moving[0] == "t" else "a function of time"
                block.report.add(
                    "E418",
                    f"`{name.id}` is {what}, and a condition is about fixed places",
                    name.span,
                    help=f"say where: `{moving[0]}(0)`" if moving[0] != "t" else "write the time itself",
                )
                break
    lets = [s.value for s in block.definition.body if isinstance(s, tree.Let)]
    returned = [] if body.result is None else list(body.result.values)
    rights = [e.right for e in found.own.values()]
    for call in calls_of((*lets, *rights, *returned), states):
        block.report.add(
            "E418",
            f"`{brief(call)}` stands outside the conditions",
            call.span,
            remark="a state is read at a place in the conditions of a `bvp` only",
            help=f"add a state that keeps the value: `state k = 0`, `dk/dt = 0`, `k(0) = {brief(call)}`",
        )
        return


def _without_place(expressions: tuple[tree.Expression, ...], states: frozenset[str]) -> list[tree.Name]:
    """The names in expressions outside the calls of states."""
    work: list[Part] = list(reversed(expressions))
    names: list[tree.Name] = []
    while work:
        node = work.pop()
        if isinstance(node, tree.Call) and isinstance(node.function, tree.Name) and node.function.id in states:
            continue
        if isinstance(node, tree.Name):
            names.append(node)
        work.extend(reversed(children(node)))
    return names
