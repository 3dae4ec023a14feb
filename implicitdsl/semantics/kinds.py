"""The kinds of layers: what each may say, in which form it states its condition, and why something does not belong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from implicitdsl.syntax import tree

Form = Literal["nothing", "derivative", "differential", "assignment", "residual", "objective"]
Phrase = Literal[
    "state", "var", "noise", "history", "from", "when", "minimize", "subject to", "solver", "at", "equation"
]


@dataclass(frozen=True)
class KindRules:
    """One kind. `form` is how its unknowns get their equations; `may` the statements that it knows beside the common
    ones (`param const let use return`); `interval` whether it needs `at` or `from`."""

    kind: tree.Kind
    condition: str
    form: Form
    may: frozenset[Phrase]
    interval: bool = False


def _may(*phrases: Phrase) -> frozenset[Phrase]:
    return frozenset(phrases)


_TIMED = _may("state", "from", "at", "solver", "equation")

KINDS: dict[tree.Kind, KindRules] = {
    rules.kind: rules
    for rules in (
        KindRules("net", "an explicit function: nothing is solved", "nothing", frozenset()),
        KindRules("ode", "dx/dt = f(x, t), x(t0) given", "derivative", _TIMED | _may("history", "when"), interval=True),
        KindRules(
            "dae",
            "dx/dt = f(x, z, t) and 0 = g(x, z, t)",
            "derivative",
            _TIMED | _may("var", "history", "when"),
            interval=True,
        ),
        KindRules("sde", "dx = f dt + g dW", "differential", _TIMED | _may("noise", "history", "when"), interval=True),
        KindRules("cde", "dx = F dX along a path X", "differential", _TIMED | _may("history", "when")),
        KindRules("bvp", "dx/dt = f(x, t) with conditions at both ends", "derivative", _TIMED),
        KindRules("fixpoint", "z = f(z)", "assignment", _may("var", "solver", "equation")),
        KindRules("root", "g(z) = 0", "residual", _may("var", "solver", "equation")),
        KindRules(
            "argmin",
            "z minimises f(z) within constraints",
            "objective",
            _may("var", "minimize", "subject to", "solver"),
        ),
    )
}

_HELP: dict[Phrase, str] = {
    "state": "unknowns of this kind are `var`",
    "var": "unknowns of this kind are `state`",
    "noise": "write it as an `sde`: `dx = f*dt + g*dW`",
    "minimize": "write it as an `argmin`",
    "subject to": "constraints belong to an `argmin`",
    "history": "delays belong to kinds in time",
    "from": "only kinds in time have an interval",
    "when": "events belong to kinds in time",
    "at": "return the value itself: `return z`",
    "solver": "there is nothing to solve: take the line away",
    "equation": "name an expression with `let`",
}


def advice(phrase: Phrase, kind: tree.Kind) -> str:
    """What to write instead of a statement that the kind does not know."""
    if phrase in ("state", "var") and kind == "net":
        return "a `net` has no unknowns: name the expression with `let`"
    if phrase == "equation" and kind == "argmin":
        return "put it into `subject to { … }`"
    return _HELP[phrase]


def homes(phrase: Phrase) -> str:
    """The kinds that know a statement, as a list for a sentence."""
    return ", ".join(f"`{r.kind}`" for r in KINDS.values() if phrase in r.may)
