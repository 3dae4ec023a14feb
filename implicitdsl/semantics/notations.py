"""Left sides as other notations write them, and what they are in an equation in time."""

from __future__ import annotations

from collections.abc import Set

from implicitdsl.semantics.walk import Part
from implicitdsl.syntax import tree

SECOND_ORDER = "second order is two states: `dx/dt = v`, `dv/dt = …`"
OPERATORS = frozenset({"d", "D", "Dt", "ddt", "der", "diff", "deriv", "derivative", "Derivative", "Differential"})


def meant(left: tree.Expression, states: Set[str], form: str) -> str:
    """What to write for a left side that no equation in time has: `d(x)/dt`, `der(x)`, `xdot`, `dx[0]/dt`, `x(0)`.

    `form` is that of the kind, `derivative` or `differential`. Empty where the left side is no such notation.
    """
    match left:
        case tree.Name(id=name):
            return _mended(next((s for s in states if name in _spellings(s)), ""), form)
        case tree.Binary(operator="/", left=above, right=below):
            if isinstance(above, tree.Name) and above.id[:2] == "d2" and above.id[2:] in states:
                return SECOND_ORDER
            return meant(above, states, form) if _is_time(below) else ""
        case tree.Index(base=tree.Name(id=name)) if name[:1] == "d" and name[1:] in states:
            mended = f"d{name[1:]} = [ … ]*dt" if form == "differential" else f"d{name[1:]}/dt = [ … ]"
            return f"a vector has one equation for all its elements: `{mended}`"
        case tree.Call(function=tree.Name(id=name), arguments=[tree.Name(id=state), *_]) if (
            name in OPERATORS and state in states
        ):
            return _mended(state, form)
        case tree.Call(function=tree.Name(id=name)) if name in states:
            return f"a start stands at the state: `state {name} = …`"
        case _:
            return ""


def _mended(state: str, form: str) -> str:
    return "" if not state else f"write `d{state} = …*dt`" if form == "differential" else f"write `d{state}/dt = …`"


def _spellings(state: str) -> tuple[str, ...]:
    return (f"d{state}dt", f"d{state}_dt", f"{state}dot", f"{state}_dot", f"dot_{state}", f"D{state}", f"{state}_t")


def _is_time(below: Part) -> bool:
    match below:
        case tree.Name(id="dt"):
            return True
        case tree.Call(function=tree.Name(id="d"), arguments=[tree.Name(id="t")]):
            return True
        case _:
            return False
