"""Smooth `argmin` without constraints on the back end `lanes`: its answer is a root of the gradient.

Derivatives are those of `RootEngine`. A block settles the samples that end in a clear minimum; others, and those whose
problem is not convex where convexity hangs on the data, go to the solver of one sample.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes import one_root
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.one_root import OneRoot
from implicitdsl.backends.lanes.one_sample import code_signature, model_table
from implicitdsl.backends.lanes.program_rest import are_convex
from implicitdsl.backends.lanes.root_engine import FACTS, OPEN, RootEngine
from implicitdsl.backends.lanes.root_engine import SIGNATURES as ROOT_SIGNATURES
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.block_minimise import room_of_minimise

ONE_SOLVERS = {
    **{part: one_root.SOLVERS[part] for part in ("one_adjoint", "one_tangent")},
    "one_minimise": ("minimise.minimise", "fffnaprnii"),
}
ONE_MODEL = {**one_root.MODEL, "objective": 3, "conditions": 2}
DERIVATIVES = ("adjoint", "gather", "push", "second_adjoint", "second_gather")
SIGNATURES = {
    "minimise": ROOT_SIGNATURES["newton"],
    **{part: ROOT_SIGNATURES[part] for part in DERIVATIVES},
    "one": "a",
    **{part: code_signature(signature) for part, (_, signature) in ONE_SOLVERS.items()},
}


class SmoothEngine(RootEngine):
    """z in argmin f(z, p)."""

    method = "minimise"

    def __init__(self, spec: Spec, code: MachineCode, threads: int | None = None) -> None:
        super().__init__(spec, code, threads)
        self._work = max(room_of_minimise(self._n), spec.numbers["size_kinks"])
        self.facts_size = FACTS + spec.numbers["size_conditions"]

    @cached_property
    def _one(self) -> OneRoot:
        return OneMinimum(self.spec, self.code)

    def became(self, facts: Array) -> NDArray[np.int64]:
        convex = are_convex(self.spec.more["conditions"], facts[:, FACTS:])
        return np.where(convex, super().became(facts), OPEN)


class OneMinimum(OneRoot):
    """One sample by `minimise`."""

    model, solvers = ONE_MODEL, ONE_SOLVERS

    def search(self, w: Array, p: Array, notes: NDArray[np.int64], steps: NDArray[np.int64]) -> int:
        found = self._zeros(self.spec.numbers["size_conditions"])
        self._call("conditions", p, found)
        if not are_convex(self.spec.more["conditions"], found[None])[0]:
            return codes.NONCONVEX
        functions = [self._addresses[name] for name in ("objective", "residual", "residual_jacobian")]
        table = model_table(p, functions)
        return self._solve("one_minimise", self._n, w, table, self._tol, self._max_steps, notes, steps)
