"""Delayed states `x(t - tau)` and their histories, as delays of the problem."""

from __future__ import annotations

from collections.abc import Sequence

from implicitdsl.ir import build
from implicitdsl.ir.derive import substitute
from implicitdsl.ir.node import Leaf, Node, walk
from implicitdsl.problems.delays import Delays, lag_of, past_leaf
from implicitdsl.semantics.elaborate import Body
from implicitdsl.semantics.program import PastRead, Program
from implicitdsl.semantics.size_scope import fail
from implicitdsl.syntax import tree


def delays_of(
    definition: tree.Definition, body: Body, program: Program, rhs: Sequence[Node], time: Leaf
) -> tuple[Delays | None, tuple[Node, ...]]:
    """The delays of an `ode` and its right-hand side in terms of them; None where it reads no past. Raises ImpError
    E603 for what no solver runs: a lag that changes with time or state, a past in a `dae`, in an event, an output."""
    reads = {read.leaf: read for read in program.reads}
    met = [reads[n] for n in walk(rhs) if isinstance(n, Leaf) and n in reads]
    _refuse(definition, body, reads)
    if not met:
        return None, tuple(rhs)
    states = [u.leaf for u in body.unknowns.values()]
    lags: list[Node] = []
    given: dict[Node, Node] = {}
    for read in met:
        lag = lag_of(read.where, time)
        if lag is None:
            raise fail(
                "E603",
                f"the delay of `{read.span.text}` is not constant",
                read.span,
                remark="a lag is an expression of inputs, params and consts, the same all through a run",
                help=f"`{read.state.name}(t - tau)`; a chain of stages approximates a delay that changes",
            )
        if lag not in lags:
            lags.append(lag)
        given[read.leaf] = past_leaf(read.state, lags.index(lag))
    past = tuple(tuple(past_leaf(state, j) for state in states) for j in range(len(lags)))
    history = tuple(body.histories.get(state.name, build.zeros(state.shape)) for state in states)
    return Delays(tuple(lags), past, history), substitute(rhs, given)


def refuse_events(body: Body, program: Program) -> None:
    """Raises E603: a run locates no events and jumps while it keeps its past."""
    span = program.reads[0].span
    raise fail(
        "E603",
        f"`{span.text}` stands beside {'a `when`' if body.events else 'a jump on the right-hand side'}",
        span,
        remark="a delayed solution with events is not executable yet",
        help="" if body.events else "`solver tsit5(kinks = none)` leaves the jump to the error estimate",
    )


def _refuse(definition: tree.Definition, body: Body, reads: dict[Leaf, PastRead]) -> None:
    if reads and definition.kind != "ode":
        span = next(iter(reads.values())).span
        raise fail("E603", f"`{span.text}`: a past in a `{definition.kind}` is not executable yet", span)
    starts = tuple(u.start for u in body.unknowns.values())
    events = tuple(node for h in body.events for node in (h.condition, *h.resets.values()))
    histories = tuple(body.histories.values())
    places = (("a start", starts), ("an event", events), ("an output", body.outputs), ("a history", histories))
    for place, nodes in places:
        for node in walk(nodes):
            if isinstance(node, Leaf) and node in reads:
                span = reads[node].span
                raise fail(
                    "E603",
                    f"`{span.text}` is read in {place}",
                    span,
                    remark="past values are read on right-hand sides",
                    help="ask for the state at the earlier times as well" if place == "an output" else "",
                )
