"""From a smooth `argmin` without constraints to its engine on lanes."""

from __future__ import annotations

from typing import Any

import numpy as np

from implicitdsl.backends.lanes.block_code import arguments_of, block_solver
from implicitdsl.backends.lanes.block_engine import WIDTH, Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.root_build import CALLS, PARTS, SOLVERS, RootCode, implicit_parts
from implicitdsl.backends.lanes.smooth_engine import ONE_MODEL, ONE_SOLVERS, SIGNATURES, SmoothEngine
from implicitdsl.backends.lanes.target import width_of
from implicitdsl.backends.settings import Settings
from implicitdsl.problems.argmin import ArgminProblem, derive

MINIMISING = (
    "start", "objective", "residual", "residual_jacobian", "residual_along", "output", "kinks", "conditions",
)  # fmt: skip
"""What the minimiser calls: without constraints the residual of the first-order conditions is the gradient."""
MODULES = (
    *(f"solvers/{name}" for name in ("block_cholesky", "block_judge", "block_minimise", "block_system", "pivoted_lu")),
    "backends/lanes/root_blocks",
)
"""All that the minimiser of a block is made of."""


def build_smooth(
    problem: ArgminProblem, settings: Settings, dtype: np.dtype[Any], threads: int | None = None
) -> SmoothEngine:
    """The engine of a smooth `argmin` without constraints."""
    functions = implicit_parts(derive(problem))
    leaves = problem.signature.arguments
    n = sum(u.size for u in problem.unknowns)
    spec = Spec(
        layer_name=problem.signature.layer,
        dtype=dtype.name,
        width=width_of(dtype.name, WIDTH),
        arguments=arguments_of(problem.signature),
        outputs=tuple(o.shape for o in problem.outputs),
        saved=(((n,), dtype.name), ((), "int64")),
        groups={"p": tuple(range(len(leaves)))},
        numbers={
            "states": n, "size_out": sum(o.size for o in problem.outputs),
            "size_kinks": functions["kinks"].outputs[0].size,
            "size_conditions": functions["conditions"].outputs[0].size,
        },
        data={"rtol": settings.rtol, "max_steps": settings.max_steps},
        more={

            "conditions": tuple((node.shape, requirement) for node, requirement in problem.conditions),
        },
    )  # fmt: skip
    derivatives = {part: calls for part, calls in CALLS.items() if part in SIGNATURES}
    maker = SmoothCode(
        spec, leaves, functions, blocks="root_blocks", signatures=SIGNATURES,
        calls={**derivatives, "minimise": MINIMISING, "one": tuple(ONE_MODEL)},
        parts=PARTS, modules=tuple(f"solvers/{name}" for name in SOLVERS),
    )  # fmt: skip
    return SmoothEngine(spec, MachineCode(SIGNATURES, maker.make, PARTS, data=spec.data), threads)


class SmoothCode(RootCode):
    """The minimiser for blocks and for one sample; all else is that of a root."""

    solvers = ONE_SOLVERS
    model = ONE_MODEL

    def solver_of(self, entry: str) -> bytes:
        if entry != "minimise":
            return super().solver_of(entry)
        spec = self.spec
        return block_solver(f"smooth_blocks.{entry}", SIGNATURES[entry], spec.dtype, spec.width, MODULES)
