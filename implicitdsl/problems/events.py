"""Events of an `ode`: where its right-hand side changes its formula, and where its state jumps.

Between events dx/dt = f(t, x, m, p) with the modes m held (`switches.py`). An event is at the first time tau at which a
guard g(tau, x, m, p) changes sign; there modes change, and conditions that became true reset the state by their blocks,
x⁺ = R(tau, x⁻, p). With tau' = -(g_x x' + g_p p')/(g_t + g_x f⁻) the derivative of the state across an event is
R_x x' + R_p p' + (R_x f⁻ + R_t - f⁺) tau', the saltation matrix applied to x' (M. A. Aizerman & F. R. Gantmakher, 1958;
P. C. Müller, Chaos, Solitons & Fractals 5 (1995) 1671–1681); the solvers give it for the computed map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.ir.sparsity import pattern
from implicitdsl.problems.derived import Derived, Group, group, tangent, transpose
from implicitdsl.problems.switches import Switches


@dataclass(frozen=True, eq=False)
class Block:
    """A `when`: its condition as a function of time, states, arguments and modes, the new states, whether it stops, and
    which elements of each state it assigns (1, else 0)."""

    condition: Node
    states: tuple[Node, ...]
    stop: bool
    assigned: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Events:
    """`rhs` is the right-hand side with the modes of `switches`; `blocks` are in the order of the text."""

    rhs: tuple[Node, ...]
    switches: Switches
    blocks: tuple[Block, ...]

    @property
    def modes(self) -> tuple[Leaf, ...]:
        return tuple(self.switches.modes)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Everything that arguments may enter by."""
        inside = (node for block in self.blocks for node in (block.condition, *block.states))
        return (*self.rhs, *self.switches.values, *(g.node for g in self.switches.guards), *inside)


@dataclass(frozen=True, eq=False)
class EventTables:
    """What the solvers read of each scalar guard: the place of its mode among the flat modes, `step`, `strict`; and of
    each mode whether the right-hand side depends on it (`steers`), of each block whether it stops, and for each block
    and guard whether the guard reads what the block assigns (`touches`, blocks*guards)."""

    places: np.ndarray
    steps: np.ndarray
    strict: np.ndarray
    steers: np.ndarray
    stops: np.ndarray
    touches: np.ndarray


def tables(events: Events, states: Sequence[Leaf]) -> EventTables:
    """The tables of a problem's events."""
    starts = np.cumsum([0, *(m.size for m in events.modes)])
    places: list[int] = []
    steps: list[int] = []
    strict: list[bool] = []
    for guard in events.switches.guards:
        first = int(starts[guard.mode])
        places += range(first, first + guard.node.size)
        steps += [guard.step] * guard.node.size
        strict += [guard.strict] * guard.node.size
    reached = set(walk(events.rhs))
    steers = [m in reached for m in events.modes for _ in range(m.size)]
    stops = [block.stop for block in events.blocks]
    touches = [_reads(guard.node, states, block) for block in events.blocks for guard in events.switches.guards]
    flat = np.concatenate([*touches, np.zeros(0, bool)])
    return EventTables(*(np.array(x, np.int64) for x in (places, steps, strict, steers, stops, flat)))


def _reads(guard: Node, states: Sequence[Leaf], block: Block) -> np.ndarray:
    found = np.zeros(guard.size, bool)
    for state, assigned in zip(states, block.assigned, strict=True):
        found |= (pattern(guard, state) & (assigned.reshape(1, -1) > 0)).any(axis=1)
    return found


def derive_events(events: Events, time: Leaf, states: Sequence[Leaf], arguments: Sequence[Leaf]) -> tuple[Derived, ...]:
    """`guards`, `modes`, `conditions` (t, y, pm) → out, pm being the arguments and the flat modes; `guards_rate`, the
    tangent of the guards along (t_dot, y_dot); `guards_vjp`, with everything of them that second order needs, and by
    time and state alone where the name ends in `_y`; `reset` (t, y, p, fire) → out, where fire is 1 at the block that
    fires and 0 elsewhere, and its derivatives."""
    switches = events.switches
    full = (group("t", (time,)), group("y", states), group("pm", (*arguments, *events.modes)))
    guards = Derived("guards", full, (group("out", (g.node for g in switches.guards)),))
    slope = tangent(guards, ("t", "y", "pm"))
    functions = [
        guards,
        _named("guards_rate", tangent(guards, ("t", "y"))),
        transpose(guards, ("t", "y", "pm")),
        _named("guards_vjp_y", transpose(guards, ("t", "y"))),
        slope,
        transpose(slope, ("t", "y", "pm", "t_dot", "y_dot", "pm_dot")),
        _named("guards_jvp_vjp_y", transpose(slope, ("t", "y", "t_dot", "y_dot"))),
        Derived("modes", full, (group("out", switches.values),)),
        Derived("conditions", full, (group("out", (b.condition for b in events.blocks)),)),
    ]
    return (*functions, *_resets(events, time, states, arguments))


def derive_held(rhs: Derived, rhs_tangent: Derived) -> tuple[Derived, ...]:
    """The derivatives of the right-hand side and of its tangent by time and state alone: `rhs_vjp_y`, `rhs_tangent_y`
    (t, t_dot, y2, pm) → out2, `rhs_tangent_vjp_y`."""
    t, y, pm = rhs.inputs
    slope = tangent(rhs, ("t", "y"))
    _, _, _, t_dot, y_dot = slope.inputs
    inputs = (t, t_dot, group("y2", (*y.leaves, *y_dot.leaves)), pm)
    return (
        _named("rhs_vjp_y", transpose(rhs, ("t", "y"))),
        Derived("rhs_tangent_y", inputs, (group("out2", (*rhs.nodes, *slope.nodes)),)),
        _named("rhs_tangent_vjp_y", transpose(rhs_tangent, ("t", "t_dot", "y2"))),
    )


def _named(name: str, function: Derived) -> Derived:
    return Derived(name, function.inputs, function.outputs, function.adds)


def _resets(events: Events, time: Leaf, states: Sequence[Leaf], arguments: Sequence[Leaf]) -> tuple[Derived, ...]:
    """Each block is differentiated alone and chosen afterwards, so that a block that does not fire adds an exact 0 even
    where its own derivative is no number."""
    fire = tuple(Leaf("input", f"fire.{k}") for k in range(len(events.blocks)))
    given = (group("t", (time,)), group("y", states), group("p", arguments))
    chosen = group("fire", fire)
    alone = [Derived("reset", given, (group("out", block.states),)) for block in events.blocks]
    along = ("t", "y", "p")
    pair = (*along, *(f"{name}_dot" for name in along))
    slopes = [tangent(f, along) for f in alone]
    kinds = [alone, [transpose(f, along) for f in alone], slopes, [transpose(f, pair) for f in slopes]]
    return tuple(_chosen(versions, chosen, fire) for versions in kinds) if events.blocks else ()


def _chosen(versions: Sequence[Derived], chosen: Group, fire: Sequence[Leaf]) -> Derived:
    """The version of the block that fires; where none does, the values are 0 and nothing is added."""
    first = versions[0]
    outputs: list[Group] = []
    for i, out in enumerate(first.outputs):
        members: list[Node | None] = []
        for j in range(len(out.members)):
            found: Node | None = None
            for version, fires in zip(versions, fire, strict=True):
                node = version.outputs[i].members[j]
                if node is not None:
                    found = build.select(fires, node, build.zeros(node.shape) if found is None else found)
            members.append(found)
        outputs.append(Group(out.name, tuple(members), out.sizes))
    inputs = (*first.inputs[:3], chosen, *first.inputs[3:])
    return Derived(first.name, inputs, tuple(outputs), first.adds)
