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
from implicitdsl.backends.lanes.ode_methods import ode_method
from implicitdsl.backends.lanes.ode_solver import SIGNATURES, solver
from implicitdsl.backends.lanes.shared_groups import arranged, bars_arranged
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.node import walk
from implicitdsl.problems.derived import Derived, simplified
from implicitdsl.problems.ode import OdeProblem, used_arguments
from implicitdsl.solvers.step_control import PI_CONTROLLER
from implicitdsl.solvers.step_matrix import DENSE

STACK = 1 << 21
"""Bytes of the processor's stack that a solve may take; larger arrays come from the heap."""
LARGEST = 1 << 32
"""Bytes of working room that a block of samples may take."""
WRITTEN_OUT = 600
"""Nodes times stages up to which the loops over stages are written out."""
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "solve": ("rhs", "linearise", "begin", "at", "output"),
    "pull": (
        "rhs", "linearise", "begin", "at", "rhs_vjp", "linearise_vjp", "begin_vjp", "at_vjp", "output_vjp",
    ),
    "second": (
        "rhs", "linearise", "begin", "at", "rhs_tangent", "rhs_tangent_vjp", "linearise_tangent",
        "linearise_tangent_vjp", "begin_vjp", "begin_jvp", "begin_jvp_vjp", "at_vjp", "at_jvp", "at_jvp_vjp",
        "output_jvp", "output_jvp_vjp",
    ),
}  # fmt: skip
FUNCTIONS["thin"] = FUNCTIONS["pull"]
"""The functions of the model that a part calls, where the method has them."""


def too_large(problem: OdeProblem, settings: Settings) -> str | None:
    """Why the back end cannot hold this problem, or None."""
    n = sum(s.size for s in problem.states)
    needed = ode_method(settings.solver).block_bytes(n, 64)
    if needed <= LARGEST:
        return None
    return f"a vector of samples of {n} states would work in {needed / 1e9:.0f} GB on the back end `lanes`"


def build_ode(problem: OdeProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None) -> OdeEngine:
    """The engine of an `ode` problem."""
    signature = problem.signature
    leaves = signature.arguments
    functions = ode_method(settings.solver).functions(problem)
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
            "algebraic": problem.algebraic,
        },
        more={
            "room": ode_method(settings.solver).block_bytes(sum(s.size for s in problem.states), dtype.itemsize),
            "tape_bytes": settings.tape_bytes,
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
        spec, method = self._spec, ode_method(self._settings.solver)
        chosen = self._chosen(part)
        common = {self._leaves[i] for i in shared}
        nodes = len(list(walk(tuple(n for f in chosen if f.name.startswith("rhs") for n in f.nodes))))
        written_out = (nodes + spec.numbers["states"]) * method.stages <= WRITTEN_OUT
        far = method.block_bytes(spec.numbers["states"], 64) > STACK
        code = solver(part, self._settings.solver, spec.dtype, spec.width, written_out=written_out, far=far)
        given, every = arranged(chosen, common)
        given = [bars_arranged(f, like) for f, like in zip(given, chosen, strict=True)]
        model = emit_functions(given, spec.dtype, spec.width, shared=every, summed=every)  # type: ignore[arg-type] - one of two names
        modules = [code, model, self._constants(shared)]
        # The eight solves of a stiff step in one piece take twice as long to compile, and run no faster.
        return make_object(modules, [f"imp_{part}"], inline_all=written_out and not method.is_stiff)

    def _constants(self, shared: tuple[int, ...]) -> str:
        spec, settings, method = self._spec, self._settings, ode_method(self._settings.solver)
        dtype = np.dtype(spec.dtype)
        sizes = [int(np.prod(argument.shape, dtype=np.int64)) for argument in spec.arguments]
        p, q = (packing(spec.groups[g], sizes, shared) for g in ("p", "q"))
        numbers = {
            **spec.numbers, "size_p": p.size, "size_q": q.size, "size_bar": p.size, "own_bar": p.own_size,
        }  # fmt: skip
        tables = {f"tableau_{name}": table for name, table in method.tables(dtype).items()}
        still = spec.numbers["algebraic"]
        tables["mass"] = np.repeat(np.array([1.0, 0.0], dtype), [spec.numbers["states"] - still, still])
        tables["control"] = PI_CONTROLLER.array(method.tableau, dtype)
        reals = {"rtol": settings.rtol, "atol": settings.atol, "dt": settings.dt or 0.0}
        flat = {name: np.ravel(t) for name, t in tables.items()}
        return constants_text(spec.dtype, numbers, reals, flat, {"pattern": (DENSE,)})
