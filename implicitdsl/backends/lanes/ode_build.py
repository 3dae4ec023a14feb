"""From an `ode` problem to its engine on lanes: sizes, derived functions, and how its machine code is made."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Shape
from implicitdsl.backends.lanes.block_code import arguments_of
from implicitdsl.backends.lanes.block_engine import WIDTH, Spec
from implicitdsl.backends.lanes.emit import emit_functions
from implicitdsl.backends.lanes.layout import packing
from implicitdsl.backends.lanes.link import make_object
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.model_constants import constants_text
from implicitdsl.backends.lanes.ode_engine import OdeEngine
from implicitdsl.backends.lanes.ode_solver import SIGNATURES, solver
from implicitdsl.backends.lanes.shared_groups import arranged
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.node import walk
from implicitdsl.problems.derived import Derived, simplified
from implicitdsl.problems.ode import OdeProblem, derive, used_arguments
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.tableau import TABLEAUS

STACK = 1 << 21
"""Bytes of the processor's stack that a solve may take."""
WRITTEN_OUT = 600
"""Nodes times stages up to which the loops over stages are written out."""
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "solve": ("rhs", "begin", "at", "output"),
    "pull": ("rhs", "begin", "at", "rhs_vjp", "begin_vjp", "at_vjp", "output_vjp"),
    "second": (
        "rhs", "begin", "at", "rhs_tangent", "rhs_tangent_vjp", "begin_vjp", "begin_jvp", "begin_jvp_vjp", "at_vjp",
        "at_jvp", "at_jvp_vjp", "output_jvp", "output_jvp_vjp",
    ),
}  # fmt: skip


def too_large(problem: OdeProblem, settings: Settings) -> str | None:
    """Why the back end cannot hold this problem, or None."""
    n = sum(s.size for s in problem.states)
    needed = 8 * (TABLEAUS[settings.solver].stages + 1) * n * 64
    return f"{n} states are more than fit the stack" if needed > STACK else None


def build_ode(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None) -> OdeEngine:
    """The engine of an `ode` problem."""
    signature = problem.signature
    leaves = signature.arguments
    functions = derive(problem)
    timing = functions["at"].inputs[0].leaves if problem.at is not None else ()
    place = {leaf: i for i, leaf in enumerate(leaves)}
    times = problem.at.shape[0] if problem.at is not None else 0
    outputs: tuple[Shape, ...] = tuple(
        (times, *o.shape) if problem.at is not None else o.shape for o in problem.outputs
    )
    spec = Spec(
        layer_name=signature.layer,
        dtype=dtype.name,
        width=WIDTH[dtype.name],
        arguments=arguments_of(signature),
        outputs=outputs,
        saved=(((), "int64"),),
        groups={
            "p": tuple(place[leaf] for leaf in used_arguments(problem)),
            "q": tuple(place[leaf] for leaf in timing),
        },
        numbers={
            "states": sum(s.size for s in problem.states), "save_times": times,
            "size_out": sum(o.size for o in problem.outputs), "has_times": int(problem.at is not None),
            "from_times": int(problem.t0 is None), "max_steps": settings.max_steps,
        },
    )  # fmt: skip
    maker = _Maker(spec, settings, leaves, functions)
    return OdeEngine(spec, MachineCode(SIGNATURES, maker.make), threads)


class _Maker:
    """Makes the object file of one part for one layout."""

    def __init__(self, spec: Spec, settings: Settings, leaves: tuple[Any, ...], functions: dict[str, Derived]) -> None:
        self._spec, self._settings, self._leaves, self._functions = spec, settings, leaves, functions
        self._simple: dict[str, Derived] = {}
        self._lock = threading.Lock()

    def _chosen(self, part: str) -> list[Derived]:
        with self._lock:
            for name in FUNCTIONS[part]:
                if name in self._functions and name not in self._simple:
                    self._simple[name] = simplified(self._functions[name])
            return [self._simple[name] for name in FUNCTIONS[part] if name in self._simple]

    def make(self, part: str, shared: tuple[int, ...]) -> bytes:
        spec, tableau = self._spec, TABLEAUS[self._settings.solver]
        chosen = self._chosen(part)
        common = {self._leaves[i] for i in shared}
        nodes = len(list(walk(tuple(n for f in chosen if f.name.startswith("rhs") for n in f.nodes))))
        written_out = (nodes + spec.numbers["states"]) * tableau.stages <= WRITTEN_OUT
        code = solver(part, self._settings.solver, spec.dtype, spec.width, written_out=written_out)
        chosen, every = arranged(chosen, common)
        model = emit_functions(chosen, spec.dtype, spec.width, shared=every)  # type: ignore[arg-type] - one of two names
        modules = [code, model, self._constants(shared)]
        return make_object(modules, [f"imp_{part}"], inline_all=written_out)

    def _constants(self, shared: tuple[int, ...]) -> str:
        spec, settings, tableau = self._spec, self._settings, TABLEAUS[self._settings.solver]
        a, c, error, dense = tableau.arrays(np.dtype(spec.dtype))
        sizes = [int(np.prod(argument.shape, dtype=np.int64)) for argument in spec.arguments]
        p, q, bar = (packing(spec.groups[g], sizes, s) for g, s in (("p", shared), ("q", shared), ("p", ())))
        numbers = {
            **spec.numbers, "size_p": p.size, "size_q": q.size, "size_bar": bar.size, "own_bar": bar.own_size,
        }  # fmt: skip
        tables = {
            "tableau_a": a, "tableau_c": c, "tableau_error": error, "tableau_dense": dense,
            "control": PI_CONTROLLER.array(tableau, np.dtype(spec.dtype)),
        }  # fmt: skip
        reals = {"rtol": settings.rtol, "atol": settings.atol, "dt": settings.dt or 0.0}
        return constants_text(spec.dtype, numbers, reals, {name: np.ravel(t) for name, t in tables.items()})
