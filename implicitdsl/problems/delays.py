"""Delays of an `ode`: dx/dt = f(t, x, z_1 … z_L, p), z_j(t) = x(t - lag_j(p)), x = history(t, p) before t0.

With lags that do not depend on time or states, z along a variation is x'(t - lag)·(-lag') + x'_p(t - lag): the lag is a
parameter like any other wherever x is differentiable there (J. Hale & S. Verduyn Lunel, Introduction to Functional
Differential Equations, 1993, section 2.5). `delays_adjoint.py` gives the derivatives of the computed map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from implicitdsl.ir import build
from implicitdsl.ir import derive as calculus
from implicitdsl.ir.node import Constant, Leaf, Node, walk
from implicitdsl.problems.derived import Derived, group


@dataclass(frozen=True, eq=False)
class Delays:
    """`lags`: scalars of the arguments. `past`: for each lag a leaf for every state, which stands for that state then.
    `history`: every state before the start, a function of time and arguments (zeros where no delay reads it)."""

    lags: tuple[Node, ...]
    past: tuple[tuple[Leaf, ...], ...]
    history: tuple[Node, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The past values, lag by lag."""
        return tuple(leaf for states in self.past for leaf in states)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What arguments may enter by, beside the right-hand side."""
        return (*self.lags, *self.history)


def past_leaf(state: Leaf, lag: int) -> Leaf:
    """The leaf for a state at a lag."""
    return Leaf("delayed", f"{state.name}.lag{lag + 1}", state.shape)


def lag_of(where: Node, time: Leaf) -> Node | None:
    """The lag of a read at `where`, t - lag, or None where it is not of that form with a constant lag."""
    leaves = [n for n in walk((where,)) if isinstance(n, Leaf)]
    if any(leaf.kind not in ("input", "param", "const", "time") for leaf in leaves):
        return None
    rate = calculus.pushforward((where,), {time: 1.0})[0]
    if not isinstance(rate, Constant) or float(rate.value) != 1.0:
        return None
    # Nodes are interned: `t - e` is known by its parts, and its lag is e as it was written.
    for part in where.args:
        if part.shape == () and build.sub(time, part) is where:
            return part
    return build.neg(calculus.substitute((where,), {time: 0.0})[0])


def delay_values(delays: Delays, time: Leaf, arguments: Sequence[Leaf]) -> tuple[Derived, Derived]:
    """`lags` (p) → out and `history` (t, p) → out."""
    given = group("p", arguments)
    return (
        Derived("lags", (given,), (group("out", delays.lags),)),
        Derived("history", (group("t", (time,)), given), (group("out", delays.history),)),
    )
