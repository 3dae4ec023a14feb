"""The events of an `ode` or a `dae` in formulas, for `explain FILE`."""

from __future__ import annotations

from implicitdsl.ir.node import Reshape
from implicitdsl.ir.text import equation_text
from implicitdsl.problems.ode import OdeProblem


def event_lines(problem: OdeProblem) -> list[str]:
    """The modes with their guards, the blocks, and how the adjoint goes through an event; nothing without events."""
    events = problem.events
    if events is None:
        return []
    lines = ["the modes, which change where a guard g changes its sign:"]
    for guard in events.switches.guards:
        node = guard.node.args[0] if isinstance(guard.node, Reshape) else guard.node
        text = " ".join(equation_text(node).split())
        meaning = f"is whether {text} {'>' if guard.strict else '>='} 0" if guard.step == 0 else f"keeps {text} >= 0"
        lines.append(f"  {events.modes[guard.mode].name} {meaning}")
    for number, block in enumerate(events.blocks, 1):
        condition = " ".join(equation_text(block.condition).split())
        lines.append(f"block {number}, when {condition} becomes true{', and the run stops' if block.stop else ''}:")
        for state, new in zip(problem.states, block.states, strict=True):
            if new is not state:
                lines.append(f"  {state.name} := {' '.join(equation_text(new).split())}")
    if problem.algebraic:
        lines.append("after each of these the algebraic unknowns are found anew from their equations")
    return [
        *lines,
        "the adjoint through an event, from after it (+) to before it (-), for a reset x+ = R(t, x-):",
        "  lambda- = R_x'*lambda+ + g_x*(lambda+'*(f+ - R_x*f- - R_t))/(g_t + g_x'*f-)",
    ]
