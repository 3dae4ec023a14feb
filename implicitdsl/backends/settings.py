"""Which method runs, with which tolerances: Python beats the file, the file beats the default.

A method is named with its options as in the file: `tsit5(rtol = 1e-8)`, `newton(max_steps = 50)`, `local()`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import DTypeLike, NDArray

from implicitdsl.diagnostics import Diagnostic, ImpError, Span
from implicitdsl.solvers.bdf import BDF
from implicitdsl.solvers.step_control import CONTROLLERS, PI_CONTROLLER, Orders

Choice = tuple[str, dict[str, float | str]]


@dataclass(frozen=True)
class Method:
    """What a solver or adjoint of the language is: for which kinds, what it can be told, and whether it runs today."""

    name: str
    kinds: tuple[str, ...]
    options: tuple[str, ...] = ()
    executable: bool = True
    fixed_step: bool = False
    about: str = ""


TIMED = ("ode", "dae")
IN_TIME = (*TIMED, "bvp")
STEPPED = ("dt", "max_steps", "kinks")
CHOSEN_STEPS = ("controller", "dt0", "min_step", "max_step")
TIME = ("rtol", "atol", *STEPPED, *CHOSEN_STEPS)
SHOOTING = ("segments", "method", "iterations")
IMPLICIT = (*TIME, "matrix")
WORDS = {"matrix": ("auto", "dense", "sparse")}
"""Options that are words, and the words they may be."""
ALGEBRAIC = ("rtol", "max_steps")

SOLVERS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("auto", ("ode",), IMPLICIT, about="`tsit5`, and `rodas5p` for a sample from where it is found stiff"),
        Method("tsit5", ("ode",), TIME, about="explicit Runge-Kutta of order 5 with error control (Tsitouras 2011)"),
        Method(
            "dopri5", ("ode",), TIME, about="explicit Runge-Kutta of order 5 with error control (Dormand & Prince 1980)"
        ),
        Method(
            "bosh3",
            ("ode",),
            TIME,
            about="explicit Runge-Kutta of order 3 with error control (Bogacki & Shampine 1989)",
        ),
        Method(
            "dop853",
            ("ode",),
            TIME,
            about="explicit Runge-Kutta of order 8 with error control, for tight tolerances (Dormand & Prince, Hairer)",
        ),
        Method(
            "prince9",
            ("ode",),
            TIME,
            about="explicit Runge-Kutta of order 9 with error control, for the tightest tolerances (Prince 2018)",
        ),
        Method(
            "rk4",
            ("ode",),
            ("rtol", "atol", *STEPPED),
            fixed_step=True,
            about="the classical Runge-Kutta method of order 4, fixed step",
        ),
        Method("heun", ("ode",), TIME, about="Heun's method of order 2 with error control"),
        Method("midpoint", ("ode",), TIME, about="the explicit midpoint rule of order 2 with error control"),
        Method("euler", ("ode",), ("rtol", "atol", *STEPPED), fixed_step=True, about="Euler's method, fixed step"),
        Method(
            "leapfrog",
            ("ode",),
            ("rtol", "atol", *STEPPED),
            fixed_step=True,
            about="symplectic, of order 2, for rates of positions by velocities and the reverse, fixed step (Verlet)",
        ),
        Method(
            "yoshida4",
            ("ode",),
            ("rtol", "atol", *STEPPED),
            fixed_step=True,
            about="symplectic, of order 4, for rates of positions by velocities and the reverse, fixed step (Yoshida)",
        ),
        Method(
            "rodas5p",
            TIMED,
            IMPLICIT,
            about="Rosenbrock-Wanner method of order 5 with error control, for stiff systems (Steinebach 2023)",
        ),
        Method(
            "kvaerno5",
            TIMED,
            IMPLICIT,
            about="implicit Runge-Kutta (ESDIRK) of order 5 with error control, for stiff systems (Kvaerno 2004)",
        ),
        Method(
            "bdf",
            TIMED,
            (*IMPLICIT, "order"),
            about="backward differentiation of variable order 1 to 5 and variable step, for stiff systems (Gear 1971)",
        ),
        Method(
            "shooting",
            ("bvp",),
            (*TIME, *SHOOTING),
            about="multiple shooting with a damped Newton method (Deuflhard 1974), the segments by an `ode` method",
        ),
        Method("newton", ("root", "fixpoint", "argmin"), ALGEBRAIC, about="Newton's method with a line search"),
        Method("picard", ("fixpoint",), ALGEBRAIC, about="z <- f(z), handed to Newton where it does not contract"),
        *(
            Method(name, ("fixpoint",), ALGEBRAIC, executable=False)
            for name in ("anderson", "broyden", "peaceman_rachford")
        ),
        *(Method(name, ("root",), ALGEBRAIC, executable=False) for name in ("bisection", "brent", "itp", "levenberg")),
        Method(
            "interior_point",
            ("argmin",),
            ALGEBRAIC,
            about="primal-dual interior point for linear and quadratic programs",
        ),
        Method(
            "local", ("argmin",), ALGEBRAIC, about="a local minimum from the start of the unknowns, by Newton's method"
        ),
    )
}

ADJOINTS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("discrete", TIMED, ("memory",), about="the exact derivative of the computed steps"),
        Method("implicit", ("bvp", "root", "fixpoint", "argmin"), about="the implicit function theorem at the answer"),
        Method(
            "backsolve",
            TIMED,
            about="the costate equation backwards in time, the solution running back beside it (to tolerance)",
        ),
        Method(
            "interpolated",
            TIMED,
            about="the costate equation backwards in time, on the polynomials of the forward steps (to tolerance)",
        ),
        Method("gauss", TIMED, about="as interpolated, with its integral by Gauss's rule (to tolerance)"),
        Method("forward", TIMED, about="a tangent of the computed steps for each number of inputs and params"),
        Method("auto", TIMED, ("memory",), about="discrete or forward, whichever counts fewer operations"),
        *(
            Method(name, ("root", "fixpoint", "argmin"), executable=False)
            for name in ("jfb", "phantom", "neumann", "shine", "unrolled", "smooth", "onesided")
        ),
    )
}

DEFAULT_SOLVER = {
    "net": "",
    "ode": "auto",
    "dae": "rodas5p",
    "bvp": "shooting",
    "root": "newton",
    "fixpoint": "picard",
    "argmin": "interior_point",
}
DEFAULT_ADJOINT = {
    "net": "",
    "ode": "discrete",
    "dae": "discrete",
    "bvp": "implicit",
    "root": "implicit",
    "fixpoint": "implicit",
    "argmin": "implicit",
}
TAPE_MEMORY = 100.0
"""The default of `adjoint discrete(memory = …)`, in MB (10^6 bytes)."""
_TOLERANCE = {
    ("ode", "float64"): (1e-6, 1e-9),
    ("ode", "float32"): (1e-4, 1e-6),
    ("dae", "float64"): (1e-6, 1e-9),
    ("dae", "float32"): (1e-4, 1e-6),
    ("bvp", "float64"): (1e-6, 1e-9),
    ("bvp", "float32"): (1e-4, 1e-6),
    ("argmin", "float64"): (1e-10, 0.0),
    ("argmin", "float32"): (1e-5, 0.0),
}


@dataclass(frozen=True)
class Settings:
    """A method with everything that it needs to run."""

    solver: str
    adjoint: str
    rtol: float
    atol: float
    dt: float | None
    max_steps: int
    options: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])
    adjoint_options: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])

    @property
    def tape_bytes(self) -> float:
        """Bytes that the tapes of one pullback may take before they are thinned."""
        return _number(self.adjoint_options.get("memory", TAPE_MEMORY)) * 1e6

    def control(self, method: Orders, dtype: DTypeLike) -> NDArray[Any]:
        """How a run by that method chooses its steps, as its step loop reads it."""
        rule = CONTROLLERS[str(self.options.get("controller", PI_CONTROLLER.name))]
        dt0, min_step, max_step = (float(self.options.get(name, 0.0)) for name in ("dt0", "min_step", "max_step"))
        return rule.array(method, dtype, dt0=dt0, min_step=min_step, max_step=max_step)


def matrix_choice(settings: Settings) -> str:
    """How a method of implicit steps is to hold its matrix: auto, dense or sparse."""
    return str(settings.options.get("matrix", "auto"))


def highest_order(settings: Settings) -> float | str:
    """The highest order that a method of variable order may take."""
    return settings.options.get("order", BDF.highest)


def resolve(
    *,
    kind: str,
    dtype: str,
    file_solver: Choice | None,
    file_adjoint: Choice | None,
    python_solver: Choice | None,
    python_adjoint: Choice | None,
    given: Mapping[str, Any],
    where: Span | None = None,
) -> Settings:
    """The settings of a layer; `given` holds the Python keywords rtol, atol, dt, max_steps (None: not given).

    Raises ImpError E610 for an unknown method or option, E611 for one that is not executable yet, E612 for a fixed-step
    method without `dt`."""
    _refuse_unheard(kind, python_solver, python_adjoint, given, where)
    adjoint, adjoint_options = python_adjoint or file_adjoint or (DEFAULT_ADJOINT[kind], {})
    # `auto` may turn out stiff, and then no solution runs backwards.
    default = "tsit5" if adjoint == "backsolve" and kind == "ode" else DEFAULT_SOLVER[kind]
    solver, options = python_solver or file_solver or (default, {})
    if kind == "net":
        return Settings("", "", 0.0, 0.0, None, 0)
    method = _method(SOLVERS, "solver", solver, kind, where)
    _refuse_options(method, options, where)
    _refuse_options(_method(ADJOINTS, "adjoint", adjoint, kind, where), adjoint_options, where)
    merged: dict[str, Any] = {**(file_solver[1] if file_solver and python_solver is None else {}), **options}
    merged |= {name: value for name, value in given.items() if value is not None}
    rtol, atol = _TOLERANCE.get((kind, dtype), (1e-12, 0.0) if dtype == "float64" else (1e-6, 0.0))
    dt = merged.get("dt")
    if method.fixed_step and dt is None:
        raise _error(
            "E612",
            f"`{solver}` takes steps of a fixed size",
            where,
            help="give it: dt = … (or choose tsit5, which finds its own)",
        )
    found = Settings(
        solver,
        adjoint,
        float(merged.get("rtol", rtol)),
        float(merged.get("atol", atol)),
        None if dt is None else float(dt),
        int(merged.get("max_steps", 100_000 if kind in IN_TIME else 200)),
        {k: v for k, v in merged.items() if k not in ("rtol", "atol", "dt", "max_steps")},
        adjoint_options,
    )
    if not found.tape_bytes > 0:
        raise _error("E610", "`memory` is a positive number of MB", where)
    if not (found.rtol >= 0 and found.atol >= 0 and found.rtol + found.atol > 0) or (
        found.dt is not None and not found.dt > 0
    ):
        raise _error("E610", "rtol, atol and dt are positive numbers", where)
    _check_steps(found, where)
    if highest_order(found) not in range(1, BDF.highest + 1):
        raise _error("E610", f"`order` is a whole number from 1 to {BDF.highest}", where)
    if kind == "bvp":
        _check_shooting(found, where)
    return found


def _check_steps(found: Settings, where: Span | None) -> None:
    """Raises E610 for options of the step length that contradict one another or could change nothing."""
    said = [name for name in CHOSEN_STEPS if name in found.options]
    if said and found.dt is not None:
        raise _error("E610", f"with `dt` the steps are given: `{said[0]}` has nothing to choose", where)
    rule = found.options.get("controller", PI_CONTROLLER.name)
    if rule not in CONTROLLERS:
        raise _error("E610", f"there is no controller `{rule}`", where, help=", ".join(CONTROLLERS))
    lengths = {name: found.options[name] for name in said if name != "controller"}
    for name, length in lengths.items():
        if not (isinstance(length, float) and 0 < length < math.inf):
            raise _error("E610", f"`{name}` is a positive number", where)
    ordered = [lengths[name] for name in ("min_step", "dt0", "max_step") if name in lengths]
    if ordered != sorted(ordered, key=float):
        raise _error("E610", "min_step, dt0 and max_step rise in this order", where)


def _check_shooting(settings: Settings, where: Span | None) -> None:
    """Raises E610 for options of `shooting` that are none, E611 and E612 for the method of its segments."""
    for name in ("segments", "iterations"):
        value = settings.options.get(name, 1)
        if isinstance(value, str) or value != int(value) or value < 1:
            raise _error("E610", f"`{name}` is a whole number, at least 1", where)
    inner = segment_settings(settings)
    if _method(SOLVERS, "solver", inner.solver, "ode", where).fixed_step and inner.dt is None:
        raise _error("E612", f"`{inner.solver}` takes steps of a fixed size", where, help="give it: dt = …")


def segment_settings(settings: Settings) -> Settings:
    """The settings with which `shooting` integrates its segments: the `method` named, the tolerances of the whole."""
    method = str(settings.options.get("method", "tsit5"))
    rest = {name: value for name, value in settings.options.items() if name not in SHOOTING}
    return replace(settings, solver=method, adjoint="discrete", options=rest)


def _refuse_unheard(
    kind: str, solver: Choice | None, adjoint: Choice | None, given: Mapping[str, Any], where: Span | None
) -> None:
    """Raises E610 for a keyword that could change nothing: left alone it would be taken for granted."""
    named = {**given, "solver": solver, "adjoint": adjoint}
    told = [name for name, value in named.items() if value is not None]
    if kind == "net" and told:
        raise _error(
            "E610",
            f"a `net` has no solver that `{told[0]}` could be for",
            where,
            help=f"a layer that it uses takes it in the text: `use f = Layer[sizes]({told[0]} = …)`",
        )
    if kind not in IN_TIME and "dt" in told:
        raise _error("E610", f"`dt` is the step of time, and `{kind}` has none", where)


def _refuse_options(method: Method, options: Mapping[str, float | str], where: Span | None) -> None:
    for name in options:
        if name not in method.options:
            known = f"its options: {', '.join(method.options)}" if method.options else "it has none"
            raise _error("E610", f"`{method.name}` has no option `{name}`", where, help=known)
        if name in WORDS and options[name] not in WORDS[name]:
            raise _error("E610", f"`{name}` is one of {', '.join(WORDS[name])}", where)


def _method(table: Mapping[str, Method], what: str, name: str, kind: str, where: Span | None) -> Method:
    method = table.get(name)
    running = [m.name for m in table.values() if kind in m.kinds and m.executable]
    if method is None:
        raise _error("E610", f"there is no {what} `{name}`", where, help=f"for `{kind}`: {', '.join(running)}")
    if kind not in method.kinds:
        raise _error(
            "E610", f"the {what} `{name}` is not for `{kind}`", where, help=f"for `{kind}`: {', '.join(running)}"
        )
    if not method.executable:
        raise _error(
            "E611", f"the {what} `{name}` is not executable yet", where, help=f"for `{kind}`: {', '.join(running)}"
        )
    return method


def _number(value: float | str) -> float:
    return value if isinstance(value, float | int) else math.nan


def _error(code: str, message: str, where: Span | None, *, help: str = "") -> ImpError:
    return ImpError([Diagnostic(code, message, where, help=help)])
