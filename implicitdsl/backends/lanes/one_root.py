"""`root` and `fixpoint` for one sample: what blocks of lanes leave open, by the solvers of one sample as machine code.

The part `one` of the code gives the functions of the model for one lane; the solvers are parts of their own. The
formulas are those of `backends/python/implicit_engine.py`: K = dF/dz at the answer w, o = g(w, p).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from implicitdsl.backends.engine import Array
from implicitdsl.backends.lanes.block_engine import Spec
from implicitdsl.backends.lanes.machine_code import MachineCode
from implicitdsl.backends.lanes.one_sample import call, model_table
from implicitdsl.solvers import status as codes

MODEL = {
    "start": 2, "residual": 3, "residual_jacobian": 3, "output": 3, "kinks": 3, "output_z": 4, "output_p": 4,
    "residual_p": 4, "residual_p_jvp": 4, "output_jvp": 5, "output_jvp_z": 7, "output_jvp_p": 6, "residual_jvp_z": 6,
    "residual_jvp_p": 6,
}  # fmt: skip
"""The functions of the model in the order of the table that the part `one` fills, and how many groups each has."""
SOLVERS = {
    "one_newton": ("newton.newton", "ffnapaarnii"),
    "one_picard": ("picard.picard", "ffnapaarnii"),
    "one_adjoint": ("implicit_adjoint.root_adjoint", "ffnapnnaai"),
    "one_tangent": ("implicit_adjoint.implicit_tangent", "nanaai"),
}
"""Part, solver, and its parameters as in `one_sample.py`."""


class OneRoot:
    """Solves and differentiates one sample, given all its arguments in one flat array."""

    model: Mapping[str, int] = MODEL
    solvers: Mapping[str, tuple[str, str]] = SOLVERS

    def __init__(self, spec: Spec, code: MachineCode) -> None:
        self.spec, self._code, self._dtype = spec, code, np.dtype(spec.dtype)
        self._n, self._out = spec.numbers["states"], spec.numbers["size_out"]
        self._kinks, self._max_steps = spec.numbers["size_kinks"], spec.data["max_steps"]
        self._tol = np.array([spec.data["rtol"]], self._dtype)
        addresses = np.zeros(len(self.model), np.int64)
        code.entry("one", ())(addresses.__array_interface__["data"][0])
        self._addresses = dict(zip(self.model, addresses.tolist(), strict=True))
        self._functions = {
            name: ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * self.model[name])(address)
            for name, address in self._addresses.items()
        }

    def _call(self, name: str, *arrays: Array) -> None:
        self._functions[name](*[a.__array_interface__["data"][0] for a in arrays])

    def _solve(self, part: str, *arguments: Any) -> int:
        return call(self._code.entry(part, ()), self.solvers[part][1], *arguments)

    def _zeros(self, size: int) -> Array:
        return np.zeros(size, self._dtype)

    def _table(self, p: Array) -> NDArray[np.int64]:
        return model_table(p, [self._addresses["residual"], self._addresses["residual_jacobian"]])

    # ------------------------------------------------------------ solve

    def find(self, p: Array) -> tuple[Array, Array, int, int, int]:
        """The answer, the outputs, status, notes and steps."""
        w, out, distances = self._zeros(self._n), self._zeros(self._out), np.ones(self._kinks, self._dtype)
        notes, steps = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._call("start", p, w)
        status = self.search(w, p, notes, steps)
        self._call("output", w, p, out)
        self._call("kinks", w, p, distances)
        told = int(notes[0])
        if status == codes.SUCCESS and not distances.all():
            told |= codes.KINK
        return w, out, status, told, int(steps[0])

    def search(self, w: Array, p: Array, notes: NDArray[np.int64], steps: NDArray[np.int64]) -> int:
        """Brings w from its start to the answer, and gives a status."""
        lower, upper = (np.array(self.spec.more[name], self._dtype) for name in ("lower", "upper"))
        solver = "one_picard" if self.spec.numbers["by_picard"] else "one_newton"
        return self._solve(
            solver, self._n, w, self._table(p), lower, upper, self._tol, self._max_steps, notes, steps
        )  # fmt: skip

    # ------------------------------------------------------------ derivatives

    def _adjoint(self, w: Array, p: Array, notes: int, g: Array) -> tuple[Array, int]:
        """λ with Kᵀ λ = -g, and a status."""
        lam, found = self._zeros(self._n), np.zeros(1, np.int64)
        return lam, self._solve("one_adjoint", self._n, w, self._table(p), notes, 1, g, lam, found)

    def _tangent(self, w: Array, p: Array, notes: int, r: Array) -> tuple[Array, int]:
        """x with K x = -r, and a status; refused where the adjoint is."""
        x, found = self._zeros(self._n), np.zeros(1, np.int64)
        if not r.any():
            return x, codes.SUCCESS
        if notes & codes.NEAR_SINGULAR:
            _, refused = self._adjoint(w, p, notes, r)
            if refused == codes.SINGULAR:
                return x, refused
        k = self._zeros(self._n * self._n)
        self._call("residual_jacobian", w, p, k)
        return x, self._solve("one_tangent", self._n, k, 1, -r, x, found)

    def pull(self, w: Array, p: Array, notes: int, cot: Array) -> tuple[Array, int]:
        """The flat gradient of <cot, outputs> and a status."""
        w_bar, p_bar = self._zeros(self._n), self._zeros(p.size)
        self._call("output_z", w, p, cot, w_bar)
        lam, status = self._adjoint(w, p, notes, w_bar)
        if status != codes.SUCCESS:
            p_bar[:] = np.nan
        else:
            self._call("output_p", w, p, cot, p_bar)
            self._call("residual_p", w, p, lam, p_bar)
        return p_bar, status

    def push(self, w: Array, p: Array, notes: int, v: Array) -> tuple[Array, Array, int]:
        """The tangents of the answer and of the outputs, and a status."""
        r, out = self._zeros(self._n), self._zeros(self._out)
        self._call("residual_p_jvp", w, p, v, r)
        moved, status = self._tangent(w, p, notes, r)
        self._call("output_jvp", w, p, moved, v, out)
        if status != codes.SUCCESS:
            out[:] = np.nan
        return moved, out, status

    def second(self, w: Array, p: Array, notes: int, cot: Array, v: Array) -> tuple[Array, int]:
        """The flat gradient of <cot, tangent of the outputs> and a status."""
        moved, _, status = self.push(w, p, notes, v)
        w_bar, moved_bar, p_bar = self._zeros(self._n), self._zeros(self._n), self._zeros(p.size)
        self._call("output_jvp_z", w, p, moved, v, cot, w_bar, moved_bar)
        mu, first = self._adjoint(w, p, notes, moved_bar)
        self._call("residual_jvp_z", w, p, moved, v, mu, w_bar)
        lam, then = self._adjoint(w, p, notes, w_bar)
        status = status or first or then
        if status != codes.SUCCESS:
            p_bar[:] = np.nan
        else:
            self._call("output_jvp_p", w, p, moved, v, cot, p_bar)
            self._call("residual_jvp_p", w, p, moved, v, mu, p_bar)
            self._call("residual_p", w, p, lam, p_bar)
        return p_bar, status
