"""Records of the family E4xx, equations and unknowns."""

from __future__ import annotations

from implicitdsl.diagnostics.catalogue.record import Code


def _block(head: str, body: str) -> str:
    """A definition around some statements."""
    lines = "".join(f"  {line}\n" for line in body.split("\n"))
    return f"{head} {{\n{lines}}}\n"


def _net(body: str) -> str:
    return _block("net Layer[n](x[n]) -> [n]", body)


def _ode(body: str) -> str:
    return _block("ode Decay(x0, ts[T]) -> [T]", body + "\nreturn x at ts")


def _sde(body: str) -> str:
    return _block("sde Walk(x0, ts[T]) -> [T]", "noise W\nstate x = x0\n" + body + "\nreturn x at ts")


def _root(body: str) -> str:
    return _block("root Meet(a, b) -> [2]", body + "\nreturn [x, y]")


def _argmin(body: str) -> str:
    return _block("argmin Nearest[n](x[n]) -> [n]", "var z[n]\n" + body)


_DECAY = "state x = x0\ndx/dt = -x"
_NEAREST = "minimize normsq(z - x)\nreturn z"

CODES: tuple[Code, ...] = (
    Code(
        "E401",
        "A statement does not belong in this kind",
        "Every kind states its condition in its own way: `state` and `dX/dt =` in an `ode`, `var` in a "
        "`root`, `minimize` in an `argmin`. The message names the kinds that know the statement.",
        bad=_net("var z[n] = 0\nreturn x + z"),
        good=_net("let z = 2*x\nreturn x + z"),
    ),
    Code(
        "E402",
        "This is not a value",
        "A layer and a function are called, a path is read at a time, a noise is used through its "
        "differential; a value is not called, and derivatives are taken by a name.",
        bad=_net("return x(0)*x"),
        good=_net("return x[0]*x"),
    ),
    Code(
        "E403",
        "An unknown has no equation",
        "Every `state` needs its `dX/dt = …` (or `dX = …` in sde and cde), every `var` of a fixpoint its `z ="
        " …`, and a kind that solves for something declares what.",
        bad=_ode("state x = x0, y = 0\ndx/dt = -x + y"),
        good=_ode("state x = x0, y = 0\ndx/dt = -x + y\ndy/dt = -y"),
    ),
    Code(
        "E404",
        "An unknown has two equations",
        "A state or the var of a fixpoint has one equation; two terms are added in one.",
        bad=_ode("state x = x0\ndx/dt = -x\ndx/dt = 1"),
        good=_ode("state x = x0\ndx/dt = 1 - x"),
    ),
    Code(
        "E405",
        "This is not an unknown",
        "What stands alone on the left of an equation, behind `d` or left of `:=` is what is to be found. A "
        "name for an expression is given by `let`.",
        bad=_ode("state x = x0\nrate = 2*x\ndx/dt = -rate"),
        good=_ode("state x = x0\nlet rate = 2*x\ndx/dt = -rate"),
    ),
    Code(
        "E406",
        "Equations and unknowns are not equally many",
        "A root has as many scalar equations as unknown scalars, a dae as many algebraic equations as `var`, "
        "a bvp as many conditions as states. An equation counts as many scalars as its shape has.",
        bad=_root("var x, y\nx^2 + y^2 = a"),
        good=_root("var x, y\nx^2 + y^2 = a\nx - y = b"),
    ),
    Code(
        "E407",
        "A start or an interval depends on what is not known yet",
        "A param starts from numbers, sizes and consts; a state and a guess from what the layer is given; the"
        " interval of time and the times behind `at` from inputs and params.",
        bad=_ode("state x = x0\nstate y = x\ndx/dt = -y\ndy/dt = x"),
        good=_ode("state x = x0\nstate y = x0\ndx/dt = -y\ndy/dt = x"),
    ),
    Code(
        "E408",
        "Differentials enter linearly",
        "On the right of `dX = …` every term has one differential as a factor: `f*dt + g*dW`. An `ode` and a "
        "`dae` give `dX/dt` and have no differential on the right.",
        bad=_sde("dx = -x + dW"),
        good=_sde("dx = -x*dt + dW"),
    ),
    Code(
        "E409",
        "The left-hand side has another form",
        "`dX/dt` (ode, dae, bvp) or `dX` (sde, cde) stands alone on the left, and so does the var of a "
        "fixpoint. Equations of any form belong in a `root` or, in time, in a `dae`.",
        bad=_ode("state x = x0\n2*dx/dt = -x"),
        good=_ode("state x = x0\ndx/dt = -x/2"),
    ),
    Code(
        "E410",
        "There is no interval of time",
        "Without `from t = a to b` the interval is that of the times behind `at`; with neither nothing says "
        "where to stop.",
        bad=_block("ode Decay(x0) -> y", _DECAY + "\nreturn x"),
        good=_block("ode Decay(x0) -> y", _DECAY + "\nfrom t = 0 to 1\nreturn x"),
    ),
    Code(
        "E411",
        "An argmin has one objective",
        "One `minimize` or `maximize`; several goals are weighed and added, or are constraints.",
        bad=_argmin("minimize normsq(z)\n" + _NEAREST),
        good=_argmin("minimize normsq(z) + normsq(z - x)\nreturn z"),
    ),
    Code(
        "E412",
        "The outputs are not those declared",
        "A definition returns once, as many values as its signature declares. `[x, y]` is one vector, `x, y` "
        "are two values.",
        bad=_block("net Layer[n](x[n]) -> [n]", "return x, 2*x"),
        good=_block("net Layer[n](x[n]) -> ([n], [n])", "return x, 2*x"),
    ),
    Code(
        "E413",
        "The equations cannot determine an unknown",
        "There are as many equations as unknowns, and still some are about too few of them: however the "
        "numbers are chosen, one unknown stays free and one equation is in excess.",
        bad=_root("var x, y\nx^2 = a\nx^3 = b"),
        good=_root("var x, y\nx^2 = a\nx*y = b"),
    ),
    Code(
        "E414",
        "A condition is not a number",
        "Comparisons and `and`, `or`, `not` are true or false. They stand behind `if` and `when`, and "
        "arithmetic does not take them.",
        bad=_net("return x*(x > 0)"),
        good=_net("return x*heaviside(x)"),
    ),
    Code(
        "E415",
        "A delayed state and its history belong together",
        "`x(t - tau)` reads the state at another time, and `history x = …` gives its values before the start.",
        bad=_ode("state x = x0\ndx/dt = -x(t - 1)"),
        good=_ode("state x = x0\nhistory x = x0\ndx/dt = -x(t - 1)"),
    ),
    Code(
        "E416",
        "There is no constraint of this label",
        "`dual(label)` is the multiplier of the constraint that bears the label: `balance: A @ z = b`.",
        bad=_block(
            "argmin Price[n](x[n]) -> p",
            "var z[n]\n" + "minimize normsq(z - x)\nsubject to { budget: sum(z) = 1 }\nreturn dual(bugdet)",
        ),
        good=_block(
            "argmin Price[n](x[n]) -> p",
            "var z[n]\n" + "minimize normsq(z - x)\nsubject to { budget: sum(z) = 1 }\nreturn dual(budget)",
        ),
    ),
    Code(
        "E417",
        "This is said twice",
        "A definition has one `return`, one `from`, one `solver`, one `adjoint`, and one history a state.",
        bad=_ode(_DECAY + "\nfrom t = 0 to 1\nfrom t = 0 to 2"),
        good=_ode(_DECAY + "\nfrom t = 0 to 2"),
    ),
    Code(
        "E418",
        "The conditions of a bvp are about states at fixed places",
        "`u(0)` is the state at a place. The conditions are equations between such values and what is given; the "
        "differential equations and what is returned are about the states themselves, at every time.",
        bad=_block("bvp Rod(a) -> u", "state u = a*t, v = a\ndu/dt = v\ndv/dt = -u\nu(0) = 0\nv(1) = u\nreturn u"),
        good=_block("bvp Rod(a) -> u", "state u = a*t, v = a\ndu/dt = v\ndv/dt = -u\nu(0) = 0\nv(1) = a\nreturn u"),
    ),
)
