"""`root` and `fixpoint` on the back end `python`, and the implicit derivatives that `argmin` shares.

Notation of `problems/implicit.py`: K = ∂F/∂z at the answer, o = g(z, p).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from implicitdsl.backends.engine import Array, Shape
from implicitdsl.backends.python.sample_engine import Answer, SampleEngine, split
from implicitdsl.backends.settings import Settings
from implicitdsl.ir.node import Node
from implicitdsl.kernels.flat import flat_function
from implicitdsl.problems import fixpoint, root
from implicitdsl.problems.derived import Derived, simplified
from implicitdsl.problems.fixpoint import FixpointProblem
from implicitdsl.problems.root import RootProblem
from implicitdsl.problems.signature import Signature
from implicitdsl.solvers import status as codes
from implicitdsl.solvers.implicit_adjoint import implicit_tangent, root_adjoint
from implicitdsl.solvers.newton import newton
from implicitdsl.solvers.picard import picard


class ImplicitEngine(SampleEngine):
    """An answer w with 0 = F(w, p), and its derivatives; a subclass finds the answer."""

    def __init__(
        self,
        signature: Signature,
        functions: Mapping[str, Derived],
        outputs: Sequence[Node],
        unknowns: int,
        extra: tuple[Shape, ...],
        dtype: np.dtype[Any],
    ) -> None:
        saved = (((unknowns,), dtype), ((), np.dtype(np.int64)), *((shape, dtype) for shape in extra))
        super().__init__(signature, tuple(o.shape for o in outputs), saved, dtype)
        self._functions = {name: flat_function(simplified(f)) for name, f in functions.items()}
        self._n = unknowns
        self._kinks = functions["kinks"].outputs[0].size
        self._out_size = sum(o.size for o in outputs)

    def arguments_of(self, values: Sequence[Array], saved: Sequence[Array]) -> Array:
        """The flat p of the implicit system."""
        return self.pack(values, self._leaves)

    @abstractmethod
    def find(self, p: Array) -> tuple[Array, int, int, int, list[Array]]:
        """The answer w, status, notes, steps and what else is saved."""

    def solve_sample(self, values: Sequence[Array]) -> Answer:
        p = self.pack(values, self._leaves)
        w, status, notes, steps, extra = self.find(p)
        out = np.zeros(self._out_size, self._dtype)
        full = self.arguments_of(values, [w, np.asarray(notes), *extra])
        self._functions["output"](w, full, out)
        distances = np.ones(self._kinks, self._dtype)
        self._functions["kinks"](w, full, distances)
        if status == codes.SUCCESS and not distances.all():
            notes |= codes.KINK
        return Answer(split(out, self._outputs), [w, np.asarray(notes), *extra], status, notes, steps)

    # ------------------------------------------------------------ derivatives

    def adjoint(self, w: Array, p: Array, notes: int, g: Array) -> tuple[Array, int]:
        """λ with Kᵀ λ = -g, and a status."""
        lam, found = np.zeros(self._n, self._dtype), np.zeros(1, np.int64)
        f = self._functions
        status = root_adjoint(f["residual"], f["residual_jacobian"], self._n, w, p, notes, 1, g, lam, found)
        return lam, int(status)

    def tangent(self, w: Array, p: Array, notes: int, r: Array) -> tuple[Array, int]:
        """x with K x = -r, and a status: the same system turned round, so it is refused where the adjoint is."""
        x, found = np.zeros(self._n, self._dtype), np.zeros(1, np.int64)
        if not r.any():
            return x, codes.SUCCESS
        _, refused = self.adjoint(w, p, notes, r) if notes & codes.NEAR_SINGULAR else (x, codes.SUCCESS)
        if refused == codes.SINGULAR:
            return x, refused
        status = implicit_tangent(self._n, self.jacobian(w, p), 1, -r, x, found)
        return x, int(status)

    def jacobian(self, w: Array, p: Array) -> Array:
        """K, row-major."""
        k = np.zeros(self._n * self._n, self._dtype)
        self._functions["residual_jacobian"](w, p, k)
        return k

    def pull_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array
    ) -> tuple[list[Array | None], int]:
        w, notes, p = saved[0], int(saved[1]), self.arguments_of(values, saved)
        w_bar, p_bar = np.zeros(self._n, self._dtype), np.zeros(p.size, self._dtype)
        self._functions["output_vjp"](w, p, cotangent, w_bar, p_bar)
        lam, status = self.adjoint(w, p, notes, w_bar)
        if status != codes.SUCCESS:
            p_bar[:] = np.nan
        else:
            self._functions["residual_vjp"](w, p, lam, np.zeros(self._n, self._dtype), p_bar)
        return self.unpack(p_bar, self._leaves), status

    def push_sample(
        self, values: Sequence[Array], saved: Sequence[Array], tangents: Sequence[Array]
    ) -> tuple[Array, int]:
        w, notes, p = saved[0], int(saved[1]), self.arguments_of(values, saved)
        _, out, status = self._push(w, notes, p, self._direction(tangents, p))
        return out, status

    def _direction(self, directions: Sequence[Array], p: Array) -> Array:
        v = np.zeros(p.size, self._dtype)
        given = self.pack(directions, self._leaves)
        v[: given.size] = given
        return v

    def _push(self, w: Array, notes: int, p: Array, v: Array) -> tuple[Array, Array, int]:
        r, out = np.zeros(self._n, self._dtype), np.zeros(self._out_size, self._dtype)
        self._functions["residual_jvp"](w, p, np.zeros(self._n, self._dtype), v, r)
        w_dot, status = self.tangent(w, p, notes, r)
        self._functions["output_jvp"](w, p, w_dot, v, out)
        if status != codes.SUCCESS:
            out[:] = np.nan
        return w_dot, out, status

    def second_sample(
        self, values: Sequence[Array], saved: Sequence[Array], cotangent: Array, directions: Sequence[Array]
    ) -> tuple[Array, list[Array | None], int]:
        w, notes, p = saved[0], int(saved[1]), self.arguments_of(values, saved)
        v = self._direction(directions, p)
        w_dot, out, status = self._push(w, notes, p, v)

        def zeros(size: int) -> Array:
            return np.zeros(size, self._dtype)

        w_bar, p_bar, w_dot_bar = zeros(self._n), zeros(p.size), zeros(self._n)
        self._functions["output_jvp_vjp"](w, p, w_dot, v, cotangent, w_bar, p_bar, w_dot_bar, zeros(p.size))
        mu, first = self.adjoint(w, p, notes, w_dot_bar)
        self._functions["residual_jvp_vjp"](w, p, w_dot, v, mu, w_bar, p_bar, zeros(self._n), zeros(p.size))
        lam, then = self.adjoint(w, p, notes, w_bar)
        self._functions["residual_vjp"](w, p, lam, zeros(self._n), p_bar)
        status = status or first or then
        if status != codes.SUCCESS:
            p_bar[:] = np.nan
        return out, self.unpack(p_bar, self._leaves), status


class RootEngine(ImplicitEngine):
    """`root` by Newton's method, `fixpoint` by Picard and Newton."""

    def __init__(self, problem: RootProblem | FixpointProblem, settings: Settings, dtype: np.dtype[Any]) -> None:
        functions = root.derive(problem) if isinstance(problem, RootProblem) else fixpoint.derive(problem)
        size = sum(u.size for u in problem.unknowns)
        super().__init__(problem.signature, functions, problem.outputs, size, (), dtype)
        self._settings = settings
        self._lower, self._upper = problem.lower.astype(dtype), problem.upper.astype(dtype)
        self._method = picard if settings.solver == "picard" else newton

    def find(self, p: Array) -> tuple[Array, int, int, int, list[Array]]:
        z = np.zeros(self._n, self._dtype)
        self._functions["start"](p, z)
        notes, steps = np.zeros(1, np.int64), np.zeros(1, np.int64)
        f, s = self._functions, self._settings
        status = self._method(
            f["residual"], f["residual_jacobian"], self._n, z, p, self._lower, self._upper, self._dtype.type(s.rtol),
            s.max_steps, notes, steps,
        )  # fmt: skip
        return z, int(status), int(notes[0]), int(steps[0]), []
