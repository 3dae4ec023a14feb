"""`bvp`: du/dt = f(t, u, p) with as many conditions g(u(c_1), …, u(c_k), p) = 0 as scalar states, at any places c.

Multiple shooting (H. B. Keller, Numerical Methods for Two-Point Boundary-Value Problems, 1968, section 2.4; J. Stoer &
R. Bulirsch, Introduction to Numerical Analysis, section 7.3.5): the interval is divided into segments, the states s_i
at the nodes are unknowns, and with the flow Φ(s, a, b, p), the state at b of the solution that is s at a,

    Φ(s_i, t_i, t_{i+1}, p) - s_{i+1} = 0,    g(Φ(s_k, t_k, c_1, p), …, p) = 0.

So a `bvp` is made of an `ode`, the flow, and of explicit functions, each a problem of its own that a back end solves
and differentiates. Its derivatives are those of the implicit function theorem for this system.

The interval contains every place c, the interval of `from`, or else the first and the last of the `at` times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems import net, ode
from implicitdsl.problems.derived import Derived
from implicitdsl.problems.events import Events
from implicitdsl.problems.implicit import flat
from implicitdsl.problems.net import NetProblem
from implicitdsl.problems.ode import OdeProblem
from implicitdsl.problems.signature import Given, Signature

START, FROM, UNTIL, NOW, STATES, VALUES = "leg.start", "leg.from", "leg.until", "leg.time", "leg.states", "leg.values"
"""Inputs that the parts have beside those of the layer; a dot keeps them apart from names of the language."""


@dataclass(frozen=True, eq=False)
class BvpProblem:
    """`guess` is a function of time and arguments, `rhs` and `outputs` of time, states and arguments. `places` are
    functions of the arguments; `values[k]` are the leaves that stand for the states at place k in `conditions`.
    `horizon` is None where nothing is said with `from`, `at` where the values at the end are returned."""

    signature: Signature
    time: Leaf
    states: tuple[Leaf, ...]
    guess: tuple[Node, ...]
    rhs: tuple[Node, ...]
    places: tuple[Node, ...]
    values: tuple[tuple[Leaf, ...], ...]
    conditions: tuple[Node, ...]
    horizon: tuple[Node, Node] | None
    at: Node | None
    outputs: tuple[Node, ...]
    events: Events | None = None

    @property
    def size(self) -> int:
        """The number of scalar states."""
        return sum(s.size for s in self.states)


def flow(problem: BvpProblem) -> OdeProblem:
    """The `ode` from the state START at time FROM to time UNTIL; its output is the state there, flat."""
    start, begin, end = Leaf("input", START, (problem.size,)), Leaf("input", FROM, ()), Leaf("input", UNTIL, ())
    events = () if problem.events is None else problem.events.nodes
    signature = _restricted(problem.signature, (start, begin, end), (*problem.rhs, *events))
    first = _apart(start, problem.states)
    return OdeProblem(
        signature, problem.time, problem.states, first, problem.rhs, begin, end, None, (flat(problem.states),),
        problem.events,
    )  # fmt: skip


def guess(problem: BvpProblem) -> NetProblem:
    """The guess of the flat state at time NOW."""
    now = Leaf("input", NOW, ())
    return _explicit(problem, (now,), calculus.substitute((flat(problem.guess),), {problem.time: now}))


def reading(problem: BvpProblem) -> NetProblem:
    """The outputs at time NOW for the flat state STATES."""
    now, states = Leaf("input", NOW, ()), Leaf("input", STATES, (problem.size,))
    given: dict[Node, Node] = {problem.time: now}
    given |= dict(zip(problem.states, _apart(states, problem.states), strict=True))
    return _explicit(problem, (now, states), calculus.substitute(problem.outputs, given))


def conditions(problem: BvpProblem) -> NetProblem:
    """The flat residual of the conditions for the states VALUES at the places, one row a place."""
    values, residual = _residual(problem)
    return _explicit(problem, (values,), (residual,))


def conditions_jacobian(problem: BvpProblem) -> NetProblem:
    """`conditions`, and its derivatives by VALUES: scalar conditions by places by states."""
    values, residual = _residual(problem)
    return _explicit(problem, (values,), (residual, calculus.jacobian(residual, values)))


def instants(problem: BvpProblem) -> NetProblem:
    """Times as functions of the arguments: `mesh`, the two ends of the segments; `within`, between which `at` times
    must lie; the places; and the times at which outputs are read."""
    at = None if problem.at is None or problem.at.size == 0 else problem.at
    told = problem.horizon
    if told is None and at is not None:
        told = (build.index(at, 0), build.index(at, at.shape[0] - 1))
    ends = [*problem.places, *(told or ())]
    low, high = _extreme("minimum", ends), _extreme("maximum", ends)
    within = [_extreme(kind, list(told or ends)) for kind in ("minimum", "maximum")]
    if problem.horizon is None:
        within = [low, high]
    read = problem.at
    if read is None:
        read = build.stack([high if problem.horizon is None else problem.horizon[1]])
    return _explicit(
        problem, (), (build.stack([low, high]), build.stack(within), build.stack(list(problem.places)), read)
    )


def derive(problem: BvpProblem) -> dict[str, Derived]:
    """Everything that the parts may call, with the name of the part in front."""
    parts = {
        "instants": instants, "guess": guess, "conditions": conditions, "conditions_jacobian": conditions_jacobian,
        "reading": reading,
    }  # fmt: skip
    found = {f"flow_{name}": f for name, f in ode.derive(flow(problem)).items()}
    for part, make in parts.items():
        found |= {name.replace("output", part, 1): f for name, f in net.derive(make(problem)).items()}
    return {name: replace(f, name=name) for name, f in found.items()}


def _residual(problem: BvpProblem) -> tuple[Leaf, Node]:
    values = Leaf("input", VALUES, (len(problem.places), problem.size))
    given: dict[Node, Node] = {}
    for k, leaves in enumerate(problem.values):
        row = build.index(values, k)
        given |= dict(zip(leaves, _apart(row, leaves), strict=True))
    return values, calculus.substitute((flat(problem.conditions),), given)[0]


def _apart(whole: Node, leaves: Sequence[Leaf]) -> tuple[Node, ...]:
    """A flat vector as nodes of the shapes of the leaves."""
    found: list[Node] = []
    start = 0
    for leaf in leaves:
        found.append(build.reshape(build.pick(whole, [(start, start + leaf.size)]), leaf.shape))
        start += leaf.size
    return tuple(found)


def _extreme(kind: str, nodes: Sequence[Node]) -> Node:
    found = nodes[0]
    for node in nodes[1:]:
        found = build.apply(kind, found, node)
    return found


def _explicit(problem: BvpProblem, inputs: tuple[Leaf, ...], outputs: tuple[Node, ...]) -> NetProblem:
    return NetProblem(_restricted(problem.signature, inputs, outputs), outputs)


def _restricted(signature: Signature, inputs: tuple[Leaf, ...], nodes: Sequence[Node]) -> Signature:
    """The inputs given, and the arguments that the nodes depend on."""
    found = set(walk(tuple(nodes)))
    return Signature(
        signature.layer,
        (*(Given(leaf) for leaf in inputs), *(g for g in signature.inputs if g.leaf in found)),
        tuple(p for p in signature.params if p.leaf in found),
        tuple(p for p in signature.consts if p.leaf in found),
    )
