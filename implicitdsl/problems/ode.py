"""`ode`: dx/dt = f(t, x, p), x(t0) = x0(p), with values at t1 or at given times.

The pullback is the exact derivative of the computed map with accepted steps (discrete adjoint: Hager, Numer. Math. 87,
2000; Sandu, ICCS 2006); along (ẋ0, ṗ) the tangent obeys dẋ/dt = f_x ẋ + f_p ṗ, again an `ode`.
"""

from __future__ import annotations

from dataclasses import dataclass

from implicitdsl.ir import build
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.delays import Delays, delay_values
from implicitdsl.problems.derived import Derived, group, tangent, transpose
from implicitdsl.problems.events import Events, derive_events, derive_held
from implicitdsl.problems.signature import Signature


@dataclass(frozen=True, eq=False)
class OdeProblem:
    """`start`, `t0`, `t1`, `at` are functions of the arguments, `rhs` and `outputs` of time, states and arguments. t0
    and t1
    are None where the interval is that of the `at` times; `at` is None where the values at the end are returned.
    The last `algebraic` scalars of the states are those of a `dae` (`dae.py`), with 0 = f for them. With `delays` the
    right-hand side depends on their past values too."""

    signature: Signature
    time: Leaf
    states: tuple[Leaf, ...]
    start: tuple[Node, ...]
    rhs: tuple[Node, ...]
    t0: Node | None
    t1: Node | None
    at: Node | None
    outputs: tuple[Node, ...]
    events: Events | None = None
    algebraic: int = 0
    delays: Delays | None = None

    @property
    def mass(self) -> tuple[float, ...]:
        """The diagonal of M in M y' = f: 1 for the states, 0 for the algebraic unknowns that follow them."""
        n = sum(s.size for s in self.states)
        return (1.0,) * (n - self.algebraic) + (0.0,) * self.algebraic


def used_arguments(problem: OdeProblem) -> tuple[Leaf, ...]:
    """The arguments that anything but the save times depends on: what a flat `p` holds."""
    ends = [n for n in (problem.t0, problem.t1) if n is not None]
    inside = () if problem.events is None else problem.events.nodes
    before = () if problem.delays is None else problem.delays.nodes
    found = set(walk((*problem.start, *problem.rhs, *problem.outputs, *ends, *inside, *before)))
    return tuple(leaf for leaf in problem.signature.arguments if leaf in found)


def derive(problem: OdeProblem) -> dict[str, Derived]:
    """`rhs` (t, y, p) → out and its tangent, `rhs_tangent` (t, t_dot, y2, p2) → out2, each with its vjp; `output` (t,
    y, p) → out,
    `begin` (p) → y0, t0, t1 and `at` (q) → times, each with its vjp, jvp and the vjp of its jvp. t0 and t1 are 0 where
    the
    interval is that of the times."""
    arguments = used_arguments(problem)
    moving = (group("t", (problem.time,)), group("y", problem.states), group("p", arguments))
    zero = build.constant(0.0)
    begin = (
        group("y0", problem.start),
        group("t0", (zero if problem.t0 is None else problem.t0,)),
        group("t1", (zero if problem.t1 is None else problem.t1,)),
    )
    past = () if problem.delays is None else problem.delays.leaves
    seen = (moving[0], group("y", (*problem.states, *past)), moving[2])
    rhs = Derived("rhs", seen, (group("out", problem.rhs),))
    if problem.events is not None:
        held = group("pm", (*arguments, *problem.events.modes))
        rhs = Derived("rhs", (*moving[:2], held), (group("out", problem.events.rhs),))
    last = rhs.inputs[2].name
    rhs_tangent = doubled(rhs)
    pairs = ("t", "t_dot", "y2", f"{last}2")
    functions = [rhs, transpose(rhs, ("t", "y", last)), rhs_tangent, transpose(rhs_tangent, pairs)]
    if problem.events is not None:
        functions += derive_held(rhs, rhs_tangent)
        functions += derive_events(problem.events, problem.time, problem.states, arguments)
    values = [
        Derived("output", moving, (group("out", problem.outputs),)),
        Derived("begin", (group("p", arguments),), begin),
    ]
    if problem.delays is not None:
        values += delay_values(problem.delays, problem.time, arguments)
    if problem.at is not None:
        used = set(walk((problem.at,)))
        given = group("q", (leaf for leaf in problem.signature.arguments if leaf in used))
        values.append(Derived("at", (given,), (group("times", (problem.at,)),)))
    for value in values:
        along = tuple(g.name for g in value.inputs)
        value_jvp = tangent(value, along)
        pair = (*along, *(f"{name}_dot" for name in along))
        functions += [value, transpose(value, along), value_jvp, transpose(value_jvp, pair)]
    return {f.name: f for f in functions}


def doubled(rhs: Derived) -> Derived:
    """(t, t_dot, y2, p2) → out2: value and tangent together, each pair in one group."""
    slope = tangent(rhs, tuple(g.name for g in rhs.inputs))
    t, y, p, t_dot, y_dot, p_dot = slope.inputs
    pairs = (t, t_dot, group("y2", (*y.leaves, *y_dot.leaves)), group(f"{p.name}2", (*p.leaves, *p_dot.leaves)))
    return Derived("rhs_tangent", pairs, (group("out2", (*rhs.nodes, *slope.nodes)),))
