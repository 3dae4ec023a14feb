"""How the solvers of an `ode` and the functions of a model are linked, part by part.

Where all of a solver is one function, as of explicit methods, and the model short, or where the states are few, the
functions of the model become part of the solver: beside such steps calls of them would take up to a third of the time,
and to finish a solver takes LLVM less than a tenth of a second. Every other solver calls them. It is made once for its
sizes, with its loops left as they are, and a model, or another equation in it, costs its own functions. Of up to
`MIDDLE` states that is felt, so a part that runs long takes code in one piece (`machine_code.py`). All forms compute
the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from implicitdsl.backends.lanes.apart import linking, may_lie_apart
from implicitdsl.backends.lanes.flatten import MIDDLE
from implicitdsl.backends.lanes.ode_methods import COSTATE, DELAYED, OdeMethod
from implicitdsl.backends.lanes.ode_solver import Part
from implicitdsl.backends.lanes.sized import FEW

STRAIGHT: tuple[Part, ...] = ("solve", "pull", "thin")
"""The parts whose steps are those of the method and nothing else."""
WRITTEN_OUT = 600
"""Nodes and states times stages up to which the loops over stages are written out."""
LONG = 2500
"""Instructions of a model (`length.py`), times the places where a solver calls it, beyond which it lies beside it."""
ITERATING, LINEAR = 156, 80
"""How many fewer for each entry of the matrix of a step: of methods that iterate on it, and of others that solve with
it. Written out, the solver itself takes as long as so many."""


@dataclass(frozen=True)
class Form:
    """How a part is linked."""

    written_out: bool
    """Whether the loops over stages are written out."""
    is_one: bool
    """Whether all of the solver becomes one function."""
    is_straight: bool
    """Whether nothing is to be moved out of loops within a step."""
    calls: bool
    """Whether the functions of the model stay functions, beside the solver."""
    is_open: bool
    """Whether the solver does not know the numbers of `open_numbers.py`."""
    has_whole: bool
    """Whether there is a second form, in one piece."""


def asks_length(part: Part, states: int) -> bool:
    """Whether the form of a part depends on the length of the model's functions."""
    return states <= FEW and part in STRAIGHT


def form_of(
    part: Part, method: OdeMethod, *, states: int, nodes: int, length: int, is_dear: bool, is_whole: bool
) -> Form:
    """The form of a part, for a right-hand side of so many nodes and instructions, which `is_dear` or not; `is_whole`
    asks for one piece."""
    # Two methods with tables of the same names meet in the costate of a stiff one, and tangents of stiff steps are so
    # much code that to write out its loops takes seconds.
    may_write_out = linking() == "whole" and not (part in (COSTATE, "second") and method.is_stiff)
    # In one piece the eight solves of a stiff step take twice as long to compile and run no faster; the reads of
    # the past in every stage take up to six times as long and run a tenth faster.
    may_be_one = not method.is_stiff and not method.events and DELAYED not in method.roles
    written_out = may_write_out and (nodes + states) * method.stages <= WRITTEN_OUT
    # A dear function lies beside the solver either way.
    is_short = is_dear or states <= FEW
    joins_one = written_out and is_short and part != "second"
    joins = (joins_one if may_be_one else _joins(part, method, states)) and not _is_long(part, method, states, length)
    joins = joins or is_whole
    calls = may_lie_apart() and not joins
    if calls:
        # Whatever the model calculates: a solver for its sizes. In these, loops cost next to nothing.
        written_out = may_write_out and states <= MIDDLE and not method.is_stiff and part != "second"
    is_one = may_be_one and written_out
    # The transpose of explicit steps reads what it keeps of all stages more than once.
    straight = (is_one and part != "pull") or (not is_one and part in STRAIGHT and method.is_straight)
    # Events and delays have more numbers that differ by the model.
    is_open = calls and not method.events and DELAYED not in method.roles
    is_felt = states <= MIDDLE and DELAYED not in method.roles
    has_whole = calls and is_felt and linking() == "whole"
    return Form(written_out, is_one, straight, calls, is_open, has_whole)


def _is_long(part: Part, method: OdeMethod, states: int, length: int) -> bool:
    """Whether LLVM would take more than a tenth of a second for a solver with the functions of the model inside."""
    # Beside the search for an event, calls take up to four times as long.
    if method.events:
        return False
    entry = 0 if not method.is_stiff else ITERATING if method.iterates else LINEAR
    # A solve calls them for its first step and its output too; Newton's method calls them in a loop.
    beside = 1.0 if part != "solve" else 1.5 if method.iterates else 2.0
    return length * method.stages * beside > LONG - entry * states**2


def _joins(part: Part, method: OdeMethod, states: int) -> bool:
    """Whether the functions of a model of few states become part of a solver of several functions."""
    is_few = states <= FEW and DELAYED not in method.roles
    return is_few and part in STRAIGHT and not (method.is_stiff and method.events)
